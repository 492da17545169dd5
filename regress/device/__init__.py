"""The machine a run is measured on: what it is, as far as that decides the speed."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from regress.device import cpu
from regress.record import Environment, digest

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS = ("TVM_NUM_THREADS", "OMP_NUM_THREADS", "TVM_BIND_THREADS", "TVM_CUDA_COMPILE_MODE")
"""Environment variables that change the speed of what is measured, or of what is compiled for it."""


def environment(worker_env: Mapping[str, str]) -> Environment:
    """This machine, as a record describes it.

    Args:
        worker_env: The environment the workers get; its settings belong to the machine's fingerprint.
    """
    name = cpu.model_name()
    decisive: dict[str, object] = {
        "machine": platform.machine(),
        "cpu": name,
        "cpu_count": cpu.count(),
        "device": name,
        "driver": None,
        "settings": {key: worker_env[key] for key in SETTINGS if key in worker_env},
    }
    memory_bytes = cpu.memory_bytes()
    # What an operating system reports varies by some MiB from boot to boot.
    fingerprint = digest({**decisive, "memory_gib": round(memory_bytes / 2**30)})
    return Environment(
        fingerprint=fingerprint,
        system=_system(),
        kernel=platform.release(),
        memory_bytes=memory_bytes,
        **decisive,  # type: ignore[arg-type]
    )


def _system() -> str:
    """The operating system's own name for itself, such as `Debian GNU/Linux 12 (bookworm)`."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"
