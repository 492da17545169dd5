"""Simulated noise: unchanged checks by the hundred thousand, of the five kinds that the bars name.

A check is ten baseline replicates in three sessions and up to eleven of a candidate, one stream in order of time, as
logarithms of speed. A disturbance is always a loss of speed, and hits baseline and candidate alike: a busy host only
slows down, and a disturbed candidate is what a false alarm is made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regress.comparison import CONFIRMING
from regress.evaluation.protocol import Checks
from regress.rule import LOOKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from regress.stats import Floats

CHECKS = 100_000
"""Unchanged checks of each kind of noise."""
SPREADS = (0.003, 0.01, 0.02)
"""Standard deviations of the undisturbed noise: decode and prefill on one GPU, and a noisy host."""
SEED = 20_260_815
_SESSIONS = (0, 0, 0, 0, 1, 1, 1, 2, 2, 2)
_RUNS = len(_SESSIONS) + LOOKS[2] + CONFIRMING
_DEGREES = 3
_DISTURBED, _DEPTH, _BURST = 0.05, 10.0, 3
_CORRELATION = 0.3
_SETTLING = 30
"""Steps after which an autoregressive process has forgotten its start: .3 ** 30 < 1e-15."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """A kind of noise.

    Attributes:
        name: What it is.
        limit: False alarms it may cause, as a fraction of checks.
        draw: Values of shape `(checks, runs)`, in units of the standard deviation of what is undisturbed.
    """

    name: str
    limit: float
    draw: Callable[[np.random.Generator, int, int], Floats]


def normal(generator: np.random.Generator, checks: int, runs: int) -> Floats:
    """Independent normal values."""
    return generator.normal(size=(checks, runs))


def heavy_tails(generator: np.random.Generator, checks: int, runs: int) -> Floats:
    """Student's t with three degrees of freedom, scaled to a standard deviation of 1."""
    scale = np.sqrt(_DEGREES / (_DEGREES - 2))
    values: Floats = generator.standard_t(_DEGREES, (checks, runs)) / scale
    return values


def spikes(generator: np.random.Generator, checks: int, runs: int) -> Floats:
    """Normal values, of which 5 %, each by itself, are 10 standard deviations slower."""
    return normal(generator, checks, runs) - _DEPTH * (generator.random((checks, runs)) < _DISTURBED)


def bursts(generator: np.random.Generator, checks: int, runs: int) -> Floats:
    """Normal values in which three runs after one another are 10 standard deviations slower; 5 % of runs are hit."""
    values = normal(generator, checks, runs)
    begins = generator.random((checks, runs + _BURST - 1)) < 1 - (1 - _DISTURBED) ** (1 / _BURST)
    hit = np.stack([begins[:, late : late + runs] for late in range(_BURST)]).any(axis=0)
    return values - _DEPTH * hit


def autoregressive(generator: np.random.Generator, checks: int, runs: int) -> Floats:
    """A first-order autoregressive process of correlation .3 and standard deviation 1."""
    shocks = normal(generator, checks, runs + _SETTLING) * np.sqrt(1 - _CORRELATION**2)
    for place in range(1, shocks.shape[1]):
        shocks[:, place] += _CORRELATION * shocks[:, place - 1]
    settled: Floats = shocks[:, _SETTLING:]
    return settled


NOISES: tuple[Noise, ...] = (
    Noise(name="normal", limit=0.001, draw=normal),
    Noise(name="Student's t, 3 degrees", limit=0.002, draw=heavy_tails),
    Noise(name="5 % spikes of 10 sd", limit=0.002, draw=spikes),
    Noise(name="bursts of 3, 10 sd", limit=0.002, draw=bursts),
    Noise(name="AR(1) .3", limit=0.003, draw=autoregressive),
)


def simulated(checks: int = CHECKS, seed: int = SEED) -> Iterator[tuple[Noise, float, Checks]]:
    """Each kind of noise at each spread, with its unchanged checks.

    Args:
        checks: How many of each.
        seed: Of the first; each combination has a stream of its own.
    """
    for index, noise in enumerate(NOISES):
        for place, spread in enumerate(SPREADS):
            generator = np.random.default_rng((seed, index, place))
            yield noise, spread, _checks(noise, spread, noise.draw(generator, checks, _RUNS))


def _checks(noise: Noise, spread: float, values: Floats) -> Checks:
    baseline = len(_SESSIONS)
    return Checks(
        source=noise.name,
        protocol="simulated",
        baseline=values[:, :baseline] * spread,
        candidate=values[:, baseline:] * spread,
        sessions=_SESSIONS,
        fresh=_RUNS - baseline,
        sd=np.full(len(values), spread),
        independent=np.ones(len(values), bool),
    )
