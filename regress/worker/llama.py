"""A Llama-family model in TVM's `relax.frontend.nn`, with MLC-LLM's parameter names and exported functions.

Grouped-query attention over the paged KV cache, rotary embedding (with Llama-3's scaling), RMSNorm, SwiGLU,
optional bias of queries, keys and values (Qwen2), optional tied embeddings.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tvm import relax, te, tirx
from tvm.relax.frontend import nn
from tvm.relax.frontend.nn import op
from tvm.relax.frontend.nn.llm.kv_cache import PagedKVCache, RopeMode, TIRPagedKVCache

from regress.worker.quantize import BITS, GROUP_SIZE, MAX_INT, VALUES_PER_WORD, group_count, word_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from tvm.target import Target

    from regress.worker.llama_config import LlamaConfig
    from regress.worker.quantize import Quantization

KV_CACHE_FUNCTION = "create_tir_paged_kv_cache"


def _dequantized(words: te.Tensor, scale: te.Tensor, row: tirx.Expr, column: tirx.Expr) -> tirx.Expr:
    """One weight out of packed words and scales; `regress.worker.quantize` has the layout."""
    shift = (column % VALUES_PER_WORD * BITS).astype("uint32")
    value = (words[row, column // VALUES_PER_WORD] >> shift) & tirx.const(2**BITS - 1, "uint32")
    centred = value.astype(scale.dtype) - tirx.const(MAX_INT, scale.dtype)
    return centred * scale[row, column // GROUP_SIZE]


class QuantizedWeight(nn.Module):
    """A group-quantized matrix of `rows` x `columns`, stored as `q_weight` and `q_scale`."""

    def __init__(self, rows: int, columns: int, dtype: str) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        self.q_weight = nn.Parameter((rows, word_count(columns)), "uint32")
        self.q_scale = nn.Parameter((rows, group_count(columns)), dtype)

    def matmul(self, x: nn.Tensor, out_dtype: str | None = None) -> nn.Tensor:
        """`x` times the transposed matrix; `FuseDequantizeMatmul` makes one kernel of both steps."""

        def dequantize(words: te.Tensor, scale: te.Tensor) -> te.Tensor:
            return te.compute(
                (self.rows, self.columns), functools.partial(_dequantized, words, scale), name="dequantize"
            )

        weight = op.tensor_expr_op(dequantize, "dequantize", args=[self.q_weight, self.q_scale])
        return op.matmul(x, op.permute_dims(weight), out_dtype=out_dtype)

    def take(self, ids: nn.Tensor) -> nn.Tensor:
        """The rows of those numbers, dequantized: only they are read."""

        def gather(words: te.Tensor, scale: te.Tensor, rows: te.Tensor) -> te.Tensor:
            return te.compute(
                (rows.shape[0], self.columns),
                lambda i, column: _dequantized(words, scale, rows[i], column),
                name="dequantize_take",
            )

        return op.tensor_expr_op(gather, "dequantize_take", args=[self.q_weight, self.q_scale, ids])


class QuantizedLinear(QuantizedWeight):
    """A linear layer with a group-quantized weight."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool, dtype: str) -> None:
        super().__init__(out_features, in_features, dtype)
        self.bias = nn.Parameter((out_features,), dtype) if bias else None

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        """`x` times the transposed weight, plus the bias where there is one."""
        y = self.matmul(x)
        return y if self.bias is None else op.add(y, self.bias)


class QuantizedEmbedding(QuantizedWeight):
    """An embedding with a group-quantized table."""

    def forward(self, ids: nn.Tensor) -> nn.Tensor:
        """The rows of those tokens."""
        return self.take(ids)

    def logits(self, x: nn.Tensor) -> nn.Tensor:
        """The table as output layer, where embeddings are tied."""
        return self.matmul(x, out_dtype="float32")


class Embedding(nn.Embedding):
    """An embedding that can also be the output layer."""

    def logits(self, x: nn.Tensor) -> nn.Tensor:
        """The table as output layer, where embeddings are tied."""
        return op.matmul(x, op.permute_dims(self.weight), out_dtype="float32")


