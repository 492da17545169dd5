"""Builds a Llama-family model with TVM alone: quantizes the weights and compiles the model library.

Needs only the `apache-tvm` wheel, so it is the default builder, and the canary that tells a regression of TVM from
one of MLC-LLM. What it writes has the files and the exported functions of an MLC-LLM build:
`mlc-chat-config.json`, `tensor-cache.json`, `params_shard_N.bin`, `lib.so` and the tokenizer's files.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tvm
from tvm import relax
from tvm.s_tir import dlight

from regress.worker import cuda_attention, cuda_toolkit, fused_decode, weights
from regress.worker.cpu_schedule import ScheduleCpuMatmul
from regress.worker.cuda_attention import ReplaceAttention
from regress.worker.llama import KV_CACHE_FUNCTION, LlamaForCausalLM, Variant
from regress.worker.llama_config import LlamaConfig, parse_config
from regress.worker.passes import (
    AttachBounds,
    AttachMetadata,
    CollectKernels,
    DeclareNoAlias,
    FuseDequantizeMatmul,
)
from regress.worker.quantize import QUANTIZATIONS, Quantization
from regress.worker.step_graph import CaptureStep

if TYPE_CHECKING:
    from regress.worker.protocol import Channel

LIBRARY = "lib.so"
CHAT_CONFIG = "mlc-chat-config.json"
_TOKENIZER_FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "tokenizer_config.json",
)


def main(request: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Builds one artifact.

    Args:
        request: `model` (folder of the checkpoint), `output` (existing empty folder), `quantization`, `target`,
            `flags` (see `regress.build.FLAGS`).
        channel: For progress.

    Returns:
        The facts of the build: `resolved_target`, `param_bytes`, `param_count`, `planned_memory_bytes`, `kv_cache`
        and `kernels` (name to SHA-256).
    """
    folder, output = Path(request["model"]), Path(request["output"])
    source_config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config, quantization = parse_config(source_config), QUANTIZATIONS[request["quantization"]]
    flags = request["flags"]
    limits = _limits(config, flags)
    target = resolve_target(request["target"], flags["arch"])
    if target.kind.name == "cuda":
        cuda_toolkit.provide(output.parent)
    channel.progress("compile")
    with target:
        model = LlamaForCausalLM(config, quantization, target, _variant(request, config, quantization, target))
        module, params = model.export_tvm(spec=model.spec())
        if not model.variant.tvm_attention:
            module = tvm.transform.Sequential([ReplaceAttention(config)])(module)
        metadata = _metadata(config, quantization, limits, params)
        capture = target.kind.name == "cuda" and flags["cuda_graph"] == "1"
        library = compile_module(module, target, metadata, limits, flags["schedule"], capture=capture)
        compile_left_sources(library.executable.mod)
    library.executable.export_library(str(output / LIBRARY))
    channel.progress("quantize")
    counter = weights.Counter()
    names = [name for name, _ in params]
    converted = weights.convert(weights.Checkpoint(folder), names, quantization, counter)
    param_bytes = weights.write_shards(converted, output, counter)
    _copy_tokenizer(folder, output)
    _write_chat_config(output, source_config, config, quantization, limits)
    return {
        "resolved_target": str(target),
        "param_bytes": param_bytes,
        "param_count": counter.params,
        "planned_memory_bytes": library.planned_memory,
        "kv_cache": KV_CACHE_FUNCTION,
        "kernels": library.kernels,
    }


