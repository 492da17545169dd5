"""Which MLC-LLM a toolchain has, and the commands that build a model with it.

MLC-LLM's own version is a constant, so what it can do is read off its files. Two eras have commands to build with:
`legacy`, until the beginning of 2024, one command for everything; `now`, one command per step. Source: the argument
lists of mlc_llm/build.py and of mlc_llm/cli (2026-07) in MLC-LLM's repository.
"""

from __future__ import annotations

import ast
import importlib.util
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MODELS = "dist/models"
"""Where models lie in the build's folder, and where the legacy command looks for them."""
ARTIFACT = "artifact"
LIBRARY = "lib.so"
DUMP = "debug"
_NATIVE = ("mlc_llm_module", "mlc_llm")
"""MLC-LLM's native library: beside TVM's compiler, and beside its runtime alone."""
OPTIMISATIONS = (
    "flashinfer",
    "cublas_gemm",
    "faster_transformer",
    "cudagraph",
    "cutlass",
    "ipc_allreduce_strategy",
)
"""What `--opt` takes, in the order in which MLC-LLM prints it."""

_IDLE = {
    **dict.fromkeys(OPTIMISATIONS, "0"),
    "ipc_allreduce_strategy": "NONE",
    "flash_attn_mqa": "0",
    "arch": "found",
    "conv_template": "LM",
}
"""Flags to the value that asks for nothing, which an era without the flag gives, too."""


class Era(NamedTuple):
    """What a toolchain's MLC-LLM understands.

    Attributes:
        name: Which commands it has.
        optimisations: What its `--opt` takes; empty for `legacy`.
    """

    name: Literal["legacy", "now"]
    optimisations: tuple[str, ...] = ()


class Command(NamedTuple):
    """One command: its name in words, and its arguments behind `python -m`."""

    name: str
    arguments: tuple[str, ...]


class Wanted(NamedTuple):
    """What is to be built.

    Attributes:
        model: Name of the model's folder under `MODELS`.
        quantization: By MLC's name.
        target: What to compile for, as the command takes it.
        device: Where weights are quantized, as the command takes it.
        flags: Build flags and their values.
        context: Tokens of the context window.
        chunk: Longest prompt piece taken at once.
        safetensors: Whether the checkpoint is safetensors, and not PyTorch's own files.
    """

    model: str
    quantization: str
    target: str
    device: str
    flags: Mapping[str, str]
    context: int
    chunk: int
    safetensors: bool


def package() -> Path:
    """The folder of the toolchain's `mlc_llm`; it is not imported.

    Raises:
        RuntimeError: There is none.
    """
    spec = importlib.util.find_spec("mlc_llm")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise RuntimeError("this toolchain has no MLC-LLM: its Python finds no package mlc_llm")
    return Path(folders[0])


def has_native_library(folder: Path) -> bool:
    """Whether MLC-LLM's native library is somewhere that the `mlc_llm` in a folder looks for it.

    Only where it is known that it is not there is it said so. `libinfo.py` knows the places, and needs no other module.
    """
    source = folder / "libinfo.py"
    find = runpy.run_path(str(source)).get("find_lib_path") if source.is_file() else None
    return find is None or any(find(name, optional=True) for name in _NATIVE)


def probe(folder: Path) -> Era:
    """What the `mlc_llm` in a folder understands.

    Raises:
        RuntimeError: It has no command to build with.
    """
    if (folder / "cli" / "compile.py").is_file():
        return Era("now", _optimisations(folder / "interface" / "compiler_flags.py"))
    if (folder / "build.py").is_file():
        return Era("legacy")
    raise RuntimeError("the toolchain's mlc_llm has neither cli/compile.py nor build.py: no command to build with")


def _optimisations(source: Path) -> tuple[str, ...]:
    """The fields of `OptimizationFlags`, which `--opt` takes by name.

    Raises:
        RuntimeError: There is no such class.
    """
    tree = ast.parse(source.read_text(encoding="utf-8")) if source.is_file() else ast.Module([], [])
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "OptimizationFlags":
            fields = (field.target for field in node.body if isinstance(field, ast.AnnAssign))
            return tuple(field.id for field in fields if isinstance(field, ast.Name))
    raise RuntimeError("the toolchain's mlc_llm/interface/compiler_flags.py names no optimisation flags")


def commands(era: Era, wanted: Wanted) -> list[Command]:
    """The commands that build a model, in order, to be run in the build's folder.

    Raises:
        ValueError: A flag asks for what this era does not have.
    """
    _refuse_foreign(era, wanted.flags)
    return [_build(wanted)] if era.name == "legacy" else [_convert(wanted), _configure(wanted), _compile(era, wanted)]


def _refuse_foreign(era: Era, flags: Mapping[str, str]) -> None:
    known = {"cudagraph", "flash_attn_mqa"} if era.name == "legacy" else {"arch", "conv_template", *era.optimisations}
    for name, idle in _IDLE.items():
        if name not in known and flags[name] != idle and not (name == "cudagraph" and flags[name] == "0"):
            raise ValueError(f"flag {name}={flags[name]}: this MLC-LLM, of the era '{era.name}', has no such thing")


def _build(wanted: Wanted) -> Command:
    switches = {
        "--use-cuda-graph": wanted.flags["cudagraph"] == "1",
        "--use-flash-attn-mqa": wanted.flags["flash_attn_mqa"] == "1",
        "--use-safetensors": wanted.safetensors,
    }
    return Command(
        "mlc_llm.build",
        (
            *("mlc_llm.build", "--model", wanted.model, "--quantization", wanted.quantization),
            *("--artifact-path", "dist", "--max-seq-len", str(wanted.context), "--target", wanted.target),
            *("--use-cache", "0"),
            *(switch for switch, on in switches.items() if on),
        ),
    )


def _convert(wanted: Wanted) -> Command:
    source = "huggingface-safetensor" if wanted.safetensors else "huggingface-torch"
    return Command(
        "mlc_llm convert_weight",
        (
            *("mlc_llm", "convert_weight", f"{MODELS}/{wanted.model}", "--quantization", wanted.quantization),
            *("--device", wanted.device, "--source-format", source, "--output", ARTIFACT),
        ),
    )


def _configure(wanted: Wanted) -> Command:
    return Command(
        "mlc_llm gen_config",
        (
            *("mlc_llm", "gen_config", f"{MODELS}/{wanted.model}", "--quantization", wanted.quantization),
            *("--conv-template", wanted.flags["conv_template"], "--context-window-size", str(wanted.context)),
            *("--prefill-chunk-size", str(wanted.chunk), "--max-batch-size", "1", "--output", ARTIFACT),
        ),
    )


def _compile(era: Era, wanted: Wanted) -> Command:
    given = [name for name in OPTIMISATIONS if name in era.optimisations]
    return Command(
        "mlc_llm compile",
        (
            *("mlc_llm", "compile", ARTIFACT, "--device", wanted.target),
            *("--opt", ";".join(f"{name}={wanted.flags[name]}" for name in given)),
            *("--debug-dump", DUMP, "--output", f"{ARTIFACT}/{LIBRARY}"),
        ),
    )
