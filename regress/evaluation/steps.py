"""The single likeliest step in each of many series: by medians, or by the energy statistic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regress.stats import t_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regress.stats import Flags, Floats

    Indices = NDArray[np.intp]

_SHORTEST = 2
"""Values on either side of a step."""
_AT_ONCE = 4_000
"""Series whose distances are held in memory at once."""


@dataclass(frozen=True, kw_only=True)
class MedianStep:
    """The best step by absolute deviations; one entry per series.

    Attributes:
        start: Place of the first value after it.
        before: Median before it.
        after: Median after it.
        better: Whether it fits better than no step, by a penalty for its parameters.
    """

    start: Indices
    before: Floats
    after: Floats
    better: Flags


def median_step(series: Floats) -> MedianStep:
    """The step with the least sum of absolute deviations from the medians on either side.

    Args:
        series: Shape `(series, values)`.
    """
    places = range(_SHORTEST, series.shape[1] - _SHORTEST + 1)
    errors = np.stack([_deviation(series[:, :at]) + _deviation(series[:, at:]) for at in places], axis=1)
    best = errors.argmin(axis=1)
    sides = np.array([[np.median(side, axis=1) for side in (series[:, :at], series[:, at:])] for at in places])
    rows = np.arange(len(series))
    count = series.shape[1]
    penalty = math.exp(-4 * math.log(count) / count)
    return MedianStep(
        start=best + _SHORTEST,
        before=sides[best, 0, rows],
        after=sides[best, 1, rows],
        better=errors[rows, best] < penalty * _deviation(series),
    )


def _deviation(values: Floats) -> Floats:
    deviation: Floats = np.abs(values - np.median(values, axis=1, keepdims=True)).sum(axis=1)
    return deviation


@dataclass(frozen=True, kw_only=True)
class EnergyStep:
    """The likeliest change of distribution; one entry per series.

    Attributes:
        start: Place of the first value after it.
        before: Mean before it.
        after: Mean after it.
        p_value: Two-sided, of a t-test with pooled variance of ddof 1.
    """

    start: Indices
    before: Floats
    after: Floats
    p_value: Floats


def energy_step(series: Floats) -> EnergyStep:
    """The place where the energy distance between what is before and after is largest, and a t-test there.

    Args:
        series: Shape `(series, values)`.

    Source:
        Matteson and James, A Nonparametric Approach for Multiple Change Point Analysis (2014), equations 5 to 7.
    """
    parts = [_energy_place(series[at : at + _AT_ONCE]) for at in range(0, len(series), _AT_ONCE)]
    start = np.concatenate(parts)
    after = np.arange(series.shape[1]) >= start[:, None]
    counts = after.sum(axis=1), (~after).sum(axis=1)
    means = [(series * side).sum(axis=1) / count for side, count in zip((after, ~after), counts, strict=True)]
    squares = ((series - np.where(after, means[0][:, None], means[1][:, None])) ** 2).sum(axis=1)
    degrees = series.shape[1] - 2.0
    error = np.sqrt(np.maximum(squares / degrees * (1 / counts[0] + 1 / counts[1]), np.finfo(float).tiny))
    return EnergyStep(
        start=start,
        before=means[1],
        after=means[0],
        p_value=2 * t_tail(np.abs(means[0] - means[1]) / error, degrees),
    )


def _energy_place(series: Floats) -> Indices:
    distances = np.abs(series[:, :, None] - series[:, None, :])
    sums = distances.cumsum(axis=1).cumsum(axis=2)
    count = series.shape[1]
    left = np.arange(_SHORTEST, count - _SHORTEST + 1)
    right = count - left
    inside = sums[:, left - 1, left - 1]
    across = sums[:, left - 1, count - 1] - inside
    outside = sums[:, -1, -1][:, None] - inside - 2 * across
    # `inside` and `outside` count each pair twice, as the means over unordered pairs want it.
    energy = 2 * across / (left * right) - inside / (left * (left - 1)) - outside / (right * (right - 1))
    best: Indices = (left * right / count * energy).argmax(axis=1) + _SHORTEST
    return best
