"""From series to checks: which runs play the baseline, and which the candidate.

Short series are split at random: a split has no order of time, so whatever drifted between the runs is noise of both
sides alike. Long ones are walked through in order, and a window counts as unchanged where the runs before its baseline
and those after its candidate agree: data that no rule looks at.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regress.comparison import CONFIRMING
from regress.rule import LOOKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from regress.evaluation.series import Series
    from regress.stats import Flags, Floats

FEWEST_RUNS = 10
"""Runs without which a series is not split."""
_SPLITS = 60
"""Random splits of each short series, the first of them in order of time."""
_MOST_CANDIDATES = LOOKS[-2] + CONFIRMING
"""What a verdict of the default budget of 8 uses at most."""
HISTORY, CANDIDATES, STRIDE = 31, 12, 12
"""Runs before a window's candidate (30 changes for a fence), its candidate's (Perfherder's twelve), and the step."""
_AROUND = 10
_AGREEMENT = 0.02
"""A window counts where the medians of so many runs before and after it differ by less than this."""


@dataclass(frozen=True, kw_only=True)
class Checks:
    """Checks of the same shape; all speeds are natural logarithms, more is better.

    Attributes:
        source: File, or kind of noise.
        protocol: How they were made.
        baseline: Shape `(checks, runs)`, in order of time.
        candidate: Shape `(checks, fresh + drawn)`.
        sessions: Session of each baseline run.
        fresh: Candidate runs that each stand in no other place of the check; those after it are drawn again from all
            runs of the key, and only confirm.
        sd: Standard deviation of all runs of each check.
        independent: Marks checks that share no run with another marked one of the same key.
    """

    source: str
    protocol: str
    baseline: Floats
    candidate: Floats
    sessions: tuple[int, ...]
    fresh: int
    sd: Floats
    independent: Flags

    def __len__(self) -> int:
        return len(self.baseline)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """What became of the series of one file.

    Attributes:
        checks: Checks, one element per shape.
        keys: Series that checks were made of.
        unused: Series with too few runs.
        changed: Windows left out because the level before and after differs.
    """

    checks: tuple[Checks, ...]
    keys: int
    unused: int
    changed: int


def sample(series: Sequence[Series], seed: int) -> Sampling:
    """All checks that the series of one file allow.

    Args:
        series: Of one file.
        seed: Of the random splits.
    """
    shapes: dict[int, list[Series]] = collections.defaultdict(list)
    windows, keys, unused, changed = [], 0, 0, 0
    generator = np.random.default_rng(seed)
    for each in series:
        runs = len(each.speeds)
        if runs >= HISTORY + CANDIDATES + 2 * _AROUND:
            found, left_out = _windows(each)
            windows.append(found)
            changed += left_out
        elif runs >= FEWEST_RUNS:
            shapes[runs].append(each)
        unused += runs < FEWEST_RUNS
        keys += runs >= FEWEST_RUNS
    checks = [_splits(each, generator) for _, each in sorted(shapes.items())]
    return Sampling(
        checks=(*checks, *_joined(windows)),
        keys=keys,
        unused=unused,
        changed=changed,
    )


def _splits(series: Sequence[Series], generator: np.random.Generator) -> Checks:
    """Splits of series of one length: half is the candidate's, at most what a verdict uses, the rest the baseline."""
    speeds = np.stack([each.speeds for each in series])
    keys, runs = speeds.shape
    order = generator.permuted(np.tile(np.arange(runs), (keys, _SPLITS, 1)), axis=2)
    order[:, 0] = np.arange(runs)
    fresh = min(runs // 2, _MOST_CANDIDATES)
    again = generator.integers(0, runs, (keys, _SPLITS, CONFIRMING))
    chosen = np.take_along_axis(speeds[:, None, :], np.concatenate([order, again], axis=2), axis=2)
    chosen = chosen.reshape(keys * _SPLITS, runs + CONFIRMING)
    return Checks(
        source=series[0].file,
        protocol="random splits",
        baseline=chosen[:, : runs - fresh],
        candidate=chosen[:, runs - fresh :],
        sessions=tuple(range(runs - fresh)),
        fresh=fresh,
        sd=np.repeat(speeds.std(axis=1, ddof=1), _SPLITS),
        independent=np.tile(np.arange(_SPLITS) == 0, keys),
    )


def _windows(series: Series) -> tuple[Checks, int]:
    """The unchanged windows of one series, and how many were left out."""
    size = HISTORY + CANDIDATES
    speeds = series.speeds
    starts = np.arange(_AROUND, len(speeds) - size - _AROUND + 1, STRIDE)
    before = np.median(speeds[starts[:, None] + np.arange(-_AROUND, 0)], axis=1)
    after = np.median(speeds[starts[:, None] + np.arange(size, size + _AROUND)], axis=1)
    steady = np.abs(before - after) < _AGREEMENT
    kept = starts[steady]
    values = speeds[kept[:, None] + np.arange(size)]
    checks = Checks(
        source=series.file,
        protocol="windows in order of time",
        baseline=values[:, :HISTORY],
        candidate=values[:, HISTORY:],
        sessions=tuple(range(HISTORY)),
        fresh=CANDIDATES,
        sd=values.std(axis=1, ddof=1),
        independent=_apart(kept, size),
    )
    return checks, int((~steady).sum())


def _apart(starts: Iterable[int], size: int) -> Flags:
    """Marks windows that overlap none marked before."""
    marks, free = [], 0
    for start in starts:
        marks.append(start >= free)
        free = start + size if marks[-1] else free
    return np.array(marks, bool)


def _joined(windows: Sequence[Checks]) -> list[Checks]:
    """The windows of all series in one."""
    if not sum(map(len, windows)):
        return []
    return [
        Checks(
            source=windows[0].source,
            protocol=windows[0].protocol,
            baseline=np.concatenate([each.baseline for each in windows]),
            candidate=np.concatenate([each.candidate for each in windows]),
            sessions=tuple(range(HISTORY)),
            fresh=CANDIDATES,
            sd=np.concatenate([each.sd for each in windows]),
            independent=np.concatenate([each.independent for each in windows]),
        )
    ]
