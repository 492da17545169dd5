"""Why TVM sees no GPU, from what the driver, the toolchain and the environment say."""

from __future__ import annotations

import pytest

from regress.device.jetson import Board
from regress.device.nvidia import Identity
from regress.device.nvml import Absent
from regress.device.unseen import explanation, why_unseen

CUDA_13 = {"apache-tvm": "0.27.0.post1", "nvidia-cuda-runtime": "13.0.96"}
CUDA_12 = {"mlc-ai-nightly-cu128": "0.20.dev1", "nvidia-cuda-runtime": "12.8.90"}
WHEEL_ALONE = {"apache-tvm": "0.27.0.post1"}
NEW, OLD = Identity(name="H200", driver="580.159.04", cuda="13.0"), Identity(name="H200", driver="570.1", cuda="12.8")
SPLIT = Identity(name="H200", driver="580.159.04", cuda="13.0", mig=True)
FINE = "driver 580.159.04 is fine"
ORIN = Board(model="NVIDIA Jetson AGX Orin", release="R36.4.0", power_mode="MAXN")


@pytest.mark.parametrize(
    ("gpu", "packages", "visible", "why"),
    [
        (Absent(reason="no NVIDIA driver here: x"), CUDA_13, None, "no NVIDIA driver here: x"),
        (OLD, CUDA_13, None, "driver 570.1 runs CUDA 12 at most, the toolchain is of CUDA 13"),
        (OLD, WHEEL_ALONE, None, "driver 570.1 runs CUDA 12 at most, the toolchain is of CUDA 13"),
        (ORIN, WHEEL_ALONE, None, "Jetson Linux R36.4.0 runs CUDA 12 at most, the toolchain is of CUDA 13"),
        (SPLIT, CUDA_13, None, "the GPU is split into instances (MIG), and CUDA_VISIBLE_DEVICES names none of them"),
        (NEW, CUDA_13, "", "CUDA_VISIBLE_DEVICES hides every device"),
        (
            NEW,
            WHEEL_ALONE,
            None,
            f"{FINE}, but the toolchain has no CUDA runtime: add nvidia-cuda-runtime to its packages",
        ),
        (
            OLD,
            CUDA_12,
            "0",
            "driver 570.1 is fine, but the toolchain's CUDA runtime did not load",
        ),
    ],
)
def test_each_cause_is_told(
    gpu: Identity | Absent | Board, packages: dict[str, str], visible: str | None, why: str
) -> None:
    """The first thing that explains it, from the driver upwards."""
    assert why_unseen(gpu, packages, visible) == why


@pytest.mark.parametrize(
    "cause", ["RuntimeError: TVM sees no cuda device", "InternalError: CUDA: cudaErrorInsufficientDriver: too old"]
)
def test_a_device_that_tvm_does_not_see_is_explained(cause: str) -> None:
    """The toolchain's own words stay in front."""
    assert explanation(cause, OLD, CUDA_13) == (
        f"{cause}: driver 570.1 runs CUDA 12 at most, the toolchain is of CUDA 13"
    )


def test_memory_that_ran_out_is_said_with_what_was_free() -> None:
    """An allocation fails because others hold the device, or because the model is larger than it: the figure tells."""
    cause = "InternalError: Check failed: e == cudaSuccess: CUDA: out of memory"
    assert explanation(cause, NEW, CUDA_13, free_bytes=3 * 2**29) == (
        f"out of device memory, of which 1.5 GiB were free before it started: {cause}"
    )
    assert explanation(cause, NEW, CUDA_13) == f"out of device memory: {cause}"


def test_any_other_cause_stays_as_it_is() -> None:
    """Nothing is made up."""
    cause = "ValueError: the logits of token 0 are not finite"
    assert explanation(cause, Absent(reason="no NVIDIA driver here"), CUDA_13, free_bytes=0) == cause
