"""Run by a toolchain's Python: a model whose decode steps are graphs, on a processor, beside the same without.

`python graph_probe.py REQUEST.json`, where the request names the folder of `regress`, that of an artifact without
graphs, of its model, and of the artifact to make, and gives prompts: token ids, and how many of them are the prompt.
TVM's two functions for CUDA graphs are replaced: what was captured is called again with the arguments of when it was
captured, as a graph launches its kernels with the pointers they had. Prints the largest difference of the logits, how
often a graph was launched, and the keys that each was captured with.
"""

import importlib
import json
import os
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import tvm


class Graphs:
    """What stands in for CUDA graphs."""

    def __init__(self) -> None:
        self.captured: dict[tuple[int, tuple[int, ...]], tuple[Any, Any]] = {}
        self.launches = 0
        self._allocated: dict[int, Any] = {}
        self._invoke = tvm.get_global_func("vm.builtin.invoke_closure")

    def run_or_capture(self, context: Any, function: Any, arguments: Any, index: int, key: Any = None) -> Any:  # noqa: ANN401
        self.launches += 1
        name = (int(index), tuple(key or ()))
        if name in self.captured:
            arguments, result = self.captured[name]
            self._invoke(context, function, *arguments)
            return result
        self.captured[name] = arguments, self._invoke(context, function, *arguments)
        return self.captured[name][1]

    def get_cached_alloc(self, context: Any, function: Any, index: int) -> Any:  # noqa: ANN401
        if index not in self._allocated:
            self._allocated[index] = self._invoke(context, function)
        return self._allocated[index]


def build(request: dict[str, Any], workers: str) -> Path:
    """The artifact of the request again, with graphs."""
    build_tvm, llama, configs, quantize = (
        importlib.import_module(f"{workers}.{name}") for name in ("build_tvm", "llama", "llama_config", "quantize")
    )
    plain, folder = Path(request["artifact"]), Path(request["output"])
    config = configs.parse_config(json.loads((Path(request["model"]) / "config.json").read_text()))
    quantization = quantize.QUANTIZATIONS["q4f16_1"]
    limits = {"context_window_size": 4096, "prefill_chunk_size": 4096}
    target = build_tvm.resolve_target("llvm")
    with target:
        variant = llama.Variant(step=None, tvm_attention=True, extra_work=0)
        model = llama.LlamaForCausalLM(config, quantization, target, variant)
        module, params = model.export_tvm(spec=model.spec())
        metadata = build_tvm._metadata(config, quantization, limits, params)
        compiled = build_tvm.compile_module(module, target, metadata, limits, "tuned", capture=True)
    shutil.copytree(plain, folder, dirs_exist_ok=True)
    compiled.executable.export_library(str(folder / "lib.so"))
    return folder


def answers(vm_model: Any, folder: Path, prompts: list[tuple[list[int], int]]) -> Any:  # noqa: ANN401
    model, logits = vm_model.VmModel(folder, "cpu", 256), []
    for ids, length in prompts:
        model.restart()
        logits.append(vm_model.logits_of(model.prefill(model.chunks(ids[:length]))))
        logits += [vm_model.logits_of(model.decode(model.to_device([token]))) for token in ids[length:]]
    return np.stack(logits)


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text())
    package = types.ModuleType("regress")
    package.__path__ = [request["regress"]]
    sys.modules["regress"] = package
    vm_model = importlib.import_module("regress.worker.vm_model")
    expected = answers(vm_model, Path(request["artifact"]), request["prompts"])
    folder, graphs = build(request, "regress.worker"), Graphs()
    for name in ("run_or_capture", "get_cached_alloc"):
        tvm.register_global_func(f"vm.builtin.cuda_graph.{name}", getattr(graphs, name), override=True)
    found = answers(vm_model, folder, request["prompts"])
    captured: dict[int, list[int]] = {}
    for index, key in sorted(graphs.captured):
        captured.setdefault(index, []).extend(key)
    difference = float(np.abs(found - expected).max())
    print(json.dumps({"difference": difference, "launches": graphs.launches, "captured": captured}), flush=True)  # noqa: T201
    os._exit(0)


main()
