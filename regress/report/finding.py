"""What there is to say of each runner, line by line: the same for summaries, annotations and JUnit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from regress.delivery import GRAVITY, Planned
from regress.metric import METRICS
from regress.report.text import spread_text
from regress.sentence import loss_text

if TYPE_CHECKING:
    from regress.delivery import Deliveries, Delivery, State
    from regress.verdict import Spread, Verdict

SYMBOLS: dict[State, str] = {
    "pass": "✔",
    "improved": "▲",
    "inconclusive": "≈",
    "missing": "∅",
    "no data": "⊘",
    "damaged": "⚠",
    "broken": "✖",
    "regressed": "▼",
}
"""Beside the word, never in place of it."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line.

    Attributes:
        planned: The runner.
        state: What is said.
        subject: Of which case, file or runner.
        aspect: Of what of it.
        text: Why, as one sentence.
        baseline: What was measured of the reference, with its unit; empty where nothing was.
        measured: What was measured of the candidate, likewise.
        change: How much worse that is; the sentence where there is no number.
        log: What the failing process said; empty where nothing failed.
    """

    planned: Planned
    state: State
    subject: str
    aspect: str
    text: str
    baseline: str = ""
    measured: str = ""
    change: str = ""
    log: str = ""

    @property
    def gravity(self) -> int:
        """Its place among all states, the gravest last."""
        return GRAVITY.index(self.state)


def findings(delivery: Delivery) -> list[Finding]:
    """All that is to be said of a runner, in the order of its report."""
    planned, found = delivery.planned, []
    if delivery.report is None:
        found.append(_of_file(planned, "no data", planned.runner, delivery.note or ""))
    else:
        found += [_of_verdict(planned, verdict) for verdict in delivery.report.verdicts]
    return found + [_of_file(planned, "damaged", each.name, each.problem) for each in delivery.damaged]


def stray_findings(deliveries: Deliveries) -> list[Finding]:
    """What is to be said of the files that lie with no runner of the plan."""
    nobody = Planned(runner="", baseline="")
    return [_of_file(nobody, "damaged", each.name, each.problem) for each in deliveries.strays]


def in_gravity(found: list[Finding]) -> list[Finding]:
    """The same, the gravest first."""
    return sorted(found, key=lambda each: -each.gravity)


def headline(deliveries: Deliveries) -> str:
    """The gravest outcome of all runners as one line of plain text."""
    gravest = deliveries.gravest
    if gravest is None or gravest.state != deliveries.state:
        stray = next(iter(deliveries.strays), None)
        return f"damaged: {stray.name}: {stray.problem}" if stray else "no data: nothing arrived"
    if gravest.state == "pass":
        return f"pass: {counted(len(deliveries.runners), 'runner')}"
    return f"{gravest.planned.runner}: {title(gravest)}"


def title(delivery: Delivery) -> str:
    """The gravest outcome of a runner as one line of plain text."""
    found = in_gravity(findings(delivery))
    if delivery.state == "pass":
        return f"pass: {counted(len(found), 'verdict')}"
    worst = found[0]
    more = sum(each.state == worst.state for each in found) - 1
    where = "" if worst.subject == delivery.planned.runner else f"{worst.subject}: "
    return f"{worst.state}: {where}{worst.text}{f' (and {more} more)' if more else ''}"


def _of_verdict(planned: Planned, verdict: Verdict) -> Finding:
    plain = verdict.outcome in ("pass", "improved") and verdict.decision is not None
    return Finding(
        planned=planned,
        state=verdict.outcome,
        subject=verdict.case,
        aspect=METRICS[verdict.metric].label.lower() if verdict.metric else verdict.aspect,
        text=verdict.text,
        baseline=_spread(verdict, verdict.baseline),
        measured=_spread(verdict, verdict.candidate),
        change=loss_text(verdict.decision) if plain and verdict.decision else verdict.text,
        log=verdict.failure.log if verdict.failure else "",
    )


def _spread(verdict: Verdict, spread: Spread | None) -> str:
    if verdict.metric is None or spread is None:
        return ""
    return f"{spread_text(spread)} {METRICS[verdict.metric].unit}"


def _of_file(planned: Planned, state: State, subject: str, problem: str) -> Finding:
    return Finding(planned=planned, state=state, subject=subject, aspect="delivery", text=problem, change=problem)


def counted(count: int, noun: str) -> str:
    """The number with its noun, in the plural where it is one."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
