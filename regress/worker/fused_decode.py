"""A decode step with one kernel between the attention of two layers, and every weight read once.

    entry: normalise · queries, keys and values
    step:  output projection + residual | normalise · gate and up · silu | down projection + residual |
           normalise · the next layer's queries, keys and values, or the logits

The results are those of `LlamaModel`, to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvm.relax.frontend.nn import Tensor, op
from tvm.script import tirx as T  # noqa: N812  # TVMScript's own name for it

from regress.worker.cuda_sources import source_of

if TYPE_CHECKING:
    from tvm import tirx
    from tvm.relax.frontend import nn
    from tvm.relax.frontend.nn.llm.kv_cache import PagedKVCache

    from regress.worker.llama import LlamaForCausalLM, QuantizedLinear, QuantizedWeight
    from regress.worker.llama_config import LlamaConfig
    from regress.worker.quantize import Quantization

_THREADS = 256
_BLOCKS_OF_PROCESSOR = 2
"""Blocks that a multiprocessor holds at once: 256 threads of no more than 128 registers."""
_WIDEST_HIDDEN = 7168
"""Hidden size up to which a thread needs no more than 127 registers (80 at 4096): its part of a norm lies in them."""
_BARRIERS = 3
_GROUP = 32
"""Columns that share a scale."""
_MOST_ROWS = 4
"""Rows that a warp takes at once, at most."""
_WIDEST = 24_000
"""Values of a vector, two bytes each, for which 48 KiB of shared memory have room, the sums of a norm beside them."""


def covers(config: LlamaConfig, quantization: Quantization) -> bool:
    """Whether the kernels can multiply this model's matrices.

    They are packed, in whole groups; warps take whole sets of rows; and a vector fits the registers and the shared
    memory of a block.
    """
    widths = (config.hidden_size, config.intermediate_size, config.num_attention_heads * config.head_dim)
    return (
        config.hidden_size <= _WIDEST_HIDDEN
        and quantization.grouped
        and quantization.dtype == "float16"
        and all(width % _GROUP == 0 and width <= _WIDEST for width in widths)
        and config.vocab_size % _MOST_ROWS == 0
    )


@dataclass(frozen=True)
class FusedDecode:
    """The decode step of a group-quantized model in half precision.

    Attributes:
        multiprocessors: Of the GPU. More than it has, and a step's blocks would wait for some that never run.
    """

    multiprocessors: int

    def __call__(self, model: LlamaForCausalLM, hidden: Tensor, kv_cache: PagedKVCache) -> Tensor:
        """Logits `(1, 1, vocab_size)` float32 for the hidden state `(1, 1, hidden_size)` of one token."""
        layers = list(model.model.layers)
        first = layers[0]
        qkv, arrived = self._entry(model.config, first.input_layernorm, first.self_attn.qkv, hidden)
        for index, layer in enumerate(layers):
            mixed = layer.self_attn.mix(qkv, kv_cache, index)
            if index + 1 < len(layers):
                norm, weight, dtype = layers[index + 1].input_layernorm, layers[index + 1].self_attn.qkv, "float16"
            else:
                norm, weight, dtype = model.model.norm, model.output_layer, "float32"
            hidden, qkv, arrived = self._step(model.config, layer, (norm, weight, dtype), (mixed, hidden, arrived))
        return qkv

    @property
    def _blocks(self) -> int:
        return _BLOCKS_OF_PROCESSOR * self.multiprocessors

    def _entry(self, config: LlamaConfig, norm: nn.RMSNorm, weight: QuantizedLinear, hidden: Tensor) -> Any:  # noqa: ANN401
        """The first product, and the counters of the step behind it."""
        bias = weight.bias if weight.bias is not None else norm.weight  # any vector stands in for none
        return op.tensor_ir_op(
            _entry_function(config, weight, self._blocks, _size(bias)),
            "decoder_entry",
            args=[hidden, norm.weight, weight.q_weight, weight.q_scale, bias],
            out=[Tensor.placeholder([1, 1, weight.rows], "float16"), Tensor.placeholder([_BARRIERS], "uint32")],
        )

    def _step(
        self,
        config: LlamaConfig,
        layer: Any,  # noqa: ANN401  # a DecoderLayer, whose parts nn.Module does not type
        after: tuple[nn.RMSNorm, QuantizedWeight, str],
        inputs: tuple[Tensor, Tensor, Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The residual stream after a layer, the product of the next matrix with it, and the next step's counters."""
        mixed, hidden, arrived = inputs
        next_norm, next_weight, dtype = after
        out, gate_up, down = layer.self_attn.o_proj, layer.mlp.gate_up_proj, layer.mlp.down_proj
        bias = getattr(next_weight, "bias", None)
        vector = next_norm.weight if bias is None else bias
        outputs = [
            Tensor.placeholder([1, 1, size], kind)
            for size, kind in (
                (config.hidden_size, "float16"),
                (config.intermediate_size, "float16"),
                (config.hidden_size, "float16"),
                (next_weight.rows, dtype),
            )
        ]
        outputs.append(Tensor.placeholder([_BARRIERS], "uint32"))
        weights = [out.q_weight, out.q_scale, layer.post_attention_layernorm.weight]
        weights += [gate_up.q_weight, gate_up.q_scale, down.q_weight, down.q_scale]
        weights += [next_norm.weight, next_weight.q_weight, next_weight.q_scale, vector]
        _, _, result, product, to_arrive = op.tensor_ir_op(
            _step_function(config, next_weight, self._blocks, _size(vector), dtype),
            "decoder_step",
            args=[mixed, hidden, *weights, arrived],
            out=outputs,
        )
        return result, product, to_arrive


