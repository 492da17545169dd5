"""What a fixed number of runs costs: the policy that ours is compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regress.comparison import moments_of_runs
from regress.evaluation.shares import Share, among
from regress.rule import Parameters
from regress.stats import evidence, t_quantile

if TYPE_CHECKING:
    from regress.evaluation.ours import Judged

RUNS = 10
"""Runs that the policy always takes of a candidate."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Our rule beside one look at ten runs, with the same chances of a false alarm and of a wrong pass.

    Attributes:
        noise: What the checks are made of.
        tolerance: As a fraction.
        loss: Loss at which both are asked what they catch.
        ours_caught: Share we catch.
        fixed_caught: Share that the fixed policy catches.
        ours_false: False alarms of ours.
        fixed_false: False alarms of the fixed policy.
        replicates: Our mean number of runs of an unchanged candidate.
    """

    noise: str
    tolerance: float
    loss: float
    ours_caught: Share
    fixed_caught: Share
    ours_false: Share
    fixed_false: Share
    replicates: float

    @property
    def part(self) -> float:
        """Our runs as a part of the fixed policy's."""
        return self.replicates / RUNS


def cost(judged: Judged, loss: float, noise: str) -> Cost:
    """The costs on checks with at least ten fresh candidate runs.

    Args:
        judged: What our rule said of them.
        loss: One of the losses it was asked about.
        noise: What to call the checks.
    """
    return Cost(
        noise=noise,
        tolerance=judged.tolerance,
        loss=loss,
        ours_caught=among(judged.caught[loss]),
        fixed_caught=_fixed(judged, loss),
        ours_false=among(judged.outcomes == "regressed"),
        fixed_false=_fixed(judged, 0.0),
        replicates=float(judged.replicates.mean()),
    )


def _fixed(judged: Judged, loss: float) -> Share:
    """Slower by more than the margin at one look: all of the chance of a false alarm is spent there."""
    checks, parameters = judged.checks, Parameters(tolerance=judged.tolerance)
    known = evidence(checks.baseline, checks.sessions)
    found = moments_of_runs(known, checks.candidate[:, :RUNS] + math.log1p(-loss))
    reach = t_quantile(1 - parameters.alpha_fail, found.degrees) * found.error
    passes = found.change + t_quantile(1 - parameters.alpha_pass, found.degrees) * found.error < parameters.limit
    return among(~passes & (found.change - reach > parameters.margin))
