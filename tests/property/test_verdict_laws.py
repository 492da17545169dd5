"""Laws of the verdict that hold for all numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regress.metric import METRICS
from regress.verdict import judge

RATES = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=9)
TOLERANCE = st.floats(0.001, 0.5)
DECODE, LATENCY = METRICS["decode_tokens_per_s"], METRICS["time_to_first_token_s"]
GRAVITY = ["improved", "pass", "regressed"]


@given(RATES, TOLERANCE)
def test_the_same_values_pass(values: list[float], tolerance: float) -> None:
    """A record against itself has lost nothing."""
    verdict = judge("c", DECODE, values, values, tolerance)
    assert (verdict.outcome, verdict.loss) == ("pass", 0)


@given(RATES, RATES, TOLERANCE, st.floats(0.01, 1))
def test_a_slower_candidate_is_never_judged_better(
    baseline: list[float], candidate: list[float], tolerance: float, factor: float
) -> None:
    """Monotone in the loss."""
    before = judge("c", DECODE, baseline, candidate, tolerance)
    after = judge("c", DECODE, baseline, [value * factor for value in candidate], tolerance)
    assert GRAVITY.index(after.outcome) >= GRAVITY.index(before.outcome)


@given(RATES, RATES, TOLERANCE)
def test_the_order_of_replicates_does_not_matter(
    baseline: list[float], candidate: list[float], tolerance: float
) -> None:
    """A median has no order."""
    one = judge("c", DECODE, baseline, candidate, tolerance)
    other = judge("c", DECODE, baseline[::-1], sorted(candidate), tolerance)
    assert (one.outcome, one.loss) == (other.outcome, other.loss)


@given(RATES, RATES)
def test_a_gain_of_one_direction_is_a_loss_of_the_other(baseline: list[float], candidate: list[float]) -> None:
    """The direction of a metric turns the sign and nothing else."""
    up = judge("c", DECODE, baseline, candidate, 0.1).loss
    down = judge("c", LATENCY, baseline, candidate, 0.1).loss
    assert up is not None
    assert down is not None
    assert up == -down
