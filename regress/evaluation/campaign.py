"""A whole evaluation: every rule on every file, our rule on simulated noise, and the bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from regress.evaluation.bars import bar_on_noise, bars_on_series
from regress.evaluation.fixed import cost
from regress.evaluation.ours import judge
from regress.evaluation.peers import PEERS
from regress.evaluation.protocol import sample
from regress.evaluation.scores import LOSSES, our_score, scored
from regress.evaluation.simulation import NOISES, simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from regress.evaluation.bars import Bar
    from regress.evaluation.fixed import Cost
    from regress.evaluation.ours import Judged
    from regress.evaluation.protocol import Sampling
    from regress.evaluation.scores import Score
    from regress.evaluation.series import Source

TOLERANCES = (0.03, 0.05)
"""Tolerances that our rule is asked with."""
_MOST_SLOWED = 20_000
"""Simulated checks of each kind that losses are injected into: enough for a share, and a fifth of the time."""
_COST_LOSS = 0.05


@dataclass(frozen=True, kw_only=True)
class FileResult:
    """The rules on one file.

    Attributes:
        source: What was read.
        sampling: The checks made of it.
        scores: One per rule.
        judged: What our rule said, for the bars.
    """

    source: Source
    sampling: Sampling
    scores: tuple[Score, ...]
    judged: tuple[Judged, ...]


@dataclass(frozen=True, kw_only=True)
class NoiseResult:
    """Our rule on one kind of simulated noise at one spread and tolerance.

    Attributes:
        noise: Its name.
        spread: Standard deviation of what is undisturbed, as a fraction.
        tolerance: As a fraction.
        score: Unchanged checks, and the first 20,000 with losses.
    """

    noise: str
    spread: float
    tolerance: float
    score: Score


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything an evaluation found.

    Attributes:
        files: One element per file that has checks.
        skipped: Files without checks.
        noises: Simulated noise; empty where none was asked for.
        costs: Our rule beside a fixed number of runs, on simulated normal noise.
        bars: On series, then on simulated noise.
        verdicts: How often our rule was asked.
    """

    files: tuple[FileResult, ...]
    skipped: tuple[Source, ...]
    noises: tuple[NoiseResult, ...]
    costs: tuple[Cost, ...]
    bars: tuple[Bar, ...]
    verdicts: int

    @property
    def holds(self) -> bool:
        """Whether every bar is met that could be measured, and at least one could."""
        states = {bar.state for bar in self.bars}
        return "met" in states and "missed" not in states


def evaluate_files(sources: Sequence[Source], seed: int) -> tuple[tuple[FileResult, ...], tuple[Source, ...]]:
    """Every rule on every source, and the sources that no check can be made of.

    Args:
        sources: As read.
        seed: Of the random splits, the same for each source.
    """
    sampled = [(source, sample(source.series, seed)) for source in sources]
    results = [_file_result(source, sampling) for source, sampling in sampled if sampling.checks]
    return tuple(results), tuple(source for source, sampling in sampled if not sampling.checks)


def _file_result(source: Source, sampling: Sampling) -> FileResult:
    judged = tuple(judge(checks, tolerance, LOSSES) for tolerance in TOLERANCES for checks in sampling.checks)
    return FileResult(source=source, sampling=sampling, scores=scored(judged, PEERS), judged=judged)


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """Simulated noise, judged.

    Attributes:
        noises: One element per kind, spread and tolerance.
        costs: On normal noise.
        bars: One per kind.
        verdicts: How often our rule was asked.
    """

    noises: tuple[NoiseResult, ...] = ()
    costs: tuple[Cost, ...] = ()
    bars: tuple[Bar, ...] = ()
    verdicts: int = 0


def simulate(checks: int, seed: int, on_noise: Callable[[str], None]) -> Campaign:
    """Our rule on all kinds of simulated noise.

    Args:
        checks: Unchanged checks of each kind at each spread.
        seed: Of the noise.
        on_noise: Called with a line after each kind and spread.
    """
    noises, costs, verdicts = [], [], 0
    for noise, spread, made in simulated(checks, seed):
        for tolerance in TOLERANCES:
            judged = judge(made, tolerance, LOSSES, slowed=_MOST_SLOWED)
            noises.append(NoiseResult(noise=noise.name, spread=spread, tolerance=tolerance, score=our_score(judged)))
            verdicts += judged.verdicts
            if noise is NOISES[0]:
                costs.append(cost(judged, _COST_LOSS, f"{noise.name}, sd {spread * 100:g} %"))
        on_noise(f"{noise.name}, sd {spread * 100:g} %: {checks:,} checks")
    bars = tuple(
        bar_on_noise(noise.name, [each.score.false_alarms for each in noises if each.noise == noise.name], noise.limit)
        for noise in NOISES
    )
    return Campaign(noises=tuple(noises), costs=tuple(costs), bars=bars, verdicts=verdicts)


def evaluation(files: Sequence[FileResult], skipped: Sequence[Source], campaign: Campaign) -> Evaluation:
    """Files and simulated noise in one, with their bars."""
    judged = [each for file in files for each in file.judged]
    return Evaluation(
        files=tuple(files),
        skipped=tuple(skipped),
        noises=campaign.noises,
        costs=campaign.costs,
        bars=(*bars_on_series(judged), *campaign.bars),
        verdicts=campaign.verdicts + sum(each.verdicts for each in judged),
    )
