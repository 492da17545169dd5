"""Reports as a program reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from regress.delivery import Deliveries
    from regress.prospect import Prospect
    from regress.trend import TrendReport
    from regress.verdict import CheckReport


def report_json(report: CheckReport | TrendReport) -> str:
    """The report as stored, with its gravest outcome and the exit code that says it in front; ends with a newline."""
    fields = {"outcome": report.outcome, "exit_code": report.exit_code, **msgspec.to_builtins(report)}
    return msgspec.json.format(msgspec.json.encode(fields), indent=1).decode() + "\n"


def prospect_json(prospect: Prospect) -> str:
    """What a check would do, with whether it could judge and the exit code in front; ends with a newline."""
    fields = {"possible": prospect.possible, "exit_code": prospect.exit_code, **msgspec.to_builtins(prospect)}
    return msgspec.json.format(msgspec.json.encode(fields), indent=1).decode() + "\n"


def deliveries_json(deliveries: Deliveries) -> str:
    """What all runners delivered, the gravest outcome and the exit code that says it in front; ends with a newline."""
    runners = [
        {
            "runner": each.planned.runner,
            "baseline": each.planned.baseline,
            "outcome": each.state,
            "exit_code": each.exit_code,
            "note": each.note,
            "damaged": each.damaged,
            "report": each.report,
        }
        for each in deliveries.runners
    ]
    fields = {
        "outcome": deliveries.state,
        "exit_code": deliveries.exit_code,
        "runners": runners,
        "unplanned": deliveries.unplanned,
        "strays": deliveries.strays,
    }
    return msgspec.json.format(msgspec.json.encode(fields), indent=1).decode() + "\n"