def resolve_target(name: str, arch: str = "found") -> tvm.target.Target:
    """The whole target for a case's short name.

    Args:
        name: `llvm` for this machine's processor, `cuda` for its GPU, `cuda-sm_NN` to compile for an architecture
            that need not be here.
        arch: For `cuda`, the architecture as it shall be spelt; `found` for the one that TVM knows tensor cores by.
    """
    host = {"kind": "llvm", "mcpu": tvm.target.codegen.llvm_get_system_cpu()}
    if name == "llvm":
        return tvm.target.Target({**host, "num-cores": len(os.sched_getaffinity(0))})
    named = name.partition("-")[2]
    if not named:
        device = tvm.cuda(0)
        # Where the CUDA runtime does not load, TVM reports no device and no error.
        if not device.exist:
            raise RuntimeError("TVM sees no CUDA device; name an architecture (cuda-sm_90) to compile without one")
        named = f"sm_{device.compute_version.replace('.', '')}" if arch == "found" else arch
    cuda = {
        "kind": "cuda",
        "arch": named,
        "max_threads_per_block": 1024,
        "max_shared_memory_per_block": 49152,
        "thread_warp_size": 32,
    }
    return tvm.target.Target({**cuda, "host": host})


def _variant(
    request: dict[str, Any], config: LlamaConfig, quantization: Quantization, target: tvm.target.Target
) -> Variant:
    """Our own kernels where the tuned schedule is asked for and they cover the model, else TVM's."""
    flags = request["flags"]
    own = flags["schedule"] == "tuned" and cuda_attention.covers(target, config, quantization)
    fused = own and fused_decode.covers(config, quantization)
    return Variant(
        step=fused_decode.FusedDecode(_multiprocessors(request["target"], target)) if fused else None,
        tvm_attention=not own,
        extra_work=int(flags["extra_work"]),
    )


_FEWEST_MULTIPROCESSORS = {80: 56, 86: 6, 87: 4, 89: 16, 90: 114}
"""Compute capability, times ten, to the multiprocessors of a small part: A30, RTX A400, Orin Nano 4 GB, RTX 500 Ada,
H100 PCIe. Slices of a GPU (MIG) and low power modes have fewer: for them, build on the machine itself."""


def _multiprocessors(name: str, target: tvm.target.Target) -> int:
    """The GPU's multiprocessors: counted where it is this machine's, else those of a small one of its kind."""
    if name == "cuda":
        return int(tvm.cuda(0).multi_processor_count)
    return _FEWEST_MULTIPROCESSORS.get(cuda_attention.compute_capability(target), min(_FEWEST_MULTIPROCESSORS.values()))


class Compiled:
    """A compiled model and what was learned while compiling it."""

    def __init__(self, executable: Any, kernels: CollectKernels, metadata: AttachMetadata) -> None:  # noqa: ANN401
        self.executable = executable
        self.kernels = kernels.kernels
        self.planned_memory = metadata.planned_memory


def compile_module(  # noqa: PLR0913  # what it is made of
    module: tvm.IRModule,
    target: tvm.target.Target,
    metadata: dict[str, Any],
    limits: dict[str, int],
    schedule: str,
    *,
    capture: bool,
) -> Compiled:
    """The model compiled for the current target.

    Args:
        module: The exported model.
        target: What to compile for.
        metadata: What `_metadata` shall return, planned memory aside.
        limits: `context_window_size` and `prefill_chunk_size`.
        schedule: The build flag of that name.
        capture: Whether decode steps are CUDA graphs.
    """
    kernels, attach = CollectKernels(), AttachMetadata(metadata)
    bounds = {"seq_len": limits["prefill_chunk_size"], "total_seq_len": limits["context_window_size"]}
    passes = [
        AttachBounds(bounds),
        relax.transform.FuseTransposeMatmul(),
        relax.transform.LegalizeOps(),
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.FoldConstant(),
        relax.transform.FuseOps(),
        relax.transform.FuseTIR(),
        FuseDequantizeMatmul(),
        *_schedule_passes(target, schedule),
        DeclareNoAlias(),
        kernels,
        relax.transform.RewriteDataflowReshape(),
        relax.transform.ToNonDataflow(),
        relax.transform.RemovePurityChecking(),
        relax.transform.CallTIRRewrite(),
        relax.transform.StaticPlanBlockMemory(),
        attach,
        *([CaptureStep()] if capture else []),
        relax.transform.LowerAllocTensor(),
        relax.transform.KillAfterLastUse(),
        relax.transform.LowerRuntimeBuiltin(),
        relax.transform.ComputePrimValue(),
        relax.transform.VMShapeLower(),
        relax.transform.AttachGlobalSymbol(),
    ]
    with tvm.transform.PassContext(opt_level=3, config={"relax.backend.use_cuda_graph": capture}):
        lowered = tvm.transform.Sequential(passes)(module)
        executable = tvm.compile(lowered, target, relax_pipeline=tvm.transform.Sequential([]))
    return Compiled(executable, kernels, attach)


