"""The machines of a synthetic history, and the cases that they measure: what decides how fast a run is."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from regress.record import Workload  # noqa: E402  # of this checkout

if TYPE_CHECKING:
    from regress.telemetry import DeviceKind

NEW_TOKENS = 128


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A runner's machine.

    Attributes:
        name: The runner's nickname.
        kind: Kind of its device.
        device: Name of its device.
        host: Name of its processor.
        bandwidth_bytes_per_s: What its memory moves.
        flop_per_s: What it computes with the model's type.
        power_w: What it draws; 0 where nothing tells.
        noise: Standard deviation from run to run, as a fraction.
        architecture: Of its processor.
    """

    name: str
    kind: DeviceKind
    device: str
    host: str
    bandwidth_bytes_per_s: float
    flop_per_s: float
    power_w: float
    noise: float
    architecture: str = "x86_64"

    @property
    def is_gpu(self) -> bool:
        """Whether a GPU computes."""
        return self.kind != "cpu"

    @property
    def target(self) -> str:
        """What its cases are compiled for."""
        return "cuda" if self.is_gpu else "llvm"

    @property
    def quantization(self) -> str:
        """How its cases' weights are stored."""
        return "q4f16_1" if self.is_gpu else "q4f32_1"

    @property
    def repeats(self) -> int:
        """Timed passes of a replicate."""
        return 5 if self.is_gpu else 10


def _machine(
    name: str, kind: DeviceKind, device: str, host: str, *numbers: float, architecture: str = "x86_64"
) -> Machine:
    """A machine by bandwidth in GB/s, compute in TFLOP/s, power in W, and noise in %."""
    bandwidth, compute, power_w, noise = numbers
    return Machine(
        name=name,
        kind=kind,
        device=device,
        host=host,
        bandwidth_bytes_per_s=bandwidth * 1e9,
        flop_per_s=compute * 1e12,
        power_w=power_w,
        noise=noise / 100,
        architecture=architecture,
    )


EPYC, XEON = "AMD EPYC 9654", "Intel(R) Xeon(R) Platinum 8592+"
MACHINES = (
    _machine("h200-a", "nvidia", "NVIDIA H200", XEON, 4260, 220, 490, 0.3),
    _machine("h200-b", "nvidia", "NVIDIA H200", XEON, 4250, 220, 495, 0.4),
    _machine("h100", "nvidia", "NVIDIA H100 80GB HBM3", XEON, 3000, 210, 470, 0.3),
    _machine("a100", "nvidia", "NVIDIA A100-SXM4-80GB", EPYC, 1850, 120, 320, 0.4),
    _machine("l40s", "nvidia", "NVIDIA L40S", EPYC, 800, 110, 290, 0.5),
    _machine("rtx-4090", "nvidia", "NVIDIA GeForce RTX 4090", "AMD Ryzen 9 7950X", 920, 100, 380, 0.6),
    _machine(
        "agx-orin", "jetson", "NVIDIA Jetson AGX Orin", "ARMv8 Processor rev 1", 180, 8, 42, 0.7, architecture="aarch64"
    ),
    _machine("cpu-epyc", "cpu", EPYC, EPYC, 300, 3, 0, 0.8),
    _machine("cpu-xeon", "cpu", XEON, XEON, 250, 4, 0, 0.9),
    _machine("cpu-arm", "cpu", "Neoverse-V2", "Neoverse-V2", 350, 3, 0, 1.0, architecture="aarch64"),
)


class Case(NamedTuple):
    """A model by name and number of parameters, and the length of its prompt."""

    model: str
    param_count: int
    prompt_tokens: int

    @property
    def workload(self) -> Workload:
        """What is asked of the model."""
        return Workload(prompt_tokens=self.prompt_tokens, new_tokens=NEW_TOKENS)

    def key(self, machine: Machine) -> str:
        """The case's key on a machine."""
        return f"{self.model}/{machine.quantization}/{machine.target}/{self.workload.key}"


MODELS = {
    "llama-2-7b": 6_738_415_616,
    "llama-3.2-1b": 1_235_814_400,
    "qwen2.5-7b": 7_615_616_512,
    "phi-3-mini": 3_821_079_552,
    "gemma-2-2b": 2_614_341_888,
}
PROMPTS = (16, 128, 1024, 3968)
CASES = tuple(Case(model, count, prompt) for model, count in MODELS.items() for prompt in PROMPTS)
