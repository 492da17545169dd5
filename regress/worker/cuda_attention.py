"""Attention and rotary embedding with CUDA kernels of `cuda/`, in the place of TVM's own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm
from tvm import tirx
from tvm.script import tirx as T  # noqa: N812  # TVMScript's own name for it

from regress.worker.compat import name_of
from regress.worker.cuda_sources import source_of

if TYPE_CHECKING:
    from tvm.target import Target

    from regress.worker.llama_config import LlamaConfig
    from regress.worker.quantize import Quantization

_PAGE = 16
_WHOLE_PAGES = 16
"""Pages of decode attention that one block takes alone: to merge splits would take longer."""
_THREADS = 256
"""Threads of every block here. On an H200, decode attention with 512, and 80 pages to a block, was 4 % slower."""
_HEAD_DIMS = (64, 128)
_MOST_GROUPED_HEADS = 8
"""Query heads that share a key-value head: their sums lie in a thread's registers."""
_OLDEST_ARCH = 80
"""Compute capability from which there are cp.async and mma.m16n8k16."""


def covers(target: Target, config: LlamaConfig, quantization: Quantization) -> bool:
    """Whether these kernels can take the place of TVM's: half precision, on a GPU with the tensor cores they use."""
    return (
        compute_capability(target) >= _OLDEST_ARCH
        and quantization.dtype == "float16"
        and config.head_dim in _HEAD_DIMS
        and config.num_attention_heads // config.num_key_value_heads <= _MOST_GROUPED_HEADS
    )


def compute_capability(target: Target) -> int:
    """Ten times the compute capability that a target names, such as 90 for `sm_90a`; 0 for what is no CUDA target."""
    if target.kind.name != "cuda":
        return 0
    return int("".join(letter for letter in str(target.attrs["arch"]) if letter.isdigit()))


def frequencies(config: LlamaConfig) -> list[float]:
    """Radians that a position turns each pair of a head's values by, `head_dim / 2` of them.

    Source: Llama-3's scaling as the Transformers library has it (`rope_type` `llama3`).
    """
    half, scaling = config.head_dim // 2, config.rope_scaling
    plain = [config.rope_theta ** (-index / half) for index in range(half)]
    if not scaling:
        return plain
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = [scaling["original_max_position_embeddings"] * each / (2 * math.pi) for each in plain]
    kept = [min(1.0, max(0.0, (turn - low) / (high - low))) for turn in turns]
    return [each * (keep + (1 - keep) / scaling["factor"]) for each, keep in zip(plain, kept, strict=True)]


