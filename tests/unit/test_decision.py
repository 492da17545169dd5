"""One check's decision: what ends it, with which numbers."""

from __future__ import annotations

import math
import statistics
from time import perf_counter

import pytest
from scipy import stats as reference

from regress.decision import (
    Decision,
    against_published,
    against_runs,
    known_spread,
    runs_needed,
    side_by_side,
    visible_loss,
)
from regress.rule import Parameters
from regress.stats import Prior

SESSIONS = [[100.0, 101.0, 100.5], [99.8, 100.2, 100.7], [100.1, 99.9, 100.4, 100.3]]
BASELINE = [value for session in SESSIONS for value in session]
ASKED = Parameters(tolerance=0.05)


def decided(*candidate: float, **changes: object) -> Decision:
    given = {"higher_is_better": True, **changes}
    return against_runs(SESSIONS, candidate, ASKED, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("candidate", "outcome", "reason"),
    [
        ((100, 100.3, 99.9), "pass", "within_tolerance"),
        ((97, 97.2, 97.1), "pass", "measurably_slower_inside_tolerance"),
        ((90, 90.2, 90.1), "inconclusive", "needs_more_replicates"),
        ((90, 90.2, 90.1, 90.3, 90, 90.1), "regressed", "slower_than_tolerance"),
        ((110, 110.3, 110.1, 110, 110.2, 110.1), "improved", "faster_than_tolerance"),
        # A disturbed host: three slow runs, then normal ones.
        ((50, 50.2, 50.1, 100, 100.2, 100.1), "inconclusive", "not_confirmed"),
        # Two disturbed runs of eight scatter as no baseline run does, and the rest is no slower than the tolerance.
        ((50, 98.1, 60, 98.2, 98.1, 98, 98.2, 98.1), "inconclusive", "unstable_host"),
        # Where the rest is slower than the tolerance, one disturbed run does not hide it.
        ((50, 90.1, 90, 90.2, 90.1, 90, 90.2, 90.1), "regressed", "slower_than_tolerance"),
        ((100.0, 100.0, 100.0), "inconclusive", "needs_more_replicates"),
        ((100.0,) * 8, "inconclusive", "no_variance"),
        # Roundings of one value: 100 and the next two numbers that a double can hold.
        ((100.0, 100.00000000000001, 100.00000000000003) * 3, "inconclusive", "no_variance"),
        ((100.0,), "inconclusive", "needs_more_replicates"),
        ((), "inconclusive", "needs_more_replicates"),
        ((math.nan, 100, 100), "inconclusive", "impossible_value"),
        ((math.inf, 100, 100), "inconclusive", "impossible_value"),
        ((-100, 100, 100), "inconclusive", "impossible_value"),
        ((0, 100, 100), "inconclusive", "impossible_value"),
        ((100_000, 101_000, 100_500), "inconclusive", "mixed_units"),
        ((0.1, 0.101, 0.1005), "inconclusive", "mixed_units"),
    ],
)
def test_each_kind_of_candidate_has_its_verdict(candidate: tuple[float, ...], outcome: str, reason: str) -> None:
    """Good and bad input alike."""
    decision = decided(*candidate)
    assert (decision.outcome, decision.reason) == (outcome, reason)


def test_a_decision_carries_the_numbers_that_led_to_it() -> None:
    """Recomputed with the standard library and scipy.stats; the sessions do not differ here."""
    candidate = [97.0, 97.2, 97.1]
    decision = decided(*candidate)
    base, new = ([math.log(value) for value in side] for side in (BASELINE, candidate))
    change = statistics.fmean(base) - statistics.fmean(new)
    squares = statistics.variance(base) * 9 + statistics.variance(new) * 2
    error = math.sqrt(squares / 11 * (1 / 10 + 1 / 3))
    first_of_three = 1 / 6  # weights 1, 2, 3 of 6
    fail = reference.t.ppf(1 - 0.001 * first_of_three, 11) * error
    passing = reference.t.ppf(1 - 0.03 * first_of_three, 11) * error
    assert decision.session_sd == 0
    assert decision.loss == pytest.approx(1 - math.exp(-change))
    assert decision.low == pytest.approx(1 - math.exp(-(change - fail)))
    assert decision.high == pytest.approx(1 - math.exp(-(change + passing)))
    assert decision.p_value == pytest.approx(reference.t.sf(change / error, 11))
    assert decision.sd == pytest.approx(statistics.stdev(base))
    assert (decision.replicates, decision.confirming, decision.baseline_replicates, decision.sessions) == (3, 0, 10, 3)


