"""One case on one runner over time: its runs in order, the machines they were made on, and where its rates stepped."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from regress.recipe import DEFAULTS, other_flags, own_flags
from regress.record import Environment  # noqa: TC001  # msgspec reads the annotations at run time
from regress.site.facts import RATES, Case, Fact, Run, Value, median  # likewise
from regress.site.name import Keyed
from regress.site.thinning import drawn
from regress.trend.drift import ANCHOR_RUNS, steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from regress.baseline import Baseline
    from regress.baseline import Case as BaselineCase
    from regress.site.facts import Facts
    from regress.verdict import Outcome

_DIGEST = 8
"""Characters of a SHA-256 that tell machines apart."""


class Point(Fact, frozen=True):
    """One run of the case.

    Attributes:
        run: The run.
        case: The case in it.
        label: Label of its toolchain.
        segment: Number of the machine, harness and weights that it was measured with.
        usual: Whether it was built with the flags that the case is about.
    """

    run: Run
    case: Case
    label: str
    segment: int
    usual: bool

    def value(self, metric: str) -> Value | None:
        """The metric over the replicates; `None` where it was not measured."""
        return self.case.values.get(metric)

    @property
    def outcome(self) -> Outcome | None:
        """The gravest verdict on the case; `None` where it was not judged."""
        return self.case.outcome


class Segment(Fact, frozen=True, kw_only=True):
    """Runs that can be compared: of one machine, one harness and the same weights; or what was imported of a device."""

    environment: Environment
    harness: str
    model_digest: str
    is_imported: bool = False

    @property
    def name(self) -> str:
        """What tells it from the others of a series."""
        if self.is_imported:
            return f"imported, {self.environment.device}"
        machine, harness, model = (
            digest[:_DIGEST] for digest in (self.environment.fingerprint, self.harness, self.model_digest)
        )
        return f"{self.environment.device}, machine {machine}, harness {harness}, weights {model}"


class Band(Fact, frozen=True, kw_only=True):
    """What a metric is held against: the median of the stored replicates, and the largest loss that passes."""

    level: float
    tolerance: float
    toolchain: str


class Step(Fact, frozen=True, kw_only=True):
    """A change of a metric's level that stayed: the first run after it, and its size; a loss is above zero."""

    point: Point
    metric: str
    loss: float


@dataclass(frozen=True, kw_only=True)
class Series(Keyed):
    """One case on one runner.

    Attributes:
        runner: Nickname of the machine.
        key: Key of the case.
        flags: The build flags that the case is about, as far as they are not the defaults.
        points: Its runs, oldest first.
        segments: What they were measured with, in order of first appearance.
        bands: Metric to what it is held against; empty where no baseline has the case, or a reference of it.
        steps: Changes of level, oldest first, of each segment's runs with the usual flags.
    """

    runner: str
    key: str
    flags: Mapping[str, str]
    points: tuple[Point, ...]
    segments: tuple[Segment, ...]
    bands: Mapping[str, Band]
    steps: tuple[Step, ...]

    @cached_property
    def current(self) -> tuple[Point, ...]:
        """The runs that can be compared with the newest measured one, oldest first; of imports alone, these."""
        usual, imported = [point for point in self.points if point.usual and point.case.values], self.is_imported
        measured = [point for point in usual if bool(point.run.imported) == imported]
        return tuple(point for point in measured if point.segment == measured[-1].segment)

    @cached_property
    def drawn(self) -> list[Point]:
        """The runs that its chart draws, oldest first."""
        return drawn(self)

    @property
    def newest(self) -> Point:
        """The newest run of the case with the usual flags, else of any; an import where there is nothing else."""
        usual = next((point for point in reversed(self.points) if point.usual and not point.run.imported), None)
        return usual or next((point for point in reversed(self.points) if not point.run.imported), self.points[-1])

    @property
    def is_imported(self) -> bool:
        """Whether nothing of it was measured here."""
        return all(point.run.imported for point in self.points)

    @property
    def judged(self) -> Point | None:
        """The newest run with the usual flags that something was said of; `None` where there is none."""
        return next((point for point in reversed(self.points) if point.usual and point.case.said), None)

    @property
    def outcome(self) -> Outcome | None:
        """Broken where its newest run is, else what was said of it last; `None` where it was never judged."""
        if self.newest.case.fault:
            return "broken"
        return self.judged.outcome if self.judged else None

    @property
    def traces(self) -> tuple[str, ...]:
        """Names of what a chart tells apart: each segment, and last the builds with other flags where there are any."""
        others = () if all(point.usual for point in self.points) else ("other build flags",)
        if len(self.segments) == 1 and not self.segments[0].is_imported:
            return (self.segments[0].environment.device, *others)
        return (*(segment.name for segment in self.segments), *others)

    @property
    def rings(self) -> tuple[int, ...]:
        """Numbers of the traces that are drawn as rings: what was imported, and the builds with other flags."""
        imported = [number for number, segment in enumerate(self.segments) if segment.is_imported]
        return (*imported, len(self.segments))

    def trace(self, point: Point) -> int:
        """Number of the trace that a run belongs to."""
        return point.segment if point.usual else len(self.segments)

    def other_flags(self, point: Point) -> dict[str, str]:
        """The flags that a build has otherwise than the case, of which a default may be one."""
        if point.usual:
            return {}
        built = {**DEFAULTS, **point.case.flags}
        return {name: built[name] for name in other_flags(built, self.flags)}


