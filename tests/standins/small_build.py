"""What both stand-ins for MLC-LLM build with: this project's own Llama, compiled by TVM for the processor.

Real weights and a real library, so that a build of a stand-in can be loaded and measured; but the kernels, and so the
rates, are not MLC-LLM's. `MLC_STANDIN` in the environment lets a stand-in fail: `unfused` leaves dequantization apart
from the matrix products, `flashinfer` keeps the flag on and builds TVM's cache all the same, `killed` dies in the
middle of compiling as the kernel kills what takes too much memory, `nothing` ends well without a library.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import types
from pathlib import Path
from typing import Any

REGRESS = Path(__file__).resolve().parents[2] / "regress"
BUILT = ("q0f16", "q0f32", "q4f16_1", "q4f32_1")


def worker(name: str) -> Any:  # noqa: ANN401
    """A module of `regress.worker`, imported as the workers' own `__main__` does it: nothing else of `regress` is."""
    if "regress" not in sys.modules:
        package = types.ModuleType("regress")
        package.__path__ = [str(REGRESS)]
        sys.modules["regress"] = package
    return importlib.import_module(f"regress.worker.{name}")


def require_built(quantization: str) -> None:
    """Raises for weights that cannot be made, and, which MLC-LLM does not, where its cache would be anyone's."""
    home = Path(os.environ["MLC_LLM_HOME"])
    if home.parent != Path.cwd() or os.environ.get("MLC_JIT_POLICY") != "OFF":
        raise RuntimeError(f"a build at {Path.cwd()} shares its cache: {home}")
    if quantization not in BUILT:
        raise NotImplementedError(f"this stand-in has no weights of {quantization}")


def write_weights(model: Path, quantization: str, output: Path) -> None:
    """Shards and `tensor-cache.json`, as MLC-LLM's."""
    require_built(quantization)
    weights, layout = worker("weights"), worker("quantize").QUANTIZATIONS[quantization]
    config = worker("llama_config").parse_config(json.loads((model / "config.json").read_text()))
    counter = weights.Counter()
    names = [name for name, _ in _exported(config, layout)[1]]
    weights.write_shards(weights.convert(weights.Checkpoint(model), names, layout, counter), output, counter)


def write_library(  # noqa: PLR0913  # what it is made of
    source: dict[str, Any], quantization: str, limits: dict[str, int], output: Path, *, dump: Path | None, named: bool
) -> None:
    """A library with the functions of a present-day MLC-LLM build.

    Args:
        source: The model's configuration.
        quantization: By MLC's name.
        limits: `context_window_size` and `prefill_chunk_size`.
        output: The library's file.
        dump: Folder for the scheduled module; `None` for none.
        named: Whether the metadata names the vocabulary's size, as MLC-LLM's does, in place of telling it.
    """
    require_built(quantization)
    fault = os.environ.get("MLC_STANDIN")
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "nothing":
        return
    build, layout = worker("build_tvm"), worker("quantize").QUANTIZATIONS[quantization]
    config = worker("llama_config").parse_config(source)
    _intervene(build, dump, unfused=fault == "unfused")
    target = build.resolve_target("llvm")
    with target:
        module, params = _exported(config, layout)
        metadata = build._metadata(config, layout, limits, params)
        if named:
            _name_vocabulary(metadata, config.vocab_size)
        library = build.compile_module(module, target, metadata, limits, "tuned", capture=False)
    library.executable.export_library(str(output))


def _exported(config: Any, layout: Any) -> Any:  # noqa: ANN401
    """The model's module and its parameters."""
    llama, target = worker("llama"), worker("build_tvm").resolve_target("llvm")
    with target:
        variant = llama.Variant(step=None, tvm_attention=True, extra_work=0)
        model = llama.LlamaForCausalLM(config, layout, target, variant)
        return model.export_tvm(spec=model.spec())


def _name_vocabulary(metadata: dict[str, Any], size: int) -> None:
    for param in metadata["params"]:
        if "embed_tokens" in param["name"] or "lm_head" in param["name"]:
            param["shape"] = ["vocab_size" if each == size else each for each in param["shape"]]


def _intervene(build: Any, dump: Path | None, *, unfused: bool) -> None:  # noqa: ANN401
    """Adds the dump of the scheduled module to the builder's passes, and takes its fusion out."""
    import tvm  # noqa: PLC0415  # in the toolchain's Python alone

    @tvm.transform.module_pass(opt_level=0, name="DebugDump")
    class _Dump:
        def transform_module(self, mod: Any, _context: Any) -> Any:  # noqa: ANN401
            if dump is not None:
                (dump / "debug-phase4.py").write_text(mod.script(show_meta=False))
            return mod

    declare = build.DeclareNoAlias
    build.DeclareNoAlias = lambda: tvm.transform.Sequential([declare(), _Dump()])
    if unfused:
        build.FuseDequantizeMatmul = lambda: tvm.transform.Sequential([])
