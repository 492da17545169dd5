"""Sums of replicate values and the distributions a verdict needs, for one check or for many at once.

All values are natural logarithms of a replicate's value, so that a difference of two is a relative change and no unit
matters. The last axis is the replicate; whatever stands before it are checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

SMALLEST_SD = 0.001
"""Standard deviation below which none is believed: 0.1 %."""
_SAME = 1e-12
"""Range of logarithms within which values are one and the same value: some thousand roundings of a double, and less
than a nanosecond of a quarter of an hour. Another unit, or a sum in another order, moves values by as much."""
_RUNS_FOR_CORRELATION = 20
_LARGEST_CORRELATION = 0.8
_MOST_PRIOR_DEGREES = 10


class Prior(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an earlier epoch of the same case said of the spread.

    Attributes:
        sd: Standard deviation of its replicates, as a fraction.
        degrees: Its degrees of freedom; more than ten count as ten.
    """

    sd: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    degrees: Annotated[int, msgspec.Meta(ge=1)]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A baseline's replicates, summed up; each array has one entry per check.

    Attributes:
        runs: Replicates.
        sessions: Sessions they are from.
        mean: Mean of the values.
        variance: Their sample variance around `mean`, whatever the session.
        within_variance: Their variance around the mean of their own session.
        session_variance: Variance of the sessions' true means, by analysis of variance; 0 where none shows.
        correlation: Lag-1 correlation of successive values; 0 where there are too few to know, or it is negative.
        degrees: Degrees of freedom that `pooled` rests on.
        pooled: Sum of squares behind `degrees`: the replicates' own, and an earlier epoch's.
    """

    runs: int
    sessions: int
    mean: Floats
    variance: Floats
    within_variance: Floats
    session_variance: Floats
    correlation: Floats
    degrees: float
    pooled: Floats

    @property
    def sd(self) -> Floats:
        """Standard deviation from all that is known, not below `SMALLEST_SD`."""
        sd: Floats = np.maximum(np.sqrt(self.pooled / self.degrees), SMALLEST_SD)
        return sd

    @property
    def sessions_differ(self) -> bool:
        """Whether sessions differ so much that only a comparison on the spot can tell; of a single check.

        Beyond a quarter of the replicates' variance, further replicates of one session hardly narrow the interval.
        """
        return bool(self.session_variance > np.maximum(self.within_variance, SMALLEST_SD**2) / 4)


def evidence(values: Floats, sessions: Sequence[int], prior: Prior | None = None) -> Evidence:
    """The sums of baseline replicates.

    Args:
        values: Logarithms, shape `(..., runs)`, at least two runs, in order of measurement.
        sessions: The session of each run.
        prior: Spread of an earlier epoch.

    Source:
        Analysis of variance with unequal groups: Searle, Casella, McCulloch, Variance Components (1992), 3.6.
    """
    runs = values.shape[-1]
    mean, variance = values.mean(axis=-1), values.var(axis=-1, ddof=1)
    within, between = _components(values, np.asarray(sessions))
    degrees, squares = float(runs - 1), variance * (runs - 1)
    if prior is not None:
        weight = min(prior.degrees, _MOST_PRIOR_DEGREES)
        degrees, squares = degrees + weight, squares + weight * prior.sd**2
    return Evidence(
        runs=runs,
        sessions=len(set(sessions)),
        mean=mean,
        variance=variance,
        within_variance=within,
        session_variance=between,
        correlation=_correlation(values, variance),
        degrees=degrees,
        pooled=squares,
    )


def vary(values: Floats) -> Flags:
    """Whether values differ by more than their rounding, along the last axis: equal ones were not measured apart."""
    varied: Flags = np.ptp(values, axis=-1) > _SAME
    return varied


def _components(values: Floats, sessions: NDArray[np.int_]) -> tuple[Floats, Floats]:
    """Variance within sessions, and of their true means: 0 where one session, or one run in each, cannot tell."""
    order = np.argsort(sessions, kind="stable")
    _, starts, sizes = np.unique(sessions[order], return_index=True, return_counts=True)
    groups, runs = len(sizes), len(sessions)
    if groups in (1, runs):
        return values.var(axis=-1, ddof=1), np.zeros(values.shape[:-1])
    ordered = values[..., order]
    means = np.add.reduceat(ordered, starts, axis=-1) / sizes
    between = (sizes * (means - values.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1) / (groups - 1)
    within: Floats = ((ordered - np.repeat(means, sizes, axis=-1)) ** 2).sum(axis=-1) / (runs - groups)
    size = (runs - (sizes**2).sum() / runs) / (groups - 1)
    return within, np.maximum((between - within) / size, 0.0)


def _correlation(values: Floats, variance: Floats) -> Floats:
    runs = values.shape[-1]
    if runs < _RUNS_FOR_CORRELATION:
        return np.zeros(values.shape[:-1])
    residuals = values - values.mean(axis=-1, keepdims=True)
    lagged = (residuals[..., 1:] * residuals[..., :-1]).sum(axis=-1)
    squares = np.maximum(variance, SMALLEST_SD**2) * (runs - 1)  # below it, rounding alone would correlate
    correlation: Floats = np.clip(lagged / squares, 0.0, _LARGEST_CORRELATION)
    return correlation


def t_quantile(probability: float, degrees: Floats | float) -> Floats:
    """Quantile of Student's t distribution."""
    from scipy import special  # noqa: PLC0415  # 0.1 s that only a verdict needs

    quantile: Floats = special.stdtrit(degrees, probability)
    return quantile


def t_tail(value: Floats, degrees: Floats | float) -> Floats:
    """Probability that Student's t exceeds a value."""
    from scipy import special  # noqa: PLC0415  # as above

    tail: Floats = special.stdtr(degrees, -value)
    return tail


def f_quantile(probability: float, numerator: float, denominator: float) -> float:
    """Quantile of the F distribution of two variances, by their degrees of freedom."""
    from scipy import special  # noqa: PLC0415  # as above

    return float(special.fdtri(numerator, denominator, probability))


def upper_bound(events: int, trials: int) -> float:
    """95 % upper bound of a share, from the number of events in so many independent trials.

    Source:
        Clopper and Pearson, The use of confidence or fiducial limits (1934).
    """
    from scipy import special  # noqa: PLC0415  # as above

    return 1.0 if events == trials else float(special.betaincinv(events + 1, trials - events, 0.95))
