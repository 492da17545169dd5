"""The processor: its name, how much of it this process may use, and the memory beside it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_MODEL_KEYS = ("model name", "Model", "Hardware", "cpu model")
_CPUINFO = Path("/proc/cpuinfo")


def model_name(cpuinfo: Path = _CPUINFO) -> str:
    """The processor's name, such as `AMD EPYC 9B45`; the architecture where the system does not tell.

    Virtual machines cut the name; family, model and stepping are appended so that two kinds stay two.
    """
    try:
        fields = _first_processor(cpuinfo.read_text(encoding="utf-8"))
    except OSError:
        fields = {}
    name = next((fields[key] for key in _MODEL_KEYS if key in fields), platform.machine())
    numbers = [fields[key] for key in ("cpu family", "model", "stepping") if key in fields]
    return f"{name} ({'/'.join(numbers)})" if numbers else name


def _first_processor(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields


def count() -> int:
    """Logical processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """Physical memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
