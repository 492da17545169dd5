"""The shape of a Llama-family model, read from a Hugging Face `config.json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MODEL_TYPES = ("llama", "qwen2")


@dataclass(frozen=True)
class LlamaConfig:
    """What the builder needs to know of a model.

    Attributes:
        model_type: `llama` or `qwen2`.
        hidden_size: Width of the residual stream.
        intermediate_size: Width of the feed-forward layer.
        num_hidden_layers: Decoder layers.
        num_attention_heads: Query heads.
        num_key_value_heads: Key and value heads; fewer than the query heads with grouped-query attention.
        head_dim: Width of a head.
        vocab_size: Rows of the embedding.
        max_position_embeddings: Positions the model was made for.
        rms_norm_eps: Epsilon of the normalisations.
        rope_theta: Base of the rotary embedding.
        rope_scaling: Llama-3 scaling as `config.json` has it; empty without.
        tie_word_embeddings: Whether the output layer is the embedding.
        qkv_bias: Whether queries, keys and values have a bias, as in Qwen2.
    """

    model_type: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    tie_word_embeddings: bool
    qkv_bias: bool
    rope_scaling: dict[str, Any] = field(default_factory=dict)


def parse_config(config: dict[str, Any]) -> LlamaConfig:
    """The shape in a parsed `config.json`.

    Raises:
        ValueError: The model is of another family, a key is missing, or the rotary scaling is not Llama-3's.
    """
    model_type = config.get("model_type")
    if model_type not in MODEL_TYPES:
        raise ValueError(
            f"config.json: model_type: '{model_type}' is not of the Llama family ({', '.join(MODEL_TYPES)})"
        )
    missing = [key for key in _REQUIRED if key not in config]
    if missing:
        raise ValueError(f"config.json: {missing[0]}: missing")
    heads = config["num_attention_heads"]
    return LlamaConfig(
        model_type=model_type,
        **{key: config[key] for key in _REQUIRED},
        num_key_value_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        max_position_embeddings=config.get("max_position_embeddings", 2048),
        rope_theta=float(_rope(config).get("rope_theta") or config.get("rope_theta", 10000.0)),
        rope_scaling=_rope_scaling(config),
        tie_word_embeddings=config.get("tie_word_embeddings", False),
        qkv_bias=model_type == "qwen2",
    )


_REQUIRED = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "vocab_size",
    "rms_norm_eps",
)


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    """The rotary settings: `rope_parameters` since transformers 5, `rope_scaling` before."""
    return config.get("rope_parameters") or config.get("rope_scaling") or {}


def _rope_scaling(config: dict[str, Any]) -> dict[str, Any]:
    rope = _rope(config)
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return {}
    if kind != "llama3":
        raise ValueError(f"config.json: rope_scaling.rope_type: '{kind}' is not supported (default, llama3)")
    return {**rope, "rope_type": "llama3"}
