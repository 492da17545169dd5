"""From series to checks, to scores and to bars."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from regress.decision import against_runs, visible_loss
from regress.evaluation import bars, simulation
from regress.evaluation.fixed import cost
from regress.evaluation.ours import judge
from regress.evaluation.peers import PEERS
from regress.evaluation.protocol import CANDIDATES, HISTORY, Checks, sample
from regress.evaluation.scores import LOSSES, our_score, peer_score, scored
from regress.evaluation.series import Series
from regress.evaluation.shares import Share
from regress.rule import Parameters
from regress.stats import evidence

GENERATOR = np.random.default_rng(11)
AROUND = 10


def make_series(values: np.ndarray) -> Series:
    return Series(file="f.csv", key="k", speeds=values)


def make_checks(count: int, sd: float = 0.01, seed: int = 3) -> Checks:
    generator = np.random.default_rng(seed)
    return Checks(
        source="f.csv",
        protocol="made",
        baseline=generator.normal(0, sd, (count, 10)),
        candidate=generator.normal(0, sd, (count, 11)),
        sessions=(0, 0, 0, 0, 1, 1, 1, 2, 2, 2),
        fresh=11,
        sd=np.full(count, sd),
        independent=np.ones(count, bool),
    )


@pytest.mark.parametrize(("runs", "baseline", "fresh"), [(10, 5, 5), (11, 6, 5), (12, 6, 6), (37, 26, 11)])
def test_a_split_gives_half_to_the_candidate_and_uses_each_run_once(runs: int, baseline: int, fresh: int) -> None:
    """At most eleven for the candidate; the rest is baseline; only three confirming runs are drawn again."""
    (checks,) = sample([make_series(np.arange(float(runs)))], seed=1).checks
    assert checks.baseline.shape == (60, baseline)
    assert checks.candidate.shape == (60, fresh + 3)
    once = np.sort(np.concatenate([checks.baseline, checks.candidate[:, :fresh]], axis=1), axis=1)
    assert (once == np.arange(runs)).all()


def test_the_first_split_is_in_order_of_time_and_alone_independent() -> None:
    """One of sixty shares no run with another marked one."""
    (checks,) = sample([make_series(np.arange(11.0))], seed=1).checks
    assert checks.baseline[0].tolist() == [0, 1, 2, 3, 4, 5]
    assert checks.independent.sum() == 1
    assert checks.independent[0]


def test_the_seed_decides_the_splits() -> None:
    """The same seed gives the same checks, another one others."""
    series = [make_series(np.arange(11.0))]
    first, again, other = (sample(series, seed).checks[0].baseline for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_series_with_too_few_runs_are_counted() -> None:
    """Nine runs are not enough, ten are."""
    sampling = sample([make_series(np.arange(9.0)), make_series(np.arange(10.0))], seed=1)
    assert (sampling.keys, sampling.unused) == (1, 1)


def test_a_window_counts_where_the_level_around_it_is_the_same() -> None:
    """A step of 3 % within the window leaves it out; a disturbance within that ends does not."""
    size = 2 * AROUND + HISTORY + CANDIDATES
    step, disturbed = np.zeros(size), np.zeros(size)
    step[50:] = -0.03
    disturbed[45:50] = -0.3
    changed = sample([make_series(step)], seed=1)
    assert (changed.checks, changed.changed) == ((), 1)
    kept = sample([make_series(disturbed)], seed=1)
    (checks,) = kept.checks
    assert kept.changed == 0
    assert checks.baseline.tolist() == [disturbed[10:41].tolist()]
    assert checks.candidate.tolist() == [disturbed[41:53].tolist()]


def test_windows_that_share_runs_are_not_independent() -> None:
    """Windows of 43 runs every twelve: the first and, 48 later, the fifth are apart."""
    size = 2 * AROUND + HISTORY + CANDIDATES + 5 * 12
    (checks,) = sample([make_series(GENERATOR.normal(0, 0.001, size))], seed=1).checks
    assert checks.independent.tolist() == [True, False, False, False, True, False]


@pytest.mark.parametrize(("count", "of"), [(0, 6600), (3, 500), (7, 7)])
def test_the_bound_is_clopper_and_pearsons(count: int, of: int) -> None:
    """One-sided 95 %, as scipy's exact binomial interval has it."""
    expected = stats.binomtest(count, of, alternative="less").proportion_ci(0.95, method="exact").high
    assert Share(count=count, of=of).upper == pytest.approx(expected)


def test_nothing_has_no_share_and_no_bound_below_one() -> None:
    """An evaluation of no checks proves nothing."""
    assert math.isnan(Share(count=0, of=0).fraction)
    assert Share(count=0, of=0).upper == 1.0


@pytest.mark.parametrize("loss", [0.0, 0.03, 0.1])
def test_many_checks_at_once_are_decided_as_one_by_one(loss: float) -> None:
    """The outcome, the replicates used and the visible loss of `check` itself, for sixty checks."""
    checks = make_checks(60)
    judged = judge(replace(checks, candidate=checks.candidate + math.log1p(-loss)), 0.03, (0.03,))
    for row in range(60):
        rates = np.exp(checks.baseline[row])
        decision = against_runs(
            [rates[:4].tolist(), rates[4:7].tolist(), rates[7:].tolist()],
            (np.exp(checks.candidate[row]) * (1 - loss)).tolist(),
            Parameters(tolerance=0.03),
            higher_is_better=True,
        )
        assert judged.outcomes[row] == decision.outcome
        assert judged.replicates[row] == decision.replicates + decision.confirming
        known = evidence(checks.baseline[row], checks.sessions)
        assert judged.visible[row] == pytest.approx(visible_loss(known, Parameters(tolerance=0.03)))


