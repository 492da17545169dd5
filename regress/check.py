"""The check stage: a record against a baseline, as a pure function."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from regress.answers import Limits, judge_answers
from regress.baseline import references_of
from regress.comparable import Circumstances, incomparable
from regress.gates import GATES, judge_build, judge_findings
from regress.guard import remark, surrender
from regress.judge import decide, judge_speed, measured_roofline, same_build
from regress.metric import METRICS
from regress.record import digest
from regress.rule import ALPHA_PASS_AGAIN
from regress.verdict import SCHEMA, CheckReport, Verdict, broken, missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.baseline import Baseline, Case
    from regress.decision import Decision
    from regress.record import CaseResult, Failure, Record
    from regress.rule import Parameters
    from regress.verdict import Agreement, Reference


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What was measured side by side with the candidate.

    Attributes:
        record: The record; the last replicates of both are of the last block.
        stands_in: Whether it is the baseline's own build measured again: then it stands in for a stored reference that
            holds here only if it is the very same build. Else it is what somebody asked to compare with.
        agreements: Case key to how alike both builds answer, or why that could not be found out.
    """

    record: Record
    stands_in: bool = True
    agreements: Mapping[str, Agreement | Failure] = field(default_factory=dict)


def check(record: Record, baseline: Baseline, baseline_name: str, beside: Beside | None = None) -> CheckReport:
    """Every verdict about a record.

    Args:
        record: What was measured.
        baseline: Cases, tolerances and stored references.
        baseline_name: The baseline file's name, for the report.
        beside: What was measured side by side with it. Where stored references hold for this machine, too, it tells a
            change of the machine from one of the code.
    """
    asked = _Asked(record=record, baseline=baseline, stored=baseline.references(), beside=beside)
    verdicts = [verdict for case in baseline.cases for verdict in _judge_case(asked, case)]
    paired = any(verdict.decision.form == "paired" for verdict in verdicts if verdict.decision)
    return CheckReport(
        schema=SCHEMA,
        record=record.id,
        runner=record.runner,
        toolchain=record.toolchain.name,
        baseline=baseline_name,
        against="measured" if paired or (beside and not beside.stands_in) else "stored",
        reference_toolchain=beside.record.toolchain.name if beside else baseline.toolchain,
        reference_record=beside.record.id if beside else None,
        verdicts=tuple(verdicts),
    )


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """All that verdicts are made of."""

    record: Record
    baseline: Baseline
    stored: Mapping[str, Reference]
    beside: Beside | None

    def usable(self, key: str) -> Reference | None:
        """The stored replicates of a case where they hold here; `None` where they do not, or there are none."""
        stored, result = self.stored.get(key), self.record.case(key)
        if stored is None or stored.form != "two_sample" or result is None:
            return None
        return None if _incomparable(self.record, self.baseline, result, stored) else stored

    def reference(self, key: str) -> Reference | None:
        """What a case is compared with; `None` where there is nothing."""
        if self.beside is None:
            return self.stored.get(key)
        usable = self.usable(key) if self.beside.stands_in else None
        measured = references_of(self.beside.record).get(key)
        if usable is None:
            return measured
        return measured if measured and self._is_the_stored_build(key, usable) else usable

    def again(self, key: str) -> Reference | None:
        """The stored replicates that the reference of a case stands in for; `None` where it is no such one."""
        usable = self.usable(key)
        if self.beside is None or not self.beside.stands_in or usable is None:
            return None
        return usable if self._is_the_stored_build(key, usable) else None

    def _is_the_stored_build(self, key: str, stored: Reference) -> bool:
        measured = self.beside.record if self.beside else None
        result = measured.case(key) if measured else None
        return measured is not None and result is not None and same_build(stored, result, measured.toolchain)


