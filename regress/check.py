"""The check stage: a record against a baseline, as a pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from regress.baseline import references_of
from regress.verdict import SCHEMA, CheckReport, Verdict, judge_case, missing

if TYPE_CHECKING:
    from regress.baseline import Baseline
    from regress.record import Record
    from regress.verdict import Reference


def check(record: Record, baseline: Baseline, baseline_name: str, measured: Record | None = None) -> CheckReport:
    """Every verdict about a record.

    Args:
        record: What was measured.
        baseline: Cases, tolerances and stored references.
        baseline_name: The baseline file's name, for the report.
        measured: A record of the reference toolchain, taken beside `record` on the same machine; it is used instead
            of the stored references.
    """
    against: Literal["stored", "measured"] = "measured" if measured else "stored"
    references = references_of(measured) if measured else baseline.references()
    verdicts = [
        verdict
        for case in baseline.cases
        for verdict in _broken_reference(record, case.key, measured)
        or _incomparable(record, baseline, case.key, references.get(case.key), stored=measured is None)
        or judge_case(case.key, references.get(case.key), record.case(case.key), baseline.tolerances(case))
    ]
    return CheckReport(
        schema=SCHEMA,
        record=record.id,
        runner=record.runner,
        toolchain=record.toolchain.name,
        baseline=baseline_name,
        against=against,
        reference_toolchain=measured.toolchain.name if measured else baseline.toolchain,
        reference_record=measured.id if measured else None,
        verdicts=tuple(verdicts),
    )


def _broken_reference(record: Record, key: str, measured: Record | None) -> list[Verdict]:
    """The verdict that the reference toolchain is broken here; empty where it is not, or where the candidate is too."""
    reference, result = measured.case(key) if measured else None, record.case(key)
    if measured is None or reference is None or reference.failure is None or result is None or result.failure:
        return []
    text = f"the reference toolchain {measured.toolchain.name} is broken here: {reference.failure.cause}"
    return [missing(key, "no_reference", text)]


def _incomparable(
    record: Record, baseline: Baseline, key: str, reference: Reference | None, *, stored: bool
) -> list[Verdict]:
    """The verdict that a measured case cannot be compared with its reference; empty where it can be."""
    result = record.case(key)
    if reference is None or result is None or result.failure is not None:
        return []
    if stored and not _same_machine(record, baseline):
        described = baseline.environment.device if baseline.environment else "no machine"
        text = f"{baseline.runner}'s references are of {described}, the record is of {record.environment.device}"
        return [missing(key, "other_environment", f"{text} with another configuration")]
    if reference.harness != record.harness:
        return [missing(key, "other_harness", "the reference was measured by another version of the bench worker")]
    if result.artifact and reference.model_digest != result.artifact.model.digest:
        return [missing(key, "other_model", "the reference is of other weights under the same name")]
    return []


def _same_machine(record: Record, baseline: Baseline) -> bool:
    expected = baseline.environment
    return expected is not None and expected.fingerprint == record.environment.fingerprint
