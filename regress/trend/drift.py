"""The rule: whether a series lies below its anchor, for one series or for a campaign of a hundred thousand.

All values are natural logarithms, larger is better, so that a fall is a loss and a difference a relative change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from regress.comparison import moments_of_runs
from regress.stats import SMALLEST_SD, evidence, t_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regress.rule import Parameters
    from regress.stats import Evidence, Floats

    Flags = NDArray[np.bool_]

ANCHOR_RUNS = 30
"""Accepted runs that a series is compared with: the first ones of its epoch."""
WINDOW_RUNS = 10
"""Newest runs whose level is compared with the anchor's."""
CONFIRMED_RUNS = 8
"""Runs of the window that must each be slower before it blocks: two disturbances of three runs are not enough."""
SMALLEST_DROP = 0.015
"""Difference of logarithms below which nothing is said, however sure it is."""
WINDOW_Z = 5.0
"""Standard errors by which the window must lie below the anchor."""
CUSUM_SHIFT = 0.02
"""Difference of logarithms that the cumulative sum is tuned to."""
CUSUM_LIMIT = 10.0
CUSUM_STEP = 2.0
"""Largest change of the sum by one run, in standard deviations: a disturbed host must not fill it alone."""
CUSUM_RUNS = 7
"""Fewest runs since the sum's start: two disturbances of three runs are then no majority of them."""
CUSUM_Z = 4.5
CUSUM_MEMORY = 30
"""Newest runs since the sum's start that are looked at: a year of losses costs no more than a month."""
_ANCHOR_LIMIT = 3.0
_WINDOW_LIMIT = 2.0
_POWER = 1.645
"""Standard normal quantile of .95: how surely a loss of the size shown as the smallest is seen."""
_SHORTEST_SEGMENT = 4
_MOST_RUNS = 400
"""Runs that are searched for steps: the search takes the square of their number."""
_DESPIKE_RUNS = 7
_DESPIKE_LIMIT = 4.0
_SD_OF_DIFFERENCES = 1.4826 / math.sqrt(2)
"""From the median size of successive differences to the standard deviation of the noise, whatever steps there are."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What the rule says of many series.

    Attributes:
        anchor: Sums of the anchors' runs, outlying ones drawn in.
        by_window: Whether each run's window raises the alarm, shape `(series, runs)`.
        by_cusum: Whether its cumulative sum does, same shape.
        drop: Differences of logarithms by which the newest window lies below the anchor, shape `(series,)`.
        z: The same in standard errors.
        cusum: The cumulative sums at the newest run, in standard deviations.
    """

    anchor: Evidence
    by_window: Flags
    by_cusum: Flags
    drop: Floats
    z: Floats
    cusum: Floats


def alarms(values: Floats) -> Flags:
    """Whether the rule raises the alarm at each run, given that run and those before it; shape `(series, runs)`.

    Args:
        values: Logarithms, larger is better, in order of measurement, shape `(series, runs)`; finite.
    """
    if values.shape[1] <= ANCHOR_RUNS:
        return np.zeros(values.shape, bool)
    seen = watch(values)
    return seen.by_window | seen.by_cusum


def watch(values: Floats) -> Watch:
    """What the rule says of each run.

    Args:
        values: As for `alarms`, with at least `ANCHOR_RUNS` runs.

    Source:
        Cumulative sum: Page, Continuous Inspection Schemes (1954), here in clipped steps and bounded above, so that
        a repaired loss is forgotten as fast as it was noticed.
    """
    anchor = anchor_of(values)
    cusum = _Cusum(anchor)
    by_window, by_cusum = np.zeros(values.shape, bool), np.zeros(values.shape, bool)
    for run in range(ANCHOR_RUNS, values.shape[1]):
        by_cusum[:, run] = cusum.add(values[:, ANCHOR_RUNS : run + 1])
        if run + 1 >= ANCHOR_RUNS + WINDOW_RUNS:
            by_window[:, run] = _window_alarm(anchor, values[:, run + 1 - WINDOW_RUNS : run + 1])
    drop, z = _drop(anchor, values[:, ANCHOR_RUNS:][:, -WINDOW_RUNS:])
    return Watch(anchor=anchor, by_window=by_window, by_cusum=by_cusum, drop=drop, z=z, cusum=cusum.sum)