def _judge_case(asked: _Asked, case: Case) -> list[Verdict]:
    """The verdicts on one case; a single one where there is nothing to compare."""
    record, baseline, reference = asked.record, asked.baseline, asked.reference(case.key)
    result = record.case(case.key)
    if result is None:
        return [missing(case.key, "case_vanished", "the record does not have this case")]
    if result.failure is not None:
        return [broken(case.key, result.failure)]
    given_up = _given_up(result, asked.beside)
    if reference is None:
        return [*_findings(result), given_up or _no_reference(case.key, asked.beside)]
    gates = [*_findings(result), *_build_gates(baseline, reference, result)]
    if unjudged := given_up or _incomparable(record, baseline, result, reference):
        return [*gates, unjudged]
    if not result.replicates:
        return [*gates, missing(case.key, "metric_vanished", "the record has no replicates of this case")]
    verdicts = [*gates, *_answers(asked, reference, result), *_speed(asked, case, reference, result)]
    return [_with_remark(verdict, result) for verdict in verdicts]


def _given_up(result: CaseResult, beside: Beside | None) -> Verdict | None:
    """The verdict that a device was in no state to be measured on; `None` where enough replicates could be kept."""
    compared = beside.record.case(result.key) if beside else None
    for whose, each in (("", result), ("of the reference, ", compared)):
        if each is not None and each.gave_up is not None:
            text = f"{whose}{surrender(each)}"
            return Verdict(case=result.key, outcome="inconclusive", reason=each.gave_up, text=text)
    return None


def _with_remark(verdict: Verdict, result: CaseResult) -> Verdict:
    """The verdict on a rate with how many replicates were not kept."""
    said = remark(result)
    if verdict.metric is None or not said:
        return verdict
    return msgspec.structs.replace(verdict, text=f"{verdict.text}; {said}")


def _answers(asked: _Asked, reference: Reference, result: CaseResult) -> list[Verdict]:
    limits = Limits(top1=asked.baseline.check.top1_agreement, kl_nats=asked.baseline.check.kl_nats)
    agreement = asked.beside.agreements.get(result.key) if asked.beside and reference.form == "paired" else None
    return judge_answers(reference, result, agreement, limits)


def _speed(asked: _Asked, case: Case, reference: Reference, result: CaseResult) -> list[Verdict]:
    """The verdicts on a case's rates.

    Where the reference stands in for stored replicates, a loss has a second chance to pass by luck, so that this chance
    is made small; and where the reference's own build moved, too, the verdict is about the runner.
    """
    bandwidth = asked.baseline.check.memory_bandwidth_bytes_per_s or measured_roofline(asked.record, result)
    parameters = asked.baseline.parameters(case)
    stored = asked.again(case.key) if reference.form == "paired" else None
    if stored is None or asked.beside is None:
        return judge_speed(reference, result, asked.record.toolchain, parameters, bandwidth)
    strict = {metric: replace(each, alpha_pass=ALPHA_PASS_AGAIN) for metric, each in parameters.items()}
    verdicts = judge_speed(reference, result, asked.record.toolchain, strict, bandwidth)
    again = asked.beside.record.case(case.key)
    moved = _moved(stored, again, parameters) if again else {}
    alone = result.replicates[: len(result.replicates) - len(again.replicates if again else ())]
    first = msgspec.structs.replace(result, replicates=alone)
    return [
        _about_the_runner(each, moved) if each.metric in moved else each
        for each in (_with_first(verdict, stored, first, parameters) for verdict in verdicts)
    ]


def _with_first(
    verdict: Verdict, stored: Reference, alone: CaseResult, parameters: Mapping[str, Parameters]
) -> Verdict:
    """The verdict with what the stored replicates had said before the reference was measured beside."""
    if verdict.metric is None or verdict.decision is None or not alone.values(verdict.metric):
        return verdict
    metric = METRICS[verdict.metric]
    first = decide(metric, stored, alone.values(metric.name), parameters[metric.name])
    return msgspec.structs.replace(verdict, first=first)


