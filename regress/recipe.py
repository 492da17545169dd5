"""What an artifact is made of, as a baseline's case names it: quantization, target and build flags."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regress.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.record import Workload

QUANTIZATIONS = ("q0f32", "q0f16", "q4f32_1", "q4f16_1")
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
_ARCH = re.compile(r"found|sm_[0-9]+[a-z]?")
_FLAG_VALUES = {"schedule": ("tuned", "dlight", "none"), "cuda_graph": ("0", "1")}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What an artifact is made of, besides toolchain and machine.

    Attributes:
        model: Model source.
        quantization: MLC's name of it.
        target: `llvm`, `cuda` or `cuda-sm_NN`.
        flags: All build flags and their values, defaults included, sorted.
    """

    model: str
    quantization: str
    target: str
    flags: tuple[tuple[str, str], ...]


def complete_flags(flags: Mapping[str, str], where: str) -> dict[str, str]:
    """The flags with the defaults of those not given.

    Args:
        flags: Flags as written.
        where: File and key, for errors.

    Raises:
        ConfigError: A flag is unknown or has a value it cannot have.
    """
    for name, value in flags.items():
        if name not in FLAGS:
            raise ConfigError(f"{where}.{name}: unknown build flag{did_you_mean(name, FLAGS)}")
        if name in _FLAG_VALUES and value not in _FLAG_VALUES[name]:
            raise ConfigError(f"{where}.{name}: '{value}' is not one of {', '.join(_FLAG_VALUES[name])}")
        if name == "arch" and not _ARCH.fullmatch(value):
            raise ConfigError(f"{where}.arch: '{value}' is neither found nor an architecture such as sm_90a")
        if name not in (*_FLAG_VALUES, "arch") and not value.isdecimal():
            raise ConfigError(f"{where}.{name}: '{value}' is not a whole number")
    if int(flags.get("prefill_chunk_size", 1)) == 0:
        raise ConfigError(f"{where}.prefill_chunk_size: 0 tokens at once are none")
    return {**FLAGS, **flags}


def other_flags(built: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Names of the flags that a build has otherwise than wanted, sorted.

    A flag that either of them does not name has its default: builds of before the flag came to be were made so.
    """
    ours, theirs = {**FLAGS, **built}, {**FLAGS, **wanted}
    return sorted(flag for flag in ours | theirs if ours.get(flag) != theirs.get(flag))


def own_flags(flags: Mapping[str, str]) -> dict[str, str]:
    """The flags that are not the defaults."""
    return {name: value for name, value in flags.items() if FLAGS.get(name) != value}


def check_context(workload: Workload, flags: Mapping[str, str], where: str) -> None:
    """Raises `ConfigError`, naming the key, where a workload does not fit a context that the flags set."""
    context, needed = int(flags["context_window_size"]), workload.prompt_tokens + workload.new_tokens
    if 0 < context < needed:
        raise ConfigError(f"{where}.flags.context_window_size: {context} is less than the workload's {needed} tokens")


def check_arch(target: str, flags: Mapping[str, str], where: str) -> None:
    """Raises `ConfigError`, naming the key, where an architecture is asked for that the target leaves no choice of."""
    if flags["arch"] != "found" and target != "cuda":
        raise ConfigError(f"{where}.flags.arch: target '{target}' leaves no choice; it is for target cuda")


def check_recipe(quantization: str, target: str, where: str) -> None:
    """Raises `ConfigError`, naming the key, where no builder knows the quantization or the target."""
    if quantization not in QUANTIZATIONS:
        raise ConfigError(
            f"{where}.quantization: unknown '{quantization}'{did_you_mean(quantization, QUANTIZATIONS)}",
            hint=f"known: {', '.join(QUANTIZATIONS)}",
        )
    if target not in ("llvm", "cuda") and not target.startswith("cuda-sm_"):
        raise ConfigError(
            f"{where}.target: unknown '{target}'{did_you_mean(target, ('llvm', 'cuda'))}",
            hint="known: llvm, cuda, cuda-sm_NN",
        )
