"""What runners deliver, for tests: a folder in the history's layout, and the plan that expects it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from factories import CASE, make_case, make_record, make_report

from regress import history
from regress.delivery import gather, parse_plan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from regress.delivery import Deliveries
    from regress.record import CaseResult, Record
    from regress.verdict import CheckReport

OTHER = "tiny/q4f16_1/llvm/p256+16"


def slow(key: str = CASE, decode: float = 40.0) -> CaseResult:
    """A case whose decode rate is 20 % below what a factory gives."""
    return make_case(key, decode=(decode, decode, decode))


def deliver(folder: Path, record: Record, report: CheckReport | None) -> Path:
    """Writes a run where it belongs; the record's path."""
    path = history.append(record, folder)
    if report:
        history.append_report(report, path)
    return path


def judged(folder: Path, record: Record, reference: Record | None = None) -> Path:
    """Writes a run that was judged by a reference of tvm-0.26.0; the record's path."""
    reference = reference or make_record(*(make_case(case.key) for case in record.cases), runner=record.runner)
    return deliver(folder, record, make_report(record, reference, against="stored"))


def plan_text(*runners: str, **more: str) -> str:
    """A plan of those runners, as `regress plan --json` prints it."""
    entries = [{"runner": each, "baseline": f"baselines/{each}.toml", "labels": ["gpu"], **more} for each in runners]
    return json.dumps({"include": entries})


def gathered(folder: Path, runners: Sequence[str]) -> Deliveries:
    """What lies in a folder, by a plan of those runners."""
    return gather(folder, parse_plan(plan_text(*runners).encode(), "plan.json"))