def judge_builds(record: Record, baseline: Baseline, baseline_name: str) -> CheckReport:
    """The verdicts that need no device: does it build, and what did the build change.

    Args:
        record: With artifacts; replicates are not asked for.
        baseline: Cases, gates and the references' builds.
        baseline_name: The baseline file's name, for the report.
    """
    references = baseline.references()
    verdicts = [
        verdict for case in baseline.cases for verdict in _judge_build_alone(record, baseline, case.key, references)
    ]
    return CheckReport(
        schema=SCHEMA,
        record=record.id,
        runner=record.runner,
        toolchain=record.toolchain.name,
        baseline=baseline_name,
        against="stored",
        reference_toolchain=baseline.toolchain,
        verdicts=tuple(verdicts),
    )


def _judge_build_alone(
    record: Record, baseline: Baseline, key: str, references: Mapping[str, Reference]
) -> list[Verdict]:
    result, reference = record.case(key), references.get(key)
    if result is None:
        return [missing(key, "case_vanished", "the record does not have this case")]
    if result.failure is not None:
        return [broken(key, result.failure)]
    gates = _build_gates(baseline, reference, result) if reference else []
    unknown = [] if gates else [missing(key, "no_reference", "the baseline knows no build of this case")]
    return [*_findings(result), *gates, *unknown]


def _findings(result: CaseResult) -> list[Verdict]:
    return judge_findings(result.key, result.artifact) if result.artifact else []


def _build_gates(baseline: Baseline, reference: Reference, result: CaseResult) -> list[Verdict]:
    other_model = result.artifact and reference.model_digest not in (None, result.artifact.model.digest)
    if reference.build is None or result.artifact is None or other_model:
        return []
    return judge_build(result.key, reference.build, result.artifact.facts, {**GATES, **baseline.gates})


def _no_reference(key: str, beside: Beside | None) -> Verdict:
    result = beside.record.case(key) if beside else None
    if beside is None or result is None or result.failure is None:
        return missing(key, "no_reference", "the baseline has no reference for this case")
    text = f"the reference toolchain {beside.record.toolchain.name} is broken here: {result.failure.cause}"
    return missing(key, "no_reference", text)


def _incomparable(record: Record, baseline: Baseline, result: CaseResult, reference: Reference) -> Verdict | None:
    """The verdict that a measured case cannot be compared with its reference; `None` where it can be."""
    measured = Circumstances(
        subject="the record",
        environment=record.environment,
        harness=record.harness_of(result),
        method=digest(record.method),
        model_digest=result.artifact.model.digest if result.artifact else None,
    )
    found = incomparable(measured, baseline, reference)
    return missing(result.key, *found) if found else None


def _moved(stored: Reference, again: CaseResult, parameters: Mapping[str, Parameters]) -> dict[str | None, float]:
    """Metric to the loss of the reference's own build against its stored runs, where that is sure and intolerable."""
    decisions = {
        name: decide(METRICS[name], stored, again.values(name), each)
        for name, each in parameters.items()
        if stored.values(name) and again.values(name)
    }
    return {
        name: decision.loss
        for name, decision in decisions.items()
        if decision.loss is not None and abs(decision.loss) > decision.tolerance and _is_sure(decision)
    }


def _is_sure(decision: Decision) -> bool:
    """Whether a change, in either direction, is larger than its error at the level of a failure."""
    if decision.loss is None or decision.low is None:
        return False
    change = -math.log1p(-decision.loss)
    return abs(change) > change + math.log1p(-decision.low)


def _about_the_runner(verdict: Verdict, moved: Mapping[str | None, float]) -> Verdict:
    """The verdict on a metric whose stored reference no longer holds on this very machine."""
    loss = moved[verdict.metric]
    text = f"the runner drifted, the reference's own build is {loss:.1%} off its stored runs; {verdict.text}"
    return msgspec.structs.replace(verdict, outcome="inconclusive", reason="runner_drifted", text=text)
