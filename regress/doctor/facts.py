"""What the doctor knows of a machine before it says anything: fact by fact, `None` where nothing tells."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from regress.guard import Required
from regress.shape import PRESETS, Shape
from regress.source import parse_source
from regress.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.baseline import Baseline, Case
    from regress.config import Config, Standing
    from regress.telemetry import Reading

Level = Literal["ok", "warn", "fail"]


class Finding(Stored, frozen=True):
    """One line of the doctor's.

    Attributes:
        name: What was looked at.
        level: `ok`; `warn` where rates may suffer, or something is missing that may be had; `fail` where the baseline
            cannot be measured as things are.
        text: What was found.
        remedy: What to do about it; `None` where all is well.
    """

    name: str
    level: Level
    text: str
    remedy: str | None = None


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a baseline asks of a machine.

    Attributes:
        gpu: Whether a case runs on this machine's CUDA device.
        cuda_compiler: Whether a case is built for CUDA, for this device or another.
        hub: Models that come from the hub.
        model_bytes: Size of the synthetic models' weights, and of what is built of them.
        toolchains: Those of the baseline and of a plain run.
        device: The state that the guard requires of the device.
    """

    gpu: bool
    cuda_compiler: bool
    hub: tuple[str, ...]
    model_bytes: int
    toolchains: frozenset[str]
    device: Required = field(default_factory=Required)


@dataclass(frozen=True, kw_only=True)
class GpuState:
    """An NVIDIA GPU.

    Attributes:
        name: Product name.
        driver: Version of the driver.
        cuda: Newest CUDA that the driver runs, such as `13.0`.
        compute_capability: Such as `9.0`.
        memory_bytes: Its memory.
        reading: Its state now.
        persistence: Whether the driver stays loaded while nobody uses the device.
        ecc: Whether its memory corrects errors.
        ecc_pending: The same after the next boot.
        clock_application_hz: The clock it is told to run at.
        unreadable: Counter to why it could not be read.
    """

    name: str
    driver: str | None
    cuda: str | None
    compute_capability: str | None
    memory_bytes: int | None
    reading: Reading
    persistence: bool | None = None
    ecc: bool | None = None
    ecc_pending: bool | None = None
    clock_application_hz: float | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class JetsonState:
    """A Jetson.

    Attributes:
        model: Such as `NVIDIA Jetson AGX Orin Developer Kit`.
        release: Of Jetson Linux, such as `R36.4.0`.
        cuda: Major version of CUDA that this release runs.
        power_mode: The power mode in force.
        reading: Its state now.
    """

    model: str
    release: str | None
    cuda: int | None
    power_mode: str | None
    reading: Reading


@dataclass(frozen=True, kw_only=True)
class Disk:
    """The cache folder.

    Attributes:
        home: Where it lies.
        free_bytes: Room on its file system.
        sizes_bytes: Part of the cache (`toolchains`, `models`, `artifacts` ...) to its size.
    """

    home: str
    free_bytes: int
    sizes_bytes: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ToolchainState:
    """A declared toolchain.

    Attributes:
        name: Its name.
        state: Where it stands, as `toolchain list` says it.
        cause: Why its check failed; `None` where it did not, or was not made.
        nvrtc: Whether it brings a CUDA compiler along.
    """

    name: str
    state: Standing
    cause: str | None = None
    nvrtc: bool = False


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds the lock that keeps two from measuring at once; `process` is `None` where nothing tells who."""

    process: int | None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that is looked at.

    Attributes:
        needs: What the baseline asks for.
        cuda_needed: Major version of CUDA that its toolchains are made with.
        gpu: The NVIDIA GPU, or why none can be read.
        jetson: The Jetson; `None` where this is none.
        disk: The cache folder.
        toolchains: The declared ones.
        hub_token: Whether there is a token for the hub.
        services: Unit to state of the GitHub runners' services; `None` without systemd.
        holder: Who is measuring now; `None` where nobody is.
        linker: The C++ compiler that libraries are linked with.
        nvcc: The CUDA compiler of the machine.
    """

    needs: Needs
    cuda_needed: int
    gpu: GpuState | str
    jetson: JetsonState | None
    disk: Disk
    toolchains: tuple[ToolchainState, ...]
    hub_token: bool
    services: Mapping[str, str] | None
    holder: Holder | None
    linker: str | None
    nvcc: str | None


def needs_of(baseline: Baseline, config: Config) -> Needs:
    """What the cases of a baseline ask of a machine."""
    artifacts = {(case.model, case.quantization, case.target): case for case in baseline.cases}
    models = dict.fromkeys(case.model for case in baseline.cases)
    return Needs(
        gpu=any(case.target == "cuda" for case in baseline.cases),
        cuda_compiler=any(case.target.startswith("cuda") for case in baseline.cases),
        hub=tuple(model for model in models if parse_source(model).scheme == "hf"),
        model_bytes=sum(_weights_bytes(model, 16) for model in models) + sum(map(_built_bytes, artifacts.values())),
        toolchains=frozenset({baseline.toolchain, *config.run.toolchains}),
        device=baseline.device,
    )


def _built_bytes(case: Case) -> int:
    return _weights_bytes(case.model, _bits(case.quantization))


def _bits(quantization: str) -> int:
    """Bits that a parameter takes at most, by MLC's name of a quantization: `q4f16_1` is 4 and a share of a scale."""
    match = re.match(r"q(\d+)f(\d+)", quantization)
    if match is None:
        return 32
    packed, floating = int(match[1]), int(match[2])
    return packed + 1 if packed else floating


def _weights_bytes(model: str, bits: int) -> int:
    """Size of a synthetic model's weights; 0 for others, whose size only their files tell."""
    source = parse_source(model)
    if source.scheme != "synthetic":
        return 0
    shape = msgspec.convert(PRESETS[source.subject], Shape)
    return shape.param_count * bits // 8
