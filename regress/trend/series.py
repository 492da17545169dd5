"""Which runs make a series, and why the others do not.

Runs are taken in the order of the moments their records name, those of one moment by their ids, so that the order of
files never matters. A run that cannot be placed in time, or is no fair value of the series, is left out with a reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from regress.metric import Direction
from regress.recipe import other_flags
from regress.trend.verdict import LeftOut, Older, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from regress.baseline import Baseline, Case, Epoch
    from regress.metric import Metric
    from regress.record import CaseResult, Record
    from regress.stats import Floats
    from regress.trend.verdict import Difference, Omission
    from regress.verdict import CheckReport

CLOCK_STEP = timedelta(minutes=1)
"""What a clock may be set back without a doubt about the order of runs: daemons that keep it do so by less."""


class Entry(Protocol):
    """One run of the history: `history.Entry`, or whatever else holds a record and what was said of it."""

    @property
    def record(self) -> Record:
        """What was measured."""

    @property
    def report(self) -> CheckReport | None:
        """What was said of it when it was measured; `None` where it was not judged."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One metric of one case on one runner, since its epoch began.

    Attributes:
        case: Key of the case.
        metric: The metric.
        values: Mean of ln(replicate's value) of each accepted run, oldest first, its sign turned where lower is better.
        runs: Their names, in the same order.
        left_out: The epoch's other runs of the case.
        older: Runs of it that are not comparable with the newest.
        epoch: The accepted change that the series starts at; `None` where there is none.
    """

    case: str
    metric: Metric
    values: Floats
    runs: tuple[Run, ...]
    left_out: tuple[LeftOut, ...]
    older: tuple[Older, ...]
    epoch: Epoch | None

    def level(self, value: float) -> float:
        """A value of the series in the metric's unit."""
        return math.exp(value * _sign(self.metric))


def runs_of(entries: Iterable[Entry], runner: str) -> list[Entry]:
    """The runner's runs in order of time; a record that the history holds twice comes twice."""
    own = (entry for entry in entries if entry.record.runner == runner)
    return sorted(own, key=lambda entry: (entry.record.recorded_at, entry.record.id))


def series_of(runs: Sequence[Entry], baseline: Baseline, case: Case, metric: Metric) -> Series:
    """The series of one metric of one case.

    Args:
        runs: The runner's runs, in order of time.
        baseline: The epochs.
        case: One of its cases.
        metric: One with a tolerance.
    """
    points = list(_points(runs, case, metric))
    epoch = _epoch(baseline, case, points)
    points = [point for point in points if epoch is None or point.record.recorded_at >= epoch.since]
    identity = next((point.identity for point in reversed(points) if point.identity), None)
    current = [point for point in points if point.identity in (identity, None)]
    accepted = [point for point in current if point.why is None]
    return Series(
        case=case.key,
        metric=metric,
        values=np.array([_value(point.values, metric) for point in accepted]),
        runs=tuple(point.name for point in accepted),
        left_out=tuple(LeftOut(run=point.record.id, why=point.why) for point in current if point.why),
        older=_older([point for point in points if point.identity not in (identity, None)], identity),
        epoch=epoch,
    )


_Identity = tuple[str, str, str]
"""Fingerprint of the environment, digest of the harness, digest of the model."""
_DIFFERENCES: tuple[Difference, ...] = ("environment", "harness", "model")
_COMPARABLE = (None, "refused", "reference")
"""Runs that tell what the machine is now, whether or not they are in the series."""


@dataclass(frozen=True, kw_only=True)
class _Point:
    """A run that was to measure the case."""

    record: Record
    values: tuple[float, ...]
    why: Omission | None
    identity: _Identity | None  # of a run in `_COMPARABLE`

    @property
    def name(self) -> Run:
        return Run(id=self.record.id, recorded_at=self.record.recorded_at, toolchain=self.record.toolchain.name)


def _points(runs: Sequence[Entry], case: Case, metric: Metric) -> Iterator[_Point]:
    references = {entry.report.reference_record for entry in runs if entry.report}
    seen: set[str] = set()
    for entry in runs:
        record, result = entry.record, entry.record.case(case.key)
        if result is None:
            continue
        why: Omission | None = "duplicate" if record.id in seen else None
        why = why or ("reference" if record.id in references else None)
        why = why or _unusable(record, result, case, metric) or ("refused" if _refused(entry, case, metric) else None)
        seen.add(record.id)
        identity = _identity(record, result) if why in _COMPARABLE else None
        yield _Point(record=record, values=tuple(result.values(metric.name)), why=why, identity=identity)


def _unusable(record: Record, result: CaseResult, case: Case, metric: Metric) -> Omission | None:
    """Why what was measured is no value of the series; `None` where it is one."""
    if result.failure is not None:
        return "failed"
    if not result.replicates:
        return "not_measured"
    if not result.values(metric.name):
        return "metric_vanished"
    if _has_other_flags(result, case):
        return "other_flags"
    return "clock_set_back" if _was_set_back(record, result) else None


def _has_other_flags(result: CaseResult, case: Case) -> bool:
    return result.artifact is not None and bool(other_flags(result.artifact.flags, case.flags))


def _was_set_back(record: Record, result: CaseResult) -> bool:
    """Whether the clock went back while the run measured, so that its place among the others is not known."""
    moments = [record.recorded_at, *(replicate.started_at for replicate in result.replicates)]
    return any(after < before - CLOCK_STEP for before, after in pairwise(moments))


def _refused(entry: Entry, case: Case, metric: Metric) -> bool:
    """Whether the check called this metric, or the whole case, regressed or broken when the run was measured."""
    verdicts = [verdict for verdict in (entry.report.verdicts if entry.report else ()) if verdict.case == case.key]
    bad = [verdict for verdict in verdicts if verdict.outcome in {"regressed", "broken"}]
    return any(verdict.metric in (metric.name, None) for verdict in bad)


def _identity(record: Record, result: CaseResult) -> _Identity:
    model = result.artifact.model.digest if result.artifact else ""
    return record.environment.fingerprint, record.harness_of(result), model


def _epoch(baseline: Baseline, case: Case, points: Sequence[_Point]) -> Epoch | None:
    """The newest accepted change that covers the case and that a run was measured at or after."""
    moments = [point.record.recorded_at for point in points if point.why != "clock_set_back"]
    if not moments:
        return None
    newest = max(moments)
    begun = [epoch for epoch in baseline.epochs if epoch.since <= newest and case.key in (epoch.cases or (case.key,))]
    return max(begun, key=lambda epoch: epoch.since, default=None)


def _older(points: Sequence[_Point], newest: _Identity | None) -> tuple[Older, ...]:
    """The series that ended, in order of their first run."""
    groups: dict[_Identity, list[_Point]] = {}
    for point in points:
        if point.identity:
            groups.setdefault(point.identity, []).append(point)
    return tuple(
        Older(differs=_differing(identity, newest), runs=len(group), last=group[-1].name)
        for identity, group in groups.items()
    )


def _differing(old: _Identity, new: _Identity | None) -> tuple[Difference, ...]:
    pairs = zip(_DIFFERENCES, old, new or old, strict=True)
    return tuple(what for what, before, after in pairs if before != after)


def _value(values: Sequence[float], metric: Metric) -> float:
    return _sign(metric) * math.fsum(map(math.log, values)) / len(values)


def _sign(metric: Metric) -> int:
    return 1 if metric.better is Direction.HIGHER else -1
