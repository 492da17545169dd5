"""One check's decision: the rule applied to the replicates of one metric of one case, with every number it used."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from regress.comparison import Form, one_sample, paired, standard_error, two_sample
from regress.rule import LOOKS, REASONS, Decided, RuleReason, visible_change, walk
from regress.stats import SMALLEST_SD, evidence, vary
from regress.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.comparison import Comparison
    from regress.rule import Parameters
    from regress.stats import Evidence, Floats, Prior

FEWEST_BASELINE_RUNS = 5
"""With fewer stored replicates nothing is decided."""
_MOST_REPLICATES = 200
"""More than anybody measures."""
_UNIT_FACTORS = (3, 6, 9)
"""Powers of ten between a unit and its thousands."""

DecisionReason = Literal[RuleReason, "too_few_baseline_runs", "impossible_value", "mixed_units"]


class Decision(Stored, frozen=True):
    """What the rule says, with every number that led to it.

    Attributes:
        form: What was compared.
        outcome: What it ends with.
        reason: Why.
        loss: How much worse the candidate is, as a fraction; negative is better. `None` where it cannot be computed.
        low: Lower bound of the loss, at the level of a failure.
        high: Upper bound of the loss, at the level of a pass.
        tolerance: The largest loss that passes.
        replicates: Candidate replicates (blocks, where paired) at the look that decided.
        confirming: Further ones that had to show the change again.
        baseline_replicates: Replicates compared with; 0 for a published value.
        sessions: Sessions they are from.
        sd: Their standard deviation as a fraction; where there are none, that of what was measured.
        session_sd: Standard deviation between sessions, as a fraction.
        p_value: Probability of so large a loss at the first look if nothing had changed, one-sided.
        visible_loss: The smallest loss that would have been seen 19 times of 20 within the budget.
        more: Replicates, or blocks, wanted before the rule can say more; 0 where it ended.
        needed: A budget with which a loss of the tolerance would be visible, where this one is too small; `None` where
            it is large enough, or none is.
    """

    form: Form
    outcome: Decided
    reason: DecisionReason
    tolerance: float
    loss: float | None = None
    low: float | None = None
    high: float | None = None
    replicates: int = 0
    confirming: int = 0
    baseline_replicates: int = 0
    sessions: int = 0
    sd: float | None = None
    session_sd: float = 0.0
    p_value: float | None = None
    visible_loss: float | None = None
    more: int = 0
    needed: int | None = None


def against_runs(
    sessions: Sequence[Sequence[float]],
    candidate: Sequence[float],
    parameters: Parameters,
    *,
    higher_is_better: bool,
    prior: Prior | None = None,
) -> Decision:
    """What the rule says of a candidate against stored replicates.

    Args:
        sessions: The baseline's replicate values, one sequence per session, in order of measurement.
        candidate: The candidate's replicate values, in order of measurement.
        parameters: Tolerance, budget and chances.
        higher_is_better: Direction of the metric.
        prior: Spread of an earlier epoch.
    """
    baseline = [value for session in sessions for value in session]
    counts = {"baseline_replicates": len(baseline), "sessions": len(sessions)}
    if reason := _impossible(baseline, candidate):
        return _refusal("two_sample", reason, parameters, **counts)
    if len(baseline) < FEWEST_BASELINE_RUNS:
        return _refusal("two_sample", "too_few_baseline_runs", parameters, **counts)
    known = known_spread(sessions, higher_is_better=higher_is_better, prior=prior)
    if not vary(_logarithms(baseline, higher_is_better=higher_is_better)):
        return _refusal("two_sample", "no_variance", parameters, **counts)
    comparison = two_sample(known, _logarithms(candidate, higher_is_better=higher_is_better)[None])
    visible = visible_loss(known, parameters)
    return _decision(
        comparison,
        parameters,
        **counts,
        sd=float(known.sd),
        session_sd=math.sqrt(float(known.session_variance)),
        visible_loss=visible,
        needed=_budget_needed(known, parameters) if visible > parameters.tolerance else None,
    )


def against_published(
    published: float, candidate: Sequence[float], parameters: Parameters, *, higher_is_better: bool
) -> Decision:
    """What the rule says of a candidate against a value without replicates.

    The value is taken as exact, since nothing is known of its spread. Arguments as in `against_runs`.
    """
    if reason := _impossible([published], candidate):
        return _refusal("one_sample", reason, parameters)
    value = _logarithms([published], higher_is_better=higher_is_better)
    differences = (value - _logarithms(candidate, higher_is_better=higher_is_better))[None]
    return _of_differences(one_sample(differences), differences, parameters)


def side_by_side(
    reference: Sequence[float], candidate: Sequence[float], parameters: Parameters, *, higher_is_better: bool
) -> Decision:
    """What the rule says of blocks measured side by side: the last values of both are of the last block.

    Whatever one side measured before the other joined it is left out. Other arguments as in `against_runs`.
    """
    if reason := _impossible(reference, candidate):
        return _refusal("paired", reason, parameters)
    blocks = min(len(reference), len(candidate))
    ours, theirs = (
        _logarithms(side[len(side) - blocks :], higher_is_better=higher_is_better) for side in (candidate, reference)
    )
    differences = (theirs - ours)[None]
    return _of_differences(paired(differences), differences, parameters)


def known_spread(
    sessions: Sequence[Sequence[float]], *, higher_is_better: bool, prior: Prior | None = None
) -> Evidence:
    """What stored replicates say of mean and spread; arguments as in `against_runs`, at least two replicates.

    A candidate's replicates share one session. Where each stored one is of a session of its own, all of their variance
    is taken for that between sessions, as nothing tells it from the rest.
    """
    labels = [index for index, session in enumerate(sessions) for _ in session]
    baseline = [value for session in sessions for value in session]
    known = evidence(_logarithms(baseline, higher_is_better=higher_is_better), labels, prior)
    return replace(known, session_variance=known.variance) if len(sessions) == len(baseline) else known


def visible_loss(known: Evidence, parameters: Parameters) -> float:
    """The smallest loss that the budget sees 19 times of 20, as a fraction."""
    error, degrees = standard_error(known, parameters.looks("two_sample")[-1])
    return _loss_of(visible_change(error, degrees, parameters, "two_sample"))


def visible_side_by_side(known: Evidence, parameters: Parameters) -> float:
    """The smallest loss that the budget's blocks would see 19 times of 20, as a fraction.

    A block of two replicates varies twice as much as one of them does within its session.
    """
    blocks = parameters.looks("paired")[-1]
    within = max(float(known.within_variance), SMALLEST_SD**2)
    error = np.asarray(math.sqrt(2 * within / blocks))
    return _loss_of(visible_change(error, blocks - 1, parameters, "paired"))


def _budget_needed(known: Evidence, parameters: Parameters) -> int | None:
    budgets = [look for look in LOOKS if look > parameters.budget]
    return next((each for each in budgets if _sees(known, replace(parameters, budget=each))), None)


def _sees(known: Evidence, parameters: Parameters) -> bool:
    return visible_loss(known, parameters) <= parameters.tolerance


def runs_needed(known: Evidence, parameters: Parameters) -> int | None:
    """Stored replicates, sessions in step, by which the budget would see the tolerance; `None` if no number."""
    for runs in range(known.runs + 1, _MOST_REPLICATES):
        larger = replace(
            known,
            runs=runs,
            sessions=round(known.sessions * runs / known.runs),
            degrees=float(runs - 1),
            pooled=known.pooled / known.degrees * (runs - 1),
        )
        if _sees(larger, parameters):
            return runs
    return None


def _of_differences(comparison: Comparison, differences: Floats, parameters: Parameters) -> Decision:
    count = comparison.available
    if count < 2:  # noqa: PLR2004  # one value has no spread
        return _decision(comparison, parameters)
    sd = max(float(differences.std(ddof=1)), SMALLEST_SD)
    error = np.asarray(sd / math.sqrt(parameters.looks(comparison.form)[-1]))
    visible = _loss_of(visible_change(error, count - 1, parameters, comparison.form))
    blocks = count if comparison.form == "paired" else 0
    return _decision(comparison, parameters, sd=sd, visible_loss=visible, baseline_replicates=blocks)


def _logarithms(values: Sequence[float], *, higher_is_better: bool) -> Floats:
    logarithms: Floats = np.log(np.asarray(values, float))
    return logarithms if higher_is_better else -logarithms


def _impossible(baseline: Sequence[float], candidate: Sequence[float]) -> DecisionReason | None:
    """Why the values cannot be compared at all; `None` where they can."""
    if not all(math.isfinite(value) and value > 0 for value in (*baseline, *candidate)):
        return "impossible_value"
    if not baseline or not candidate:
        return None
    powers = abs(float(np.log10(np.median(candidate)) - np.log10(np.median(baseline))))
    return "mixed_units" if any(abs(powers - factor) < 0.05 for factor in _UNIT_FACTORS) else None  # noqa: PLR2004


def _refusal(form: Form, reason: DecisionReason, parameters: Parameters, **counts: int) -> Decision:
    return Decision(form=form, outcome="inconclusive", reason=reason, tolerance=parameters.tolerance, **counts)


def _decision(comparison: Comparison, parameters: Parameters, **known: object) -> Decision:
    """How the rule walks through a single check, in fractions."""
    walked = walk(comparison, parameters)
    outcome, reason = REASONS[int(walked.code[0])]
    look = int(walked.look[0])
    return Decision(
        form=comparison.form,
        outcome=outcome,
        reason=reason,
        tolerance=parameters.tolerance,
        loss=_known_loss(walked.change),
        low=_known_loss(walked.low),
        high=_known_loss(walked.high),
        replicates=look,
        confirming=int(walked.used[0]) - look,
        p_value=None if np.isnan(walked.p_value[0]) else float(walked.p_value[0]),
        more=max(int(walked.wanted[0]) - comparison.available, 0),
        **known,  # type: ignore[arg-type]  # fields of Decision, each of its type
    )


def _known_loss(change: Floats) -> float | None:
    return None if np.isnan(change[0]) else _loss_of(change[0])


def _loss_of(change: Floats | float) -> float:
    """A difference of logarithms as a fraction."""
    return -math.expm1(min(-float(change), _LARGEST_GAIN))


_LARGEST_GAIN = 700.0
"""As a difference of logarithms; the exponential of more is no finite number."""
