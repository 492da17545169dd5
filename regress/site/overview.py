"""The first page: each runner's state at a glance, one line per case, and what changed since the last bump."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regress.site.devices import device_of
from regress.site.facts import RATES, labels
from regress.site.lengths import lengths_of
from regress.site.regressions import events
from regress.site.series import series_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regress.baseline import Baseline
    from regress.site.devices import Device
    from regress.site.facts import Run, Said
    from regress.site.lengths import Lengths
    from regress.site.regressions import Event
    from regress.site.series import Point, Series, Value

_MAIN_PACKAGES = ("mlc-llm", "mlc-ai", "apache-tvm", "tvm", "apache-tvm-ffi")
"""Packages that a bump names first, by the start of their names: nightlies carry suffixes such as `-cu128`."""
SPARK_POINTS = 60
"""Runs that a sparkline shows, at most."""


@dataclass(frozen=True, kw_only=True)
class Glance:
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


@dataclass(frozen=True, kw_only=True)
class Line:
    """One case of a runner: its series, and its rates at a glance."""

    series: Series
    glances: tuple[Glance, ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A package that the newest toolchain has in another version; `None` where one of the two has it not."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True)
class Bump:
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


@dataclass(frozen=True, kw_only=True)
class Runner:
    """One runner.

    Attributes:
        name: Its nickname.
        runs: Its runs, oldest first.
        good: The newest run that was judged and in order; `None` where there is none.
        judged: The newest run that was judged; `None` where none was.
        lines: Its cases: those of the newest run first.
        lengths: Its models over prompt lengths, likewise.
        devices: What it last measured of each case.
        bump: What changed since the last bump; `None` where there was only one toolchain.
        events: What got worse, the newest first.
        labels: Name and fingerprint of each of its toolchains to its label.
    """

    name: str
    runs: tuple[Run, ...]
    labels: Mapping[tuple[str, str], str]
    good: Run | None
    judged: Run | None
    lines: tuple[Line, ...]
    lengths: tuple[Lengths, ...]
    devices: tuple[Device, ...]
    bump: Bump | None
    events: tuple[Event, ...]

    @property
    def newest(self) -> Run:
        """Its newest run."""
        return self.runs[-1]

    @property
    def open_events(self) -> tuple[Event, ...]:
        """What got worse and is neither fixed nor accepted."""
        return tuple(event for event in self.events if event.state == "open")


def runner_of(runs: Sequence[Run], baseline: Baseline | None) -> Runner:
    """All of one runner.

    Args:
        runs: Its runs, oldest first; at least one.
        baseline: Its baseline; `None` where it has none.
    """
    name, known = runs[0].runner, labels(runs)
    series = [series_of(runs, key, known, baseline) for key in _keys(runs)]
    found = tuple(events(series, {name: baseline} if baseline else {}))
    lines = tuple(Line(series=each, glances=tuple(_glance(each, metric) for metric in RATES)) for each in series)
    usual = {point.run.id for each in series for point in each.points if point.usual}
    judged = [run for run in runs if run.outcome and run.id in usual]
    return Runner(
        name=name,
        runs=tuple(runs),
        labels=known,
        good=next((run for run in reversed(judged) if run.outcome in ("pass", "improved")), None),
        judged=judged[-1] if judged else None,
        lines=lines,
        lengths=tuple(lengths_of(series)),
        devices=tuple(device for each in series if (device := device_of(each))),
        bump=_bump(runs, known, lines, found),
        events=found,
    )


def _rank(name: str) -> int:
    """Place of the nearest name in `_MAIN_PACKAGES` that the package's name starts with; -1 where there is none."""
    ranks = [rank for rank, main in enumerate(_MAIN_PACKAGES) if name == main or name.startswith(f"{main}-")]
    return max(ranks, default=-1)


def _keys(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(case.key for run in reversed(runs) for case in run.cases))


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
    identities = list(known)
    if len(identities) == 1:
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
            (line.series.key, said)
            for line in lines
            if line.series.judged and line.series.judged.label == known[after]
            for said in line.series.judged.case.said
            if said.outcome == "improved"
        ),
    )


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[Change]:
    names = sorted(old.keys() | new.keys(), key=lambda name: (_rank(name) < 0, _rank(name), name))
    return [
        Change(name=name, before=old.get(name), after=new.get(name)) for name in names if old.get(name) != new.get(name)
    ]