def anchor_of(values: Floats) -> Evidence:
    """The sums of each series' anchor, its runs drawn in to three standard deviations around their median.

    The standard deviation that they are drawn in by is half the range of the middle 68 %: two disturbed runs of
    thirty must not make the rule blind. A spread too small to be believed has no correlation either: that of equal
    values would be one of rounding errors.

    Args:
        values: As for `alarms`, with at least `ANCHOR_RUNS` runs.
    """
    first = values[:, :ANCHOR_RUNS]
    low, middle, high = np.percentile(first, (16, 50, 84), axis=1)[..., None]
    limit = _ANCHOR_LIMIT * np.maximum((high - low) / 2, SMALLEST_SD)
    sums = evidence(np.clip(first, middle - limit, middle + limit), range(ANCHOR_RUNS))
    believed = sums.variance >= SMALLEST_SD**2
    return replace(sums, correlation=np.where(believed, sums.correlation, 0.0))


def _spread(anchor: Evidence) -> Floats:
    """Standard deviation that independent runs would need to scatter as widely in the mean as these do."""
    spread: Floats = anchor.sd * np.sqrt((1 + anchor.correlation) / (1 - anchor.correlation))
    return spread


def _error(anchor: Evidence, runs: int) -> Floats:
    """Standard error of the difference between the anchor and so many runs."""
    return _spread(anchor) * math.sqrt(1 / ANCHOR_RUNS + 1 / runs)


def _majority(values: Floats) -> Floats:
    """The level that more than half of the runs do not exceed: the median, or the upper one of two."""
    middle = values.shape[1] // 2
    return np.partition(values, middle, axis=1)[:, middle]


def _drawn_in(anchor: Evidence, window: Floats) -> Floats:
    """The runs, drawn in to two standard deviations around their own median, the upper one of two.

    Around the anchor's mean, as winsorising is often written, no loss beyond the limit could be seen; around the upper
    median, five disturbed runs of ten are still drawn in to the others.
    """
    middle, limit = _majority(window)[:, None], _WINDOW_LIMIT * anchor.sd[:, None]
    return np.clip(window, middle - limit, middle + limit)


def _drop(anchor: Evidence, window: Floats) -> tuple[Floats, Floats]:
    """How far the runs lie below the anchor, as a difference of logarithms and in standard errors; 0 without runs."""
    if not window.shape[1]:
        return np.zeros(len(window)), np.zeros(len(window))
    drop = anchor.mean - _drawn_in(anchor, window).mean(axis=1)
    return drop, drop / _error(anchor, window.shape[1])


def _window_alarm(anchor: Evidence, window: Floats) -> Flags:
    drop, z = _drop(anchor, window)
    flags: Flags = (drop > SMALLEST_DROP) & (z > WINDOW_Z)
    return flags


class _Cusum:
    """The cumulative sums of many series' losses, run by run."""

    def __init__(self, anchor: Evidence) -> None:
        self.anchor = anchor
        self.sum = np.zeros(len(anchor.mean))
        self.start = np.zeros(len(anchor.mean), int)
        self.spread = _spread(anchor)
        self.allowance = np.maximum(0.5, CUSUM_SHIFT / 2 / self.spread)

    def add(self, values: Floats) -> Flags:
        """Takes the last of the runs after the anchor in; whether the alarm is raised at it."""
        loss = (self.anchor.mean - values[:, -1]) / self.spread - self.allowance
        self.sum = np.clip(self.sum + np.clip(loss, -CUSUM_STEP, CUSUM_STEP), 0, CUSUM_LIMIT + CUSUM_STEP)
        self.start = np.where(self.sum == 0, values.shape[1], self.start)
        flags = np.zeros(len(values), bool)
        since = values.shape[1] - self.start
        passed = np.flatnonzero((self.sum > CUSUM_LIMIT) & (since >= CUSUM_RUNS))
        remembered = np.minimum(since[passed], CUSUM_MEMORY)
        for runs in np.unique(remembered):
            which = passed[remembered == runs]
            flags[which] = self._is_low(which, values[:, -runs:])
        return flags

    def _is_low(self, which: NDArray[np.intp], values: Floats) -> Flags:
        """Whether most of the runs since the sum's start lie below the anchor, by enough and beyond chance."""
        drop = self.anchor.mean[which] - _majority(values[which])
        error = self.spread[which] * math.sqrt(1 / ANCHOR_RUNS + 1 / values.shape[1])
        flags: Flags = (drop > SMALLEST_DROP) & (drop > CUSUM_Z * error)
        return flags


