"""Laws of the rule that hold for all numbers."""

from __future__ import annotations

import itertools
import math
import statistics

from hypothesis import assume, given
from hypothesis import strategies as st

from regress.decision import Decision, against_published, against_runs, side_by_side
from regress.rule import LOOKS, Parameters
from regress.stats import SMALLEST_SD

RATE = st.floats(50, 200)
SCATTER = st.floats(-0.02, 0.02).map(lambda each: 100 * math.exp(each))
SESSIONS = st.lists(st.lists(SCATTER, min_size=2, max_size=5), min_size=2, max_size=4)
"""Replicates as a machine gives them: within 4 %, so that every outcome occurs."""
NEAR = st.lists(st.floats(-0.02, 0.02), min_size=3, max_size=15)
LEVEL = st.floats(-0.3, 0.3)
ASKED = st.builds(
    Parameters, tolerance=st.floats(0.01, 0.3), budget=st.sampled_from([3, 5, 8, 12]), checks=st.integers(1, 50)
)
ANY = st.one_of(RATE, st.sampled_from([0.0, -1.0, math.nan, math.inf, -math.inf, 1e-300, 1e300]))


def calm(near: list[float], level: float) -> list[float]:
    """A candidate around a level, given as logarithms beside 100."""
    return [100 * math.exp(each + level) for each in near]


def decide(sessions: list[list[float]], candidate: list[float], asked: Parameters, *, higher: bool = True) -> Decision:
    return against_runs(sessions, candidate, asked, higher_is_better=higher)


@given(SESSIONS, NEAR, LEVEL, st.floats(0, 0.5), ASKED)
def test_more_loss_is_never_judged_better(
    sessions: list[list[float]], near: list[float], level: float, further: float, asked: Parameters
) -> None:
    """Monotone: what was red does not turn green, and what passed does not turn into a gain."""
    before = decide(sessions, calm(near, level), asked).outcome
    after = decide(sessions, calm(near, level - further), asked).outcome
    if before == "regressed":
        assert after not in ("pass", "improved")
    if before == "pass":
        assert after != "improved"


def scatters_alike(sessions: list[list[float]], near: list[float]) -> bool:
    """Whether a candidate varies, at every look, about as the baseline does: undisturbed, as the rule sees it.

    Four times the variance is well below the quantile of the F distribution from which it is called unstable.
    """
    baseline = statistics.variance(math.log(value) for value in itertools.chain(*sessions))
    return all(statistics.variance(near[:look]) <= 4 * max(baseline, SMALLEST_SD**2) for look in LOOKS)


@given(SESSIONS, NEAR, LEVEL, ASKED)
def test_a_loss_of_one_direction_is_a_gain_of_the_other(
    sessions: list[list[float]], near: list[float], level: float, asked: Parameters
) -> None:
    """Symmetric: the same numbers as a rate and as a time have opposite losses, and what is red beyond the tolerance
    in one direction is a gain in the other, unless a loss was excluded at an earlier look.

    To pass takes less than to be sure of a change, and ends the looking. And so it is only of an undisturbed candidate:
    of one that scatters far more than the baseline, the slowest replicates may be left out to see a loss, and never to
    see a gain, which passes all the same. Both differences are meant: they may delay red, and never make it green.
    """
    assume(scatters_alike(sessions, near))
    up, down = (decide(sessions, calm(near, level), asked, higher=higher) for higher in (True, False))
    if up.loss is not None and up.replicates == down.replicates:
        assert down.loss is not None
        assert math.isclose(math.log1p(-up.loss), -math.log1p(-down.loss), abs_tol=1e-12)
    if up.reason == "slower_than_tolerance":
        assert down.outcome == "improved" or (down.outcome == "pass" and down.replicates < up.replicates)
    if up.outcome == "improved":
        assert down.outcome == "regressed"


@given(SESSIONS, NEAR, LEVEL, ASKED)
def test_no_numbers_are_bad_or_good_in_both_directions(
    sessions: list[list[float]], near: list[float], level: float, asked: Parameters
) -> None:
    """However a candidate scatters: red both ways, or a gain one way that does not lose the other way, cannot be."""
    up, down = (decide(sessions, calm(near, level), asked, higher=higher) for higher in (True, False))
    if up.outcome == "regressed":
        assert down.outcome != "regressed"
    if up.outcome == "improved":
        assert down.outcome in ("regressed", "inconclusive")


@given(SESSIONS, NEAR, LEVEL, ASKED, st.floats(1e-6, 1e6))
def test_the_unit_does_not_matter(
    sessions: list[list[float]], near: list[float], level: float, asked: Parameters, unit: float
) -> None:
    """Tokens a second or a minute: all values times a constant."""
    candidate = calm(near, level)
    one = decide(sessions, candidate, asked)
    # A bound that lies on a limit to the last bit may fall on either side of it.
    assume(one.low is None or all(abs(bound - asked.tolerance) > 1e-9 for bound in (one.low, one.high or 0.0)))
    other = decide(
        [[value * unit for value in session] for session in sessions], [value * unit for value in candidate], asked
    )
    assert one.reason == other.reason
    assert math.isclose(one.loss or 0, other.loss or 0, abs_tol=1e-9)


@given(SESSIONS, NEAR, LEVEL, ASKED)
def test_a_pass_excludes_the_tolerance_and_a_failure_excludes_no_change(
    sessions: list[list[float]], near: list[float], level: float, asked: Parameters
) -> None:
    """Never green where the interval covers the tolerance, never red where it covers no loss."""
    decision = decide(sessions, calm(near, level), asked)
    if decision.outcome == "pass":
        assert decision.high is not None
        assert decision.high < asked.tolerance
    if decision.outcome == "regressed":
        assert decision.low is not None
        assert decision.low > 0


@given(st.lists(st.lists(ANY, max_size=4), max_size=4), st.lists(ANY, max_size=12), ASKED)
def test_whatever_the_numbers_are_there_is_a_verdict(
    sessions: list[list[float]], candidate: list[float], asked: Parameters
) -> None:
    """NaN, infinities, zeros, negative values, one replicate, none: never an exception, and never green."""
    decision = decide(sessions, candidate, asked)
    usable = all(math.isfinite(value) and value > 0 for value in (*itertools.chain(*sessions), *candidate))
    if not usable or len(candidate) < 3 or sum(map(len, sessions)) < 5:
        assert decision.outcome == "inconclusive"


@given(RATE, NEAR, LEVEL, ASKED)
def test_other_forms_obey_too(published: float, near: list[float], level: float, asked: Parameters) -> None:
    """A published value, and blocks side by side."""
    candidate = calm(near, level)
    steady = [published * math.exp(0.01 * math.sin(index)) for index in range(len(near))]
    for decision in (
        against_published(published, candidate, asked, higher_is_better=True),
        side_by_side(steady, candidate, asked, higher_is_better=True),
    ):
        if decision.outcome == "pass":
            assert decision.high is not None
            assert decision.high < asked.tolerance
