"""Shapes of Llama-family models: what a `config.json` must say, the tensors that follow from it, the presets.

Llama and Qwen2 are the same network up to the biases of the query, key and value projections.
Mistral is too, but its first version needs a sliding window, which no builder here has: it is refused.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from regress.config import convert
from regress.errors import BuildError, ConfigError, did_you_mean
from regress.stored import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Iterator

Size = Annotated[int, msgspec.Meta(ge=1)]

ARCHITECTURES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
"""`model_type` to `architectures` of the models that can be built."""
LLAVA = "llava"
"""`model_type` of a Llama with eyes; MLC-LLM builds its language model, which is described beside the rest."""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a Hugging Face `config.json` that decides which tensors there are.

    Attributes:
        model_type: `llama` or `qwen2`.
        hidden_size: Width of the residual stream.
        intermediate_size: Width inside the MLP.
        num_hidden_layers: Decoder layers.
        num_attention_heads: Query heads.
        num_key_value_heads: Key and value heads; as many as query heads where `None`.
        head_dim: Width of a head; the hidden size over the query heads where `None`.
        vocab_size: Rows of the embedding.
        tie_word_embeddings: Whether the embedding is the output head, too.
        attention_bias: Llama's switch for biases in all four attention projections.
        mlp_bias: Llama's switch for biases in the MLP.
        quantization_config: Present in checkpoints that are quantized already.
        hidden_act: Activation inside the MLP.
        use_sliding_window: Qwen2's switch for attention that does not see all tokens.
    """

    model_type: str
    hidden_size: Size
    intermediate_size: Size
    num_hidden_layers: Size
    num_attention_heads: Size
    num_key_value_heads: Size | None = None
    head_dim: Size | None = None
    vocab_size: Size
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    quantization_config: dict[str, Any] | None = None
    hidden_act: str = "silu"
    use_sliding_window: bool = False

    @property
    def query_width(self) -> int:
        """Width of all query heads together."""
        return self.num_attention_heads * self._head_width

    @property
    def key_value_width(self) -> int:
        """Width of all key heads together, which is that of the value heads."""
        return (self.num_key_value_heads or self.num_attention_heads) * self._head_width

    @property
    def param_count(self) -> int:
        """Number of weights, before quantization."""
        return sum(math.prod(shape) for _, shape in self.tensors())

    @property
    def _head_width(self) -> int:
        return self.head_dim or self.hidden_size // self.num_attention_heads

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every tensor, as Hugging Face names them, in the order of the network."""
        yield "model.embed_tokens.weight", (self.vocab_size, self.hidden_size)
        for layer in range(self.num_hidden_layers):
            for name, shape in self._layer_tensors():
                yield f"model.layers.{layer}.{name}", shape
        yield "model.norm.weight", (self.hidden_size,)
        if not self.tie_word_embeddings:
            yield "lm_head.weight", (self.vocab_size, self.hidden_size)

    def _layer_tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        hidden, inner = self.hidden_size, self.intermediate_size
        yield "input_layernorm.weight", (hidden,)
        widths = {"q": self.query_width, "k": self.key_value_width, "v": self.key_value_width}
        for projection, width in widths.items():
            yield f"self_attn.{projection}_proj.weight", (width, hidden)
            if self.model_type == "qwen2":
                yield f"self_attn.{projection}_proj.bias", (width,)
        yield "self_attn.o_proj.weight", (hidden, self.query_width)
        yield "post_attention_layernorm.weight", (hidden,)
        yield "mlp.gate_proj.weight", (inner, hidden)
        yield "mlp.up_proj.weight", (inner, hidden)
        yield "mlp.down_proj.weight", (hidden, inner)


def parse_shape(text: bytes, where: str) -> Shape:
    """The shape that a `config.json` describes.

    Args:
        text: The file's content.
        where: How to call the file in errors.

    Raises:
        BuildError: It is not JSON, a key is missing or out of range, or no builder knows such a model.
    """
    try:
        shape = convert(msgspec.json.decode(text), Shape, where)
    except ConfigError as error:
        raise BuildError(str(error)) from error
    except DAMAGED as error:
        raise BuildError(f"{where}: not valid JSON: {error}") from error
    if problem := _problem(shape):
        raise BuildError(f"{where}: {problem}")
    return shape


def _problem(shape: Shape) -> str | None:
    """What is wrong with a shape, the key in front; `None` where it can be built."""
    if shape.model_type not in (*ARCHITECTURES, LLAVA):
        known = " and ".join(ARCHITECTURES)
        suggestion = did_you_mean(shape.model_type, ARCHITECTURES)
        return f"model_type: '{shape.model_type}' cannot be built, only {known} can{suggestion}"
    if shape.quantization_config is not None:
        return "quantization_config: these weights are quantized already; give the original ones"
    for key in ("attention_bias", "mlp_bias"):
        if getattr(shape, key):
            return f"{key}: a model with these biases cannot be built"
    if shape.hidden_act != "silu":
        return f"hidden_act: '{shape.hidden_act}' cannot be built, only silu can"
    if shape.use_sliding_window:
        return "use_sliding_window: a model with a sliding window cannot be built"
    return _heads_problem(shape)


def _heads_problem(shape: Shape) -> str | None:
    heads, key_value_heads = shape.num_attention_heads, shape.num_key_value_heads or shape.num_attention_heads
    if shape.head_dim is None and shape.hidden_size % heads:
        return f"num_attention_heads: {heads} does not divide the hidden size {shape.hidden_size}"
    if heads % key_value_heads:
        return f"num_key_value_heads: {key_value_heads} does not divide the {heads} query heads"
    return None


def _llama(**values: object) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "mlp_bias": False,
        "rms_norm_eps": 1e-5,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_cache": True,
        **values,
    }


def _qwen2(**values: object) -> dict[str, object]:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_cache": True,
        "use_sliding_window": False,
        **values,
    }


def _llama3_rope(factor: float, original_context: int) -> dict[str, object]:
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": original_context,
    }


# The mini shapes are ours; the others are the published configurations, but for `torch_dtype`.
PRESETS: dict[str, dict[str, object]] = {
    "llama-mini": _llama(
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=8,
        head_dim=32,
        vocab_size=2048,
        max_position_embeddings=4096,
    ),
    "llama-mini-gqa": _llama(
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=32,
        vocab_size=2048,
        max_position_embeddings=4096,
        rope_theta=500000.0,
        rope_scaling=_llama3_rope(factor=8.0, original_context=512),
        tie_word_embeddings=True,
    ),
    "qwen-mini": _qwen2(
        hidden_size=448,
        intermediate_size=1216,
        num_hidden_layers=4,
        num_attention_heads=14,
        num_key_value_heads=2,
        vocab_size=2048,
        max_position_embeddings=4096,
    ),
    "llama-small": _llama(
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=8,
        num_attention_heads=12,
        num_key_value_heads=4,
        head_dim=64,
        vocab_size=8192,
        max_position_embeddings=4096,
    ),
    "tinyllama-1.1b": _llama(
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=22,
        num_attention_heads=32,
        num_key_value_heads=4,
        vocab_size=32000,
        max_position_embeddings=2048,
    ),
    "llama-3.2-1b": _llama(
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        vocab_size=128256,
        max_position_embeddings=131072,
        rope_theta=500000.0,
        rope_scaling=_llama3_rope(factor=32.0, original_context=8192),
        tie_word_embeddings=True,
        bos_token_id=128000,
        eos_token_id=128001,
    ),
    "llama-2-7b": _llama(
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=32,
        vocab_size=32000,
        max_position_embeddings=4096,
    ),
    "qwen2.5-7b": _qwen2(
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        vocab_size=152064,
        max_position_embeddings=131072,
        max_window_layers=28,
        sliding_window=131072,
        bos_token_id=151643,
        eos_token_id=151643,
    ),
}
"""Name of a synthetic model to its `config.json`."""
