"""Why a toolchain does not see, or cannot use, a GPU: TVM itself gives no reason, its device just does not exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from regress.device.nvml import Absent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.device.jetson import Board
    from regress.device.nvidia import Identity

RUNTIME = "nvidia-cuda-runtime"
WHEEL_CUDA = 13
"""Major version of CUDA that PyPI's apache-tvm wheels are linked with, since they have CUDA at all (0.25.0)."""

_JETSON_CUDA = {"R35": 11, "R36": 12, "R38": 13}
"""Major release of Jetson Linux to the major version of CUDA that its driver is of."""

_UNSEEN = re.compile(r"TVM sees no cuda device|cudaErrorInsufficientDriver|cudaErrorNoDevice|CUDA_ERROR_NO_DEVICE")
_OUT_OF_MEMORY = re.compile(r"out of memory|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY", re.IGNORECASE)


def cuda_of(packages: Mapping[str, str]) -> int:
    """Major version of CUDA that a toolchain needs of the driver.

    Args:
        packages: Its packages to their versions.
    """
    version = packages.get(RUNTIME, "")
    major = version.partition(".")[0]
    return int(major) if major.isdigit() else WHEEL_CUDA


def cuda_of_release(release: str | None) -> int | None:
    """Major version of CUDA that a release of Jetson Linux runs, such as `R36.4.0`; `None` for an unknown one."""
    return _JETSON_CUDA.get((release or "").partition(".")[0])


def why_unseen(gpu: Identity | Absent | Board, packages: Mapping[str, str], visible: str | None = None) -> str:
    """Why TVM sees no CUDA device, as far as can be told from outside.

    Args:
        gpu: What the driver says of itself.
        packages: The toolchain's packages to their versions.
        visible: `CUDA_VISIBLE_DEVICES`; `None` where it is not set.
    """
    if isinstance(gpu, Absent):
        return gpu.reason
    needed = cuda_of(packages)
    found, driver = _driver(gpu)
    if found is not None and found < needed:
        return f"{driver} runs CUDA {found} at most, the toolchain is of CUDA {needed}"
    if getattr(gpu, "mig", None) and not (visible or "").startswith("MIG-"):
        return "the GPU is split into instances (MIG), and CUDA_VISIBLE_DEVICES names none of them"
    if visible is not None and visible.strip() in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides every device"
    if RUNTIME not in packages:
        return f"{driver} is fine, but the toolchain has no CUDA runtime: add {RUNTIME} to its packages"
    return f"{driver} is fine, but the toolchain's CUDA runtime did not load"


def explanation(
    cause: str,
    gpu: Identity | Absent | Board,
    packages: Mapping[str, str],
    *,
    visible: str | None = None,
    free_bytes: int | None = None,
) -> str:
    """A failure's cause, with the reason behind it where it is the device's.

    Args:
        cause: What the toolchain said.
        gpu: What the driver says of itself.
        packages: The toolchain's packages to their versions.
        visible: `CUDA_VISIBLE_DEVICES`; `None` where it is not set.
        free_bytes: Device memory that was free before the worker started; `None` where it is not known.
    """
    if _UNSEEN.search(cause):
        return f"{cause}: {why_unseen(gpu, packages, visible)}"
    if _OUT_OF_MEMORY.search(cause):
        free = "" if free_bytes is None else f", of which {free_bytes / 2**30:.1f} GiB were free before it started"
        return f"out of device memory{free}: {cause}"
    return cause


def _driver(gpu: Identity | Board) -> tuple[int | None, str]:
    """Major version of CUDA that a driver runs, and what it is called."""
    cuda = getattr(gpu, "cuda", None)
    if cuda is not None:
        return int(cuda.partition(".")[0]), f"driver {getattr(gpu, 'driver', None)}"
    release: str | None = getattr(gpu, "release", None)
    return cuda_of_release(release), f"Jetson Linux {release}" if release else "the driver"
