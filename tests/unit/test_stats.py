"""Sums of replicates, against other ways to compute them."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
from scipy import stats as reference

from regress.stats import Prior, evidence, f_quantile, t_quantile, t_tail, upper_bound

SESSIONS = [[1.0, 1.2, 1.1], [2.0, 2.2, 2.1], [3.0, 3.2, 3.1]]
VALUES = np.array([value for session in SESSIONS for value in session])
LABELS = [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_mean_and_variance_are_those_of_all_replicates() -> None:
    """Against the standard library."""
    known = evidence(VALUES, LABELS)
    assert known.mean == pytest.approx(statistics.fmean(VALUES))
    assert known.variance == pytest.approx(statistics.variance(VALUES))
    assert (known.runs, known.sessions, known.degrees) == (9, 3, 8)
    assert known.sd == pytest.approx(statistics.stdev(VALUES))


def test_the_session_variance_is_what_the_means_vary_beyond_the_replicates() -> None:
    """Means 1.1, 2.1, 3.1: variance 1, of which a third of the replicates' 0.01 is their own: 1 - .01 / 3."""
    known = evidence(VALUES, LABELS)
    assert known.session_variance == pytest.approx(1 - 0.01 / 3)
    assert known.within_variance == pytest.approx(0.01)
    assert known.sessions_differ


def test_sessions_that_do_not_differ_have_no_variance() -> None:
    """The estimate would be negative: the same three values in each session."""
    known = evidence(np.tile([1.0, 2.0, 3.0], 3), LABELS)
    assert known.session_variance == 0
    assert not known.sessions_differ


@pytest.mark.parametrize("labels", [[0] * 9, list(range(9))])
def test_one_session_or_one_run_in_each_says_nothing_of_sessions(labels: list[int]) -> None:
    """There is nothing to tell the two variances apart by."""
    assert evidence(VALUES, labels).session_variance == 0


def test_unequal_sessions_are_weighed_by_their_runs() -> None:
    """Against the sums of the textbook: n0 = (N - sum n² / N) / (k - 1) = (5 - 13 / 5) / 1 = 2.4."""
    values = np.array([1.0, 3.0, 7.0, 8.0, 9.0])
    between = 2 * (2 - 5.6) ** 2 + 3 * (8 - 5.6) ** 2  # means 2 and 8, grand mean 5.6, one degree of freedom
    within = (1 + 1 + 1 + 0 + 1) / 3
    assert evidence(values, [0, 0, 1, 1, 1]).session_variance == pytest.approx((between - within) / 2.4)


def test_a_prior_adds_its_squares_and_its_degrees() -> None:
    """Ten degrees at most, however long the earlier epoch was."""
    known = evidence(VALUES, LABELS, Prior(sd=0.5, degrees=99))
    assert known.degrees == 18
    assert known.pooled == pytest.approx(statistics.variance(VALUES) * 8 + 10 * 0.25)


def test_correlation_is_only_known_from_twenty_runs_on() -> None:
    """A steady drift correlates; fewer runs are taken as independent."""
    drift = np.arange(20.0)
    assert evidence(drift[:19], [0] * 19).correlation == 0
    assert evidence(drift, [0] * 20).correlation == pytest.approx(0.8)  # 0.85 by hand, cut to the largest believed
    residuals = np.random.default_rng(2).normal(size=40)
    centred = residuals - residuals.mean()
    expected = max((centred[1:] * centred[:-1]).sum() / (centred**2).sum(), 0)
    assert evidence(residuals, [0] * 40).correlation == pytest.approx(expected)


def test_many_checks_at_once_are_the_same_as_one_by_one() -> None:
    """The campaign and the single check share every number."""
    many = np.random.default_rng(1).normal(size=(5, 9))
    together = evidence(many, LABELS)
    for index, row in enumerate(many):
        alone = evidence(row, LABELS)
        for name in ("mean", "variance", "session_variance", "pooled"):
            assert getattr(together, name)[index] == pytest.approx(getattr(alone, name))


def test_quantiles_are_those_of_the_distributions() -> None:
    """Against scipy.stats, which regress itself does not load: it takes half a second."""
    assert t_quantile(0.999, 11.0) == pytest.approx(reference.t.ppf(0.999, 11))
    assert t_tail(np.array(2.5), 7.0) == pytest.approx(reference.t.sf(2.5, 7))
    assert f_quantile(0.9999, 2, 9) == pytest.approx(reference.f.ppf(0.9999, 2, 9))


def test_the_upper_bound_is_clopper_and_pearson() -> None:
    """No event in 300 trials: 1 - .05^(1/300), the rule of three."""
    assert upper_bound(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert upper_bound(2, 50) == pytest.approx(reference.binomtest(2, 50).proportion_ci(0.9, "exact").high)
    assert upper_bound(5, 5) == 1
