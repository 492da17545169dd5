"""The optimisation flags: their names, and what is made of them for a target."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict, dataclass


@dataclass
class OptimizationFlags:
    """What `--opt` takes."""

    flashinfer: bool = False
    cublas_gemm: bool = False
    faster_transformer: bool = False
    cudagraph: bool = False
    cutlass: bool = False
    ipc_allreduce_strategy: str = "NONE"

    def __str__(self) -> str:
        return ";".join(
            f"{name}={value if isinstance(value, str) else int(value)}" for name, value in vars(self).items()
        )


PRESETS = {
    "O0": OptimizationFlags(),
    "O1": OptimizationFlags(cublas_gemm=True, faster_transformer=True, cutlass=True),
    "O2": OptimizationFlags(flashinfer=True, cublas_gemm=True, cudagraph=True, cutlass=True),
    "O3": OptimizationFlags(
        flashinfer=True,
        cublas_gemm=True,
        faster_transformer=True,
        cudagraph=True,
        cutlass=True,
        ipc_allreduce_strategy="AUTO",
    ),
}


def from_str(text: str) -> OptimizationFlags:
    """The flags in `name=value;...`, or of a preset."""
    if text in PRESETS:
        return PRESETS[text]
    parser = argparse.ArgumentParser("optimization flags")
    for name, default in asdict(OptimizationFlags()).items():
        if isinstance(default, bool):
            parser.add_argument(f"--{name}", type=_boolean, default=name == "flashinfer")
        else:
            parser.add_argument(f"--{name}", choices=["NONE", "ONESHOT", "TWOSHOT", "AUTO"], default=default)
    return OptimizationFlags(**vars(parser.parse_args([f"--{each}" for each in text.split(";") if each])))


def _boolean(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"Invalid boolean value: {text}")
    return text == "1"


def corrected(flags: OptimizationFlags, kind: str) -> OptimizationFlags:
    """What is left of the flags: for a processor MLC-LLM switches all of them off, without a word."""
    if kind == "cuda":
        return flags
    kept = flags.flashinfer and os.environ.get("MLC_STANDIN") == "flashinfer"
    return OptimizationFlags(flashinfer=kept, ipc_allreduce_strategy=flags.ipc_allreduce_strategy)
