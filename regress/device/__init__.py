"""The machine a run is measured on: what it is, as far as that decides the speed."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from regress.device import cpu
from regress.record import Environment, digest

if TYPE_CHECKING:
    from collections.abc import Mapping


def environment(settings: Mapping[str, str], python: str) -> Environment:
    """This machine, as a record describes it.

    Args:
        settings: Environment variables that the workers get and that may change their speed; they belong to the
            machine's fingerprint.
        python: Version of the toolchain's Python, such as `3.11.7`.
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
    memory_bytes = cpu.memory_bytes()
    # What an operating system reports varies by some MiB from boot to boot: two significant figures stay.
    fingerprint = digest({**decisive, "memory": f"{memory_bytes:.1e}"})
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