def test_the_smallest_visible_loss_is_margin_and_both_quantiles() -> None:
    """At the last look of three, with eight replicates: 1 - exp(-(margin + (t + t) * error))."""
    base = [math.log(value) for value in BASELINE]
    error = statistics.stdev(base) * math.sqrt(1 / 10 + 1 / 8)
    quantiles = reference.t.ppf(1 - 0.001 / 2, 16) + reference.t.ppf(0.95, 16)
    expected = 1 - math.exp(-(-math.log(0.99) + quantiles * error))
    assert decided(100, 101, 100).visible_loss == pytest.approx(expected)


def test_a_time_is_judged_the_other_way() -> None:
    """A time that falls is a gain, and one that rises a loss of the rate."""
    slow = [value * 1.1 for value in (100.0, 100.2, 100.1, 100, 100.3, 100.1)]
    assert decided(*slow, higher_is_better=False).outcome == "regressed"
    assert decided(*slow).outcome == "improved"


def test_a_loss_near_the_tolerance_is_decided_by_the_last_look() -> None:
    """4.8 %: surely slower, and 5 % never excluded. It fails at the last look, if it is shown again, and not before."""
    near = [95.2, 95.8, 95.3, 95.7, 95.4, 95.6, 95.2, 95.8]
    for count, more in ((3, 2), (5, 3), (8, 3)):
        open_end = decided(*near[:count])
        assert (open_end.reason, open_end.more) == ("needs_more_replicates", more)
    failed = decided(*near, 95.4, 95.6, 95.5)
    assert (failed.outcome, failed.reason) == ("regressed", "measurably_slower_tolerance_not_excluded")
    assert (failed.replicates, failed.confirming) == (8, 3)
    assert decided(*near, 100.1, 100.0, 100.2).reason == "not_confirmed"


@pytest.mark.parametrize(
    ("sessions", "reason"),
    [
        ([[100.0, 101.0], [99.0, 100.0]], "too_few_baseline_runs"),
        ([[100.0] * 5, [100.0] * 5], "no_variance"),
        ([[100.0] * 5, [100.00000000000001] * 5], "no_variance"),
        ([[100.0, math.nan, 101.0, 99.0, 100.0]], "impossible_value"),
        ([], "too_few_baseline_runs"),
    ],
)
def test_a_baseline_that_says_nothing_of_noise_decides_nothing(sessions: list[list[float]], reason: str) -> None:
    """Neither pass nor fail."""
    decision = against_runs(sessions, (100, 101, 99), ASKED, higher_is_better=True)
    assert (decision.outcome, decision.reason, decision.loss) == ("inconclusive", reason, None)


def test_noise_beyond_the_tolerance_is_said_with_what_would_help() -> None:
    """Replicates 5 % apart cannot show 5 % in eight; the smallest visible loss says so beside the verdict."""
    noisy = [[90.0, 110.0, 95.0], [105.0, 100.0, 92.0], [108.0, 98.0, 103.0, 97.0]]
    decision = against_runs(noisy, (94, 106, 99, 101, 96, 104, 93, 107), ASKED, higher_is_better=True)
    assert decision.reason == "too_noisy"
    assert decision.visible_loss is not None
    assert decision.visible_loss > 0.05


def test_sessions_that_differ_widen_the_interval() -> None:
    """The same replicates, sorted into sessions of their own level, promise less."""
    mixed = [[98.0, 102.0, 100.0], [102.0, 100.0, 98.0], [100.0, 98.0, 102.0, 100.5]]
    sorted_ones = [[98.0, 98.0, 98.5], [100.0, 100.0, 100.5], [102.0, 102.0, 102.0, 101.5]]
    one, other = (visible_loss(known_spread(each, higher_is_better=True), ASKED) for each in (mixed, sorted_ones))
    assert other > 1.5 * one


