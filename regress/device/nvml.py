"""NVML by its Python binding: whether it is there, and which of its devices is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from regress.device.counter import why


@dataclass(frozen=True, kw_only=True)
class Absent:
    """There is no NVIDIA GPU that could be read; why."""

    reason: str


def load() -> Any | Absent:  # noqa: ANN401  # a module without types
    """The package that binds NVML, with NVML started; or why that cannot be."""
    try:
        import pynvml  # noqa: PLC0415  # only where there may be a GPU

        pynvml.nvmlInit()
    except ImportError as error:
        return Absent(reason=f"nvidia-ml-py is not installed: {why(error)}")
    except pynvml.NVMLError as error:
        return Absent(reason=absence(why(error)))
    return pynvml


def select(nvml: Any, visible: str | None) -> Any | Absent:  # noqa: ANN401
    """The handle of the device that CUDA calls its first; workers see devices in NVML's order, that of the PCI bus."""
    first = "0" if visible is None else visible.split(",")[0].strip()
    if first in ("", "-1", "NoDevFiles"):
        return Absent(reason="CUDA_VISIBLE_DEVICES hides every device")
    count = nvml.nvmlDeviceGetCount()
    if first.isdigit():
        if int(first) < count:
            return nvml.nvmlDeviceGetHandleByIndex(int(first))
        return Absent(reason=f"there is no device {first}: the driver sees {count}")
    if first.startswith("MIG-"):
        return nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvml.nvmlDeviceGetHandleByUUID(first))
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
    # CUDA takes the beginning of a UUID for the whole.
    named = [handle for handle in handles if text(nvml.nvmlDeviceGetUUID(handle)).startswith(first)]
    return named[0] if named else Absent(reason="CUDA_VISIBLE_DEVICES names a device that the driver does not see")


def absence(error: str) -> str:
    """Why there is no GPU, from what NVML said."""
    if "not found" in error.lower():
        return f"no NVIDIA driver here: {error}"
    return f"the NVIDIA driver does not answer: {error}"


def text(value: Any) -> str:  # noqa: ANN401
    """A name as text; older bindings give bytes."""
    if value is None:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
