"""The check stage: a record against a baseline, as a pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from regress.baseline import references_of
from regress.verdict import SCHEMA, CheckReport, Verdict, judge_case, other_environment

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
    comparable = measured is not None or baseline.holds_for(record.environment)
    verdicts = [
        verdict
        for case in baseline.cases
        for verdict in _case(record, baseline, case.key, references.get(case.key), comparable=comparable)
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


def _case(
    record: Record, baseline: Baseline, key: str, reference: Reference | None, *, comparable: bool
) -> list[Verdict]:
    case = next(case for case in baseline.cases if case.key == key)
    result = record.case(key)
    if not comparable and result is not None and result.failure is None:
        return [other_environment(key, baseline.environment, record)]
    return judge_case(key, reference, result, baseline.tolerances(case))
