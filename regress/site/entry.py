"""What a site is made of: stored records, and what was said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regress.record import Record
    from regress.verdict import CheckReport, Verdict


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One stored record and the verdicts about it.

    Attributes:
        record: What was measured.
        report: The verdicts; `None` where the record was never judged, as a reference is not.
    """

    record: Record
    report: CheckReport | None

    def verdicts(self, case: str) -> tuple[Verdict, ...]:
        """The verdicts on that case, in the report's order; empty where there are none."""
        return tuple(verdict for verdict in self.report.verdicts if verdict.case == case) if self.report else ()