def _size(vector: Tensor) -> int:
    return int(vector.shape[0])


def _entry_function(config: LlamaConfig, weight: QuantizedLinear, blocks: int, vector: int) -> tirx.PrimFunc:
    hidden_size, rows, epsilon = config.hidden_size, weight.rows, config.rms_norm_eps
    biased = str(weight.bias is not None).lower()
    name, source = f"decoder_entry<{_THREADS}, {hidden_size}, {rows}, {biased}>", source_of("decoder_step")

    @T.prim_func(s_tir=True, private=True)
    def decoder_entry(
        hidden_handle: T.handle,
        norm_handle: T.handle,
        words_handle: T.handle,
        scales_handle: T.handle,
        bias_handle: T.handle,
        next_handle: T.handle,
        arrived_handle: T.handle,
    ) -> None:
        T.func_attr({"tirx.noalias": True, "tirx.is_scheduled": True})
        hidden = T.match_buffer(hidden_handle, (1, 1, hidden_size), "float16")
        norm = T.match_buffer(norm_handle, (hidden_size,), "float16")
        words = T.match_buffer(words_handle, (rows, hidden_size // 8), "uint32")
        scales = T.match_buffer(scales_handle, (rows, hidden_size // 32), "float16")
        bias = T.match_buffer(bias_handle, (vector,), "float16")
        product = T.match_buffer(next_handle, (1, 1, rows), "float16")
        arrived = T.match_buffer(arrived_handle, (_BARRIERS,), "uint32")
        for _block in T.thread_binding(blocks, thread="blockIdx.x"):
            for _thread in T.thread_binding(_THREADS, thread="threadIdx.x"):
                with T.sblock("entry"):
                    T.reads()
                    T.writes()
                    T.evaluate(
                        T.cuda.func_call(
                            name,
                            hidden.data,
                            norm.data,
                            words.data,
                            scales.data,
                            bias.data,
                            T.float32(epsilon),
                            product.data,
                            arrived.data,
                            source_code=source,
                        )
                    )

    return decoder_entry


def _step_function(
    config: LlamaConfig, weight: QuantizedWeight, blocks: int, vector: int, out_dtype: str
) -> tirx.PrimFunc:
    hidden_size, inner, rows = config.hidden_size, config.intermediate_size, weight.rows
    mixed_size, epsilon = config.num_attention_heads * config.head_dim, config.rms_norm_eps
    biased = str(getattr(weight, "bias", None) is not None).lower()
    out_type = "float" if out_dtype == "float32" else "half"
    sizes = f"{_THREADS}, {hidden_size}, {mixed_size}, {inner}, {rows}"
    name, source = f"decoder_step<{sizes}, {biased}, {out_type}>", source_of("decoder_step")

    @T.prim_func(s_tir=True, private=True)
    def decoder_step(
        mixed_handle: T.handle,
        hidden_handle: T.handle,
        out_words_handle: T.handle,
        out_scales_handle: T.handle,
        after_norm_handle: T.handle,
        gate_up_words_handle: T.handle,
        gate_up_scales_handle: T.handle,
        down_words_handle: T.handle,
        down_scales_handle: T.handle,
        next_norm_handle: T.handle,
        next_words_handle: T.handle,
        next_scales_handle: T.handle,
        bias_handle: T.handle,
        arrived_handle: T.handle,
        between_handle: T.handle,
        active_handle: T.handle,
        result_handle: T.handle,
        next_handle: T.handle,
        to_arrive_handle: T.handle,
    ) -> None:
        T.func_attr({"tirx.noalias": True, "tirx.is_scheduled": True})
        mixed = T.match_buffer(mixed_handle, (1, 1, mixed_size), "float16")
        hidden = T.match_buffer(hidden_handle, (1, 1, hidden_size), "float16")
        out_words = T.match_buffer(out_words_handle, (hidden_size, mixed_size // 8), "uint32")
        out_scales = T.match_buffer(out_scales_handle, (hidden_size, mixed_size // 32), "float16")
        after_norm = T.match_buffer(after_norm_handle, (hidden_size,), "float16")
        gate_up_words = T.match_buffer(gate_up_words_handle, (2 * inner, hidden_size // 8), "uint32")
        gate_up_scales = T.match_buffer(gate_up_scales_handle, (2 * inner, hidden_size // 32), "float16")
        down_words = T.match_buffer(down_words_handle, (hidden_size, inner // 8), "uint32")
        down_scales = T.match_buffer(down_scales_handle, (hidden_size, inner // 32), "float16")
        next_norm = T.match_buffer(next_norm_handle, (hidden_size,), "float16")
        next_words = T.match_buffer(next_words_handle, (rows, hidden_size // 8), "uint32")
        next_scales = T.match_buffer(next_scales_handle, (rows, hidden_size // 32), "float16")
        bias = T.match_buffer(bias_handle, (vector,), "float16")
        arrived = T.match_buffer(arrived_handle, (_BARRIERS,), "uint32")
        between = T.match_buffer(between_handle, (1, 1, hidden_size), "float16")
        active = T.match_buffer(active_handle, (1, 1, inner), "float16")
        result = T.match_buffer(result_handle, (1, 1, hidden_size), "float16")
        product = T.match_buffer(next_handle, (1, 1, rows), out_dtype)
        to_arrive = T.match_buffer(to_arrive_handle, (_BARRIERS,), "uint32")
        for _block in T.thread_binding(blocks, thread="blockIdx.x"):
            for _thread in T.thread_binding(_THREADS, thread="threadIdx.x"):
                with T.sblock("step"):
                    T.reads()
                    T.writes()
                    T.evaluate(
                        T.cuda.func_call(
                            name,
                            mixed.data,
                            hidden.data,
                            out_words.data,
                            out_scales.data,
                            after_norm.data,
                            gate_up_words.data,
                            gate_up_scales.data,
                            down_words.data,
                            down_scales.data,
                            next_norm.data,
                            next_words.data,
                            next_scales.data,
                            bias.data,
                            T.float32(epsilon),
                            arrived.data,
                            between.data,
                            active.data,
                            result.data,
                            product.data,
                            to_arrive.data,
                            source_code=source,
                        )
                    )

    return decoder_step
