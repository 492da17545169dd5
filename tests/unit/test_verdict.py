"""Verdicts: what is judged, what is missing, what is broken, and the exit code of all of it."""

from __future__ import annotations

import pytest
from factories import CASE, TOLERANCES, make_broken, make_case, make_record, make_reference, make_report

from regress.metric import METRICS
from regress.verdict import judge, judge_case, spread

DECODE = METRICS["decode_tokens_per_s"]


@pytest.mark.parametrize(
    ("candidate", "outcome", "loss"),
    [
        ((100, 101, 99), "pass", 0.0),
        ((95, 95, 95), "pass", 0.05),
        ((94, 94, 94), "regressed", 0.06),
        ((106, 106, 106), "improved", -0.06),
        # One disturbed replicate of three does not move a median.
        ((100, 50, 100), "pass", 0.0),
    ],
)
def test_the_median_decides(candidate: tuple[float, ...], outcome: str, loss: float) -> None:
    """A loss beyond the tolerance fails; a loss of exactly the tolerance passes."""
    verdict = judge(CASE, DECODE, (100, 102, 98), candidate, 0.05)
    assert verdict.outcome == outcome
    assert verdict.loss == pytest.approx(loss)


def test_a_lower_metric_is_judged_the_other_way() -> None:
    """A time that grows by 10 % is a regression."""
    assert judge(CASE, METRICS["time_to_first_token_s"], (1.0,), (1.1,), 0.05).outcome == "regressed"


def test_the_spread_is_the_range_over_the_median() -> None:
    """(110 - 90) / 100."""
    assert spread((90, 100, 110)).relative_range == pytest.approx(0.2)


def test_every_metric_with_a_tolerance_is_judged() -> None:
    """One verdict per metric, in the tolerances' order."""
    case = make_case()
    verdicts = judge_case(CASE, make_reference(make_record(case)), case, TOLERANCES)
    assert [(verdict.metric, verdict.outcome) for verdict in verdicts] == [
        ("prefill_tokens_per_s", "pass"),
        ("decode_tokens_per_s", "pass"),
    ]


def test_a_vanished_case_is_missing() -> None:
    """A case that the record does not have is never green."""
    (verdict,) = judge_case(CASE, make_reference(make_record()), None, TOLERANCES)
    assert (verdict.outcome, verdict.reason) == ("missing", "case_vanished")


def test_a_vanished_metric_is_missing() -> None:
    """A metric with a tolerance that the record does not have is never green."""
    verdicts = judge_case(CASE, make_reference(make_record()), make_case(), {"energy_per_token_j": 0.1})
    assert verdicts[0].reason == "no_reference"
    reference = make_reference(make_record())
    assert reference is not None
    (verdict,) = judge_case(CASE, reference, make_case(replicates=()), {"decode_tokens_per_s": 0.1})
    assert (verdict.outcome, verdict.reason) == ("missing", "metric_vanished")


def test_a_case_without_reference_is_missing() -> None:
    """Nothing to compare with is not a pass."""
    (verdict,) = judge_case(CASE, None, make_case(), TOLERANCES)
    assert (verdict.outcome, verdict.reason) == ("missing", "no_reference")


def test_a_broken_case_carries_its_failure() -> None:
    """The verdict says stage, end and cause."""
    (verdict,) = judge_case(CASE, make_reference(make_record()), make_broken(), TOLERANCES)
    assert (verdict.outcome, verdict.reason) == ("broken", "does_not_build")
    assert verdict.text == "build failed (killed by SIGSEGV): tvm::s_tir::Tensorize -> tvm::ffi::ToJSONGraph"


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (make_case(), 0),
        (make_case(decode=(60.0, 60.0, 60.0)), 0),
        (make_case(decode=(40.0, 40.0, 40.0)), 1),
        (make_broken(), 5),
        (make_broken(stage="toolchain"), 5),
        (make_broken(stage="bench"), 6),
    ],
)
def test_the_exit_code_says_the_gravest_verdict(case: object, code: int) -> None:
    """Regressed, broken build, broken run and pass each have their own."""
    record = make_record(case)  # type: ignore[arg-type]
    assert make_report(record, make_record()).exit_code == code


def test_a_missing_case_beside_a_good_one_is_not_green() -> None:
    """Nothing was lost where it was measured, but not all was measured."""
    other = "tiny/q4f16_1/llvm/p128+16"
    report = make_report(make_record(), make_record(make_case(), make_case(other)))
    assert (report.outcome, report.exit_code) == ("missing", 8)


def test_a_regression_outweighs_a_broken_case() -> None:
    """What is known to be slower is said first."""
    other = "tiny/q4f16_1/llvm/p128+16"
    record = make_record(make_case(decode=(40.0, 40.0, 40.0)), make_broken(other))
    assert make_report(record, make_record(make_case(), make_case(other))).exit_code == 1
