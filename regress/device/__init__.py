"""The machine a run is measured on: what it is, as far as that decides the speed, and who can be asked how it fares."""

from __future__ import annotations

import platform
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from regress.device import cpu, jetson, nvidia
from regress.device.monitor import Monitor
from regress.device.nvml import Absent
from regress.record import Environment, digest
from regress.telemetry import Reading

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from regress.device.jetson import Board
    from regress.device.monitor import Sensor
    from regress.device.nvidia import Identity
    from regress.telemetry import DeviceKind

VISIBLE = "CUDA_VISIBLE_DEVICES"
_NODES = ("nvidia[0-9]*", "nvhost-gpu", "dxg")
"""Device nodes of GPUs: of NVIDIA's driver, of a Jetson's, and of Windows' below WSL."""


def on_gpu(target: str) -> bool:
    """Whether what is built for that target runs on a GPU, and not on the processor."""
    return target.startswith("cuda")


def gpu_here(visible: str | None = None) -> Identity | Board | Absent:
    """The GPU that a CUDA target runs on, or why there is none.

    Args:
        visible: `CUDA_VISIBLE_DEVICES` of the workers; `None` where it is not set.
    """
    return jetson.board() or nvidia.identity(visible)


def no_gpu(visible: str | None = None, root: Path = Path("/")) -> str | None:
    """Why there is no GPU to run on; `None` where there is one, or a device node of one that nothing tells of.

    Args:
        visible: `CUDA_VISIBLE_DEVICES` of the workers; `None` where it is not set.
        root: Where the file system begins.
    """
    gpu = gpu_here(visible)
    nodes = (node for pattern in _NODES for node in (root / "dev").glob(pattern))
    return gpu.reason if isinstance(gpu, Absent) and not any(nodes) else None


def environment(
    settings: Mapping[str, str],
    python: str,
    targets: Collection[str] = (),
    visible: str | None = None,
) -> Environment:
    """This machine, as a record describes it.

    Args:
        settings: Environment variables that the workers get and that may change their speed; they belong to the
            machine's fingerprint.
        python: Version of the toolchain's Python, such as `3.11.7`.
        targets: What is measured is built for these; the GPU counts where one of them runs on it.
        visible: `CUDA_VISIBLE_DEVICES` of the workers; `None` where it is not set.
    """
    name = cpu.model_name()
    decisive: dict[str, object] = {
        "machine": platform.machine(),
        "cpu": name,
        "cpu_count": cpu.count(),
        "device": name,
        "python": ".".join(python.split(".")[:2]),
        "driver": None,
        "settings": dict(settings),
    }
    gpu = gpu_here(visible) if any(on_gpu(target) for target in targets) else Absent(reason="not asked for")
    decisive.update(_decisive(gpu))
    # What an operating system reports varies by some MiB from boot to boot: two significant figures stay.
    fingerprint = digest({**decisive, "memory": f"{_memory_bytes(gpu):.1e}"})
    return Environment(
        fingerprint=fingerprint,
        system=_system(),
        kernel=platform.release(),
        memory_bytes=cpu.memory_bytes(),
        **decisive,  # type: ignore[arg-type]
    )


def _memory_bytes(gpu: Identity | Board | Absent) -> int:
    """Memory that the models are in: cards of one name differ in it, and the host's, beside it, decides nothing."""
    own = gpu.memory_bytes if isinstance(gpu, nvidia.Identity) else None
    return cpu.memory_bytes() if own is None else own


def _decisive(gpu: Identity | Board | Absent) -> dict[str, object]:
    """What of a GPU decides the speed; without what is not known, so that a processor's fingerprint stays as it was."""
    if isinstance(gpu, Absent):
        return {}
    if isinstance(gpu, nvidia.Identity):
        facts = {"device": gpu.name, "driver": gpu.driver, "power_mode": gpu.power_mode, "mig": gpu.mig}
    else:
        facts = {"device": gpu.model, "driver": gpu.release, "power_mode": gpu.power_mode}
    return {name: value for name, value in facts.items() if value is not None}


@contextmanager
def monitor(target: str, visible: str | None = None) -> Iterator[Monitor]:
    """Someone to watch the device that a target runs on.

    Args:
        target: As a case names it.
        visible: `CUDA_VISIBLE_DEVICES` of the worker; `None` where it is not set.
    """
    sensor = _sensor(target, visible)
    try:
        yield Monitor(sensor)
    finally:
        sensor.close()


def _sensor(target: str, visible: str | None) -> Sensor:
    if not on_gpu(target):
        return cpu.Processor()
    if jetson.board() is not None:
        return jetson.Jetson()
    gpu = nvidia.open_gpu(visible)
    return Blind("nvidia", gpu.reason) if isinstance(gpu, Absent) else gpu


class Blind:
    """A device that cannot be read, and why: what is measured on it is measured all the same."""

    def __init__(self, kind: DeviceKind, reason: str) -> None:
        self.kind, self._reason = kind, reason

    def read(self, worker: int | None = None) -> Reading:  # noqa: ARG002  # there is nothing to tell apart
        """A reading with nothing in it."""
        return Reading(at_ns=time.monotonic_ns(), unreadable={"device": self._reason})

    def close(self) -> None:
        """Nothing is held."""


def _system() -> str:
    """The operating system's own name for itself, such as `Debian GNU/Linux 12 (bookworm)`."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"
