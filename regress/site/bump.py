"""The last bump: from one toolchain to the next, what differs between them, and what came of it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from regress.site.facts import Fact, Run, Said
from regress.site.name import SeriesName
from regress.site.regressions import Event  # noqa: TC001  # msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from regress.site.series import Series

_MAIN_PACKAGES = ("mlc-llm", "mlc-ai", "apache-tvm", "tvm", "apache-tvm-ffi")
"""Packages that a bump names first, by the start of their names: nightlies carry suffixes such as `-cu128`."""


class Change(Fact, frozen=True):
    """A package that the newest toolchain has in another version; `None` where one of the two has it not."""

    name: str
    before: str | None
    after: str | None


class Improvement(SeriesName, frozen=True):
    """A metric of a case that a check calls improved, and did not with the toolchain before.

    Attributes:
        said: What it said.
        reference: Name of the toolchain that it is better than; `None` where that is not known.
    """

    said: Said
    reference: str | None


class Bump(Fact, frozen=True):
    """From one toolchain to the next: what is in it, and what came of it.

    Attributes:
        before: Label of the toolchain before.
        after: Label of the newest.
        runs: The newest run with each, of those that have the most cases in common.
        packages: Packages that differ, the compilers first.
        events: What got worse with it.
        fixed: What had got worse before, and is in order with it.
        improved: What became better with it.
    """

    before: str
    after: str
    runs: tuple[Run, Run]
    packages: tuple[Change, ...]
    events: tuple[Event, ...]
    fixed: tuple[Event, ...]
    improved: tuple[Improvement, ...]


def last_bump(
    runs: Sequence[Run], known: Mapping[tuple[str, str], str], series: Sequence[Series], found: Sequence[Event]
) -> Bump | None:
    """The last bump of a runner; `None` where there was only one toolchain.

    Args:
        runs: Its runs, oldest first, imports left out.
        known: Name and fingerprint of each toolchain to its label, in order of first appearance.
        series: Its series.
        found: What got worse on it.
    """
    of_toolchain: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        of_toolchain.setdefault((run.toolchain, run.fingerprint), []).append(run)
    identities = [each for each in known if each in of_toolchain]
    if len(identities) < 2:  # noqa: PLR2004  # from one to another
        return None
    before, after = identities[-2:]
    old, new = _pair(of_toolchain[before], of_toolchain[after], series)
    return Bump(
        before=known[before],
        after=known[after],
        runs=(old, new),
        packages=tuple(_changes(dict(old.packages), dict(new.packages))),
        events=tuple(event for event in found if event.first.label == known[after]),
        fixed=tuple(
            event
            for event in found
            if event.fixed and event.fixed.label == known[after] and event.first.label != known[after]
        ),
        improved=tuple(_improved(series, known[after])),
    )


def _pair(olds: Sequence[Run], news: Sequence[Run], series: Sequence[Series]) -> tuple[Run, Run]:
    """The newest run of each toolchain, of those that have the most cases in common."""
    cases = _cases(series, {run.id for run in (*olds, *news)})
    shared = {case for run in olds for case in cases[run.id]}
    new = max(reversed(news), key=lambda run: len(cases[run.id] & shared))
    old = max(reversed(olds), key=lambda run: len(cases[run.id] & cases[new.id]))
    return old, new


def _cases(series: Iterable[Series], runs: Container[str]) -> Mapping[str, set[tuple[str, int, bool]]]:
    """The id of each of these runs to its cases with the usual flags, each with its machine, harness and weights.

    A case that was measured stands there twice: two runs that have the numbers have more in common than a failure.
    """
    found: defaultdict[str, set[tuple[str, int, bool]]] = defaultdict(set)
    for each in series:
        for point in each.points:
            if point.usual and point.run.id in runs:
                told = found[point.run.id]
                told.add((each.key, point.segment, False))
                told.add((each.key, point.segment, bool(point.case.values)))
    return found


def _improved(series: Iterable[Series], label: str) -> Iterator[Improvement]:
    """What checks call improved with a toolchain, by how much, and did not when they last judged another one."""
    for each in series:
        judged = [point for point in each.points if point.usual and point.case.said]
        if not judged or judged[-1].label != label:
            continue
        before = next((point.case for point in reversed(judged) if point.label != label), None)
        for said in judged[-1].case.said:
            if said.outcome != "improved" or said.metric is None or said.loss is None:
                continue
            known = before.verdict(said.metric) if before else None
            if known is None or known.outcome != "improved":
                yield Improvement(runner=each.runner, key=each.key, said=said, reference=judged[-1].run.reference)


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[Change]:
    names = sorted(old.keys() | new.keys(), key=lambda name: (_rank(name) < 0, _rank(name), name))
    return [
        Change(name=name, before=old.get(name), after=new.get(name)) for name in names if old.get(name) != new.get(name)
    ]


def _rank(name: str) -> int:
    """Place of the nearest name in `_MAIN_PACKAGES` that the package's name starts with; -1 where there is none."""
    ranks = [rank for rank, main in enumerate(_MAIN_PACKAGES) if name == main or name.startswith(f"{main}-")]
    return max(ranks, default=-1)
