"""The check stage: a record against a baseline, as a pure function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from regress.answers import Limits, judge_answers
from regress.baseline import references_of
from regress.gates import GATES, judge_build
from regress.judge import decide, judge_speed
from regress.metric import METRICS
from regress.verdict import SCHEMA, CheckReport, Verdict, broken, missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.baseline import Baseline, Case
    from regress.record import CaseResult, Record
    from regress.verdict import Agreement, Reference


def check(
    record: Record,
    baseline: Baseline,
    baseline_name: str,
    measured: Record | None = None,
    agreements: Mapping[str, Agreement] | None = None,
) -> CheckReport:
    """Every verdict about a record.

    Args:
        record: What was measured.
        baseline: Cases, tolerances and stored references.
        baseline_name: The baseline file's name, for the report.
        measured: A record of the reference toolchain, measured side by side with `record`; the cases that it has
            replicates of are compared with these, the last of both being of the last block. Where the stored
            references hold for this machine it tells a change of the machine from one of the code.
        agreements: Case key to how alike both builds answer, where somebody compared them.
    """
    references = _references(baseline, measured)
    asked = _Asked(
        record=record,
        baseline=baseline,
        references=references,
        measured=measured,
        agreements=agreements or {},
    )
    verdicts = [verdict for case in baseline.cases for verdict in _judge_case(asked, case)]
    return CheckReport(
        schema=SCHEMA,
        record=record.id,
        runner=record.runner,
        toolchain=record.toolchain.name,
        baseline=baseline_name,
        against="measured" if any(each.form == "paired" for each in references.values()) else "stored",
        reference_toolchain=measured.toolchain.name if measured else baseline.toolchain,
        reference_record=measured.id if measured else None,
        verdicts=tuple(verdicts),
    )


def _references(baseline: Baseline, measured: Record | None) -> dict[str, Reference]:
    """Case key to what it is compared with: what was measured beside it, else what is stored.

    A case that the reference toolchain broke at has no reference: what is stored says nothing of why it does here.
    """
    if measured is None:
        return baseline.references()
    failed = {case.key for case in measured.cases if case.failure}
    stored = {key: reference for key, reference in baseline.references().items() if key not in failed}
    return {**stored, **references_of(measured)}


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """All that verdicts are made of."""

    record: Record
    baseline: Baseline
    references: Mapping[str, Reference]
    measured: Record | None
    agreements: Mapping[str, Agreement]


def _judge_case(asked: _Asked, case: Case) -> list[Verdict]:
    """The verdicts on one case; a single one where there is nothing to compare."""
    record, baseline, reference = asked.record, asked.baseline, asked.references.get(case.key)
    result = record.case(case.key)
    if result is None:
        return [missing(case.key, "case_vanished", "the record does not have this case")]
    if result.failure is not None:
        return [broken(case.key, result.failure)]
    if reference is None:
        return [_no_reference(case.key, asked.measured)]
    gates = _build_gates(baseline, reference, result)
    if incomparable := _incomparable(record, baseline, result, reference):
        return [*gates, incomparable]
    if not result.replicates:
        return [*gates, missing(case.key, "metric_vanished", "the record has no replicates of this case")]
    answers = _answers(baseline, reference, result, asked.agreements.get(case.key))
    return [*gates, *answers, *_speed(asked, case, reference, result)]


def _speed(asked: _Asked, case: Case, reference: Reference, result: CaseResult) -> list[Verdict]:
    """The verdicts on a case's rates; about the runner where the reference's own build moved, too."""
    bandwidth = asked.baseline.check.memory_bandwidth_bytes_per_s
    parameters = asked.baseline.parameters(case)
    verdicts = judge_speed(reference, result, asked.record.toolchain, parameters, bandwidth)
    moved = _moved(asked.baseline, case, asked.measured) if asked.measured else {}
    return [
        _about_the_runner(verdict, moved[verdict.metric]) if verdict.metric in moved else verdict
        for verdict in verdicts
    ]


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
    return gates or [missing(key, "no_reference", "the baseline knows no build of this case")]


def _build_gates(baseline: Baseline, reference: Reference, result: CaseResult) -> list[Verdict]:
    if reference.build is None or result.artifact is None:
        return []
    return judge_build(result.key, reference.build, result.artifact.facts, {**GATES, **baseline.gates})


def _answers(
    baseline: Baseline, reference: Reference, result: CaseResult, agreement: Agreement | None
) -> list[Verdict]:
    limits = Limits(top1=baseline.check.top1_agreement, kl_nats=baseline.check.kl_nats)
    return judge_answers(result.key, reference, result.replicates[0], agreement, limits)


def _no_reference(key: str, measured: Record | None) -> Verdict:
    result = measured.case(key) if measured else None
    if measured is None or result is None or result.failure is None:
        return missing(key, "no_reference", "the baseline has no reference for this case")
    text = f"the reference toolchain {measured.toolchain.name} is broken here: {result.failure.cause}"
    return missing(key, "no_reference", text)


def _incomparable(record: Record, baseline: Baseline, result: CaseResult, reference: Reference) -> Verdict | None:
    """The verdict that a measured case cannot be compared with its reference; `None` where it can be."""
    key = result.key
    if reference.form == "two_sample" and not _same_machine(record, baseline):
        described = baseline.environment.device if baseline.environment else "no machine"
        text = f"{baseline.runner}'s references are of {described}, the record is of {record.environment.device}"
        return missing(key, "other_environment", f"{text} with another configuration")
    if reference.device is not None and reference.device not in record.environment.device:
        text = f"the published rates are of {reference.device}, the record is of {record.environment.device}"
        return missing(key, "other_environment", text)
    if reference.harness not in (None, record.harness):
        return missing(key, "other_harness", "the reference was measured by another version of the bench worker")
    if result.artifact and reference.model_digest not in (None, result.artifact.model.digest):
        return missing(key, "other_model", "the reference is of other weights under the same name")
    return None


def _same_machine(record: Record, baseline: Baseline) -> bool:
    expected = baseline.environment
    return expected is not None and expected.fingerprint == record.environment.fingerprint


def _moved(baseline: Baseline, case: Case, measured: Record) -> dict[str | None, float]:
    """Metric to the loss of the reference's own build against its stored runs, where it moved beyond the tolerance."""
    stored, result = baseline.references().get(case.key), measured.case(case.key)
    if stored is None or result is None or _incomparable(measured, baseline, result, stored):
        return {}
    if stored.toolchain_fingerprint != measured.toolchain.fingerprint:
        return {}
    decisions = {
        name: decide(METRICS[name], stored, result.values(name), parameters)
        for name, parameters in baseline.parameters(case).items()
        if stored.values(name) and result.values(name)
    }
    return {
        name: decision.loss
        for name, decision in decisions.items()
        if decision.loss is not None and decision.outcome != "pass" and abs(decision.loss) > decision.tolerance
    }


def _about_the_runner(verdict: Verdict, loss: float) -> Verdict:
    """The verdict on a metric whose stored reference no longer holds on this very machine."""
    text = (
        f"the runner drifted: the reference's own build is {loss:.1%} off its stored runs; side by side, {verdict.text}"
    )
    return msgspec.structs.replace(verdict, outcome="inconclusive", reason="runner_drifted", text=text)
