"""The text of a baseline file with recorded runs as its references, and the reasons to refuse it.

A baseline never moves by itself: a command writes the text, or proposes it as a diff, with a reason.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from regress.baseline import parse_baseline, values_of
from regress.decision import known_spread, runs_needed, visible_loss, visible_side_by_side
from regress.errors import ConfigError
from regress.metric import METRICS, Direction
from regress.recipe import DEFAULTS, other_flags
from regress.record import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from regress.baseline import Baseline, Case, StoredReference
    from regress.record import CaseResult, Record
    from regress.rule import Parameters
    from regress.stats import Evidence

FEWEST_RUNS = 10
FEWEST_SESSIONS = 3
"""Replicates and recorded runs that a reference needs: fewer do not show how one run differs from the next."""
FEWEST_EACH = 2


@dataclass(frozen=True, kw_only=True)
class Why:
    """What a reference says of itself, besides what was measured.

    Attributes:
        written_on: The day, in UTC.
        reason: Why these runs are the reference.
        runner: Nickname to write; the one in the file where `None`.
    """

    written_on: date
    reason: str
    runner: str | None = None


def with_references(text: str, name: str, records: Sequence[Record], why: Why) -> str:
    """The baseline file's text with recorded runs as references; comments and layout stay.

    Args:
        text: The file as it is.
        name: Its name, for errors.
        records: Records of one toolchain on one machine, each of them one session.
        why: Date, reason and runner to write.

    Raises:
        ConfigError: The file is wrong; the records are of different toolchains or machines, or lack a case of it; or
            the smallest loss that the references could show is larger than the tolerance.
    """
    import tomlkit  # noqa: PLC0415  # 30 ms that only this one writer needs

    baseline = parse_baseline(text, name)
    records = sorted({record.id: record for record in records}.values(), key=lambda record: record.recorded_at)
    _require_alike(records, name)
    found = {case.key: _results(case, records, name) for case in baseline.cases}
    document = tomlkit.parse(text)
    if why.runner is not None:
        document["runner"] = why.runner
    document["toolchain"] = records[-1].toolchain.name
    document["environment"] = _toml(msgspec.to_builtins(records[-1].environment))
    for table, case in zip(document["cases"], baseline.cases, strict=True):
        replaced = case.reference if baseline.environment == records[-1].environment else None
        table["reference"] = _reference_table(replaced, records[-1], found[case.key], why)
    document["artifacts"] = _artifacts_table([result for results in found.values() for _, result in results])
    written = _spaced(tomlkit.dumps(document))
    _require_sight(parse_baseline(written, name), name)
    return written


def diff(before: str, after: str, name: str) -> str:
    """The unified diff from one text of a file to another; empty where they are the same."""
    old, new = (text.splitlines(keepends=True) for text in (before, after))
    lines = difflib.unified_diff(old, new, fromfile=f"a/{name.lstrip('/')}", tofile=f"b/{name.lstrip('/')}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _results(case: Case, records: Sequence[Record], name: str) -> list[tuple[Record, CaseResult]]:
    results = [(record, result) for record in records if (result := record.case(case.key)) and result.replicates]
    if not results:
        raise ConfigError(
            f"{name}: no replicates of '{case.key}' in {records[-1].id}",
            hint="measure all cases of the file, then write the baseline from that record",
        )
    _require_flags(case, [result for _, result in results], name)
    if len({result.artifact.digest for _, result in results if result.artifact}) > 1:
        raise ConfigError(f"{name}: the records have different builds of '{case.key}'")
    if len({record.harness_of(result) for record, result in results}) > 1:
        raise ConfigError(f"{name}: the records have '{case.key}' measured by different workers of its harness")
    return results


def _require_flags(case: Case, results: Sequence[CaseResult], name: str) -> None:
    """Refuses runs of a build that is not the case's: a slow reference would make every loss a gain."""
    for artifact in (result.artifact for result in results if result.artifact):
        for flag in other_flags(artifact.flags, case.flags):
            built, wanted = (each.get(flag, DEFAULTS.get(flag)) for each in (artifact.flags, case.flags))
            raise ConfigError(f"{name}: '{case.key}' was measured with {flag}={built}, the case says {wanted}")


def _require_alike(records: Sequence[Record], name: str) -> None:
    for record in records[1:]:
        for what, first, other in (
            ("toolchain", records[0].toolchain.fingerprint, record.toolchain.fingerprint),
            ("machine", records[0].environment.fingerprint, record.environment.fingerprint),
            ("method", digest(records[0].method), digest(record.method)),
        ):
            if first != other:
                raise ConfigError(f"{name}: the records {records[0].id} and {record.id} are of different {what}s")


def _require_sight(baseline: Baseline, name: str) -> None:
    """Refuses references that could not show a loss of the tolerance; all of them are named."""
    paired = baseline.pairs()
    blind = [problem for case in baseline.cases for problem in _blind_spots(baseline, case, paired=paired)]
    if blind:
        raise ConfigError(
            f"{name}: {blind[0]}" + "".join(f"\n  {problem}" for problem in blind[1:]),
            hint="measure further runs with `regress bench` and give all records, or raise the tolerance",
        )


def _blind_spots(baseline: Baseline, case: Case, *, paired: bool) -> Iterator[str]:
    reference = case.reference
    for metric, parameters in baseline.parameters(case).items():
        sessions = reference.values(metric) if reference else ()
        prior = reference.earlier.get(metric) if reference else None
        where = f"'{case.key}' {metric}"
        if problem := _too_few(sessions):
            yield f"{where}: {problem}"
            continue
        known = known_spread(sessions, higher_is_better=METRICS[metric].better is Direction.HIGHER, prior=prior)
        if problem := _blindness(known, parameters, paired=paired):
            yield f"{where}: {problem}"


