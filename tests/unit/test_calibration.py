"""Counting what the rule says of identical builds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from factories import CASE, make_record, make_report, make_verdict

from regress.calibration import calibration
from regress.decision import Decision
from regress.report.proof import calibration_text

if TYPE_CHECKING:
    from regress.verdict import CheckReport, Verdict


def verdict(outcome: str, p_value: float, *, identical: bool = True, **changes: Any) -> Verdict:  # noqa: ANN401
    decision = Decision(
        form="two_sample",
        outcome=outcome,  # type: ignore[arg-type]
        reason="within_tolerance",
        tolerance=0.05,
        p_value=p_value,
        **{"replicates": 3, "visible_loss": 0.02, **changes},
    )
    return make_verdict(CASE, "decode_tokens_per_s", (1.0,), (1.0,), 0.05, decision=decision, identical=identical)


def report(*verdicts: Verdict) -> CheckReport:
    return make_report(make_record(), make_record(), verdicts=verdicts)


def test_only_identical_builds_count() -> None:
    """Of any other the right answer is not known."""
    found = calibration(
        [report(verdict("pass", 0.5), verdict("regressed", 0.001, identical=False)), report(verdict("pass", 0.03))]
    )
    assert (found.reports, found.verdicts, found.false_fails) == (2, 2, 0)
    assert calibration([report(verdict("pass", 0.5, identical=False))]).verdicts == 0


def test_fails_improvements_and_undecided_ones_are_counted() -> None:
    """With the rule's own word, whatever the verdict made of it; a blind check had no chance."""
    found = calibration(
        [
            report(
                verdict("pass", 0.5),
                verdict("regressed", 0.0001, confirming=3),
                verdict("improved", 0.999, confirming=3),
                verdict("inconclusive", 0.07, replicates=8),
                verdict("inconclusive", 0.2, replicates=8, visible_loss=0.3),
            )
        ]
    )
    assert (found.false_fails, found.false_improvements, found.inconclusive, found.blind) == (1, 1, 2, 1)
    assert found.inconclusive_share == pytest.approx(0.4)
    assert found.mean_replicates == pytest.approx((3 + 6 + 6 + 8 + 8) / 5)
    assert [(level.level, level.below, level.share) for level in found.levels] == [
        (0.1, 2, 0.4),
        (0.05, 1, 0.2),
        (0.01, 1, 0.2),
    ]
    assert found.false_fails_bound is not None
    assert 0.2 < found.false_fails_bound < 0.7


def test_a_first_word_that_was_taken_back_counts_too() -> None:
    """The stored replicates said slower, the comparison on the spot did not: its cost and its p-value are counted."""
    first = Decision(
        form="two_sample",
        outcome="regressed",
        reason="slower_than_tolerance",
        tolerance=0.05,
        p_value=0.0001,
        replicates=3,
        confirming=3,
    )
    taken_back = msgspec.structs.replace(verdict("pass", 0.4, replicates=4), first=first)
    found = calibration([report(taken_back)])
    assert (found.false_fails, found.first_fails, found.mean_replicates) == (0, 1, 10)
    assert [level.below for level in found.levels] == [1, 1, 1]


def test_the_text_states_the_rates_beside_each_other() -> None:
    """The inconclusive rate beside the false alarms, or that there is nothing to count."""
    text = calibration_text(calibration([report(*[verdict("pass", 0.5)] * 299, verdict("inconclusive", 0.5))]))
    assert "300 verdicts on identical builds, in 1 checks" in text
    assert "false fails         0 (95 % bound 0.99%)" in text
    assert "inconclusive        1 (0.3%)" in text
    assert calibration_text(calibration([])) == "no verdict on identical builds in this history\n"
