"""A CUDA compiler for TVM: NVRTC out of the toolchain's own packages, or the machine's nvcc.

TVM compiles CUDA with NVRTC unless `TVM_CUDA_COMPILE_MODE` says nvcc, and looks for headers only in the layout of an
installed toolkit, at `CUDA_PATH`. NVIDIA's packages have another layout.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from pathlib import Path

PACKAGES = ("cuda-bindings", "nvidia-cuda-nvrtc", "nvidia-cuda-runtime", "nvidia-cuda-cccl", "nvidia-cuda-crt")
"""What a toolchain needs to compile CUDA without nvcc, all of one CUDA version, such as `==13.0.*`."""


def provide(folder: Path) -> None:
    """Points TVM to a CUDA compiler, where the user has not: to the toolchain's NVRTC, else to nvcc.

    Args:
        folder: Existing folder for the layout that TVM expects; must last as long as the build.

    Raises:
        RuntimeError: There is neither.
    """
    if "CUDA_PATH" in os.environ or "TVM_CUDA_COMPILE_MODE" in os.environ:
        return
    headers = _packaged_headers()
    if headers is not None:
        os.environ["CUDA_PATH"] = str(_toolkit_layout(headers, folder / "cuda"))
    elif shutil.which("nvcc"):
        os.environ["TVM_CUDA_COMPILE_MODE"] = "nvcc"
    else:
        raise RuntimeError(f"no CUDA compiler: add {', '.join(PACKAGES)} to the toolchain's packages, or install nvcc")


def _packaged_headers() -> Path | None:
    """The headers of NVIDIA's packages in this environment; `None` where NVRTC is not installed."""
    if importlib.util.find_spec("cuda") is None or (nvidia := importlib.util.find_spec("nvidia")) is None:
        return None
    roots = (Path(root) for root in nvidia.submodule_search_locations or ())
    return next((found for root in roots for found in sorted(root.glob("cu*/include"))), None)


def _toolkit_layout(headers: Path, folder: Path) -> Path:
    targets = folder / "targets" / f"{platform.machine()}-linux"
    targets.mkdir(parents=True)
    for include in (folder / "include", targets / "include"):
        include.symlink_to(headers)
    return folder
