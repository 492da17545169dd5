"""The peers' rules, against sums by hand and the tests of scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from regress.evaluation import peers
from regress.evaluation.steps import energy_step, median_step

GENERATOR = np.random.default_rng(7)
OLD, NEW = GENERATOR.normal(100, 1, (300, 6)), GENERATOR.normal(101, 1, (300, 5))


def test_previous_looks_at_two_runs_only() -> None:
    """111 after 100 is above 110 %, 109 is not; what was before does not matter."""
    flags = peers.previous(np.array([[50.0, 100.0], [500.0, 100.0]]), np.array([[111.0], [109.0]]), ratio=1.1)
    assert flags.tolist() == [True, False]


def test_mean_of_three_is_a_loss_of_rate() -> None:
    """1 - 300/316 = 5.06 %, 1 - 300/315 = 4.76 %: the first is above 5 %. Older runs do not count."""
    old = np.array([[900.0, 100.0, 100.0, 100.0]] * 2)
    new = np.array([[105.0, 105.0, 106.0], [105.0, 105.0, 105.0]])
    assert peers.mean_of_three(old, new, tolerance=0.05).tolist() == [True, False]


def test_fence_is_three_interquartile_ranges_above_the_third_quartile() -> None:
    """Deltas of 1 % and 2 % in turn: Q1 = 1 %, Q3 = 2 %, fence = 5 %."""
    steps = np.tile([1.01, 1.02], 15)
    old = np.concatenate([[1.0], np.cumprod(steps)])[None]
    assert peers.fence(old, old[:, -1:] * 1.051).tolist() == [True]
    assert peers.fence(old, old[:, -1:] * 1.049).tolist() == [False]


def test_one_run_limits_are_a_quantile_and_five_deviations() -> None:
    """Baseline 9, 10, 11, 10, 10: mean 10, sd .7071; t(.99, 4) = 3.747 gives 12.65, five sd give 13.54."""
    old = np.array([[9.0, 10.0, 11.0, 10.0, 10.0]] * 2)
    assert peers.t_interval(old, np.array([[12.66], [12.64]])).tolist() == [True, False]
    assert peers.z_score(old, np.array([[13.55], [13.53]])).tolist() == [True, False]


def test_welch_is_scipys() -> None:
    """Two-sided at 5 %, slower."""
    found = stats.ttest_ind(NEW, OLD, axis=1, equal_var=False)
    assert peers.welch(OLD, NEW).tolist() == ((found.pvalue < 0.05) & (found.statistic > 0)).tolist()


@pytest.mark.parametrize(("before", "after"), [(6, 5), (31, 5), (5, 5), (3, 2)])
def test_rank_sum_is_scipys_exact_test(before: int, after: int) -> None:
    """One-sided, exact; with 3 and 2 values no order is rarer than 1 in 10."""
    old, new = GENERATOR.normal(0, 1, (400, before)), GENERATOR.normal(1, 1, (400, after))
    found = stats.mannwhitneyu(new, old, axis=1, alternative="greater", method="exact")
    assert peers.rank_sum(old, new).tolist() == (found.pvalue < 0.05).tolist()


def test_perfherder_weighs_the_nearest_most() -> None:
    """t by a loop over runs: weights 1, 23/24 ... towards the past and 1, 11/12 ... towards the future."""
    old, new = GENERATOR.normal(100, 1, 31), GENERATOR.normal(104, 1, 12)
    moments = []
    for values in (old[::-1][:24], new):
        weights = [(len(values) - i) / len(values) for i in range(len(values))]
        mean = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
        moments.append((mean, sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values)))
    t = (moments[1][0] - moments[0][0]) / (moments[0][1] + moments[1][1]) ** 0.5
    assert t > 7
    assert peers.perfherder(old[None], new[None], threshold=t * 0.999).tolist() == [True]
    assert peers.perfherder(old[None], new[None], threshold=t * 1.001).tolist() == [False]


def test_perfherder_wants_two_percent() -> None:
    """A step of 1 % is no alert, however sure."""
    old, new = GENERATOR.normal(100, 0.01, (1, 31)), GENERATOR.normal(101, 0.01, (1, 12))
    assert not peers.perfherder(old, new).any()


def test_median_step_is_the_best_of_all_places() -> None:
    """Six values of 10 and five of 11, with one stray: found at 6, medians 10 and 11.

    Errors: 2 with the step, 6 without; it is better below 6 exp(-4 ln(11)/11) = 2.51.
    """
    series = np.array([[10, 10, 10, 12, 10, 10, 11, 11, 11, 11, 11.0]])
    found = median_step(series)
    assert (found.start[0], found.before[0], found.after[0], found.better[0]) == (6, 10, 11, True)
    assert not median_step(GENERATOR.normal(0, 1, (50, 11))).better.mean() > 0.2


def test_energy_step_is_the_energy_distance_of_scipy() -> None:
    """The place with the largest nm/(n + m) * energy, its two-sided p by scipy's t-test there."""
    series = np.concatenate([GENERATOR.normal(0, 1, 8), GENERATOR.normal(2, 1, 5)])

    def mean_distance(one: np.ndarray, other: np.ndarray) -> float:
        pairs = [abs(a - b) for i, a in enumerate(one) for j, b in enumerate(other) if one is not other or i != j]
        return float(np.mean(pairs))

    def energy(at: int) -> float:
        left, right = series[:at], series[at:]
        distance = 2 * mean_distance(left, right) - mean_distance(left, left) - mean_distance(right, right)
        return len(left) * len(right) / len(series) * distance

    place = max(range(2, 12), key=energy)
    found = energy_step(series[None])
    assert found.start[0] == place
    assert found.p_value[0] == pytest.approx(stats.ttest_ind(series[:place], series[place:]).pvalue)


def test_every_rule_sees_a_doubled_time_and_no_rule_a_halved_one() -> None:
    """Quiet runs, cost times two and a half: all but none are slower; the other way round nobody is."""
    old, new = GENERATOR.normal(100, 0.1, (20, 31)), GENERATOR.normal(100, 0.1, (20, 12))
    for peer in peers.PEERS:
        assert peer.slower(old, 2.5 * new[:, : peer.runs]).all(), peer.name
        assert not peer.slower(old, new[:, : peer.runs] / 2.5).any(), peer.name
