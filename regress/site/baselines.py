"""The page of the baselines: what each runner is held against, who says so, and what could be seen."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from regress.decision import known_spread, visible_loss, visible_side_by_side
from regress.metric import METRICS, Direction
from regress.site.facts import Fact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from regress.baseline import Baseline, Case

_FEWEST = 2
"""Replicates that tell how one differs from the next."""


class Held(Fact, frozen=True, kw_only=True):
    """One metric of a case.

    Attributes:
        metric: The metric.
        tolerance: The largest loss that passes, as a fraction.
        level: Median of the stored replicates; `None` where there are none.
        replicates: How many there are.
        sessions: Recorded runs that they are from.
        sd: Their standard deviation, as a fraction; `None` where it is not known.
        visible_loss: The smallest loss that a check would see, as a fraction; `None` likewise.
    """

    metric: str
    tolerance: float
    level: float | None = None
    replicates: int = 0
    sessions: int = 0
    sd: float | None = None
    visible_loss: float | None = None


class HeldCase(Fact, frozen=True, kw_only=True):
    """One case of a baseline: its metrics, and what its reference says of itself."""

    key: str
    held: tuple[Held, ...]
    toolchain: str | None
    written_on: date | None
    reason: str


class BaselinePage(Fact, frozen=True, kw_only=True):
    """One runner's baseline.

    Attributes:
        file: Name of its file.
        rivals: How many other baselines there are for the runner.
        held: Name of the file that the pages are held against, this one or another one for the runner.
        runner: Nickname of the machine.
        toolchain: Name of the toolchain that its references are of.
        device: Name of the device; `None` where no machine is named.
        in_turn: Whether its references are measured again, in turn with what is judged.
        cases: Its cases.
    """

    file: str
    rivals: int
    held: str
    runner: str
    toolchain: str
    device: str | None
    in_turn: bool
    cases: tuple[HeldCase, ...]


def held_by_runner(baselines: Mapping[str, Baseline]) -> dict[str, Baseline]:
    """Runner to the baseline that its pages are held against: the last one that there is for it."""
    return {baseline.runner: baseline for baseline in baselines.values()}


def asked_by_runner(baselines: Mapping[str, Baseline]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Runner to the files of its baselines, each with the keys of its cases."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, baseline in baselines.items():
        found.setdefault(baseline.runner, {})[name] = tuple(case.key for case in baseline.cases)
    return found


def baseline_pages(baselines: Mapping[str, Baseline]) -> list[BaselinePage]:
    """What the page shows of each baseline, by its file's name: by runner, the one that is held first."""
    files: dict[str, list[str]] = {}
    for name, baseline in baselines.items():
        files.setdefault(baseline.runner, []).insert(0, name)
    return [
        _page(name, baselines[name], others=len(names) - 1, held=names[0])
        for _, names in sorted(files.items())
        for name in names
    ]


def _page(file: str, baseline: Baseline, *, others: int, held: str) -> BaselinePage:
    return BaselinePage(
        file=file,
        rivals=others,
        held=held,
        runner=baseline.runner,
        toolchain=baseline.toolchain,
        device=baseline.environment.device if baseline.environment else None,
        in_turn=baseline.pairs(),
        cases=tuple(_case(baseline, case) for case in baseline.cases),
    )


def _case(baseline: Baseline, case: Case) -> HeldCase:
    reference = case.reference
    return HeldCase(
        key=case.key,
        held=tuple(_held(baseline, case)),
        toolchain=reference.toolchain if reference else None,
        written_on=reference.written_on if reference else None,
        reason=reference.reason if reference else "",
    )


def _held(baseline: Baseline, case: Case) -> Iterator[Held]:
    for metric, parameters in baseline.parameters(case).items():
        sessions: Sequence[Sequence[float]] = case.reference.values(metric) if case.reference else ()
        values = [value for session in sessions for value in session]
        if len(values) < _FEWEST:
            yield Held(metric=metric, tolerance=parameters.tolerance)
            continue
        prior = case.reference.earlier.get(metric) if case.reference else None
        known = known_spread(sessions, higher_is_better=METRICS[metric].better is Direction.HIGHER, prior=prior)
        visible = visible_side_by_side if baseline.pairs() else visible_loss
        yield Held(
            metric=metric,
            tolerance=parameters.tolerance,
            level=statistics.median(values),
            replicates=len(values),
            sessions=len(sessions),
            sd=float(known.sd),
            visible_loss=float(visible(known, parameters)),
        )
