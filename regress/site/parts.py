"""What stands on a page dozens or hundreds of times, as HTML: a macro would take ten times as long for each."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from regress.site import units

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from regress.artifact import Kernel
    from regress.decision import Decision
    from regress.record import Package
    from regress.site.extract import Replicate
    from regress.site.facts import Said, Value
    from regress.site.run import Column, RunCase
    from regress.verdict import Outcome, Verdict

OUTCOMES: dict[Outcome, tuple[str, str]] = {
    "pass": ("✓", "a loss of the tolerance is excluded; build and answers are in order"),
    "improved": ("▲", "better than the reference, beyond noise and tolerance"),
    "regressed": ("▼", "worse than the reference beyond noise, and not inside the tolerance; or other answers"),
    "inconclusive": ("?", "the measurements do not decide; the sentence says why"),
    "broken": ("✕", "does not build, load or run"),
    "missing": ("∅", "cannot be compared; the sentence beside it says why"),
}
"""Outcome to the sign that carries it without colour, and what it means."""
NOTHING = Markup('<span class="quiet" aria-label="not measured">\N{EN DASH}</span>')
"""Stands where there is no number."""

KEPT = 128
"""Lists of packages, and of kernels, that are kept as they were written: runs of one toolchain have the same ones.

Digests, too: runs have machines, toolchains and kernels in common.
"""
_DIGEST = 10
"""Characters of a SHA-256 that a page shows."""
_SAME = '<span class="quiet">the same</span>'


@cache
def badge(outcome: Outcome) -> Markup:
    """An outcome with its sign."""
    sign = f'<span class="sign" aria-hidden="true">{OUTCOMES[outcome][0]}</span>'
    return Markup(f'<span class="badge {outcome}">{sign}{outcome}</span>')  # noqa: S704  # one of a closed set


def time(moment: datetime) -> Markup:
    """A moment to the minute, and for a machine to the second."""
    return Markup(f'<time datetime="{units.iso(moment)}">{units.when(moment)}</time>')  # noqa: S704  # digits


def settings(flags: Mapping[str, str]) -> Markup:
    """Build flags with what they are set to, in order of their names."""
    ordered = sorted(flags.items(), key=lambda flag: flag[0].lower())
    codes = [f"<code>{escape(name)}={escape(setting)}</code>" for name, setting in ordered]
    return Markup(" ".join(codes))  # noqa: S704  # escaped above


def said(verdict: Said) -> Markup:
    """What a check said of a case: of a metric its change and what would have been seen, else the sentence."""
    if verdict.metric is None or verdict.loss is None or verdict.tolerance is None:
        return escape(verdict.text)
    about = f"{escape(units.metric_label(verdict.metric))} {units.change(verdict.loss)}"
    if verdict.outcome == "inconclusive":
        about += f", {escape(verdict.reason.replace('_', ' '))}"
    note = f"tolerance {units.percent(verdict.tolerance)}"
    if verdict.visible_loss is not None:
        note += f", smallest visible loss {units.percent(verdict.visible_loss)}"
    return Markup(f'{about} <span class="note">{note}</span>')  # noqa: S704  # escaped above


def verdicts(found: Iterable[Verdict]) -> Markup:
    """Items of a list: each verdict with its sentence, and the numbers that it is of."""
    items = [f"      <li>{badge(each.outcome)} <span>{_sentence(each)}</span></li>" for each in found]
    return Markup("\n".join(items))  # noqa: S704  # escaped there


def _sentence(verdict: Verdict) -> str:
    numbers = f'<span class="note">{_numbers(verdict.decision)}</span>\n' if verdict.decision else ""
    return f"{escape(verdict.text)}\n{numbers}"


def _numbers(decision: Decision) -> str:
    """What was decided by: the replicates, how they vary, and the probability of no loss."""
    told = [decision.form.replace("_", " "), f"{decision.replicates} replicates"]
    if decision.confirming:
        told[-1] += f" and {decision.confirming} to confirm"
    if decision.baseline_replicates:
        told[-1] += f" against {decision.baseline_replicates} of {decision.sessions} sessions"
    if decision.sd is not None:
        told.append(f"standard deviation {units.percent(decision.sd)}")
    if decision.session_sd:
        told.append(f"{units.percent(decision.session_sd)} between sessions")
    if decision.p_value is not None:
        told.append(f"p = {decision.p_value:.2g}")
    return ", ".join(told)  # digits, and one of a closed set


def value(found: Value | None) -> Markup:
    """A rate with its range and the number of replicates."""
    if found is None:
        return NOTHING
    count = f"{found.count} replicate{'' if found.count == 1 else 's'}"
    spread = f"{units.rate(found.low)}\N{EN DASH}{units.rate(found.high)}"
    note = f'<span class="note">{spread}, {count}</span>'
    return Markup(f"<strong>{units.rate(found.median)}</strong>\n{note}")  # noqa: S704  # digits


def alone(found: Value | None) -> Markup:
    """A rate of which nobody knows how it varies."""
    return NOTHING if found is None else Markup(f"<strong>{units.rate(found.median)}</strong>")  # noqa: S704  # digits


def digest(sha256: str) -> Markup:
    """The start of a digest, with all of it in its title."""
    return Markup(_digest(sha256))  # noqa: S704  # escaped there


def digests(found: Iterable[str]) -> Markup:
    """Several digests, each with a blank after it."""
    return Markup("".join([f"{_digest(each)} " for each in found]))  # noqa: S704  # escaped there


@lru_cache(KEPT)
def packages(found: tuple[Package, ...]) -> Markup:
    """Rows of a table: each package with its version and the digests of its wheels."""
    rows = [
        f'          <tr><th scope="row">{escape(package.name)}</th><td>{escape(package.version)}</td>'
        f"<td>{digests(package.sha256) or NOTHING}</td></tr>\n"
        for package in found
    ]
    return Markup("".join(rows))  # noqa: S704  # escaped above


@lru_cache(KEPT)
def kernels(found: tuple[Kernel, ...]) -> Markup:
    """Items of a list: the name of each kernel, and the digest of its code."""
    items = [f"        <li><code>{escape(kernel.name)}</code> {_digest(kernel.sha256)}</li>" for kernel in found]
    return Markup("\n".join(items))  # noqa: S704  # escaped above


def heads(columns: Iterable[Column]) -> Markup:
    """Cells of a table's head: the columns, with the units that do not stand in the cells. The site has named both."""
    cells = [
        f'          <th scope="col">{column.label}'
        + (f' <span class="unit">{column.unit}</span></th>' if column.unit else "</th>")
        for column in columns
    ]
    return Markup("\n".join(cells))  # noqa: S704  # as said


