"""The first page: each runner's state at a glance, one line per case, and what changed since the last bump."""

from __future__ import annotations

import statistics
from datetime import datetime  # noqa: TC003  # msgspec reads the annotations at run time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from regress.site.bump import Bump, last_bump
from regress.site.devices import Device, device_of
from regress.site.facts import RATES, Fact, Run, Value, labels
from regress.site.lengths import Lengths, lengths_of
from regress.site.name import SeriesName
from regress.site.regressions import Event, events
from regress.site.series import Point, all_series
from regress.verdict import Outcome  # noqa: TC001  # as above

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from regress.baseline import Baseline
    from regress.site.facts import Facts
    from regress.site.series import Series

SPARK_POINTS = 60
"""Runs that a sparkline shows, at most."""
NEWEST_RUNS = 20
"""Runs of a runner that have a page because they are its newest: further back those that are cited have one."""


class Glance(Fact, frozen=True):
    """One metric of a case at a glance.

    Attributes:
        metric: The metric.
        value: The newest run's value; `None` where it has none.
        ratio: It as a multiple of the median with the toolchain before; `None` where there is none to compare with.
        history: Medians of the runs that can be compared with it, oldest first, at most `SPARK_POINTS`.
    """

    metric: str
    value: Value | None
    ratio: float | None
    history: tuple[float, ...]


class Line(SeriesName, frozen=True):
    """One case of a runner at a glance.

    Attributes:
        newest: The newest run of the case with the usual flags, else of any.
        judged: The newest run with the usual flags that something was said of; `None` where there is none.
        outcome: Broken where its newest run is, else what was said of it last; `None` where it was never judged.
        glances: Its rates.
    """

    newest: Point
    judged: Point | None
    outcome: Outcome | None
    glances: tuple[Glance, ...]


class Choice(Fact, frozen=True):
    """A run that has a page, and so can be compared."""

    id: str
    label: str
    recorded_at: datetime


class Runner(Fact, frozen=True):
    """One runner, as far as the pages over all runners show it.

    Attributes:
        name: Its nickname.
        newest: Its newest run; the newest import where nothing was measured.
        count: How many runs it has, imports left out.
        good: The newest run that was judged and in order; `None` where there is none.
        judged: The newest run that was judged; `None` where none was.
        lines: Its cases: those of the newest run first.
        lengths: Its models over prompt lengths, likewise.
        devices: What it last measured of each case.
        bump: What changed since the last bump; `None` where there was only one toolchain.
        events: What got worse, the newest first.
        choices: Its runs that have a page, the newest first.
    """

    name: str
    newest: Run
    count: int
    good: Run | None
    judged: Run | None
    lines: tuple[Line, ...]
    lengths: tuple[Lengths, ...]
    devices: tuple[Device, ...]
    bump: Bump | None
    events: tuple[Event, ...]
    choices: tuple[Choice, ...]

    @property
    def open_events(self) -> tuple[Event, ...]:
        """What got worse and is neither fixed nor accepted."""
        return tuple(event for event in self.events if event.state == "open")


class View(Fact, frozen=True, kw_only=True):
    """All that is shown of one runner.

    Attributes:
        runner: Its part of the pages over all runners.
        series: Its series, those of its newest run first.
    """

    runner: Runner
    series: tuple[Series, ...]

    @property
    def paged(self) -> frozenset[str]:
        """Ids of the runs that have a page."""
        return frozenset(choice.id for choice in self.runner.choices)


def view_of(found: Sequence[Facts], baseline: Baseline | None) -> View:
    """All of one runner.

    Args:
        found: Its runs, oldest first; at least one.
        baseline: Its baseline; `None` where it has none.
    """
    everything = [each.run for each in found]
    runs, known = [run for run in everything if not run.imported], labels(everything)
    series = all_series(found, known, baseline)
    runner = _runner(everything, known, series, baseline)
    cited = {run.id for run in _cited(runner, series)} | {run.id for run in runs[-NEWEST_RUNS:]}
    cited |= {run.reference_run for run in runs if run.id in cited and run.reference_run}
    choices = tuple(
        Choice(id=run.id, label=known[run.toolchain, run.fingerprint], recorded_at=run.recorded_at)
        for run in reversed(runs)
        if run.id in cited
    )
    return View(runner=replace(runner, choices=choices), series=series)


def _runner(
    everything: Sequence[Run],
    known: Mapping[tuple[str, str], str],
    series: Sequence[Series],
    baseline: Baseline | None,
) -> Runner:
    """A runner, but for the runs of it that have a page."""
    runs = [run for run in everything if not run.imported]
    happened = tuple(event for each in series for event in events(each, baseline))
    happened = tuple(sorted(happened, key=_place, reverse=True))
    lines = tuple(_line(each) for each in series)
    usual = {point.run.id for each in series for point in each.points if point.usual}
    judged = [run for run in runs if run.outcome and run.id in usual]
    return Runner(
        name=everything[0].runner,
        newest=(runs or everything)[-1],
        count=len(runs),
        good=next((run for run in reversed(judged) if run.outcome in ("pass", "improved")), None),
        judged=judged[-1] if judged else None,
        lines=lines,
        lengths=tuple(lengths_of(series)),
        devices=tuple(device for each in series if (device := device_of(each))),
        bump=last_bump(runs, known, series, happened),
        events=happened,
        choices=(),
    )


def _place(event: Event) -> tuple[datetime, str, str]:
    """Where it stands among others: by its first run, and of one run by case and metric."""
    return event.first.run.recorded_at, event.key, event.metric or ""


def _cited(runner: Runner, series: Sequence[Series]) -> Iterator[Run]:
    """The runs that pages lead to, whatever their age: of steps those on the machine of now."""
    yield from (run for run in (runner.good, runner.judged, *(runner.bump.runs if runner.bump else ())) if run)
    for each in series:
        now = each.newest.segment
        yield from (step.point.run for step in each.steps if step.point.segment == now)
    yield from (point.run for line in runner.lines for point in (line.newest, line.judged) if point)
    for event in runner.events:
        yield from (point.run for point in (event.first, event.last, event.before, event.fixed) if point)


def _line(series: Series) -> Line:
    return Line(
        runner=series.runner,
        key=series.key,
        newest=series.newest,
        judged=series.judged,
        outcome=series.outcome,
        glances=tuple(_glance(series, metric) for metric in RATES),
    )


def _glance(series: Series, metric: str) -> Glance:
    having = [(point, value) for point in series.current if (value := point.value(metric))]
    newest = having[-1] if having and having[-1][0] is series.newest else None
    before = _median_before(having) if newest else None
    return Glance(
        metric=metric,
        value=newest[1] if newest else None,
        ratio=newest[1].median / before if newest and before else None,
        history=tuple(value.median for _, value in having[-SPARK_POINTS:]),
    )


def _median_before(having: Sequence[tuple[Point, Value]]) -> float | None:
    """Median of the runs with the toolchain that appeared before the newest run's; `None` where that was the first."""
    known = list(dict.fromkeys(point.label for point, _ in having))
    place = known.index(having[-1][0].label)
    medians = [value.median for point, value in having if place and point.label == known[place - 1]]
    return statistics.median(medians) if medians else None
