"""What an artifact is made of, as a baseline's case names it: quantization, target and build flags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from regress.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.record import Harness, Workload

Builder = Literal["tvm", "mlc"]
"""Who builds: we, with TVM alone, or MLC-LLM's own commands."""

QUANTIZATIONS = ("q0f32", "q0f16", "q4f32_1", "q4f16_1")
MLC_QUANTIZATIONS = (
    *QUANTIZATIONS,
    "q3f16_0",
    "q3f16_1",
    "q4f16_0",
    "q4f16_2",
    "q4f16_ft",
    "q4f32_0",
    "q8f16_1",
    "q8f16_ft",
)
"""Those of any era of MLC-LLM whose parameters the bench worker can read; each era has some of them."""
FLAGS: dict[str, str] = {
    "schedule": "tuned",
    "context_window_size": "0",
    "prefill_chunk_size": "4096",
    "cuda_graph": "0",
    "arch": "found",
    "extra_work": "0",
}
"""Build flags and their defaults.

`schedule` is `tuned`; `dlight` for TVM's own rules alone, on a GPU; `none` to leave matrix kernels as its generic rules
do; `context_window_size` 0 stands for the model's own; `prefill_chunk_size` is the longest prompt piece taken at once;
`cuda_graph` 1 captures decode; `arch` compiles target `cuda` for another spelling of this GPU's architecture than that
found, such as `sm_90a`; `extra_work` slows each decode step by that many multiply-adds per hidden value, for
`regress drill`.
"""
MLC_FLAGS: dict[str, str] = {
    "context_window_size": "0",
    "prefill_chunk_size": "4096",
    "arch": "found",
    "conv_template": "LM",
    "flashinfer": "0",
    "cublas_gemm": "0",
    "faster_transformer": "0",
    "cudagraph": "1",
    "cutlass": "0",
    "ipc_allreduce_strategy": "NONE",
    "flash_attn_mqa": "0",
}
"""Build flags of the builder `mlc` and their defaults.

The first three are as above. `conv_template` is the conversation template, which the rates do not depend on. What
follows are MLC-LLM's optimisations by its own names, each given explicitly, because what `-O2` means has changed often;
`flash_attn_mqa` is `--use-flash-attn-mqa` of the legacy era.
"""
DEFAULTS: dict[str, str] = {**FLAGS, **MLC_FLAGS}
"""The default of every flag: one that two builders have has the same with both."""
_FLAGS_OF: dict[Builder, dict[str, str]] = {"tvm": FLAGS, "mlc": MLC_FLAGS}
_QUANTIZATIONS_OF: dict[Builder, tuple[str, ...]] = {"tvm": QUANTIZATIONS, "mlc": MLC_QUANTIZATIONS}
_TEMPLATE = re.compile(r"[\w.-]+", re.ASCII)
_SWITCH = ("0", "1")
_ARCH = re.compile(r"found|sm_[0-9]+[a-z]?")
_FLAG_VALUES = {
    "schedule": ("tuned", "dlight", "none"),
    "cuda_graph": _SWITCH,
    "flashinfer": _SWITCH,
    "cublas_gemm": _SWITCH,
    "faster_transformer": _SWITCH,
    "cudagraph": _SWITCH,
    "cutlass": _SWITCH,
    "ipc_allreduce_strategy": ("NONE", "ONESHOT", "TWOSHOT", "AUTO"),
    "flash_attn_mqa": _SWITCH,
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What an artifact is made of, besides toolchain and machine.

    Attributes:
        model: Model source.
        quantization: MLC's name of it.
        target: `llvm`, `cuda` or `cuda-sm_NN`.
        flags: All build flags and their values, defaults included, sorted.
        builder: Who builds it.
    """

    model: str
    quantization: str
    target: str
    flags: tuple[tuple[str, str], ...]
    builder: Builder = "tvm"


def complete_flags(flags: Mapping[str, str], where: str, builder: Builder = "tvm") -> dict[str, str]:
    """The flags with the defaults of those not given.

    Args:
        flags: Flags as written.
        where: File and key, for errors.
        builder: Whose flags.

    Raises:
        ConfigError: A flag is unknown or has a value it cannot have.
    """
    known = _FLAGS_OF[builder]
    for name, value in flags.items():
        if name not in known:
            whose = "" if builder == "tvm" else f" of the builder '{builder}'"
            raise ConfigError(f"{where}.{name}: unknown build flag{whose}{did_you_mean(name, known)}")
        if problem := _flag_problem(name, value):
            raise ConfigError(f"{where}.{name}: {problem}")
    return {**known, **flags}


def _flag_problem(name: str, value: str) -> str | None:
    """Why a flag cannot have a value; `None` where it can."""
    if name in _FLAG_VALUES:
        choices = _FLAG_VALUES[name]
        return None if value in choices else f"'{value}' is not one of {', '.join(choices)}"
    if name == "arch":
        return None if _ARCH.fullmatch(value) else f"'{value}' is neither found nor an architecture such as sm_90a"
    if name == "conv_template":
        return None if _TEMPLATE.fullmatch(value) else f"'{value}' is no name of a template"
    if not value.isdecimal():
        return f"'{value}' is not a whole number"
    return "0 tokens at once are none" if name == "prefill_chunk_size" and int(value) == 0 else None


def other_flags(built: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Names of the flags that a build has otherwise than wanted, sorted.

    A flag that either of them does not name has its default: builds of before the flag came to be were made so.
    """
    ours, theirs = {**DEFAULTS, **built}, {**DEFAULTS, **wanted}
    return sorted(flag for flag in ours | theirs if ours.get(flag) != theirs.get(flag))


def own_flags(flags: Mapping[str, str]) -> dict[str, str]:
    """The flags that are not the defaults."""
    return {name: value for name, value in flags.items() if DEFAULTS.get(name) != value}


def check_context(workload: Workload, flags: Mapping[str, str], where: str) -> None:
    """Raises `ConfigError`, naming the key, where a workload does not fit a context that the flags set."""
    context, needed = int(flags["context_window_size"]), workload.prompt_tokens + workload.new_tokens
    if 0 < context < needed:
        raise ConfigError(f"{where}.flags.context_window_size: {context} is less than the workload's {needed} tokens")


def check_arch(target: str, flags: Mapping[str, str], where: str) -> None:
    """Raises `ConfigError`, naming the key, where an architecture is asked for that the target leaves no choice of."""
    if flags["arch"] != "found" and target != "cuda":
        raise ConfigError(f"{where}.flags.arch: target '{target}' leaves no choice; it is for target cuda")


def check_harness(harness: Harness, builder: Builder, where: str) -> None:
    """Raises `ConfigError`, naming the key, where a harness is asked for that drives no build of the builder's."""
    if harness != "vm" and builder != "mlc":
        raise ConfigError(
            f"{where}.harness: '{harness}' is MLC-LLM's, which has no part in a build by '{builder}'",
            hint='write builder = "mlc" beside it, or leave the harness out',
        )


def check_recipe(quantization: str, target: str, where: str, builder: Builder = "tvm") -> None:
    """Raises `ConfigError`, naming the key, where the builder does not know the quantization or the target."""
    known = _QUANTIZATIONS_OF[builder]
    if quantization not in known:
        raise ConfigError(
            f"{where}.quantization: unknown '{quantization}'{did_you_mean(quantization, known)}",
            hint=f"known: {', '.join(known)}",
        )
    if target not in ("llvm", "cuda") and not target.startswith("cuda-sm_"):
        raise ConfigError(
            f"{where}.target: unknown '{target}'{did_you_mean(target, ('llvm', 'cuda'))}",
            hint="known: llvm, cuda, cuda-sm_NN",
        )