def compile_left_sources(module: tvm.runtime.Module) -> int:
    """Compiles the CUDA sources in a module for the current target; how many there were.

    Where there is no CUDA driver, TVM reports no error and leaves its kernels as source, to be compiled when the
    library is loaded. A kernel that the CUDA compiler refuses must be seen here and not there.

    Raises:
        RuntimeError: There is no CUDA compiler, or it refuses the source.
    """
    if tvm.get_global_func("ffi.Module.create.cuda", allow_missing=True) is not None:
        return 0  # TVM compiles by itself
    sources = [imported.inspect_source() for imported in module.imports if imported.kind == "cuda"]
    for source in sources:
        tvm.get_global_func("tvm_callback_cuda_compile")(source)
    return len(sources) + sum(compile_left_sources(imported) for imported in module.imports)


def _schedule_passes(target: tvm.target.Target, schedule: str) -> list[Any]:
    if target.kind.name == "cuda":
        rules = dlight.gpu
        return [
            dlight.ApplyDefaultSchedule(
                *([] if schedule == "none" else [rules.Matmul(), rules.GEMV()]),
                rules.Reduction(),
                rules.GeneralReduction(),
                rules.Fallback(),
            )
        ]
    return [ScheduleCpuMatmul()] if schedule == "tuned" else []


def _limits(config: LlamaConfig, flags: dict[str, str]) -> dict[str, int]:
    context = int(flags["context_window_size"]) or config.max_position_embeddings
    return {
        "context_window_size": context,
        "prefill_chunk_size": min(context, int(flags["prefill_chunk_size"])),
    }


def _metadata(
    config: LlamaConfig, quantization: Quantization, limits: dict[str, int], params: list[tuple[str, Any]]
) -> dict[str, Any]:
    return {
        "model_type": config.model_type,
        "quantization": quantization.name,
        **limits,
        "sliding_window_size": -1,
        "attention_sink_size": -1,
        "tensor_parallel_shards": 1,
        "pipeline_parallel_stages": 1,
        "kv_state_kind": "kv_cache",
        "max_batch_size": 1,
        "params": [
            {"name": name, "shape": [int(size) for size in param.shape], "dtype": str(param.dtype)}
            for name, param in params
        ],
    }


def _write_chat_config(
    output: Path,
    source: dict[str, Any],
    config: LlamaConfig,
    quantization: Quantization,
    limits: dict[str, int],
) -> None:
    chat_config = {
        "version": "0.1.0",
        "model_type": config.model_type,
        "quantization": quantization.name,
        "model_config": {**source, **limits, "tensor_parallel_shards": 1, "max_batch_size": 1},
        "vocab_size": config.vocab_size,
        **limits,
        "sliding_window_size": -1,
        "attention_sink_size": -1,
        "tensor_parallel_shards": 1,
        "bos_token_id": source.get("bos_token_id"),
        "eos_token_id": source.get("eos_token_id"),
        "tokenizer_files": [name for name in _TOKENIZER_FILES if (output / name).exists()],
    }
    (output / CHAT_CONFIG).write_text(json.dumps(chat_config, indent=2), encoding="utf-8")


def _copy_tokenizer(folder: Path, output: Path) -> None:
    for name in _TOKENIZER_FILES:
        if (folder / name).exists():
            shutil.copyfile(folder / name, output / name)
