"""Reports of verdicts: the gravest one, its exit code, and what is still wanted."""

from __future__ import annotations

import pytest
from factories import CASE, make_broken, make_case, make_record, make_report, make_verdict

from regress.decision import Decision
from regress.verdict import spread

OTHER = "tiny/q4f16_1/llvm/p128+16"


def test_the_spread_is_the_range_over_the_median() -> None:
    """(110 - 90) / 100."""
    assert spread((90, 100, 110)).relative_range == pytest.approx(0.2)


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
    report = make_report(make_record(), make_record(make_case(), make_case(OTHER)))
    assert (report.outcome, report.exit_code) == ("missing", 8)


def test_a_regression_outweighs_a_broken_case() -> None:
    """What is known to be slower is said first."""
    record = make_record(make_case(decode=(40.0, 40.0, 40.0)), make_broken(OTHER))
    assert make_report(record, make_record(make_case(), make_case(OTHER))).exit_code == 1


def test_the_most_that_any_metric_of_a_case_wants_is_wanted() -> None:
    """Decode may be decided while prefill is not; another case has wants of its own."""

    def verdict(key: str, more: int) -> object:
        decision = Decision(
            form="two_sample", outcome="inconclusive", reason="needs_more_replicates", tolerance=0.05, more=more
        )
        return make_verdict(key, "decode_tokens_per_s", (1.0,), (1.0,), 0.05, decision=decision)

    verdicts = [verdict(CASE, 0), verdict(CASE, 2), verdict(OTHER, 3)]
    report = make_report(make_record(), make_record(), verdicts=verdicts)  # type: ignore[arg-type]
    assert (report.wanted(CASE), report.wanted(OTHER), report.wanted("none")) == (2, 3, 0)