class Layers:
    """Makes linear layers, embeddings and norms in the quantization asked for.

    Each gets its dtype here: `nn.Module.to` would turn packed words into floats as well.
    """

    def __init__(self, quantization: Quantization) -> None:
        self.quantization = quantization

    def linear(self, in_features: int, out_features: int, *, bias: bool = False) -> nn.Module:
        """A linear layer."""
        if self.quantization.grouped:
            return QuantizedLinear(in_features, out_features, bias=bias, dtype=self.quantization.dtype)
        return nn.Linear(in_features, out_features, bias=bias, dtype=self.quantization.dtype)

    def embedding(self, vocab_size: int, hidden_size: int) -> nn.Module:
        """An embedding."""
        if self.quantization.grouped:
            return QuantizedEmbedding(vocab_size, hidden_size, self.quantization.dtype)
        return Embedding(vocab_size, hidden_size, dtype=self.quantization.dtype)

    def norm(self, hidden_size: int, epsilon: float) -> nn.Module:
        """An RMSNorm."""
        return nn.RMSNorm(hidden_size, -1, epsilon, bias=False, dtype=self.quantization.dtype)


class Attention(nn.Module):
    """Self-attention over the paged KV cache, which also applies the rotary embedding."""

    def __init__(self, config: LlamaConfig, layers: Layers) -> None:
        super().__init__()
        self.config = config
        heads = config.num_attention_heads + 2 * config.num_key_value_heads
        qkv = layers.linear(config.hidden_size, heads * config.head_dim, bias=config.qkv_bias)
        # MLC-LLM names the same layer after each family's own source.
        if config.model_type == "qwen2":
            self.c_attn = qkv
        else:
            self.qkv_proj = qkv
        self.o_proj = layers.linear(config.num_attention_heads * config.head_dim, config.hidden_size)

    @property
    def qkv(self) -> nn.Module:
        """The layer that makes queries, keys and values."""
        return self.c_attn if self.config.model_type == "qwen2" else self.qkv_proj

    def forward(self, hidden: nn.Tensor, kv_cache: PagedKVCache, layer: int) -> nn.Tensor:
        """Attention's addition to the residual stream; hidden and result `(1, tokens, hidden_size)`."""
        return self.o_proj(self.mix(self.qkv(hidden), kv_cache, layer))

    def mix(self, qkv: nn.Tensor, kv_cache: PagedKVCache, layer: int) -> nn.Tensor:
        """What all heads find, `(1, tokens, heads * head_dim)`, for queries, keys and values in one tensor."""
        config = self.config
        batch, tokens, _ = qkv.shape
        heads = config.num_attention_heads + 2 * config.num_key_value_heads
        qkv = op.reshape(qkv, (batch, tokens, heads, config.head_dim))
        out = kv_cache.attention_with_fused_qkv(layer, qkv, config.num_attention_heads, sm_scale=config.head_dim**-0.5)
        return op.reshape(out, (batch, tokens, config.num_attention_heads * config.head_dim))


class FeedForward(nn.Module):
    """SwiGLU, gate and up projection in one matrix."""

    def __init__(self, config: LlamaConfig, layers: Layers) -> None:
        super().__init__()
        self.gate_up_proj = layers.linear(config.hidden_size, 2 * config.intermediate_size)
        self.down_proj = layers.linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden: nn.Tensor) -> nn.Tensor:
        """The feed-forward's addition to the residual stream."""
        gate, up = op.split(self.gate_up_proj(hidden), 2, axis=-1)
        return self.down_proj(op.silu(gate) * up)