def medians(columns: Iterable[Column]) -> Markup:
    """Cells of a table's row: the median of each column that has one. The site itself has written it."""
    texts = [f"<strong>{column.median}</strong>" if column.median else "" for column in columns]
    return Markup("\n".join([f"          <td>{text}</td>" for text in texts]))  # noqa: S704  # as said


def replicates(case: RunCase) -> Markup:
    """Rows of a table: a fresh process each, with what it measured, what it answered and what held its clocks back.

    Numbers and times are written by the site itself, and need no escaping.
    """
    found = case.result.replicates if case.result else ()
    moments = [units.iso(replicate.started_at) for replicate in found]
    clocks = [moment[11:19] for moment in moments]
    columns = [[text or NOTHING for text in column.cells] for column in case.columns]
    row = (
        '        <tr><th scope="row">%d <time class="quiet" datetime="%s">%s</time></th>\n'
        f"          {'<td>%s</td>' * len(columns)}\n          <td>%s</td>\n        </tr>"
    )
    rows = zip(range(1, len(found) + 1), moments, clocks, *columns, _last_cells(found), strict=True)
    return Markup("\n".join([row % texts for texts in rows]))  # noqa: S704  # as said, and escaped there


def _last_cells(found: Sequence[Replicate]) -> list[str]:
    """The digest of each one's logits, only of the first one where all have the same, and what held its clocks back."""
    answers = [_digest(each.logits_sha256) if each.logits_sha256 else str(NOTHING) for each in found]
    if len(set(answers)) == 1 and found[0].logits_sha256:
        answers[1:] = [_SAME] * (len(answers) - 1)
    return [answer + _held_back(each) for answer, each in zip(answers, found, strict=True)]


def _held_back(replicate: Replicate) -> str:
    """What held its clocks back, each reason with its share of the time."""
    shares = replicate.telemetry.reasons if replicate.telemetry else {}
    if not shares:
        return ""
    reasons = [f"{reason.replace('_', ' ')} {units.percent(share)}" for reason, share in sorted(shares.items())]
    return f'<span class="note">{escape(", ".join(reasons))}</span>'


@lru_cache(KEPT)
def _digest(sha256: str) -> str:
    whole = sha256 if sha256.isalnum() else str(escape(sha256))
    start = whole[:_DIGEST] if whole is sha256 else str(escape(sha256[:_DIGEST]))
    return f'<code class="digest" title="{whole}">{start}</code>'
