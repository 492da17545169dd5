"""Verdicts and what they are about: the values that `check` gives and the history keeps beside each record."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec

from regress import errors
from regress.artifact import BuildFacts  # noqa: TC001  # msgspec reads the annotations at run time
from regress.decision import Decision, DecisionReason
from regress.record import CaseKey, Failure  # noqa: TC001  # as above
from regress.replicate import GuardReason
from regress.stats import Prior  # noqa: TC001  # msgspec reads the annotations at run time
from regress.stored import Sha256, Stored

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = 1

Outcome = Literal["pass", "improved", "regressed", "inconclusive", "broken", "missing"]
BuildReason = Literal[
    "same_build",
    "build_changed",
    "more_bits_per_param",
    "more_planned_memory",
    "larger_library",
    "kv_cache_changed",
    "fell_back",
    "unfused_dequantize",
]
"""Of the build, without a device."""
AnswersReason = Literal[
    "same_answers",
    "same_tokens",
    "agreeing_answers",
    "other_answers",
    "unsteady_answers",
]
Reason = Literal[
    DecisionReason,
    BuildReason,
    AnswersReason,
    # of the measurement
    "identical_build",
    "above_roofline",
    "runner_drifted",
    "clock_went_back",
    "duplicate_runs",
    # of the device, while it was measured on
    GuardReason,
    # of what there is nothing to measure or compare of
    "does_not_build",
    "does_not_run",
    "case_vanished",
    "metric_vanished",
    "no_reference",
    "other_environment",
    "other_harness",
    "other_method",
    "other_model",
]

_ASPECTS: dict[str, tuple[Reason, ...]] = {
    "build": ("does_not_build", *get_args(BuildReason)),
    "run": ("does_not_run",),
    "answers": get_args(AnswersReason),
}

SEVERITY: tuple[Outcome, ...] = ("pass", "improved", "inconclusive", "missing", "broken", "regressed")
"""Outcomes, the gravest last."""


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


class Agreement(Stored, frozen=True):
    """How alike two builds answer, over the same tokens.

    Attributes:
        positions: Tokens after which the logits were compared.
        top1: Share of them at which both find the same token the likeliest.
        kl_nats: Mean Kullback-Leibler divergence of the candidate's distribution from the reference's, in nats.
    """

    positions: int
    top1: float
    kl_nats: float


class Verdict(Stored, frozen=True):
    """What is said of a case: of one of its metrics, of its build or of its answers.

    Attributes:
        case: Key of the case.
        outcome: The verdict.
        reason: Why, as a code.
        text: Why, as one sentence.
        metric: The metric judged; `None` where the verdict is about build, answers or the whole case.
        baseline: The reference's replicates; `None` where there is nothing to compare with.
        candidate: The measured replicates; `None` where nothing was measured.
        loss: How much worse the candidate is, as a fraction; negative is better.
        tolerance: The largest loss that passes, as a fraction.
        decision: What the rule said, with its numbers; `None` where it was not asked.
        first: What it had said by the stored replicates, before it was asked again side by side.
        identical: Whether both builds are the same byte for byte, so that any difference is noise.
        agreement: How alike both builds answer; `None` where only one was at hand, or nobody needed to ask.
        failure: Why the case is broken; `None` for every other outcome.
    """

    case: CaseKey
    outcome: Outcome
    reason: Reason
    text: str
    metric: str | None = None
    baseline: Spread | None = None
    candidate: Spread | None = None
    loss: float | None = None
    tolerance: float | None = None
    decision: Decision | None = None
    first: Decision | None = None
    identical: bool = False
    agreement: Agreement | None = None
    failure: Failure | None = None

    @property
    def aspect(self) -> str:
        """What of the case it is about: a metric by name, its build, its run, its answers, or the case as a whole."""
        if self.metric is not None:
            return self.metric
        return next((name for name, reasons in _ASPECTS.items() if self.reason in reasons), "case")

    @property
    def more(self) -> int:
        """Further replicates that would let the rule go on; 0 where it ended."""
        return self.decision.more if self.decision else 0


class Reference(Stored, frozen=True):
    """What a case is compared with.

    Attributes:
        form: Stored replicates, a published value, or replicates measured side by side with the candidate.
        name: What it is, for sentences: the toolchain measured, or the source of a published value.
        sessions: One entry per session: metric to the value of each replicate.
        harness: SHA-256 of the worker that measured; `None` for a published value.
        method: SHA-256 of how its replicates were taken; `None` for a published value.
        model_digest: SHA-256 of the model's configuration and weights; `None` for a published value.
        toolchain_fingerprint: Fingerprint of the toolchain measured; `None` for a published value.
        build: The artifact's facts; `None` where they are not known.
        earlier: Metric to the spread in an earlier epoch.
        logits_sha256: Digest of the first prompt's logits; `None` where it is not known.
        token_ids: The first prompt's greedy tokens; empty where they are not known.
        text_sha256: Digest of the first prompt's text; `None` where its tokens are known, or nothing is.
        device: Part of the name of the device that a published value holds for; `None` for any.
        other_driver: The harness that a published value was measured by, where the case has another.
    """

    form: Literal["two_sample", "one_sample", "paired"]
    name: str
    sessions: tuple[dict[str, tuple[float, ...]], ...]
    harness: Sha256 | None = None
    method: Sha256 | None = None
    model_digest: Sha256 | None = None
    toolchain_fingerprint: Sha256 | None = None
    build: BuildFacts | None = None
    earlier: dict[str, Prior] = {}
    logits_sha256: Sha256 | None = None
    token_ids: tuple[int, ...] = ()
    text_sha256: Sha256 | None = None
    device: str | None = None
    other_driver: str | None = None

    def values(self, metric: str) -> list[tuple[float, ...]]:
        """The metric's replicates, one entry per session that has it."""
        return [session[metric] for session in self.sessions if session.get(metric)]


class CheckReport(Stored, frozen=True):
    """All verdicts about one record; stands beside it in the history.

    Attributes:
        schema: Version of this shape.
        record: The record's id.
        runner: The record's runner.
        toolchain: Name of the toolchain the verdicts are about.
        baseline: Name of the baseline file.
        against: `stored` where the baseline's own references were used, `measured` where its toolchain was measured
            side by side with the candidate, if only for some of the cases.
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
        return max((verdict.outcome for verdict in self.verdicts), key=SEVERITY.index)

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

    def changed(self) -> set[str]:
        """Keys of the cases of which the rule calls a metric changed by the stored replicates."""
        return {
            verdict.case
            for verdict in self.verdicts
            if verdict.decision
            and verdict.decision.form == "two_sample"
            and verdict.decision.outcome in ("regressed", "improved")
        }

    def wanted(self, case: str) -> int:
        """Further replicates of a case that would let the rule go on; 0 where all is decided."""
        return max((verdict.more for verdict in self.verdicts if verdict.case == case), default=0)


def missing(case: str, reason: Reason, text: str, metric: str | None = None) -> Verdict:
    """The verdict that there is nothing to compare, and why."""
    return Verdict(case=case, outcome="missing", reason=reason, text=text, metric=metric)


def broken(case: str, failure: Failure) -> Verdict:
    """The verdict that a case does not build, load or run."""
    return Verdict(
        case=case,
        outcome="broken",
        reason="does_not_run" if failure.was_built else "does_not_build",
        text=f"{failure.stage} failed ({failure.how}): {failure.cause}",
        failure=failure,
    )
