"""What decides a synthetic history: its size, its seed, and its moments."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import numpy as np
from site_machines import CASES, MACHINES

RATES = ("prefill_tokens_per_s", "decode_tokens_per_s")
NEWEST = datetime(2026, 11, 20, 1, 0, tzinfo=timezone.utc)
"""The last night."""
LONGEST = timedelta(days=2500)
"""The longest history; one with more runs has several in a night."""
BUMP = timedelta(days=14)
"""From one toolchain to the next."""
LEVELS, RUN, REFERENCE, CHANGE, TOKENS = range(5)
"""What random numbers are drawn for."""


def sha(*parts: object) -> str:
    """A SHA-256 that stands for those things."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What decides a history.

    Attributes:
        values: How many values it holds, all runners together.
        seed: Of all that is drawn.
        runners: How many of `MACHINES`.
        cases: How many of `CASES`.
    """

    values: int
    seed: int = 0
    runners: int = len(MACHINES)
    cases: int = len(CASES)

    @property
    def nights(self) -> int:
        """Runs of the runner that has most."""
        return max(1, math.ceil(self._records / self.runners))

    @property
    def _records(self) -> int:
        return max(1, self.values // (len(RATES) * self.cases))

    def runs(self, runner: int) -> int:
        """Runs of a runner, by its place in `MACHINES`."""
        return self._records // self.runners + (runner < self._records % self.runners)

    @property
    def step(self) -> timedelta:
        """From one run of a runner to its next."""
        return min(timedelta(days=1), LONGEST / self.nights)

    @property
    def runs_per_toolchain(self) -> int:
        """Runs until a toolchain is bumped; fewer in a short history, so that it has some toolchains, too."""
        return max(1, min(self.nights // 3, round(BUMP / self.step)))

    def random(self, *what: int) -> np.random.Generator:
        """Random numbers for one thing alone, whatever was drawn for others."""
        return np.random.default_rng([self.seed, *what])
