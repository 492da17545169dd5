"""A/A calibration: what the rule says of builds that are the same, counted over the reports of a history.

Every verdict on two builds that are identical byte for byte is a check whose right answer is known. A campaign makes
many of them on purpose; the history holds more for free, wherever a rebuild gave the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.stats import upper_bound
from regress.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from regress.decision import Decision
    from regress.verdict import CheckReport, Verdict

LEVELS = (0.1, 0.05, 0.01)
"""Levels at which p-values of unchanged builds are counted."""


class Level(Stored, frozen=True):
    """How often p-values of unchanged builds fell below a level: about as often as it says, if they are honest."""

    level: float
    below: int
    share: float


class Calibration(Stored, frozen=True):
    """What the rule said of identical builds.

    Attributes:
        reports: Check reports with at least one such verdict.
        verdicts: Verdicts on metrics of identical builds.
        false_fails: Verdicts that the rule, left alone, would have called regressed.
        false_fails_bound: 95 % upper bound of their share, as if the verdicts were independent.
        first_fails: Verdicts that the stored replicates alone would have called regressed, before the reference was
            measured beside.
        false_improvements: Verdicts that it would have called improved.
        inconclusive: Verdicts that it could not decide.
        blind: Those of the inconclusive ones whose smallest visible loss exceeds the tolerance.
        inconclusive_share: Share of inconclusive verdicts.
        mean_replicates: Candidate replicates, or blocks, that a verdict took, of both stages where there were two.
        levels: Calibration of the p-values at the first look of the first stage.
    """

    reports: int
    verdicts: int
    false_fails: int
    false_fails_bound: float | None
    first_fails: int
    false_improvements: int
    inconclusive: int
    blind: int
    inconclusive_share: float | None
    mean_replicates: float | None
    levels: tuple[Level, ...]


def calibration(reports: Iterable[CheckReport]) -> Calibration:
    """Counts over the verdicts on identical builds."""
    by_report = [_identical(report) for report in reports]
    verdicts = [verdict for found in by_report for verdict in found]
    decisions = [verdict.decision for verdict in verdicts if verdict.decision]
    firsts = [first for verdict in verdicts if (first := verdict.first or verdict.decision)]
    count = len(decisions)
    fails = _count(decisions, "regressed")
    inconclusive = [decision for decision in decisions if decision.outcome == "inconclusive"]
    seen_again = [verdict.first for verdict in verdicts if verdict.first]
    used = sum(decision.replicates + decision.confirming for decision in (*decisions, *seen_again))
    return Calibration(
        reports=sum(bool(found) for found in by_report),
        verdicts=count,
        false_fails=fails,
        false_fails_bound=upper_bound(fails, count) if count else None,
        first_fails=_count(firsts, "regressed"),
        false_improvements=_count(decisions, "improved"),
        inconclusive=len(inconclusive),
        blind=sum((decision.visible_loss or 0) > decision.tolerance for decision in inconclusive),
        inconclusive_share=len(inconclusive) / count if count else None,
        mean_replicates=used / count if count else None,
        levels=tuple(_level(firsts, level) for level in LEVELS),
    )


def _identical(report: CheckReport) -> list[Verdict]:
    return [verdict for verdict in report.verdicts if verdict.identical and verdict.decision]


def _count(decisions: Sequence[Decision], outcome: str) -> int:
    return sum(decision.outcome == outcome for decision in decisions)


def _level(decisions: Sequence[Decision], level: float) -> Level:
    known = [decision.p_value for decision in decisions if decision.p_value is not None]
    below = sum(p_value < level for p_value in known)
    return Level(level=level, below=below, share=below / len(known) if known else 0.0)
