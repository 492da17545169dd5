"""The first page: each runner's state at a glance, one line per case, and what changed since the last bump."""

from __future__ import annotations

import statistics
from datetime import datetime  # noqa: TC003  # msgspec reads the annotations at run time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from regress.site.devices import Device, device_of
from regress.site.facts import RATES, Fact, Run, Said, Value, labels
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

_MAIN_PACKAGES = ("mlc-llm", "mlc-ai", "apache-tvm", "tvm", "apache-tvm-ffi")
"""Packages that a bump names first, by the start of their names: nightlies carry suffixes such as `-cu128`."""
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


class Change(Fact, frozen=True):
    """A package that the newest toolchain has in another version; `None` where one of the two has it not."""

    name: str
    before: str | None
    after: str | None


class Bump(Fact, frozen=True):
    """From one toolchain to the next: what is in it, and what came of it.

    Attributes:
        before: Label of the toolchain before.
        after: Label of the newest.
        runs: The newest run with each.
        packages: Packages that differ, the compilers first.
        events: What got worse with it.
        improved: Cases and metrics that a check called improved with it.
    """

    before: str
    after: str
    runs: tuple[Run, Run]
    packages: tuple[Change, ...]
    events: tuple[Event, ...]
    improved: tuple[tuple[str, Said], ...]


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
        bump=_bump(runs, known, lines, happened),
        events=happened,
        choices=(),
    )


def _place(event: Event) -> tuple[datetime, str, str]:
    """Where it stands among others: by its first run, and of one run by case and metric."""
    return event.first.run.recorded_at, event.case, event.metric or ""


def _cited(runner: Runner, series: Sequence[Series]) -> Iterator[Run]:
    """The runs that pages name, whatever their age."""
    yield from (run for run in (runner.good, runner.judged, *(runner.bump.runs if runner.bump else ())) if run)
    yield from (step.point.run for each in series for step in each.steps)
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


def _rank(name: str) -> int:
    """Place of the nearest name in `_MAIN_PACKAGES` that the package's name starts with; -1 where there is none."""
    ranks = [rank for rank, main in enumerate(_MAIN_PACKAGES) if name == main or name.startswith(f"{main}-")]
    return max(ranks, default=-1)


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


def _bump(
    runs: Sequence[Run],
    known: Mapping[tuple[str, str], str],
    lines: Sequence[Line],
    found: Sequence[Event],
) -> Bump | None:
    measured = {(run.toolchain, run.fingerprint) for run in runs}
    identities = [each for each in known if each in measured]
    if len(identities) < 2:  # noqa: PLR2004  # from one to another
        return None
    before, after = identities[-2:]
    old, new = (
        next(run for run in reversed(runs) if (run.toolchain, run.fingerprint) == each) for each in (before, after)
    )
    return Bump(
        before=known[before],
        after=known[after],
        runs=(old, new),
        packages=tuple(_changes(dict(old.packages), dict(new.packages))),
        events=tuple(event for event in found if event.first.label == known[after]),
        improved=tuple(
            (line.key, said)
            for line in lines
            if line.judged and line.judged.label == known[after]
            for said in line.judged.case.said
            if said.outcome == "improved"
        ),
    )


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[Change]:
    names = sorted(old.keys() | new.keys(), key=lambda name: (_rank(name) < 0, _rank(name), name))
    return [
        Change(name=name, before=old.get(name), after=new.get(name)) for name in names if old.get(name) != new.get(name)
    ]