def detectable_drop(anchor: Evidence) -> Floats:
    """Smallest step that the window which follows it shows with 95 % probability, as a difference of logarithms."""
    error = _error(anchor, WINDOW_RUNS)
    drop: Floats = np.maximum(SMALLEST_DROP, WINDOW_Z * error) + _POWER * error
    return drop


@dataclass(frozen=True, kw_only=True)
class Cumulative:
    """The newest runs against the anchor, by the test that `check` uses; arrays of shape `(series,)`.

    Attributes:
        drop: Differences of logarithms by which the newest window lies below the anchor.
        low: Lower confidence bounds of it.
        beyond: Whether the loss is more than the tolerance, and real, and nearly all runs of the window show it.
    """

    drop: Floats
    low: Floats
    beyond: Flags


def cumulative(values: Floats, parameters: Parameters) -> Cumulative:
    """The cumulative loss of each series at its newest run.

    Args:
        values: As for `alarms`, with at least `ANCHOR_RUNS + WINDOW_RUNS` runs.
        parameters: The tolerance, and how many series share the chance of a false alarm.
    """
    anchor = anchor_of(values)
    window = values[:, -WINDOW_RUNS:]
    moments = moments_of_runs(anchor, _drawn_in(anchor, window))
    low = moments.change - t_quantile(1 - parameters.alpha_fail, moments.degrees) * moments.error
    nearly_all = anchor.mean - np.partition(window, CONFIRMED_RUNS - 1, axis=1)[:, CONFIRMED_RUNS - 1]
    beyond = (moments.change > parameters.limit) & (low > parameters.margin) & (nearly_all > parameters.margin)
    return Cumulative(drop=moments.change, low=low, beyond=beyond)


def steps(values: Floats) -> list[int]:
    """Places of the first run after each step of one series, in order; empty where its newest 400 runs have none.

    Disturbances of up to three runs are taken out first. A step costs 3 ln(runs) in units of the noise's variance: the
    modified Bayesian information criterion for changes of the mean.

    Args:
        values: Logarithms of one series, at least `ANCHOR_RUNS` runs.

    Source:
        The penalty is that of Zhang and Siegmund, A Modified Bayes Information Criterion (2007), without its term for
        segment lengths.
    """
    passed = max(len(values) - _MOST_RUNS, 0)
    values = values[passed:]
    noise = max(float(np.median(np.abs(np.diff(values)))) * _SD_OF_DIFFERENCES, SMALLEST_SD)
    scaled = _despiked(values - np.median(values), noise) / noise
    return [passed + end for end in _best_ends(scaled, 3 * math.log(len(values)))]


def _best_ends(values: Floats, penalty: float) -> list[int]:
    """Ends of all parts but the last: those for which squares around the parts' means, and penalties, sum to the least.

    Args:
        values: One series.
        penalty: What each further part must be worth.

    Source:
        Jackson et al., An Algorithm for Optimal Partitioning of Data on an Interval (2005). PELT (Killick, Fearnhead,
        Eckley 2012) finds the same with fewer sums: of a few hundred runs numpy has done all of them at once sooner.
    """
    sums, squares = (np.concatenate([[0.0], np.cumsum(each)]) for each in (values, values**2))
    places = np.arange(len(values) + 1)
    lengths = np.maximum(places[:, None] - places, 1)  # by end and start; what would end before it starts is never read
    costs = squares[:, None] - squares - (sums[:, None] - sums) ** 2 / lengths + penalty
    least, begin = np.full(len(values) + 1, np.inf), np.zeros(len(values) + 1, int)
    least[0] = -penalty
    for end in range(_SHORTEST_SEGMENT, len(values) + 1):
        starts = slice(end - _SHORTEST_SEGMENT + 1)
        total = least[starts] + costs[end, starts]
        begin[end] = total.argmin()
        least[end] = total[begin[end]]
    ends = [int(begin[-1])]
    while ends[-1]:
        ends.append(int(begin[ends[-1]]))
    return ends[-2::-1]


def _despiked(values: Floats, noise: float) -> Floats:
    """The runs, those far from the median of the seven around them replaced by it (Hampel's filter)."""
    padded = np.pad(values, _DESPIKE_RUNS // 2, mode="reflect")
    middle = np.median(sliding_window_view(padded, _DESPIKE_RUNS), axis=1)
    kept: Floats = np.where(np.abs(values - middle) > _DESPIKE_LIMIT * noise, middle, values)
    return kept
