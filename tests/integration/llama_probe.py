"""Run by a toolchain's Python: the logits of a built model for given token ids, after the prompt and every step.

`python llama_probe.py REQUEST.json`, where the request names the folder of `regress`, the artifact, the device, the
size of the KV cache, the .npz file to write, and `runs`: a name to the prompt's ids and to those fed one by one
after it. Each run's logits are one array `(1 + steps, vocab_size)`. Prints the library's metadata and which of
`FUNCTIONS` it exports.
"""

import importlib
import json
import os
import sys
import types
from pathlib import Path

import numpy as np

FUNCTIONS = ("_metadata", "create_tir_paged_kv_cache", "decode", "embed", "prefill")


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text())
    # As the workers' own `__main__` does: of `regress`, nothing but the workers can be imported.
    package = types.ModuleType("regress")
    package.__path__ = [request["regress"]]
    sys.modules["regress"] = package
    vm_model = importlib.import_module("regress.worker.vm_model")
    model = vm_model.VmModel(Path(request["artifact"]), request["device"], request["context"])
    found = {}
    for name, (prompt, steps) in request["runs"].items():
        model.restart()
        logits = [vm_model.logits_of(model.prefill(model.chunks(prompt)))]
        logits += [vm_model.logits_of(model.decode(model.to_device([token]))) for token in steps]
        found[name] = np.stack(logits)
    np.savez(request["output"], allow_pickle=False, **found)
    functions = [name for name in FUNCTIONS if model._vm.module.implements_function(name)]
    print(json.dumps({"metadata": model.metadata, "functions": functions}), flush=True)  # noqa: T201
    os._exit(0)


main()
