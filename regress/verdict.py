"""From replicate values to verdicts: pure functions over numbers, and the values they give.

The rule here is a tolerance on the medians: a loss beyond the metric's tolerance is a regression, a gain beyond it an
improvement. `judge` is the one place that decides; what surrounds it stays when the rule becomes a better one.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from regress import errors
from regress.metric import METRICS
from regress.record import CaseResult, Failure, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regress.metric import Metric

SCHEMA = 1

Outcome = Literal["pass", "improved", "regressed", "inconclusive", "broken", "missing"]
Reason = Literal[
    "within_tolerance",
    "slower_than_tolerance",
    "faster_than_tolerance",
    "does_not_build",
    "does_not_run",
    "case_vanished",
    "metric_vanished",
    "no_reference",
    "other_environment",
    "other_harness",
    "other_model",
]

_SEVERITY: tuple[Outcome, ...] = ("pass", "improved", "inconclusive", "missing", "broken", "regressed")


class Spread(Stored, frozen=True):
    """What several replicates say of one metric.

    Attributes:
        values: Each replicate's value, in order of measurement, in the metric's unit.
        median: Their median.
    """

    values: tuple[float, ...]
    median: float

    @property
    def relative_range(self) -> float:
        """Largest less smallest value, as a fraction of the median."""
        return (max(self.values) - min(self.values)) / self.median


def spread(values: Sequence[float]) -> Spread:
    """The spread of at least one replicate's value."""
    return Spread(values=tuple(values), median=statistics.median(values))


class Verdict(Stored, frozen=True):
    """What is said of one metric of one case, with the numbers that led to it.

    Attributes:
        case: Key of the case.
        outcome: The verdict.
        reason: Why, as a code.
        text: Why, as one sentence.
        metric: The metric judged; `None` where the verdict is about the whole case.
        baseline: The reference's replicates; `None` where there is nothing to compare with.
        candidate: The measured replicates; `None` where nothing was measured.
        loss: How much worse the candidate's median is, as a fraction; negative is better.
        tolerance: The largest loss that passes, as a fraction.
        failure: Why the case is broken; `None` for every other outcome.
    """

    case: str
    outcome: Outcome
    reason: Reason
    text: str
    metric: str | None = None
    baseline: Spread | None = None
    candidate: Spread | None = None
    loss: float | None = None
    tolerance: float | None = None
    failure: Failure | None = None


class Reference(Stored, frozen=True):
    """What a case is compared with.

    Attributes:
        toolchain: Name of the toolchain it was measured with.
        harness: SHA-256 of the worker that measured.
        model_digest: SHA-256 of the model's configuration and weights.
        values: Metric to the value of each replicate.
        logits_sha256: Digest of the first prompt's logits; `None` where it is not known.
        token_ids: The first prompt's greedy tokens; empty where they are not known.
    """

    toolchain: str
    harness: str
    model_digest: str
    values: dict[str, tuple[float, ...]]
    logits_sha256: str | None = None
    token_ids: tuple[int, ...] = ()


class CheckReport(Stored, frozen=True):
    """All verdicts about one record; stands beside it in the history.

    Attributes:
        schema: Version of this shape.
        record: The record's id.
        runner: The record's runner.
        toolchain: Name of the toolchain the verdicts are about.
        baseline: Name of the baseline file.
        against: `stored` where the baseline's own reference was used, `measured` where its toolchain was measured
            beside the candidate because the stored reference is of another machine.
        reference_toolchain: Name of the toolchain compared with.
        reference_record: Id of the record compared with, where it was measured in the same run.
        verdicts: In the baseline's order of cases.
    """

    schema: int
    record: str
    runner: str
    toolchain: str
    baseline: str
    against: Literal["stored", "measured"]
    reference_toolchain: str
    verdicts: Annotated[tuple[Verdict, ...], msgspec.Meta(min_length=1)]
    reference_record: str | None = None

    @property
    def outcome(self) -> Outcome:
        """The gravest of its verdicts."""
        return max((verdict.outcome for verdict in self.verdicts), key=_SEVERITY.index)

    @property
    def exit_code(self) -> int:
        """The exit code that says it."""
        failures = [verdict.failure for verdict in self.verdicts if verdict.failure]
        if self.outcome == "broken":
            return errors.EXIT_BENCH if all(failure.was_built for failure in failures) else errors.EXIT_BUILD
        return {
            "pass": errors.EXIT_PASS,
            "improved": errors.EXIT_PASS,
            "regressed": errors.EXIT_REGRESSED,
            "inconclusive": errors.EXIT_INCONCLUSIVE,
            "missing": errors.EXIT_INCONCLUSIVE,
        }[self.outcome]


def judge(
    case: str, metric: Metric, baseline: Sequence[float], candidate: Sequence[float], tolerance: float
) -> Verdict:
    """The verdict on one metric.

    Args:
        case: Key of the case, to be named in the verdict.
        metric: What the values are.
        baseline: The reference's replicate values, at least one, all positive.
        candidate: The measured replicate values, at least one, all positive.
        tolerance: The largest loss that passes, as a fraction.
    """
    before, after = spread(baseline), spread(candidate)
    loss = metric.loss(before.median, after.median)
    outcome: Outcome = "regressed" if loss > tolerance else "improved" if loss < -tolerance else "pass"
    reasons: dict[str, Reason] = {
        "regressed": "slower_than_tolerance",
        "improved": "faster_than_tolerance",
        "pass": "within_tolerance",
    }
    change = "worse" if loss > 0 else "better"
    return Verdict(
        case=case,
        outcome=outcome,
        reason=reasons[outcome],
        text=f"{metric.label.lower()} {abs(loss):.1%} {change}, tolerance {tolerance:.1%}",
        metric=metric.name,
        baseline=before,
        candidate=after,
        loss=loss,
        tolerance=tolerance,
    )


def judge_case(
    case: str, reference: Reference | None, result: CaseResult | None, tolerances: Mapping[str, float]
) -> list[Verdict]:
    """The verdicts on one case, one per metric with a tolerance; a single one where there is nothing to compare.

    Args:
        case: Key of the case.
        reference: What to compare with; `None` where the baseline has none.
        result: What was measured; `None` where the record does not have the case.
        tolerances: Metric to the largest loss that passes.
    """
    if result is None:
        return [missing(case, "case_vanished", "the record does not have this case")]
    if result.failure is not None:
        return [_broken(case, result.failure)]
    if reference is None:
        return [missing(case, "no_reference", "the baseline has no reference for this case")]
    return [_judge_metric(case, METRICS[name], reference, result, tolerances[name]) for name in tolerances]


def _judge_metric(case: str, metric: Metric, reference: Reference, result: CaseResult, tolerance: float) -> Verdict:
    baseline, candidate = reference.values.get(metric.name), result.values(metric.name)
    if not baseline:
        return missing(case, "no_reference", f"the reference has no {metric.name}", metric.name)
    if not candidate:
        return missing(case, "metric_vanished", f"the record has no {metric.name}", metric.name)
    return judge(case, metric, baseline, candidate, tolerance)


def missing(case: str, reason: Reason, text: str, metric: str | None = None) -> Verdict:
    """The verdict that there is nothing to compare, and why."""
    return Verdict(case=case, outcome="missing", reason=reason, text=text, metric=metric)


def _broken(case: str, failure: Failure) -> Verdict:
    return Verdict(
        case=case,
        outcome="broken",
        reason="does_not_run" if failure.was_built else "does_not_build",
        text=f"{failure.stage} failed ({failure.how}): {failure.cause}",
        failure=failure,
    )
