"""From what was measured to verdicts: one case of a record against its reference, as pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.decision import against_published, against_runs, side_by_side
from regress.metric import METRICS, Direction
from regress.sentence import sentence
from regress.verdict import Verdict, missing, spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regress.decision import Decision
    from regress.metric import Metric
    from regress.record import CaseResult, Record, Toolchain
    from regress.rule import Parameters
    from regress.verdict import Reason, Reference

_READ_SHARE = 0.9
"""Of the parameters, what a decode step reads at least: all but the embedding table, of which it reads one row."""

_COPY_MARGIN = 1.1
"""Times the bandwidth of a copy, what reads alone move at most: a copy also turns the bus around to write."""


def judge_speed(
    reference: Reference,
    result: CaseResult,
    toolchain: Toolchain,
    parameters: Mapping[str, Parameters],
    bandwidth: float | None = None,
) -> list[Verdict]:
    """The verdicts on a case's rates, one per metric with a tolerance.

    Args:
        reference: What to compare with.
        result: What was measured: at least one replicate.
        toolchain: What it was measured with.
        parameters: Metric to what its verdict is asked with.
        bandwidth: What the device's memory moves at best, in bytes/s; `None` where it is not known.
    """
    if doubt := _doubtful(result):
        reason, text = doubt
        return [Verdict(case=result.key, outcome="inconclusive", reason=reason, text=text)]
    identical = same_build(reference, result, toolchain)
    return [
        _above_roofline(METRICS[name], result, bandwidth)
        or _judge_metric(METRICS[name], reference, result, asked, identical=identical)
        for name, asked in parameters.items()
    ]


def measured_roofline(record: Record, result: CaseResult) -> float | None:
    """What the memory of a case's device moves at best, by what its session measured, in bytes/s.

    `None` where nothing was measured, and for a processor: a small model is read from its caches, which are faster.
    """
    measured = record.memory_bandwidth_bytes_per_s
    if measured is None or result.artifact is None or not result.artifact.target.startswith("cuda"):
        return None
    return measured * _COPY_MARGIN


def same_build(reference: Reference, result: CaseResult, toolchain: Toolchain) -> bool:
    """Whether both sides are byte for byte the same, library, parameters and runtime: a difference is noise then."""
    artifact, build = result.artifact, reference.build
    return (
        artifact is not None
        and build is not None
        and artifact.model_lib_sha256 == build.model_lib_sha256
        and artifact.param_bytes == build.param_bytes
        and artifact.model.digest == reference.model_digest
        and toolchain.fingerprint == reference.toolchain_fingerprint
    )


def _doubtful(result: CaseResult) -> tuple[Reason, str] | None:
    """Why the replicates as a whole are not to be judged; `None` where they are."""
    starts = [replicate.started_at for replicate in result.replicates]
    if len(set(starts)) < len(starts):
        return "duplicate_runs", "a replicate stands twice in the record"
    if starts != sorted(starts):
        return "clock_went_back", "the clock went backwards between replicates: what ran when is not known"
    return None


def _above_roofline(metric: Metric, result: CaseResult, bandwidth: float | None) -> Verdict | None:
    """The verdict that a decode rate cannot be: each step reads the parameters once from the device's memory."""
    if bandwidth is None or metric.name != "decode_tokens_per_s" or result.artifact is None:
        return None
    limit = bandwidth / (result.artifact.param_bytes * _READ_SHARE)
    fastest = max(result.values(metric.name), default=0.0)
    if fastest <= limit:
        return None
    text = f"{metric.label.lower()}: {fastest:,.1f} {metric.unit} is beyond the {limit:,.1f} that the memory allows"
    return Verdict(case=result.key, outcome="inconclusive", reason="above_roofline", text=text, metric=metric.name)


def _judge_metric(
    metric: Metric, reference: Reference, result: CaseResult, parameters: Parameters, *, identical: bool
) -> Verdict:
    baseline, candidate = reference.values(metric.name), result.values(metric.name)
    if not baseline:
        return missing(result.key, "no_reference", f"the reference has no {metric.name}", metric.name)
    if len(candidate) < len(result.replicates):
        text = f"{len(candidate)} of {len(result.replicates)} replicates in the record have {metric.name}"
        return missing(result.key, "metric_vanished", text, metric.name)
    decision = decide(metric, reference, candidate, parameters)
    noise = identical and decision.outcome in ("regressed", "improved")
    text = sentence(metric, decision)
    return Verdict(
        case=result.key,
        outcome="inconclusive" if noise else decision.outcome,
        reason="identical_build" if noise else decision.reason,
        text=f"{text}; both builds are the same byte for byte, so this is noise" if noise else text,
        metric=metric.name,
        baseline=spread([value for session in baseline for value in session]),
        candidate=spread(_looked_at(candidate, decision)),
        loss=decision.loss,
        tolerance=decision.tolerance,
        decision=decision,
        identical=identical,
    )


def _looked_at(candidate: Sequence[float], decision: Decision) -> Sequence[float]:
    """The values that decided: side by side the last ones, else the first ones; all where none did."""
    if decision.form == "paired":
        return candidate[len(candidate) - decision.baseline_replicates :]
    return candidate[: decision.replicates + decision.confirming] if decision.replicates else candidate


def decide(metric: Metric, reference: Reference, candidate: Sequence[float], parameters: Parameters) -> Decision:
    """What the rule says of a metric, in the form that its reference allows."""
    higher = metric.better is Direction.HIGHER
    sessions = reference.values(metric.name)
    if reference.form == "paired":
        return side_by_side(sessions[0], candidate, parameters, higher_is_better=higher)
    if reference.form == "one_sample":
        return against_published(sessions[0][0], candidate, parameters, higher_is_better=higher)
    prior = reference.earlier.get(metric.name)
    return against_runs(sessions, candidate, parameters, higher_is_better=higher, prior=prior)
