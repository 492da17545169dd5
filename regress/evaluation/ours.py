"""Our rule on many checks: what it says of unchanged ones and of injected losses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regress.comparison import standard_error, two_sample
from regress.rule import LOOKS, Parameters, visible_change, walk
from regress.stats import evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.evaluation.protocol import Checks
    from regress.rule import Walk
    from regress.stats import Evidence, Flags, Floats

LONGEST_BASELINE = 20
"""Stored replicates that the rule is given at most: with so many it estimates their correlation."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the rule said; each array has one entry per check.

    Attributes:
        checks: What it was asked about.
        tolerance: With which tolerance, as a fraction.
        outcomes: Outcomes of the unchanged checks.
        replicates: Candidate runs that these took, the confirming ones among them.
        caught: For each injected loss, whether it was called regressed; of the first checks, where not all were slowed.
        passed: For each injected loss, whether it passed; as above.
        visible: The smallest loss that the budget sees 19 times of 20, as a fraction.
    """

    checks: Checks
    tolerance: float
    outcomes: np.typing.NDArray[np.str_]
    replicates: np.typing.NDArray[np.int64]
    caught: dict[float, Flags]
    passed: dict[float, Flags]
    visible: Floats

    @property
    def verdicts(self) -> int:
        """How often the rule was asked."""
        return len(self.outcomes) + sum(map(len, self.caught.values()))


def judge(checks: Checks, tolerance: float, losses: Sequence[float], slowed: int | None = None) -> Judged:
    """What the rule says at a tolerance, unchanged and with each loss injected.

    Args:
        checks: Each with at least three candidate runs.
        tolerance: As a fraction.
        losses: Fractions of rate; the tolerance should be among them.
        slowed: How many checks losses are injected into, the first of them; `None` for all.
    """
    parameters = Parameters(tolerance=tolerance, budget=_budget(checks))
    known = _known(checks.baseline, checks.sessions)
    still = _walk(known, checks.candidate, parameters)
    some, slower = _known(checks.baseline[:slowed], checks.sessions), checks.candidate[:slowed]
    changed = {loss: _walk(some, slower + math.log1p(-loss), parameters).outcomes() for loss in losses}
    return Judged(
        checks=checks,
        tolerance=tolerance,
        outcomes=still.outcomes(),
        replicates=still.used,
        caught={loss: outcomes == "regressed" for loss, outcomes in changed.items()},
        passed={loss: outcomes == "pass" for loss, outcomes in changed.items()},
        visible=_visible(known, parameters),
    )


def _budget(checks: Checks) -> int:
    """The last look for which there are runs of the candidate's own, at most the product's."""
    most = min(checks.fresh, Parameters(tolerance=0.05).budget)
    return max(look for look in LOOKS if look <= most)


def _known(baseline: Floats, sessions: Sequence[int]) -> Evidence:
    return evidence(baseline[:, -LONGEST_BASELINE:], sessions[-LONGEST_BASELINE:])


def _walk(known: Evidence, candidate: Floats, parameters: Parameters) -> Walk:
    return walk(two_sample(known, candidate), parameters)


def _visible(known: Evidence, parameters: Parameters) -> Floats:
    error, degrees = standard_error(known, parameters.looks("two_sample")[-1])
    loss: Floats = -np.expm1(-visible_change(error, degrees, parameters, "two_sample"))
    return loss