def _too_few(sessions: Sequence[Sequence[float]]) -> str | None:
    """What is missing of a reference's replicates and recorded runs; `None` where there are enough."""
    runs, count = sum(map(len, sessions)), len(sessions)
    if min(map(len, sessions), default=0) < FEWEST_EACH:
        return f"a recorded run has fewer than {FEWEST_EACH} replicates: how they differ in it is not known"
    if runs >= FEWEST_RUNS and count >= FEWEST_SESSIONS:
        return None
    return (
        f"{runs} replicates in {count} recorded runs, a reference needs {FEWEST_RUNS} in {FEWEST_SESSIONS}: "
        f"{_more(FEWEST_RUNS - runs, FEWEST_SESSIONS - count)}"
    )


def _blindness(known: Evidence, parameters: Parameters, *, paired: bool) -> str | None:
    """Why a loss of the tolerance could not be seen, and what would help; `None` where it could.

    Args:
        known: The stored replicates.
        parameters: What a verdict is asked with.
        paired: Whether verdicts come from the reference's own artifact, measured beside the candidate.
    """
    if paired:
        visible = visible_side_by_side(known, parameters)
        help_ = "a larger budget in [check] would help, or a quieter machine"
    else:
        visible, needed = visible_loss(known, parameters), runs_needed(known, parameters)
        help_ = f"{needed - known.runs} more replicates" if needed else "no number of runs is enough at this noise"
    if visible <= parameters.tolerance:
        return None
    return f"the smallest visible loss is {visible:.1%}, the tolerance {parameters.tolerance:.1%}: {help_}"


def _more(runs: int, sessions: int) -> str:
    """How many replicates and recorded runs are missing."""
    parts = [_counted(count, what) for count, what in ((runs, "replicate"), (sessions, "recorded run")) if count > 0]
    return " and ".join(parts)


def _counted(count: int, what: str) -> str:
    return f"{count} more {what}" if count == 1 else f"{count} more {what}s"


def _reference_table(
    replaced: StoredReference | None, newest: Record, results: Sequence[tuple[Record, CaseResult]], why: Why
) -> Any:  # noqa: ANN401
    first = results[0][1]
    table = _toml(
        {
            "toolchain": newest.toolchain.name,
            "toolchain_fingerprint": newest.toolchain.fingerprint,
            "artifact": first.artifact.digest if first.artifact else None,
            "harness": results[-1][0].harness_of(results[-1][1]),
            "method": digest(newest.method),
            "model_digest": first.artifact.model.digest if first.artifact else None,
            "builder": "mlc" if first.artifact and first.artifact.mlc else None,
            "written_on": why.written_on,
            "reason": why.reason,
            "logits_sha256": first.replicates[0].logits_sha256,
            "text_sha256": first.replicates[0].text_sha256 or None,
            "token_ids": list(first.replicates[0].token_ids),
            "earlier": _earlier(replaced, results) or None,
        }
    )
    table["sessions"] = _sessions(results)
    return table


def _artifacts_table(results: Sequence[CaseResult]) -> Any:  # noqa: ANN401
    facts = {result.artifact.digest: result.artifact.facts for result in results if result.artifact}
    return _toml({digest: msgspec.to_builtins(facts[digest]) for digest in sorted(facts)})


def _sessions(results: Sequence[tuple[Record, CaseResult]]) -> Any:  # noqa: ANN401
    import tomlkit  # noqa: PLC0415  # as above

    sessions = tomlkit.aot()
    for record, result in results:
        values = {metric: list(values) for metric, values in values_of(result).items()}
        sessions.append(_toml({"record": record.id, "recorded_at": record.recorded_at, "values": values}))
    return sessions


def _earlier(
    replaced: StoredReference | None, results: Sequence[tuple[Record, CaseResult]]
) -> dict[str, dict[str, float]]:
    """What the reference that is replaced says of each metric's spread: it is worth some runs of the new one.

    Runs that stay are not counted twice: what they replaced is carried on instead.
    """
    if replaced is None:
        return {}
    if {session.record for session in replaced.sessions} & {record.id for record, _ in results}:
        return {metric: msgspec.to_builtins(prior) for metric, prior in replaced.earlier.items()}
    spreads: dict[str, dict[str, float]] = {}
    for metric in sorted({metric for session in replaced.sessions for metric in session.values}):
        sessions = replaced.values(metric)
        runs = sum(map(len, sessions))
        if runs >= FEWEST_RUNS:
            spreads[metric] = {"sd": float(known_spread(sessions, higher_is_better=True).sd), "degrees": runs - 1}
    return spreads


_HEADER = re.compile(r"^(?P<before>[^#\n].*\n)(?=\[{1,2}[\w.\"-]+\]{1,2}$)", re.MULTILINE)


def _spaced(text: str) -> str:
    """The text with an empty line before each table that follows a line of another; writing again changes nothing."""
    return _HEADER.sub(r"\g<before>\n", text)


def _toml(value: dict[str, Any]) -> Any:  # noqa: ANN401
    """A TOML table of a mapping; keys without a value are left out, as TOML has no null."""
    import tomlkit  # noqa: PLC0415  # as above

    table = tomlkit.table()
    for key, item in value.items():
        if isinstance(item, dict):
            table[key] = _toml(item)
        elif item is not None:
            table[key] = item
    return table