def all_series(
    found: Sequence[Facts], labels: Mapping[tuple[str, str], str], baseline: Baseline | None
) -> tuple[Series, ...]:
    """The series of a runner, those of its newest run first.

    Args:
        found: Its runs, oldest first.
        labels: Name and fingerprint of each toolchain to its label.
        baseline: The runner's baseline; `None` where it has none.
    """
    pairs: dict[str, list[tuple[Run, Case]]] = {}
    for each in reversed(found):
        for case in each.cases:
            pairs.setdefault(case.key, []).append((each.run, case))
    asked = {case.key: case for case in baseline.cases} if baseline else {}
    return tuple(_series(own[::-1], labels, baseline, asked.get(key)) for key, own in pairs.items())


def _series(
    pairs: Sequence[tuple[Run, Case]],
    labels: Mapping[tuple[str, str], str],
    baseline: Baseline | None,
    asked: BaselineCase | None,
) -> Series:
    flags = _usual_flags([case for _, case in pairs], asked)
    segments, numbers = _segments(pairs)
    points = [
        Point(
            run=run,
            case=case,
            label=labels[run.toolchain, run.fingerprint],
            segment=number,
            usual=not case.artifact or case.flags == flags,
        )
        for (run, case), number in zip(pairs, numbers, strict=True)
    ]
    series = Series(
        runner=pairs[0][0].runner,
        key=pairs[0][1].key,
        flags=flags,
        points=tuple(points),
        segments=segments,
        bands={},
        steps=(),
    )
    if series.is_imported:
        return series
    return replace(series, bands=_bands(series, baseline, asked), steps=tuple(_steps(points)))


_Identity = tuple[str, str, str]
"""Fingerprint of the machine, digest of the harness, digest of the weights."""


def _segments(pairs: Sequence[tuple[Run, Case]]) -> tuple[tuple[Segment, ...], list[int]]:
    """What runs were measured with, and the number of each run's own.

    One that nothing tells it of is with the run of ours before it, else with the first one of ours behind it.
    """
    segments: dict[_Identity, Segment] = {}
    known = [_segment(run, case, segments) for run, case in pairs]
    own = [None if run.imported else number for (run, _), number in zip(pairs, known, strict=True)]
    now = next((number for number in own if number is not None), 0)
    numbers = []
    for number, of_ours in zip(known, own, strict=True):
        now = now if of_ours is None else of_ours
        numbers.append(now if number is None else number)
    return tuple(segments.values()), numbers


def _segment(run: Run, case: Case, segments: dict[_Identity, Segment]) -> int | None:
    """Number of the segment of a run, which is added where it is new.

    Without a build the weights are not known: then the newest segment of its machine and harness; `None` without one.
    """
    harness = run.harness_of(case)
    identity = (run.environment.fingerprint, harness, case.model_digest)
    if case.model_digest:
        if identity not in segments:
            segments[identity] = Segment(
                environment=run.environment,
                harness=harness,
                model_digest=case.model_digest,
                is_imported=bool(run.imported),
            )
        return list(segments).index(identity)
    alike = [number for number, known in enumerate(segments) if known[:2] == identity[:2]]
    return alike[-1] if alike else None


def _usual_flags(cases: Sequence[Case], asked: BaselineCase | None) -> Mapping[str, str]:
    """The flags that the case is about: the baseline's, else those of most of its builds."""
    if asked is not None:
        return own_flags(asked.flags)
    counted = Counter(tuple(sorted(case.flags.items())) for case in cases if case.artifact)
    return dict(counted.most_common(1)[0][0]) if counted else {}


def _bands(series: Series, baseline: Baseline | None, asked: BaselineCase | None) -> dict[str, Band]:
    """What the newest runs are held against; nothing where the reference is of another machine, harness or weights."""
    if baseline is None or asked is None or asked.reference is None or not series.current:
        return {}
    reference, now = asked.reference, series.segments[series.current[-1].segment]
    machine = baseline.environment.fingerprint if baseline.environment else ""
    if (machine, reference.harness, reference.model_digest) != (
        now.environment.fingerprint,
        now.harness,
        now.model_digest,
    ):
        return {}
    stored = {metric: reference.values(metric) for metric in baseline.tolerances(asked)}
    return {
        metric: Band(
            level=statistics.median([value for session in sessions for value in session]),
            tolerance=baseline.tolerances(asked)[metric],
            toolchain=reference.toolchain,
        )
        for metric, sessions in stored.items()
        if sessions
    }


def _steps(points: Iterable[Point]) -> list[Step]:
    """Changes of level, oldest first, among the runs that can be compared with one another."""
    of_segment: dict[int, list[Point]] = {}
    for point in points:
        if point.usual and point.case.values and not point.run.imported:
            of_segment.setdefault(point.segment, []).append(point)
    found = [step for own in of_segment.values() for metric in RATES for step in _steps_of(own, metric)]
    return sorted(found, key=lambda step: (step.point.run.recorded_at, step.metric))


def _steps_of(points: Iterable[Point], metric: str) -> Iterator[Step]:
    having = [(point, value) for point in points if (value := point.value(metric))]
    if len(having) < ANCHOR_RUNS:
        return
    logs = np.log([value.median for _, value in having])
    ends = steps(logs)
    levels = [median(part.tolist()) for part in np.split(logs, ends)]
    for place, old, new in zip(ends, levels, levels[1:], strict=False):
        yield Step(point=having[place][0], metric=metric, loss=-math.expm1(new - old))
