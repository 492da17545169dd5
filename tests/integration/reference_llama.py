"""A Llama-family model in plain numpy and float64: what the built models' logits are held against.

Written from the model's definition alone and as plainly as it goes: it reads the checkpoint's own tensors one by one,
knows no merged matrices, no cache and no packed words, and shares no code with the builder.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

GROUP = 32


class Reference:
    """The model in a checkpoint's folder, its weights rounded as a quantization rounds them.

    Args:
        folder: With `config.json` and `model.safetensors`.
        quantization: MLC's name: `q0` keeps the weights, `q4` puts groups of 32 on 15 levels; `f16` and `f32` say
            what each weight is rounded to.
    """

    def __init__(self, folder: Path, quantization: str) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.tensors = load_file(folder / "model.safetensors")
        self.grouped = quantization.startswith("q4")
        self.dtype = np.dtype(np.float16 if "f16" in quantization else np.float32)
        self.heads: int = self.config["num_attention_heads"]
        self.kv_heads: int = self.config["num_key_value_heads"]
        self.head_dim: int = self.config.get("head_dim") or self.config["hidden_size"] // self.heads

    def logits(self, token_ids: Sequence[int]) -> Array:
        """Logits at every position, shape `(tokens, vocab_size)`."""
        table = self.matrix("model.embed_tokens.weight")
        hidden = table[list(token_ids)]
        for layer in range(self.config["num_hidden_layers"]):
            prefix = f"model.layers.{layer}."
            hidden = hidden + self.attention(self.norm(hidden, f"{prefix}input_layernorm"), prefix)
            hidden = hidden + self.mlp(self.norm(hidden, f"{prefix}post_attention_layernorm"), prefix)
        hidden = self.norm(hidden, "model.norm")
        head = table if self.config.get("tie_word_embeddings") else self.matrix("lm_head.weight")
        logits: Array = hidden @ head.T
        return logits

    def attention(self, x: Array, prefix: str) -> Array:
        query = rotated(self.projected(x, f"{prefix}self_attn.q_proj", self.heads), self.frequencies())
        key = rotated(self.projected(x, f"{prefix}self_attn.k_proj", self.kv_heads), self.frequencies())
        value = self.projected(x, f"{prefix}self_attn.v_proj", self.kv_heads)
        tokens = len(x)
        future = np.triu(np.ones((tokens, tokens), bool), 1)
        outputs = []
        for head in range(self.heads):
            shared = head // (self.heads // self.kv_heads)
            scores = query[:, head] @ key[:, shared].T / math.sqrt(self.head_dim)
            scores = np.where(future, -np.inf, scores)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            outputs.append(weights / weights.sum(axis=1, keepdims=True) @ value[:, shared])
        out: Array = np.concatenate(outputs, axis=1) @ self.matrix(f"{prefix}self_attn.o_proj.weight").T
        return out

    def projected(self, x: Array, name: str, heads: int) -> Array:
        """Shape `(tokens, heads, head_dim)`."""
        out = x @ self.matrix(f"{name}.weight").T
        if f"{name}.bias" in self.tensors:
            out = out + self.vector(f"{name}.bias")
        split: Array = out.reshape(len(x), heads, self.head_dim)
        return split

    def mlp(self, x: Array, prefix: str) -> Array:
        gate = x @ self.matrix(f"{prefix}mlp.gate_proj.weight").T
        up = x @ self.matrix(f"{prefix}mlp.up_proj.weight").T
        out: Array = (gate / (1 + np.exp(-gate)) * up) @ self.matrix(f"{prefix}mlp.down_proj.weight").T
        return out

    def norm(self, x: Array, name: str) -> Array:
        mean_square = (x * x).mean(axis=1, keepdims=True)
        out: Array = x / np.sqrt(mean_square + self.config["rms_norm_eps"]) * self.vector(f"{name}.weight")
        return out

    def frequencies(self) -> list[float]:
        """Radians per position of each pair of a head's values, by the papers of RoPE and of Llama 3."""
        half = self.head_dim // 2
        plain = [self.config["rope_theta"] ** (-pair / half) for pair in range(half)]
        scaling = self.config.get("rope_scaling")
        return [llama3_frequency(frequency, scaling) for frequency in plain] if scaling else plain

    def vector(self, name: str) -> Array:
        return self.tensors[name].astype(self.dtype).astype(np.float64)

    def matrix(self, name: str) -> Array:
        weight = self.tensors[name].astype(self.dtype)
        return (self.on_levels(weight) if self.grouped else weight).astype(np.float64)

    def on_levels(self, weight: NDArray[Any]) -> NDArray[Any]:
        """Each group of 32 inputs on the 15 levels from -7 to 7 times its scale."""
        out = np.empty_like(weight)
        for start in range(0, weight.shape[1], GROUP):
            group = weight[:, start : start + GROUP]
            scale = np.abs(group).max(axis=1, keepdims=True) / self.dtype.type(7)
            level = np.rint(group / scale + self.dtype.type(7)) - self.dtype.type(7)
            out[:, start : start + GROUP] = level.clip(-7, 7) * scale
        return out


def rotated(x: Array, frequencies: Sequence[float]) -> Array:
    """Value `i` and value `i + half` of each head turned together, by the position times their frequency."""
    angle = np.outer(np.arange(len(x)), frequencies)[:, None, :]
    first, second = np.split(x, 2, axis=-1)
    turned = first * np.cos(angle) - second * np.sin(angle), second * np.cos(angle) + first * np.sin(angle)
    return np.concatenate(turned, axis=-1)


def llama3_frequency(frequency: float, scaling: dict[str, Any]) -> float:
    """Long waves are stretched by `factor`, short ones kept, those between blended."""
    original: float = scaling["original_max_position_embeddings"]
    low, high, factor = scaling["low_freq_factor"], scaling["high_freq_factor"], scaling["factor"]
    turns = original * frequency / (2 * math.pi)
    if turns < low:
        return frequency / float(factor)
    if turns > high:
        return frequency
    share = (turns - low) / (high - low)
    return float((1 - share) * frequency / factor + share * frequency)