def _rotary_split(config: LlamaConfig) -> tirx.PrimFunc:
    """Queries, keys and values apart, the first two turned; parameters as TVM's `fused_rope` has them."""
    heads, kv_heads, dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    all_heads = heads + 2 * kv_heads
    blocks = -(-all_heads * dim // (8 * _THREADS))
    table = ", ".join(f"{float(np.float32(each))!r}f" for each in frequencies(config))
    name = f"rope_{heads}_{kv_heads}_{dim}"
    source = f"""{source_of("rope")}
__device__ __forceinline__ void {name}(const half* qkv, const int* positions, half* q, half* k, half* v, bool turn) {{
  static constexpr __device__ float table[] = {{{table}}};
  rope_split<{heads}, {kv_heads}, {dim}>(qkv, positions, q, k, v, table, turn);
}}
"""

    @T.prim_func(s_tir=True)
    def fused_rope(
        qkv_handle: T.handle,
        position_map_handle: T.handle,
        q_handle: T.handle,
        k_handle: T.handle,
        v_handle: T.handle,
        apply_rope: T.int64,
    ) -> None:
        T.func_attr({"tirx.noalias": True, "tirx.is_scheduled": True})
        tokens = T.int32()
        position_map_offset = T.int32()
        qkv = T.match_buffer(qkv_handle, (tokens, all_heads, dim), "float16")
        q = T.match_buffer(q_handle, (tokens, heads, dim), "float16")
        k = T.match_buffer(k_handle, (tokens, kv_heads, dim), "float16")
        v = T.match_buffer(v_handle, (tokens, kv_heads, dim), "float16")
        position_map = T.match_buffer(position_map_handle, (tokens,), "int32", elem_offset=position_map_offset)
        for _token in T.thread_binding(tokens, thread="blockIdx.x"):
            for _piece in T.thread_binding(blocks, thread="blockIdx.y"):
                for _thread in T.thread_binding(_THREADS, thread="threadIdx.x"):
                    with T.sblock("rope"):
                        T.reads()
                        T.writes()
                        T.evaluate(
                            T.cuda.func_call(
                                name,
                                qkv.data,
                                position_map.access_ptr("r"),
                                q.data,
                                k.data,
                                v.data,
                                apply_rope > T.int64(0),
                                source_code=source,
                            )
                        )

    return fused_rope


def _decode_attention(config: LlamaConfig) -> tirx.PrimFunc:
    """Attention of one new token of each sequence; parameters as TVM's `_attention_decode` has them.

    The rotary embedding was applied before, so that what is told of it is not read.
    """
    heads, kv_heads, dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    source = source_of("attention_decode")
    split_name, merge_name = f"ad_split<{_THREADS}, {heads}, {kv_heads}, {dim}>", f"ad_merge<{heads}, {dim}>"

    def pages_of_split(count: Any) -> Any:  # noqa: ANN401
        """Of 8 to 32 pages, so many that all heads together make some 192 splits: a block and a half per processor."""
        balanced = T.min(T.max(T.ceildiv(count * kv_heads, 192), 8), 32)
        return T.Select(count <= _WHOLE_PAGES, _WHOLE_PAGES, balanced)

    @T.prim_func(s_tir=True)
    def batch_decode_paged_kv(
        q_handle: T.handle,
        pages_handle: T.handle,
        page_indptr_handle: T.handle,
        page_values_handle: T.handle,
        length_info_handle: T.handle,
        k_rope_pos_offset_handle: T.handle,
        q_rope_position_handle: T.handle,
        output_handle: T.handle,
        lse_handle: T.handle,
        rotary_mode: T.int32,
        rope_scale: T.float32,
        rope_theta: T.float32,
        sm_scale: T.float32,
    ) -> None:
        T.func_attr({"tirx.noalias": True, "tirx.is_scheduled": True, "global_symbol": "batch_decode_paged_kv"})
        batch = T.int32()
        nnz_pages = T.int32()
        max_num_pages = T.int32()
        pages_offset = T.int64()
        page_indptr_offset = T.int32()
        page_values_offset = T.int32()
        length_info_offset = T.int32()
        k_rope_pos_offset_offset = T.int32()
        q_rope_position_offset = T.int32()
        q = T.match_buffer(q_handle, (batch, heads, dim), "float16")
        pages = T.match_buffer(
            pages_handle, (max_num_pages, 2, kv_heads, _PAGE, dim), "float16", elem_offset=pages_offset
        )
        page_indptr = T.match_buffer(page_indptr_handle, (batch + 1,), "int32", elem_offset=page_indptr_offset)
        page_values = T.match_buffer(page_values_handle, (nnz_pages,), "int32", elem_offset=page_values_offset)
        length_info = T.match_buffer(length_info_handle, (batch,), "int32", elem_offset=length_info_offset)
        k_rope_pos_offset = T.match_buffer(
            k_rope_pos_offset_handle, (batch,), "int32", elem_offset=k_rope_pos_offset_offset
        )
        q_rope_position = T.match_buffer(q_rope_position_handle, (batch,), "int32", elem_offset=q_rope_position_offset)
        output = T.match_buffer(output_handle, (batch, heads, dim), "float16")
        lse = T.match_buffer(lse_handle, (batch, heads), "float32")
        with T.sblock("root"):
            T.reads()
            T.writes()
            partial = T.sblock_alloc_buffer(
                (
                    batch,
                    T.ceildiv(nnz_pages, 8),
                    heads,
                    dim + 2,
                ),
                "float32",
            )
            for _head in T.thread_binding(kv_heads, thread="blockIdx.x"):
                for _split in T.thread_binding(T.ceildiv(nnz_pages, pages_of_split(nnz_pages)), thread="blockIdx.y"):
                    for _sequence in T.thread_binding(batch, thread="blockIdx.z"):
                        for _thread in T.thread_binding(_THREADS, thread="threadIdx.x"):
                            with T.sblock("split"):
                                T.reads()
                                T.writes()
                                T.evaluate(
                                    T.cuda.func_call(
                                        split_name,
                                        q.data,
                                        pages.access_ptr("r"),
                                        page_indptr.access_ptr("r"),
                                        page_values.access_ptr("r"),
                                        length_info.access_ptr("r"),
                                        pages_of_split(nnz_pages),
                                        sm_scale,
                                        partial.data,
                                        output.data,
                                        lse.data,
                                        source_code=source,
                                    )
                                )
            if nnz_pages > _WHOLE_PAGES:
                for _head in T.thread_binding(heads, thread="blockIdx.x"):
                    for _sequence in T.thread_binding(batch, thread="blockIdx.y"):
                        for _thread in T.thread_binding(dim, thread="threadIdx.x"):
                            with T.sblock("merge"):
                                T.reads()
                                T.writes()
                                T.evaluate(
                                    T.cuda.func_call(
                                        merge_name,
                                        partial.data,
                                        T.ceildiv(nnz_pages, pages_of_split(nnz_pages)),
                                        output.data,
                                        lse.data,
                                        source_code=source,
                                    )
                                )

    return batch_decode_paged_kv


def _prefill_attention(config: LlamaConfig) -> tirx.PrimFunc:
    """Attention of prompts over themselves; parameters as TVM's `_attention_prefill_ragged` has them.

    The rotary embedding was applied before, so that what is told of it is not read.
    """
    heads, kv_heads, dim = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    name, source = f"ap_prefill<{heads}, {kv_heads}, {dim}>", source_of("attention_prefill")

    @T.prim_func(s_tir=True)
    def batch_prefill_ragged_kv(
        q_handle: T.handle,
        q_indptr_handle: T.handle,
        k_handle: T.handle,
        v_handle: T.handle,
        kv_indptr_handle: T.handle,
        q_rope_position_handle: T.handle,
        k_rope_pos_offset_handle: T.handle,
        output_handle: T.handle,
        lse_handle: T.handle,
        causal: T.int32,
        rotary_mode: T.int32,
        rope_scale: T.float32,
        rope_theta: T.float32,
        sm_scale: T.float32,
    ) -> None:
        T.func_attr({"tirx.noalias": True, "tirx.is_scheduled": True})
        batch = T.int32()
        q_length = T.int32()
        kv_length = T.int32()
        q_indptr_offset = T.int32()
        kv_indptr_offset = T.int32()
        q_rope_position_offset = T.int32()
        k_rope_pos_offset_offset = T.int32()
        q = T.match_buffer(q_handle, (q_length, heads, dim), "float16")
        q_indptr = T.match_buffer(q_indptr_handle, (batch + 1,), "int32", elem_offset=q_indptr_offset)
        k = T.match_buffer(k_handle, (kv_length, kv_heads, dim), "float16")
        v = T.match_buffer(v_handle, (kv_length, kv_heads, dim), "float16")
        kv_indptr = T.match_buffer(kv_indptr_handle, (batch + 1,), "int32", elem_offset=kv_indptr_offset)
        q_rope_position = T.match_buffer(
            q_rope_position_handle, (q_length,), "int32", elem_offset=q_rope_position_offset
        )
        k_rope_pos_offset = T.match_buffer(
            k_rope_pos_offset_handle, (batch,), "int32", elem_offset=k_rope_pos_offset_offset
        )
        output = T.match_buffer(output_handle, (q_length, heads, dim), "float16")
        lse = T.match_buffer(lse_handle, (q_length, heads), "float32")
        for _tile in T.thread_binding(T.ceildiv(q_length, 128), thread="blockIdx.x"):
            for _head in T.thread_binding(heads, thread="blockIdx.y"):
                for _sequence in T.thread_binding(batch, thread="blockIdx.z"):
                    for _thread in T.thread_binding(_THREADS, thread="threadIdx.x"):
                        with T.sblock("prefill"):
                            T.reads()
                            T.writes()
                            T.evaluate(
                                T.cuda.func_call(
                                    name,
                                    q.data,
                                    q_indptr.access_ptr("r"),
                                    k.data,
                                    v.data,
                                    kv_indptr.access_ptr("r"),
                                    output.data,
                                    lse.data,
                                    causal,
                                    sm_scale,
                                    source_code=source,
                                )
                            )

    return batch_prefill_ragged_kv


@tvm.transform.module_pass(opt_level=0, name="ReplaceAttention")
class ReplaceAttention:
    """Puts these attention kernels in the place of TVM's.

    Attributes:
        kernels: TVM's name of each kernel to ours.

    Raises:
        RuntimeError: TVM calls its kernels by other names: they would silently stay.
    """

    def __init__(self, config: LlamaConfig) -> None:
        self.kernels = {
            "batch_decode_paged_kv": _decode_attention(config),
            "batch_prefill_ragged_kv": _prefill_attention(config),
            "fused_rope": _rotary_split(config),
        }

    def transform_module(self, mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        """The module with its attention kernels replaced."""
        variables = {name_of(variable): variable for variable in mod.functions}
        if missing := self.kernels.keys() - variables.keys():
            raise RuntimeError(f"ReplaceAttention: the KV cache has no kernel named {min(missing)}")
        for name, kernel in self.kernels.items():
            mod[variables[name]] = kernel
        return mod
