"""How fast the machines of a synthetic history are: levels, what toolchains do to them, and noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from site_machines import CASES, MACHINES, MODELS, NEW_TOKENS
from site_plan import CHANGE, LEVELS, RATES

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from site_machines import Machine
    from site_plan import Plan

    Floats = NDArray[np.float64]

REPLICATES = 10


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a toolchain does to the rates, as differences of logarithms of shape `(cases, rates)`.

    Attributes:
        lasting: What stays for good.
        passing: What is gone some toolchains later.
        toolchains: How many toolchains that lasts.
    """

    lasting: Floats
    passing: Floats
    toolchains: int


class Measured(NamedTuple):
    """What a run measured, as arrays of shape `(cases, replicates, repeats)` or `(cases, replicates)`."""

    samples: dict[str, Floats]
    power_w: Floats

    def logarithms(self) -> Floats:
        """The replicates' rates, shape `(cases * rates, replicates)`."""
        medians = np.stack([np.median(self.samples[rate], axis=2) for rate in RATES], axis=1)
        logarithms: Floats = np.log(medians).reshape(-1, REPLICATES)
        return logarithms


def param_bytes(machine: Machine, model: str) -> int:
    """Size of a model's weights on a machine."""
    return int(MODELS[model] * (4.5 if machine.is_gpu else 5.03) / 8)


class Rates:
    """How fast a machine is with each toolchain.

    Args:
        plan: The history.
        number: The runner's place in `MACHINES`.
    """

    def __init__(self, plan: Plan, number: int) -> None:
        self.plan, self.number, self.machine = plan, number, MACHINES[number]
        self.cases = CASES[: plan.cases]
        self._lasting: list[Floats] = [np.zeros((plan.cases, len(RATES)))]
        self._effect = lru_cache(maxsize=8)(self._draw_effect)

    @cached_property
    def _rates(self) -> Floats:
        """Tokens/s of the first toolchain, shape `(cases, rates)`: decode by bandwidth, prefill by compute."""
        rates = np.empty((len(self.cases), len(RATES)))
        for place, case in enumerate(self.cases):
            weights_bytes = param_bytes(self.machine, case.model)
            decode = 0.47 * self.machine.bandwidth_bytes_per_s / weights_bytes / (1 + case.prompt_tokens / 20_000)
            computed_s = 2 * case.param_count * case.prompt_tokens / self.machine.flop_per_s
            rates[place] = case.prompt_tokens / (computed_s + 5 / decode), decode
        return rates

    def _draw_effect(self, toolchain: int) -> Effect:
        """What a toolchain does: it moves each model a little, and one of four moves some cases much."""
        drawn = self.plan.random(LEVELS, self.number, toolchain)
        shape = (len(self.cases), len(RATES))
        lasting, passing = drawn.normal(0, 0.001, shape), np.zeros(shape)
        if drawn.random() < 1 / 4:
            where = self._some(drawn)
            if drawn.random() < 2 / 3:
                passing[where] = -drawn.uniform(0.04, 0.15)
            else:
                lasting[where] += drawn.uniform(0.03, 0.08)
        return Effect(lasting=lasting, passing=passing, toolchains=int(drawn.integers(1, 4)))

    def _some(self, drawn: np.random.Generator) -> NDArray[np.bool_]:
        """Which rates of which cases: those of one model or of one length of prompt, of one rate or of both."""
        pick = self.cases[int(drawn.integers(len(self.cases)))]
        by_model = drawn.random() < 1 / 2
        cases = [
            case.model == pick.model if by_model else case.prompt_tokens == pick.prompt_tokens for case in self.cases
        ]
        rates = ((True, True), (True, False), (False, True))[int(drawn.integers(3))]
        return np.outer(cases, rates)

    def level(self, toolchain: int, epoch: int) -> Floats:
        """Tokens/s without noise, shape `(cases, rates)`."""
        while len(self._lasting) <= toolchain:
            self._lasting.append(self._lasting[-1] + self._effect(len(self._lasting)).lasting)
        recent = range(max(1, toolchain - 2), toolchain + 1)
        passing = sum(self._effect(each).passing for each in recent if toolchain < each + self._effect(each).toolchains)
        shift = epoch * self.plan.random(CHANGE, self.number, epoch).uniform(-0.01, 0.03)
        level: Floats = self._rates * np.exp(self._lasting[toolchain] + passing + shift)
        return level

    def measure(self, toolchain: int, epoch: int, drawn: np.random.Generator) -> Measured:
        """What a run measures of all cases, also of those that turn out not to build."""
        machine, noise = self.machine, self.machine.noise
        shape = (len(self.cases), len(RATES), REPLICATES, machine.repeats)
        logarithms = drawn.normal(0, noise, shape)
        logarithms += drawn.normal(0, noise, shape[:2])[:, :, None, None] + drawn.normal(0, noise / 2, (*shape[:3], 1))
        rates = self.level(toolchain, epoch)[:, :, None, None] * np.exp(logarithms)
        prompt = np.array([case.prompt_tokens for case in self.cases])[:, None, None]
        prefill_ns, decode_ns = np.rint(1e9 * prompt / rates[:, 0]), np.rint(1e9 * NEW_TOKENS / rates[:, 1])
        samples = {
            "prefill_tokens_per_s": 1e9 * prompt / prefill_ns,
            "decode_tokens_per_s": 1e9 * NEW_TOKENS / decode_ns,
            "time_to_first_token_s": prefill_ns / 1e9,
            "time_per_output_token_s": decode_ns / 1e9 / NEW_TOKENS,
        }
        power_w = machine.power_w * drawn.normal(1, 0.01, shape[0:3:2])
        if machine.is_gpu:
            samples.update(self._of_gpu(samples["decode_tokens_per_s"], power_w))
        pages = drawn.integers(0, 200, shape[0:3:2]) * (not machine.is_gpu)
        samples["peak_memory_bytes"] = (self.peak_memory_bytes[:, None] + 4096.0 * pages)[:, :, None]
        return Measured(samples, power_w)

    @cached_property
    def _param_bytes(self) -> Floats:
        return np.array([float(param_bytes(self.machine, case.model)) for case in self.cases])

    @cached_property
    def peak_memory_bytes(self) -> Floats:
        """What a replicate of each case takes at most."""
        prompts = np.array([case.prompt_tokens for case in self.cases])
        return np.rint(self._param_bytes * 1.35 + 600_000.0 * prompts)

    def _of_gpu(self, decode: Floats, power_w: Floats) -> dict[str, Floats]:
        return {
            "roofline_fraction": decode * self._param_bytes[:, None, None] / self.machine.bandwidth_bytes_per_s,
            "energy_per_token_j": (power_w / np.median(decode, axis=2))[:, :, None],
        }
