"""A trend as a person reads it at a terminal, and as a program does."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from regress.metric import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regress.trend.verdict import Change, LeftOut, Level, Older, Omission, TrendReport, TrendVerdict

_MOST_NAMED = 5
"""Runs of one kind that are named; of more, the newest are."""
_MOST_CHANGES = 3
_OMISSIONS: dict[Omission, str] = {
    "refused": "refused by the check",
    "failed": "failed",
    "not_measured": "without replicates",
    "metric_vanished": "without this metric",
    "reference": "measured as a reference beside others",
    "other_flags": "built with other flags",
    "duplicate": "in the history twice",
    "clock_set_back": "during which the clock was set back",
}


def trend_text(report: TrendReport) -> str:
    """The verdicts by case, then the gravest one, and what to do about it; ends with a newline."""
    lines = [f"trend of {report.runner} by {report.baseline}, {_plural(report.runs, 'run')} in the history"]
    if not report.runs and report.other_runners:
        lines.append(f"the history holds runs of {', '.join(report.other_runners)} alone")
    for case in dict.fromkeys(verdict.case for verdict in report.verdicts):
        lines += ["", case]
        lines += [line for verdict in report.verdicts if verdict.case == case for line in _verdict_lines(verdict)]
    lines += ["", f"verdict: {report.outcome}", *_advice(report)]
    return "\n".join(lines) + "\n"


def _verdict_lines(verdict: TrendVerdict) -> Iterator[str]:
    yield f"  {verdict.outcome:<12} {verdict.text}"
    details = [*_levels(verdict), *_found(verdict), *_missing(verdict)]
    yield from (f"  {'':<12} {line}" for line in details)


def _levels(verdict: TrendVerdict) -> Iterator[str]:
    """Where the anchor and the newest runs lie, and what could be seen."""
    if verdict.anchor and verdict.sd is not None:
        recent = f" -> {_level(verdict.recent)}" if verdict.recent else ""
        yield f"anchor {_level(verdict.anchor)}, sd {verdict.sd:.1%}{recent} {METRICS[verdict.metric].unit}"
    if verdict.detectable_loss is not None:
        score = "" if verdict.z is None else f", now z {verdict.z:.1f}"
        yield f"smallest step seen within ten runs: {verdict.detectable_loss:.1%}{score}, cusum {verdict.cusum:.1f}"
    if verdict.epoch:
        yield f"since the epoch: {verdict.epoch}"


def _level(level: Level) -> str:
    days = f"{level.first.recorded_at:%Y-%m-%d} to {level.last.recorded_at:%Y-%m-%d}"
    return f"{level.value:,.4g} ({_plural(level.runs, 'run')}, {days})"


def _found(verdict: TrendVerdict) -> Iterator[str]:
    """Where the level changed, the largest steps alone; that it slid where no step is."""
    largest = sorted(verdict.changes, key=lambda change: -abs(change.loss))[:_MOST_CHANGES]
    yield from (_step(change) for change in verdict.changes if change in largest)
    if verdict.outcome in {"alarm", "regressed", "improved"} and not largest:
        yield "no single step: it slid"


def _step(change: Change) -> str:
    before, after = change.before, change.after
    moved = f"from {before.toolchain} to {after.toolchain}"
    cause = moved if before.toolchain != after.toolchain else f"both {after.toolchain}: look at the machine"
    direction = "worse" if change.loss > 0 else "better"
    return f"{abs(change.loss):.1%} {direction} after {before.id}, by {after.id}: {cause}"


def _missing(verdict: TrendVerdict) -> Iterator[str]:
    """Runs that are not in the series, and series that ended."""
    for why, count in Counter(each.why for each in verdict.left_out).items():
        yield f"left out, {_OMISSIONS[why]}: {_named(count, [each for each in verdict.left_out if each.why == why])}"
    yield from (_ended(older) for older in verdict.older)


def _named(count: int, runs: list[LeftOut]) -> str:
    names = ", ".join(run.run for run in runs[-_MOST_NAMED:])
    return f"{count} ({'the newest: ' if count > _MOST_NAMED else ''}{names})"


def _ended(older: Older) -> str:
    return f"not compared, another {' and '.join(older.differs)}: {_plural(older.runs, 'run')} until {older.last.id}"


def _advice(report: TrendReport) -> Iterator[str]:
    """The epoch to write where a change is meant to stay."""
    changed = [verdict for verdict in report.verdicts if verdict.outcome in {"alarm", "regressed", "improved"}]
    if not changed:
        return
    since = next((verdict.changes[-1].after for verdict in changed if verdict.changes), None)
    moment = since or next(verdict.recent.first for verdict in changed if verdict.recent)
    cases = ", ".join(f'"{case}"' for case in dict.fromkeys(verdict.case for verdict in changed))
    yield f"find the cause; or, where the change is meant to stay, accept it in {report.baseline}:"
    yield "  [[epochs]]"
    yield f"  since = {moment.recorded_at.isoformat()}"
    yield '  reason = "why"'
    yield f"  cases = [{cases}]"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
