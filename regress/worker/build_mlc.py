"""Builds a model with MLC-LLM's own commands, of whichever era the toolchain's MLC-LLM is.

What the commands leave is brought into the layout that the bench worker reads: `mlc-chat-config.json`,
`tensor-cache.json`, `params_shard_N.bin`, `lib.so` and the tokenizer's files. And it is looked at: MLC-LLM falls back
to slower kernels without failing, so that what was built is held against what was asked.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tvm
from tvm import relax

from regress.worker import mlc_command, mlc_era, mlc_library, mlc_model
from regress.worker.mlc_era import DUMP, LIBRARY, MODELS, Command, Era, Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.worker.protocol import Channel

_ALONE = Path(__file__).with_name("alone")
"""Stands in for MLC-LLM's native library."""
_CHAT_CONFIG = "mlc-chat-config.json"


def main(request: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Builds one artifact.

    Args:
        request: `model` (folder of the checkpoint), `name` (what to call it), `param_count` (of the checkpoint),
            `output` (existing empty folder, in which all else of the build's folder is scratch), `quantization`,
            `target`, `flags` (see `regress.recipe.MLC_FLAGS`).
        channel: For progress.

    Returns:
        The facts of the build: those that `build_tvm` returns, `bits_per_param`, and `mlc`: the era, the commands, the
        optimisations in force, what was changed of the model, and the findings.
    """
    output = Path(request["output"])
    folder = output.parent
    _require_cutlass(request["quantization"])
    package = mlc_era.package()
    era, native = mlc_era.probe(package), mlc_era.has_native_library(package)
    patched = mlc_model.place(Path(request["model"]), folder / MODELS / request["name"])
    commands = mlc_era.commands(era, _wanted(request, era))
    printed = _run_all(commands, folder, _environment(folder, native=native), channel)
    channel.progress("look at what was built")
    if era.name == "legacy":
        _collect(folder / "dist" / f"{request['name']}-{request['quantization']}", output)
    if not (output / LIBRARY).is_file():
        raise RuntimeError(f"{commands[-1].name} ended well, and wrote no {LIBRARY}")
    found, kernels = _found(request, output), mlc_library.kernels(folder / DUMP)
    seen = mlc_library.Seen(
        in_force=mlc_library.in_force(printed),
        kv_cache=found["kv_cache"],
        called=kernels.called,
        faster_transformer=mlc_library.calls_faster_transformer(output / LIBRARY),
        cutlass=_has_cutlass(),
    )
    return {
        **found,
        "resolved_target": mlc_library.target_in_force(printed) or request["target"],
        "kernels": kernels.digests,
        "mlc": {
            "era": era.name,
            "commands": [" ".join(command.arguments) for command in commands],
            "optimisations": seen.in_force,
            "native_library": native,
            "patched": patched,
            "findings": list(mlc_library.findings(request["flags"], request["quantization"], request["target"], seen)),
        },
    }


def _found(request: dict[str, Any], output: Path) -> dict[str, Any]:
    """What the files of a build say, as facts."""
    weights, count = mlc_model.read_weights(output), int(request["param_count"])
    # Nothing of the library is run on its own device, so that any machine can look.
    machine = relax.VirtualMachine(tvm.runtime.load_module(str(output / LIBRARY)), tvm.cpu())
    return {
        "param_bytes": weights.stored_bytes,
        "param_count": count,
        "bits_per_param": weights.bits_per_param or 8 * weights.loaded_bytes / count,
        "planned_memory_bytes": _metadata(machine, output).get("memory_usage", {}),
        "kv_cache": _kv_cache(machine),
    }


def _wanted(request: dict[str, Any], era: Era) -> Wanted:
    flags, source = request["flags"], Path(request["model"])
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    context = int(flags["context_window_size"]) or int(config.get("max_position_embeddings", 0))
    if not context:
        raise ValueError("config.json: max_position_embeddings: missing; set the flag context_window_size")
    return Wanted(
        model=request["name"],
        quantization=request["quantization"],
        target=_target(request["target"], flags["arch"], era),
        device="cuda:0" if request["target"] == "cuda" else "cpu:0",
        flags=flags,
        context=context,
        chunk=min(context, int(flags["prefill_chunk_size"])),
        safetensors=mlc_model.has_safetensors(source),
    )


def _target(name: str, arch: str, era: Era) -> str:
    """A case's target as MLC-LLM takes it: a word for this machine's GPU, else TVM's own description."""
    named = name.partition("-")[2] or ("" if arch == "found" else arch)
    if era.name == "legacy":
        if named:
            raise ValueError(f"target {name}: MLC-LLM of the era 'legacy' compiles for this machine's devices alone")
        return name
    if name == "llvm":
        # By its mere name TVM would compile for the oldest processor of its kind.
        return json.dumps({"kind": "llvm", "mcpu": tvm.target.codegen.llvm_get_system_cpu()})
    if not named:
        return "cuda"
    limits = {"max_threads_per_block": 1024, "max_shared_memory_per_block": 49152, "thread_warp_size": 32}
    return json.dumps({"kind": "cuda", "arch": named, **limits})


def _require_cutlass(quantization: str) -> None:
    """Raises `RuntimeError` where FasterTransformer's layout is asked for, which only CUTLASS can make."""
    if quantization.endswith("_ft") and not _has_cutlass():
        raise RuntimeError(f"{quantization} needs a TVM built with CUTLASS, and this toolchain's is not")


def _has_cutlass() -> bool:
    return tvm.get_global_func("relax.ext.cutlass", allow_missing=True) is not None


def _environment(folder: Path, *, native: bool) -> dict[str, str]:
    """The commands' variables; a home of their own, because MLC-LLM's cache of models leaves its own version out."""
    home = {"MLC_LLM_HOME": str(folder / "mlc-home"), "MLC_JIT_POLICY": "OFF"}
    if native:
        return home
    return {**home, "PYTHONPATH": os.pathsep.join(filter(None, (str(_ALONE), os.environ.get("PYTHONPATH"))))}


def _run_all(commands: list[Command], folder: Path, env: Mapping[str, str], channel: Channel) -> list[str]:
    """What the commands printed."""
    Path(env["MLC_LLM_HOME"]).mkdir()
    printed: list[str] = []
    for index, command in enumerate(commands):
        channel.progress(command.name, index, len(commands))
        printed += mlc_command.run(command, folder, env)
    return printed


def _collect(built: Path, output: Path) -> None:
    """Moves what the legacy command wrote into the artifact's layout."""
    for file in (built / "params").iterdir():
        file.replace(output / file.name)
    libraries = sorted(built.glob("*.so"))
    if len(libraries) == 1:
        libraries[0].replace(output / LIBRARY)


def _function(machine: Any, name: str) -> Any:  # noqa: ANN401
    """A function of a library; `None` where it has none of that name."""
    try:
        return machine[name]
    except AttributeError:
        return None


def _kv_cache(machine: Any) -> str:  # noqa: ANN401
    """Name of the function that makes the KV cache.

    Raises:
        RuntimeError: The library has none.
    """
    for name in mlc_library.CACHE_FUNCTIONS:
        if _function(machine, name) is not None:
            return name
    raise RuntimeError(f"{LIBRARY} exports no function that makes a KV cache")


def _metadata(machine: Any, output: Path) -> dict[str, Any]:  # noqa: ANN401
    """What the library says of itself, with a number for each size; nothing of a legacy one, which has no such text."""
    function = _function(machine, "_metadata")
    if function is None:
        return {}
    chat = json.loads((output / _CHAT_CONFIG).read_text(encoding="utf-8"))
    return mlc_library.write_numbers(output / LIBRARY, str(function()), {**chat, **chat.get("model_config", {})})