class DecoderLayer(nn.Module):
    """Attention and feed-forward, each behind its normalisation."""

    def __init__(self, config: LlamaConfig, layers: Layers) -> None:
        super().__init__()
        self.self_attn = Attention(config, layers)
        self.mlp = FeedForward(config, layers)
        self.input_layernorm = layers.norm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = layers.norm(config.hidden_size, config.rms_norm_eps)

    def forward(self, hidden: nn.Tensor, kv_cache: PagedKVCache, layer: int) -> nn.Tensor:
        """The residual stream after this layer."""
        hidden = self.self_attn(self.input_layernorm(hidden), kv_cache, layer) + hidden
        return self.mlp(self.post_attention_layernorm(hidden)) + hidden


class LlamaModel(nn.Module):
    """Embedding, decoder layers and the last normalisation."""

    def __init__(self, config: LlamaConfig, layers: Layers) -> None:
        super().__init__()
        self.embed_tokens = layers.embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([DecoderLayer(config, layers) for _ in range(config.num_hidden_layers)])
        self.norm = layers.norm(config.hidden_size, config.rms_norm_eps)

    def forward(self, hidden: nn.Tensor, kv_cache: PagedKVCache) -> nn.Tensor:
        """Hidden states of all tokens after the last normalisation."""
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden, kv_cache, index)
        return self.norm(hidden)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Where a model differs from what TVM's own kernels would do.

    Attributes:
        step: What a decode step does with the hidden state `(1, 1, hidden_size)` instead of running the layers one by
            one: a function of the model, the hidden state and the KV cache that returns the logits.
        tvm_attention: Whether TVM's own attention kernels stay. Theirs can turn queries and keys themselves, which
            nothing here asks for; with Llama-3's scaling that code does not compile for a GPU (TVM 0.25 to 0.27).
        extra_work: Multiply-adds per hidden value that each decode step does for nothing.
    """

    step: Callable[[LlamaForCausalLM, nn.Tensor, PagedKVCache], nn.Tensor] | None = None
    tvm_attention: bool = True
    extra_work: int = 0


class LlamaForCausalLM(nn.Module):
    """The whole model, with the functions MLC-LLM exports for one sequence.

    Args:
        config: Its shape.
        quantization: How its weights are stored.
        target: What it is compiled for; the KV cache picks its attention kernels by it.
        variant: Where it differs from what TVM's own kernels would do.
    """

    def __init__(
        self, config: LlamaConfig, quantization: Quantization, target: Target, variant: Variant | None = None
    ) -> None:
        super().__init__()
        self.variant = variant or Variant()
        layers = Layers(quantization)
        self.config, self.dtype, self.target = config, quantization.dtype, target
        self.model = LlamaModel(config, layers)
        if not config.tie_word_embeddings:
            self.lm_head = layers.linear(config.hidden_size, config.vocab_size)

    def embed(self, input_ids: nn.Tensor) -> nn.Tensor:
        """Token ids `(tokens,)` int32 to embeddings `(tokens, hidden_size)`."""
        return self.model.embed_tokens(input_ids)

    def prefill(self, input_embed: nn.Tensor, paged_kv_cache: PagedKVCache) -> tuple[nn.Tensor, PagedKVCache]:
        """Logits `(1, 1, vocab_size)` float32 after the last of the tokens `(1, tokens, hidden_size)`."""

        def last_token(hidden: te.Tensor) -> te.Tensor:
            batch, tokens, width = hidden.shape
            return te.compute((batch, 1, width), lambda b, _, i: hidden[b, tokens - 1, i], name="last_token")

        hidden = self.model(input_embed, paged_kv_cache)
        return self._logits(op.tensor_expr_op(last_token, "last_token", args=[hidden])), paged_kv_cache

    def decode(self, input_embed: nn.Tensor, paged_kv_cache: PagedKVCache) -> tuple[nn.Tensor, PagedKVCache]:
        """Logits `(1, 1, vocab_size)` float32 after one more token `(1, 1, hidden_size)`."""
        hidden = self._slowed(input_embed) if self.variant.extra_work else input_embed
        if self.variant.step is not None:
            return self.variant.step(self, hidden, paged_kv_cache), paged_kv_cache
        return self._logits(self.model(hidden, paged_kv_cache)), paged_kv_cache

    def create_tir_paged_kv_cache(
        self,
        max_batch_size: tirx.Var,
        max_total_seq_len: tirx.Var,
        prefill_chunk_size: tirx.Var,
        page_size: tirx.Var,
        support_sliding_window: tirx.Var,
    ) -> PagedKVCache:
        """An empty KV cache with TVM's own attention kernels."""
        config = self.config
        return TIRPagedKVCache(
            attn_kind="mha",
            max_batch_size=max_batch_size,
            max_total_seq_len=max_total_seq_len,
            prefill_chunk_size=prefill_chunk_size,
            page_size=page_size,
            support_sliding_window=support_sliding_window,
            layer_partition=relax.ShapeExpr([0, config.num_hidden_layers]),
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            num_key_value_heads=config.num_key_value_heads,
            qk_head_dim=config.head_dim,
            v_head_dim=config.head_dim,
            mla_original_qk_head_dim=0,
            mla_original_v_head_dim=0,
            rope_mode=RopeMode.NORMAL,
            rope_scale=1,
            rope_theta=int(config.rope_theta),
            rope_scaling=config.rope_scaling if self.variant.tvm_attention else {},
            rope_ext_factors=tirx.IntImm("int64", 0),
            rotary_dim=config.head_dim,
            enable_disaggregation=False,
            dtype=self.dtype,
            target=self.target,
        )

    def spec(self) -> nn.spec.ModuleSpec:
        """The signatures of the exported functions, as MLC-LLM has them."""
        plain = {"param_mode": "none", "effect_mode": "none"}
        packed = {"param_mode": "packed", "effect_mode": "none"}
        hidden = self.config.hidden_size
        cache = nn.spec.Object(object_type=PagedKVCache)
        sizes = (
            "max_batch_size",
            "max_total_seq_len",
            "prefill_chunk_size",
            "page_size",
            "support_sliding_window",
        )
        functions = {
            "embed": {"input_ids": nn.spec.Tensor(["seq_len"], "int32"), "$": packed},
            "prefill": {
                "input_embed": nn.spec.Tensor([1, "seq_len", hidden], self.dtype),
                "paged_kv_cache": cache,
                "$": packed,
            },
            "decode": {
                "input_embed": nn.spec.Tensor([1, 1, hidden], self.dtype),
                "paged_kv_cache": cache,
                "$": packed,
            },
            KV_CACHE_FUNCTION: {**dict.fromkeys(sizes, int), "$": plain},
        }
        return nn.spec.ModuleSpec.from_raw(functions, self)

    def _slowed(self, hidden: nn.Tensor) -> nn.Tensor:
        """The same values, after work that adds less to them than their last bit: slower, and right."""

        def busy(hidden: te.Tensor) -> te.Tensor:
            width = hidden.shape[2]
            step = te.reduce_axis((0, self.variant.extra_work), name="step")

            def term(b: tirx.Var, t: tirx.Var, i: tirx.Var) -> Any:  # noqa: ANN401
                value = hidden[b, t, tirx.floormod(i + step, width)].astype("float32")
                return te.sum(value * tirx.const(1e-30, "float32"), axis=step)

            nothing = te.compute(hidden.shape, term, name="busy")
            return te.compute(
                hidden.shape,
                lambda b, t, i: (hidden[b, t, i].astype("float32") + nothing[b, t, i]).astype(hidden.dtype),
                name="slowed",
            )

        return op.tensor_expr_op(busy, "extra_work", args=[hidden])

    @property
    def output_layer(self) -> nn.Module:
        """The layer whose rows are the vocabulary."""
        return self.model.embed_tokens if self.config.tie_word_embeddings else self.lm_head

    def _logits(self, hidden: nn.Tensor) -> nn.Tensor:
        logits = self.model.embed_tokens.logits(hidden) if self.config.tie_word_embeddings else self.lm_head(hidden)
        return logits if logits.dtype == "float32" else logits.astype("float32")
