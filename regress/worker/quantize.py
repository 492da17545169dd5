"""Weight quantization in MLC-LLM's layouts, with numpy alone.

Group quantization as `q4f16_1` and `q4f32_1` name it: groups of 32 along the input axis, eight unsigned 4-bit
values per 32-bit word, the lowest nibble first, one scale per group in the model's dtype:

    scale = max(|w|) / 7        q = clip(round(w / scale + 7), 0, 14)        w' = (q - 7) * scale

Source: mlc_llm/quantization/group_quantization.py of MLC-LLM (2026-07). What differs: a group of zeros gets q = 7
and scale 0 here, where MLC divides zero by zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUP_SIZE = 32
VALUES_PER_WORD = 8
BITS = 4
MAX_INT = 7
"""Half the range of a value: zero is stored as 7."""


@dataclass(frozen=True)
class Quantization:
    """One quantization by MLC's name.

    Attributes:
        name: MLC's name, such as `q4f16_1`.
        dtype: The model's dtype: activations, scales and whatever is not quantized.
        grouped: Whether linear layers and the embedding are group-quantized to 4 bits.
    """

    name: str
    dtype: str
    grouped: bool


QUANTIZATIONS = {
    quantization.name: quantization
    for quantization in (
        Quantization("q0f32", "float32", grouped=False),
        Quantization("q0f16", "float16", grouped=False),
        Quantization("q4f32_1", "float32", grouped=True),
        Quantization("q4f16_1", "float16", grouped=True),
    )
}


def group_count(in_features: int) -> int:
    """Number of groups along an input axis; the last one may be partly filled."""
    return -(-in_features // GROUP_SIZE)


def word_count(in_features: int) -> int:
    """Number of 32-bit words along an input axis: whole groups are stored."""
    return group_count(in_features) * (GROUP_SIZE // VALUES_PER_WORD)


def quantize(weight: NDArray[np.floating], dtype: str) -> tuple[NDArray[np.uint32], NDArray[np.floating]]:
    """Packed words and scales of a weight.

    Args:
        weight: Shape `(out_features, in_features)`, any float dtype, finite.
        dtype: The model's dtype: every step is rounded to it, as MLC's compiled quantizer does.

    Returns:
        `q_weight`, uint32, shape `(out_features, word_count(in_features))`, and `q_scale`, `dtype`, shape
        `(out_features, group_count(in_features))`.
    """
    out_features, in_features = weight.shape
    padded = np.zeros((out_features, group_count(in_features) * GROUP_SIZE), dtype)
    padded[:, :in_features] = weight
    groups = padded.reshape(out_features, -1, GROUP_SIZE)
    scale = np.abs(groups).max(axis=-1) / np.dtype(dtype).type(MAX_INT)
    divisor = np.where(scale == 0, np.ones_like(scale), scale)[:, :, None]
    values = np.clip(np.round(groups / divisor + np.dtype(dtype).type(MAX_INT)), 0, 2 * MAX_INT)
    values = values.reshape(out_features, -1).astype(np.uint32)
    values[:, in_features:] = 0
    nibbles = values.reshape(out_features, -1, VALUES_PER_WORD)
    shifts = np.arange(VALUES_PER_WORD, dtype=np.uint32) * np.uint32(BITS)
    return np.bitwise_or.reduce(nibbles << shifts, axis=-1), scale


def dequantize(words: NDArray[np.uint32], scale: NDArray[np.floating], in_features: int) -> NDArray[np.floating]:
    """The weight that packed words and scales stand for: shape `(out_features, in_features)`, dtype of `scale`."""
    shifts = np.arange(VALUES_PER_WORD, dtype=np.uint32) * np.uint32(BITS)
    values = (words[:, :, None] >> shifts) & np.uint32(2**BITS - 1)
    values = values.reshape(words.shape[0], -1)[:, :in_features].astype(scale.dtype)
    weight: NDArray[np.floating] = values - scale.dtype.type(MAX_INT)
    return weight * np.repeat(scale, GROUP_SIZE, axis=1)[:, :in_features]