def test_an_earlier_epoch_lends_its_spread() -> None:
    """A quiet stretch of ten runs is not believed alone where the key was noisy before."""
    calm = decided(100, 100.3, 99.9)
    warned = decided(100, 100.3, 99.9, prior=Prior(sd=0.02, degrees=10))
    assert calm.visible_loss is not None
    assert warned.visible_loss is not None
    assert warned.visible_loss > 2 * calm.visible_loss


def test_more_stored_runs_are_asked_for_where_they_help() -> None:
    """The number of runs that is named is enough, and one less is not."""
    noisy = [[98.0, 102.0, 99.0], [101.5, 100.0, 98.5], [102.0, 99.5, 101.0, 99.0]]
    known = known_spread(noisy, higher_is_better=True)
    asked = Parameters(tolerance=0.045)
    needed = runs_needed(known, asked)
    assert visible_loss(known, asked) > 0.045
    assert needed is not None
    assert 10 < needed < 40
    assert runs_needed(known, Parameters(tolerance=0.01)) is None


def test_a_published_value_is_taken_as_exact() -> None:
    """A one-sample test: its interval comes from the candidate's spread alone."""
    candidate = [46.0, 46.4, 46.2]
    decision = against_published(46.9, candidate, ASKED, higher_is_better=True)
    differences = [math.log(46.9) - math.log(value) for value in candidate]
    error = statistics.stdev(differences) / math.sqrt(3)
    upper = statistics.fmean(differences) + reference.t.ppf(1 - 0.03 / 6, 2) * error
    assert (decision.form, decision.outcome, decision.baseline_replicates) == ("one_sample", "pass", 0)
    assert decision.high == pytest.approx(1 - math.exp(-upper))


def test_blocks_side_by_side_cancel_what_both_meet() -> None:
    """A host that halves its speed halfway moves both sides alike: the ratio stays."""
    reference_side = [100.0, 101.0, 50.2, 50.1]
    candidate = [99.5, 100.7, 50.1, 49.8]
    assert side_by_side(reference_side, candidate, ASKED, higher_is_better=True).outcome == "pass"
    slower = [value * 0.85 for value in candidate]
    decision = side_by_side(reference_side, slower, ASKED, higher_is_better=True)
    assert (decision.reason, decision.more) == ("needs_more_replicates", 4)
    again = side_by_side(reference_side * 2, slower * 2, ASKED, higher_is_better=True)
    assert (again.outcome, again.replicates, again.confirming) == ("regressed", 4, 4)


def test_what_was_measured_before_the_other_joined_is_left_out() -> None:
    """Three replicates of the candidate alone, then four blocks of both."""
    one = side_by_side((100, 101, 99, 100), (99, 101, 98.5, 99), ASKED, higher_is_better=True)
    other = side_by_side((100, 101, 99, 100), (7, 8, 9, 99, 101, 98.5, 99), ASKED, higher_is_better=True)
    assert one == other


def test_many_verdicts_of_one_run_share_the_chance_of_a_false_alarm() -> None:
    """With a hundred checks a failure needs ten times the evidence."""
    alone, among_many = Parameters(tolerance=0.05), Parameters(tolerance=0.05, checks=100)
    assert alone.alpha_fail == pytest.approx(0.001)
    assert among_many.alpha_fail == pytest.approx(0.0001)
    lows = [against_runs(SESSIONS, (97, 97.2, 97.1), each, higher_is_better=True).low for each in (alone, among_many)]
    assert lows[1] < lows[0]  # type: ignore[operator]


def test_a_smaller_budget_ends_earlier() -> None:
    """The budget is the last look."""
    asked = Parameters(tolerance=0.05, budget=3)
    decision = against_runs(SESSIONS, (80, 100, 118), asked, higher_is_better=True)
    assert (decision.reason, decision.more) == ("unstable_host", 0)


def test_a_decision_takes_less_than_five_milliseconds() -> None:
    """The fastest of some: a check decides after every round of replicates."""
    decided(100, 100.3, 99.9)
    spent = []
    for _ in range(20):
        started = perf_counter()
        decided(90, 90.2, 90.1, 90.3, 90, 90.1)
        spent.append(perf_counter() - started)
    assert min(spent) < 0.005
