"""Candidates and what they are compared with: the differences that the rule looks at, and how sure they are.

A loss is a difference of logarithms, `mean(ln baseline) - mean(ln candidate)`, above 0 where the candidate is worse.
Every array has one entry per check, so that a campaign of a hundred thousand checks is one comparison.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from regress.stats import SMALLEST_SD, f_quantile, vary

if TYPE_CHECKING:
    from collections.abc import Callable

    from regress.stats import Evidence, Flags, Floats

Form = Literal["two_sample", "one_sample", "paired"]
"""Stored replicates, a published value without replicates, or blocks measured side by side."""
CONFIRMING = 3
CONFIRMING_BLOCKS = 4
"""Replicates, or blocks, each of which (each pair of blocks) must show the change again before it is believed."""
_DISPERSION_TAIL = 1e-4
"""Chance that an undisturbed candidate is taken for a disturbed one at a look."""


def confirming(form: Form) -> int:
    """How many more replicates or blocks a change is confirmed with."""
    return CONFIRMING_BLOCKS if form == "paired" else CONFIRMING


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What is known at one look; each array has one entry per check.

    Attributes:
        change: Mean difference of logarithms `d`; above 0 the candidate is worse.
        error: Its standard error.
        degrees: Degrees of freedom of the error.
        stable: Whether the candidate scatters as the baseline did: one disturbed run is not a slow build.
        varied: Whether the candidate's values differ at all: equal ones come from a cache or a coarse clock.
    """

    change: Floats
    error: Floats
    degrees: Floats
    stable: Flags
    varied: Flags


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Candidates and what they are compared with, as the rule looks at them.

    Attributes:
        form: What is compared.
        checks: Number of checks.
        available: Replicates or blocks there are of each.
        moments: What is known after so many, where a change beyond so much is feared (a difference of logarithms).
        again: Differences of logarithms that the confirming ones after so many show, shape `(checks, any)`.
    """

    form: Form
    checks: int
    available: int
    moments: Callable[[int, float], Moments]
    again: Callable[[int], Floats]


def two_sample(baseline: Evidence, candidate: Floats) -> Comparison:
    """A candidate's replicates against stored ones.

    Where a disturbed replicate keeps a candidate from looking stable to the last, the slowest quarter is left out if
    the rest is stable, and still beyond the tolerance: so a regression is seen through the disturbance, and nothing
    passes by it.

    Args:
        baseline: One entry per check, or one for all.
        candidate: Logarithms, shape `(checks, replicates)`.
    """

    def at(count: int, limit: float) -> Moments:
        every, slowest = moments_of_runs(baseline, candidate[:, :count]), count // 4
        if not slowest or every.stable.all():
            return every
        rest = moments_of_runs(baseline, np.sort(candidate[:, :count], axis=1)[:, slowest:])
        chosen = ~every.stable & rest.stable & (rest.change > limit)
        return Moments(**{name: np.where(chosen, vars(rest)[name], whole) for name, whole in vars(every).items()})

    return Comparison(
        form="two_sample",
        checks=len(candidate),
        available=candidate.shape[1],
        moments=at,
        again=lambda count: np.reshape(baseline.mean, (-1, 1)) - candidate[:, count : count + CONFIRMING],
    )


def moments_of_runs(baseline: Evidence, candidate: Floats) -> Moments:
    """What all of a candidate's replicates say against stored ones; arguments as in `two_sample`.

    Source:
        Two-sample t with pooled variance, a variance component between sessions (Kalibera and Jones, Rigorous
        Benchmarking in Reasonable Time, 2013), and degrees of freedom after Satterthwaite (1946), since three
        sessions say little about how sessions differ.
    """
    count, spread = candidate.shape[1], candidate.var(axis=1, ddof=1)
    guard = f_quantile(1 - _DISPERSION_TAIL, count - 1, baseline.degrees)
    error, degrees = standard_error(baseline, count, spread * (count - 1))
    return Moments(
        change=baseline.mean - candidate.mean(axis=1),
        error=error,
        degrees=degrees,
        stable=spread <= guard * np.maximum(baseline.pooled / baseline.degrees, SMALLEST_SD**2),
        varied=vary(candidate),
    )


def standard_error(baseline: Evidence, count: int, squares: Floats | None = None) -> tuple[Floats, Floats]:
    """Standard error of the mean difference with `count` candidate replicates, and its degrees of freedom.

    Args:
        baseline: The stored replicates.
        count: Candidate replicates.
        squares: Their sum of squares; where they are yet to come, the baseline's spread stands for theirs.
    """
    own = count - 1
    degrees = baseline.degrees + own
    if squares is None:
        squares = baseline.pooled / baseline.degrees * own
    variance = np.maximum((baseline.pooled + squares) / degrees, SMALLEST_SD**2)
    inflation = (1 + baseline.correlation) / (1 - baseline.correlation)
    within = inflation * variance * (1 / baseline.runs + 1 / count)
    between = baseline.session_variance * (1 / baseline.sessions + 1)
    squared = within + between
    effective = squared**2 / (within**2 / degrees + between**2 / max(baseline.sessions - 1, 1))
    return np.sqrt(squared), effective


def one_sample(differences: Floats) -> Comparison:
    """A published value less each replicate; its own spread is not known, so it is taken as exact.

    Args:
        differences: Differences of logarithms, shape `(checks, replicates)`.
    """
    return _of_differences("one_sample", differences, lambda count: differences[:, count : count + CONFIRMING])


def paired(differences: Floats) -> Comparison:
    """Blocks of one reference and one candidate replicate each, measured side by side.

    Args:
        differences: Differences of logarithms, shape `(checks, blocks)`.
    """

    def again(count: int) -> Floats:
        blocks = differences[:, count : count + CONFIRMING_BLOCKS]
        pairs: Floats = (blocks[:, ::2] + blocks[:, 1::2]) / 2
        return pairs

    return _of_differences("paired", differences, again)


def _of_differences(form: Form, differences: Floats, again: Callable[[int], Floats]) -> Comparison:
    def at(count: int, limit: float) -> Moments:  # noqa: ARG001  # nothing is known of a scatter to hold it against
        seen = differences[:, :count]
        return Moments(
            change=seen.mean(axis=1),
            error=np.maximum(seen.std(axis=1, ddof=1), SMALLEST_SD) / math.sqrt(count),
            degrees=np.full(len(seen), count - 1.0),
            stable=np.ones(len(seen), bool),
            varied=vary(seen),
        )

    checks, available = differences.shape
    return Comparison(form=form, checks=checks, available=available, moments=at, again=again)