def test_a_loss_divides_the_candidates_rate() -> None:
    """What is caught at 10 % is what is regressed when the values themselves are 10 % lower."""
    checks = make_checks(200)
    lower = replace(checks, candidate=checks.candidate + math.log(0.9))
    assert judge(checks, 0.03, (0.1,)).caught[0.1].tolist() == (judge(lower, 0.03, ()).outcomes == "regressed").tolist()


def test_a_peer_with_too_few_runs_has_no_score() -> None:
    """Ten baseline runs are not the thirty-one of a fence."""
    scores = {score.rule for score in scored([judge(make_checks(5), 0.03, LOSSES)], PEERS)}
    assert "rustc-perf fence" not in scores
    assert "Conbench z > 5" in scores


def test_a_peers_score_counts_flags() -> None:
    """One of two checks is 12 % slower than the run before: a false alarm; at 10 % both are caught."""
    checks = replace(
        make_checks(2), baseline=np.zeros((2, 10)), candidate=np.array([[-math.log(1.12)] * 11, [-0.001] * 11])
    )
    peer = next(peer for peer in PEERS if peer.name == "github-action-benchmark 110 %")
    score = peer_score(peer, checks)
    assert score is not None
    assert score.false_alarms == Share(count=1, of=2)
    assert score.caught[-1] == Share(count=2, of=2)
    assert score.mean_replicates == 1


def test_scores_of_several_shapes_add_up() -> None:
    """Counts and runs of both."""
    one, two = (our_score(judge(make_checks(count), 0.03, LOSSES)) for count in (30, 70))
    assert (one + two).false_alarms.of == 100
    assert (one + two).replicates == one.replicates + two.replicates


def test_bars_are_met_missed_or_not_measured() -> None:
    """3,000 quiet unchanged checks prove a thousandth; 100 cannot; noisy keys leave the quiet ones unmeasured."""

    def states(count: int, sd: float) -> dict[str, str]:
        judged = judge(make_checks(count, sd), 0.03, (0.03, 0.1))
        return {bar.name.split(",")[0]: bar.state for bar in bars.bars_on_series([judged])}

    quiet, few, noisy = states(3000, 0.0005), states(100, 0.0005), states(100, 0.05)
    assert set(quiet.values()) == {"met"}
    assert few["false fails on unchanged data"] == "missed"
    assert noisy["caught at 3 %"] == noisy["inconclusive at 0"] == "not measured"


def test_the_worst_spread_stands_for_a_kind_of_noise() -> None:
    """Two of a thousand are judged by their bound: above 2 per 1000."""
    bar = bars.bar_on_noise("normal", [Share(count=0, of=1000), Share(count=2, of=1000)], 0.002)
    assert bar.measured == Share(count=2, of=1000)
    assert bar.state == "missed"


def test_noise_has_the_moments_it_is_named_for() -> None:
    """Standard deviations, tails, share of disturbed runs, length of bursts and correlation, from 400,000 values."""
    generator = np.random.default_rng(5)
    drawn = {noise.name: noise.draw(generator, 20_000, 20) for noise in simulation.NOISES}
    assert drawn["normal"].std() == pytest.approx(1, abs=0.01)
    assert stats.kstest(drawn["Student's t, 3 degrees"][:, 0] * 3**0.5, "t", args=(3,)).pvalue > 0.001
    spiked = drawn["5 % spikes of 10 sd"] < -5
    assert spiked.mean() == pytest.approx(0.05, abs=0.003)
    assert (spiked[:, 1:] & spiked[:, :-1]).mean() == pytest.approx(0.0025, abs=0.0005)
    burst = drawn["bursts of 3, 10 sd"] < -5
    assert burst.mean() == pytest.approx(0.05, abs=0.003)
    alone = burst[:, 1:-1] & ~burst[:, :-2] & ~burst[:, 2:]
    assert not alone.any()
    correlated = drawn["AR(1) .3"]
    assert correlated.std() == pytest.approx(1, abs=0.01)
    assert np.corrcoef(correlated[:, :-1].ravel(), correlated[:, 1:].ravel())[0, 1] == pytest.approx(0.3, abs=0.01)


def test_simulated_checks_follow_the_seed() -> None:
    """Every kind at every spread, the same twice; the first runs are baseline."""
    first, again = (list(simulation.simulated(50, seed=9)) for _ in range(2))
    assert len(first) == len(simulation.NOISES) * len(simulation.SPREADS)
    assert all((one[2].candidate == other[2].candidate).all() for one, other in zip(first, again, strict=True))
    assert first[0][2].baseline.shape == (50, 10)


def test_the_fixed_policy_is_a_t_test_of_ten_runs() -> None:
    """At .001 beyond a margin of .6 %, unless a loss of 3 % is excluded at .03: scipy's pooled tests, one session."""
    checks = replace(make_checks(400), sessions=(0,) * 10)
    found = cost(judge(checks, 0.03, (0.03,)), 0.03, "made")
    slowed = checks.candidate[:, :10] + math.log(0.97)
    margin = -math.log1p(-0.006)
    slower = stats.ttest_ind(checks.baseline - margin, slowed, axis=1, alternative="greater").pvalue < 0.001
    within = stats.ttest_ind(checks.baseline + math.log(0.97), slowed, axis=1, alternative="less").pvalue < 0.03
    assert found.fixed_caught.count == int((slower & ~within).sum())
    assert found.part == pytest.approx(found.replicates / 10)
