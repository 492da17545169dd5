"""The trend stage: slow losses that no single check sees, as pure functions. docs/trend.md explains the rule.

A series is one metric of one case on one runner, one value per accepted run. Its first runs are the anchor, which
never moves by itself, so that ten accepted losses of 1 % add up. Only an epoch, which someone writes into the
baseline, starts a series anew.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from regress.metric import METRICS
from regress.rule import Parameters
from regress.trend.drift import ANCHOR_RUNS, WINDOW_RUNS, alarms, cumulative, detectable_drop, steps, watch
from regress.trend.series import runs_of, series_of
from regress.trend.verdict import SCHEMA, Change, Level, TrendReport, TrendVerdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from regress.baseline import Baseline
    from regress.trend.drift import Watch
    from regress.trend.series import Entry, Series
    from regress.trend.verdict import Outcome, Reason

__all__ = ["ANCHOR_RUNS", "WINDOW_RUNS", "TrendReport", "TrendVerdict", "alarms", "judge", "trend"]

_CHANGED: tuple[Outcome, ...] = ("improved", "alarm", "regressed")


def trend(entries: Iterable[Entry], baseline: Baseline, baseline_name: str) -> TrendReport:
    """Every series of the baseline's runner, judged at its newest run.

    Args:
        entries: The history, in any order; runs of other runners are counted and not looked at.
        baseline: Cases, tolerances and accepted changes.
        baseline_name: The baseline file's name, for the report.
    """
    entries = list(entries)
    runs = runs_of(entries, baseline.runner)
    asked = [(case, name, tau) for case in baseline.cases for name, tau in baseline.tolerances(case).items()]
    verdicts = [
        judge(series_of(runs, baseline, case, METRICS[name]), Parameters(tolerance=tau, checks=len(asked)))
        for case, name, tau in asked
    ]
    return TrendReport(
        schema=SCHEMA,
        runner=baseline.runner,
        baseline=baseline_name,
        runs=len({entry.record.id for entry in runs}),
        verdicts=tuple(verdicts),
        other_runners=tuple(sorted({entry.record.runner for entry in entries} - {baseline.runner})),
    )


def judge(series: Series, parameters: Parameters) -> TrendVerdict:
    """The verdict on one series at its newest run.

    Args:
        series: The accepted runs.
        parameters: The tolerance, and how many series are judged together.
    """
    if len(series.runs) < ANCHOR_RUNS:
        return _verdict(series, parameters, "too_few", "no_runs" if not series.runs else "too_few_runs")
    loss, gain = watch(series.values[None]), watch(-series.values[None])
    whole = len(series.runs) >= ANCHOR_RUNS + WINDOW_RUNS
    outcome: Outcome
    reason: Reason
    if whole and cumulative(series.values[None], parameters).beyond[0]:
        outcome, reason = "regressed", "loss_beyond_tolerance"
    elif _is_raised(loss):
        outcome, reason = "alarm", "window_below_anchor" if loss.by_window[0, -1] else "cusum_below_anchor"
    elif _is_raised(gain):
        outcome, reason = "improved", "window_above_anchor" if gain.by_window[0, -1] else "cusum_above_anchor"
    else:
        outcome, reason = ("steady", "within_noise") if whole else ("too_few", "too_few_runs")
    return _with_numbers(_verdict(series, parameters, outcome, reason), series, parameters, loss)


def _is_raised(seen: Watch) -> bool:
    return bool(seen.by_window[0, -1] or seen.by_cusum[0, -1])


def _verdict(series: Series, parameters: Parameters, outcome: Outcome, reason: Reason) -> TrendVerdict:
    """A verdict without numbers."""
    label, runs = series.metric.label.lower(), len(series.runs)
    needed = max(ANCHOR_RUNS + WINDOW_RUNS - runs, 0)
    return TrendVerdict(
        case=series.case,
        metric=series.metric.name,
        outcome=outcome,
        reason=reason,
        text=f"{label}: {runs} accepted runs, {needed} more are needed",
        tolerance=parameters.tolerance,
        runs=runs,
        needed=needed,
        left_out=series.left_out,
        older=series.older,
        epoch=series.epoch.reason if series.epoch else None,
    )


def _with_numbers(verdict: TrendVerdict, series: Series, parameters: Parameters, seen: Watch) -> TrendVerdict:
    """The verdict with every number that led to it."""
    anchor = seen.anchor
    recent = len(series.runs) - ANCHOR_RUNS
    verdict = msgspec.structs.replace(
        verdict,
        anchor=_level(series, float(anchor.mean[0]), 0, ANCHOR_RUNS),
        sd=float(anchor.sd[0]),
        correlation=float(anchor.correlation[0]),
        detectable_loss=_loss(float(detectable_drop(anchor)[0])),
        cusum=float(seen.cusum[0]),
    )
    if recent > 0:
        drop, first = float(seen.drop[0]), max(ANCHOR_RUNS, len(series.runs) - WINDOW_RUNS)
        verdict = msgspec.structs.replace(
            verdict,
            recent=_level(series, float(anchor.mean[0]) - drop, first, len(series.runs)),
            loss=_loss(drop),
            z=float(seen.z[0]),
            budget_used=drop / parameters.limit,
        )
    if recent >= WINDOW_RUNS:
        low = float(cumulative(series.values[None], parameters).low[0])
        verdict = msgspec.structs.replace(verdict, loss_low=_loss(low))
    if verdict.outcome in _CHANGED:
        verdict = msgspec.structs.replace(verdict, changes=_changes(series, gains=verdict.outcome == "improved"))
    return msgspec.structs.replace(verdict, text=_text(verdict, series))


def _level(series: Series, value: float, start: int, end: int) -> Level:
    return Level(value=series.level(value), runs=end - start, first=series.runs[start], last=series.runs[end - 1])


def _loss(drop: float) -> float:
    """A difference of logarithms as a fraction of the level before."""
    return -math.expm1(-drop)


def _changes(series: Series, *, gains: bool) -> tuple[Change, ...]:
    """The steps of a series, downwards or upwards, oldest first."""
    ends = steps(series.values)
    levels = [float(np.median(part)) for part in np.split(series.values, ends)]
    return tuple(
        Change(before=series.runs[place - 1], after=series.runs[place], loss=_loss(old - new))
        for place, old, new in zip(ends, levels, levels[1:], strict=False)
        if (new > old) == gains
    )


def _text(verdict: TrendVerdict, series: Series) -> str:
    """Why, as one sentence."""
    label = series.metric.label.lower()
    if verdict.loss is None or verdict.budget_used is None or verdict.recent is None:
        return f"{label}: the anchor is complete, {verdict.needed} more runs are needed"
    change = f"{label} {abs(verdict.loss):.1%} {'worse' if verdict.loss > 0 else 'better'} than its anchor"
    used = f"{max(verdict.budget_used, 0):.0%} of the {verdict.tolerance:.1%} tolerance used up"
    endings = {
        "steady": used,
        "too_few": f"{verdict.needed} more runs are needed",
        "improved": "accept it as an epoch: against this anchor a loss of as much would not be seen",
        "alarm": f"{used}, which one check does not show",
        "regressed": f"more than the {verdict.tolerance:.1%} tolerance",
    }
    return f"{change}, {endings[verdict.outcome]}"
