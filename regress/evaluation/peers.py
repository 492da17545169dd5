"""The decision rules of other benchmark systems, each as one small function over many checks at once.

A rule sees costs: times as they are, rates as their reciprocals, so that more is always worse. The baseline comes in
order of time, its last value next to the candidate's first. A rule answers for each check whether it calls the
candidate slower. What a system does besides deciding (averaging a run's iterations, sending mails) is not modelled.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regress.evaluation.steps import energy_step, median_step
from regress.stats import t_quantile, t_tail

if TYPE_CHECKING:
    from collections.abc import Callable

    from regress.evaluation.protocol import Checks
    from regress.stats import Flags, Floats

_FENCE_DELTAS = 30
_FENCE_REACH = 3.0
_BACK, _FORE = 24, 12
_PERFHERDER_STEP = 0.02
_OTAVA_P, _OTAVA_STEP = 0.001, 0.02
_NEAR = 2
"""A step found so many values before the candidate's first is still its step."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A rule that either calls a candidate slower or lets it pass.

    Attributes:
        name: System and threshold.
        runs: Candidate runs it looks at.
        history: Baseline runs without which it cannot decide.
        tolerance: The largest loss that is meant to pass; `None` where the rule has no such number.
        slower: Flags from baseline costs, shape `(checks, any)`, and candidate costs, shape `(checks, runs)`.
    """

    name: str
    runs: int
    history: int
    tolerance: float | None = None
    slower: Callable[[Floats, Floats], Flags]

    def slower_at(self, checks: Checks, loss: float) -> Flags:
        """What it says of each check after a loss, a fraction of rate, was injected into the candidate."""
        old, new = np.exp(-checks.baseline), np.exp(-checks.candidate[:, : self.runs])
        return self.slower(old, new / (1 - loss))


def previous(old: Floats, new: Floats, *, ratio: float) -> Flags:
    """Whether the run costs more than `ratio` times the run before.

    Source:
        github-action-benchmark, `alert-threshold` (200 % unless set).
    """
    flags: Flags = new[:, 0] / old[:, -1] > ratio
    return flags


def mean_of_three(old: Floats, new: Floats, *, tolerance: float) -> Flags:
    """Whether the mean rate of three runs is a tolerance below the last three's.

    Source:
        The home-made gate of many repositories.
    """
    flags: Flags = 1 - old[:, -3:].mean(axis=1) / new.mean(axis=1) > tolerance
    return flags


def fence(old: Floats, new: Floats) -> Flags:
    """Whether the relative change is above Q3 + 3 IQR of the last 30 absolute relative changes.

    Source:
        rustc-perf, docs/comparison-analysis.md: "significance threshold".
    """
    series = old[:, -_FENCE_DELTAS - 1 :]
    deltas = np.abs(np.diff(series, axis=1)) / series[:, :-1]
    low, high = np.quantile(deltas, (0.25, 0.75), axis=1)
    flags: Flags = new[:, 0] / old[:, -1] - 1 > high + _FENCE_REACH * (high - low)
    return flags


def t_interval(old: Floats, new: Floats, *, boundary: float = 0.99) -> Flags:
    """Whether the run lies above a quantile of Student's t around the baseline.

    Source:
        Bencher, `t_test` threshold with an upper boundary; its limit is mean + quantile * sd, without the
        factor sqrt(1 + 1/n) of a prediction interval. Its sd is taken with ddof=1 here.
    """
    quantile = t_quantile(boundary, old.shape[1] - 1.0)
    flags: Flags = new[:, 0] > old.mean(axis=1) + quantile * old.std(axis=1, ddof=1)
    return flags


def z_score(old: Floats, new: Floats, *, threshold: float = 5.0) -> Flags:
    """Whether the run lies more than `threshold` standard deviations (ddof=1) above the baseline's mean.

    Source:
        Conbench, lookback z-score.
    """
    flags: Flags = new[:, 0] - old.mean(axis=1) > threshold * old.std(axis=1, ddof=1)
    return flags


def welch(old: Floats, new: Floats, *, alpha: float = 0.05) -> Flags:
    """Whether Welch's t-test, two-sided, differs and the candidate is the slower.

    Source:
        Welch (1947); bench_runner and many scripts.
    """
    mine, theirs = new.var(axis=1, ddof=1) / new.shape[1], old.var(axis=1, ddof=1) / old.shape[1]
    squared = np.maximum(mine + theirs, np.finfo(float).tiny)
    degrees = squared**2 / np.maximum(
        mine**2 / (new.shape[1] - 1) + theirs**2 / (old.shape[1] - 1), np.finfo(float).tiny
    )
    return t_tail((new.mean(axis=1) - old.mean(axis=1)) / np.sqrt(squared), degrees) < alpha / 2


def rank_sum(old: Floats, new: Floats, *, alpha: float = 0.05) -> Flags:
    """Whether the one-sided Mann-Whitney test, exact, ties counted as halves, calls the candidate slower.

    Source:
        Mann and Whitney (1947); asv compare.
    """
    above = (new[:, :, None] > old[:, None, :]).sum(axis=(1, 2)) + 0.5 * (new[:, :, None] == old[:, None, :]).sum(
        axis=(1, 2)
    )
    flags: Flags = above >= _rank_sum_limit(old.shape[1], new.shape[1], alpha)
    return flags


@functools.cache
def _rank_sum_limit(old: int, new: int, alpha: float) -> int:
    """The smallest U whose upper tail is below `alpha`; one more than there is where none is."""
    ways = np.zeros((new + 1, old * new + new + 1))
    ways[0, 0] = 1
    # Choosing the new runs' ranks one by one: `rank` values lie below the next one if `rank` old ones do.
    for rank in range(old + new):
        for taken in range(min(rank + 1, new), 0, -1):
            below = rank - (taken - 1)
            if below <= old:
                ways[taken, below:] += ways[taken - 1, : ways.shape[1] - below]
    counts = ways[new, : old * new + 1]
    tail = counts[::-1].cumsum()[::-1] / counts.sum()
    return int(np.argmax(tail < alpha)) if (tail < alpha).any() else old * new + 1


def perfherder(old: Floats, new: Floats, *, threshold: float = 7.0) -> Flags:
    """Whether t of the last 24 and the next 12 runs, weighted by nearness, is above 7 and the step 2 %.

    Source:
        treeherder/perfalert/perfalert/__init__.py: `linear_weights`, `analyze`, `calc_t`; alerts from 2 %.
        Its search for the best place in the series is left out: the candidate's first run is asked about alone.
    """
    before, before_error = _weighted(old[:, : -_BACK - 1 : -1])
    after, after_error = _weighted(new)
    flags: Flags = (after - before) / np.sqrt(before_error + after_error) > threshold
    return flags & (after / before - 1 > _PERFHERDER_STEP)


def _weighted(values: Floats) -> tuple[Floats, Floats]:
    """Mean by linear weights, nearest first, and the squared error of it."""
    count = values.shape[1]
    mean = np.average(values, axis=1, weights=np.arange(count, 0, -1) / count)
    variance = ((values - mean[:, None]) ** 2).sum(axis=1) / (count - 1)
    return mean, np.maximum(variance / count, np.finfo(float).tiny)


def asv_step(old: Floats, new: Floats, *, threshold: float = 0.05) -> Flags:
    """Whether a step of medians fits much better than none, starts at the candidate and is above the threshold.

    Source:
        asv/step_detect.py: least absolute deviations, a penalty of 4 ln(n)/n per step on the logarithm of the
        error, `detect_regressions`. At most one step is fitted here, and its noise model has no correlation.
    """
    found = median_step(np.concatenate([old, new], axis=1))
    rise = found.after / found.before - 1
    flags: Flags = found.better & (found.start >= old.shape[1] - _NEAR) & (rise > threshold)
    return flags


def otava(old: Floats, new: Floats) -> Flags:
    """Whether the likeliest change point is at the candidate, with p < .001 by a t-test and a step above 2 %.

    Source:
        Matteson and James (2014), as in Apache Otava (Hunter): the place by the energy statistic, its significance
        by Student's t with pooled variance, two-sided. Here ddof is 1 on both sides (Otava's statistics are of
        ddof 0), and one change point is looked for, without its sliding windows.
    """
    series = np.concatenate([old, new], axis=1)
    found = energy_step(series)
    rise = found.after / found.before - 1
    flags: Flags = (found.p_value < _OTAVA_P) & (found.start >= old.shape[1] - _NEAR) & (rise > _OTAVA_STEP)
    return flags


PEERS: tuple[Peer, ...] = (
    Peer(
        name="github-action-benchmark 200 %",
        runs=1,
        history=1,
        tolerance=0.5,
        slower=functools.partial(previous, ratio=2.0),
    ),
    Peer(
        name="github-action-benchmark 110 %",
        runs=1,
        history=1,
        tolerance=1 - 1 / 1.1,
        slower=functools.partial(previous, ratio=1.1),
    ),
    Peer(
        name="3 % on the mean of 3",
        runs=3,
        history=3,
        tolerance=0.03,
        slower=functools.partial(mean_of_three, tolerance=0.03),
    ),
    Peer(
        name="5 % on the mean of 3",
        runs=3,
        history=3,
        tolerance=0.05,
        slower=functools.partial(mean_of_three, tolerance=0.05),
    ),
    Peer(name="rustc-perf fence", runs=1, history=_FENCE_DELTAS + 1, slower=fence),
    Peer(name="Bencher-like t interval .99", runs=1, history=5, slower=t_interval),
    Peer(name="Conbench z > 5", runs=1, history=5, slower=z_score),
    Peer(name="Welch t .05", runs=5, history=5, slower=welch),
    Peer(name="Mann-Whitney .05", runs=5, history=5, slower=rank_sum),
    Peer(name="Perfherder t > 7, 24/12", runs=_FORE, history=_BACK, slower=perfherder),
    Peer(name="asv-like step 5 %", runs=5, history=5, slower=asv_step),
    Peer(name="Otava-like p .001, 2 %", runs=5, history=5, slower=otava),
)
