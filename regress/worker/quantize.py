"""Weight quantization in MLC-LLM's layouts, with numpy alone.

Group quantization as `q4f16_1` and `q4f32_1` name it: groups of 32 along the input axis, eight unsigned 4-bit
values per 32-bit word, the lowest nibble first, one scale per group in the model's dtype:

    scale = max(|w|) / 7        q = clip(round(w / scale + 7), 0, 14)        w' = (q - 7) * scale

Source: mlc_llm/quantization/group_quantization.py of MLC-LLM (2026-07). What differs: a group of zeros gets q = 7
and scale 0 here, where MLC divides zero by zero.

Rows do not see each other, so that a matrix is quantized in blocks of them, which fit into a core's cache and can be
given to threads: numpy lets go of the interpreter's lock. numpy's float16 arithmetic is float32's, rounded, done value
by value in software; here it is float32's on whole blocks, rounded where MLC rounds, and what follows the quotient is
looked up by its 16 bits. The result is the same, bit by bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Block = tuple[NDArray[np.floating], NDArray[np.uint32], NDArray[np.floating]]
    """Rows of a weight, and where their words and scales go."""

    Each = Callable[[Callable[[Block], None], Iterable[Block]], Iterable[None]]
    """Calls a function with each block: `map`, or that of a pool of threads."""

GROUP_SIZE = 32
VALUES_PER_WORD = 8
BITS = 4
MAX_INT = 7
"""Half the range of a value: zero is stored as 7."""

BLOCK_WEIGHTS = 2**18
"""Weights in a block of rows; one that is being quantized takes 16 bytes for each, 4 MiB in all."""


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
    return quantize_stack([weight], dtype)


def quantize_stack(
    parts: Sequence[NDArray[np.floating]], dtype: str, each: Each = map
) -> tuple[NDArray[np.uint32], NDArray[np.floating]]:
    """Packed words and scales of matrices that stand on top of each other in one.

    Args:
        parts: Each of shape `(its rows, in_features)`, any float dtype, finite.
        dtype: The model's dtype.
        each: How the blocks of rows are gone through.
    """
    out_features, in_features = sum(len(part) for part in parts), parts[0].shape[1]
    words = np.empty((out_features, word_count(in_features)), np.uint32)
    scale = np.empty((out_features, group_count(in_features)), dtype)
    for _ in each(_quantize_block, _blocks(parts, words, scale)):
        pass
    return words, scale


def _blocks(
    parts: Sequence[NDArray[np.floating]], words: NDArray[np.uint32], scale: NDArray[np.floating]
) -> Iterator[Block]:
    row = 0
    for part in parts:
        step = max(1, BLOCK_WEIGHTS // part.shape[1])
        for start in range(0, len(part), step):
            block = part[start : start + step]
            rows = slice(row, row + len(block))
            yield block, words[rows], scale[rows]
            row += len(block)


def _quantize_block(block: Block) -> None:
    """Writes the words and scales of some rows."""
    weight, words, scale = block
    padded = _padded(weight, scale.dtype)
    scale[:] = _largest(padded) / scale.dtype.type(MAX_INT)
    divisor = np.where(scale == 0, np.ones_like(scale), scale)[:, :, None]
    levels = _levels(padded.reshape(*scale.shape, GROUP_SIZE), divisor).reshape(padded.shape)
    levels[:, weight.shape[1] :] = 0
    # Two levels make a byte, the first one its lower half: their two bytes moved into one.
    pairs = levels.view("<u2")
    words[:] = (pairs | pairs >> BITS).astype(np.uint8).view("<u4")


def _padded(weight: NDArray[np.floating], dtype: np.dtype[Any]) -> NDArray[np.floating]:
    """Rows in the model's dtype, filled up with zeros to whole groups."""
    rows, in_features = weight.shape
    width = group_count(in_features) * GROUP_SIZE
    if width == in_features:
        return np.ascontiguousarray(weight, dtype)
    padded = np.zeros((rows, width), dtype)
    padded[:, :in_features] = weight
    return padded


def _largest(padded: NDArray[np.floating]) -> NDArray[np.floating]:
    """The largest magnitude in each group: without their signs, floats are in the order of their bits."""
    bits = padded.view(f"u{padded.itemsize}")
    largest = (bits & np.iinfo(bits.dtype).max // 2).reshape(-1)
    for _ in range(GROUP_SIZE.bit_length() - 1):
        largest = np.maximum(largest[0::2], largest[1::2])
    return largest.view(padded.dtype).reshape(len(padded), -1)


def _levels(groups: NDArray[np.floating], divisor: NDArray[np.floating]) -> NDArray[np.uint8]:
    """`clip(round(groups / divisor + 7), 0, 14)`, every step rounded to the dtype of both."""
    if groups.dtype == np.float16:
        single, level = _half_tables()
        quotient = single.take(groups.view(np.uint16), mode="clip")
        np.divide(quotient, divisor.astype(np.float32), out=quotient)
        return level.take(quotient.astype(np.float16).view(np.uint16), mode="clip")
    quotient = groups / divisor
    quotient += MAX_INT
    np.rint(quotient, out=quotient)
    return np.clip(quotient, 0, 2 * MAX_INT, out=quotient).astype(np.uint8)


@cache
def _half_tables() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Of each float16 by its bits: its value as float32, and the level of that quotient; 0 of what is not finite."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = np.where(np.isfinite(halves), halves, np.float16(0))
    level = np.clip(np.round(finite + np.float16(MAX_INT)), 0, 2 * MAX_INT)
    return finite.astype(np.float32), level.astype(np.uint8)


def dequantize(words: NDArray[np.uint32], scale: NDArray[np.floating], in_features: int) -> NDArray[np.floating]:
    """The weight that packed words and scales stand for: shape `(out_features, in_features)`, dtype of `scale`."""
    shifts = np.arange(VALUES_PER_WORD, dtype=np.uint32) * np.uint32(BITS)
    values = (words[:, :, None] >> shifts) & np.uint32(2**BITS - 1)
    values = values.reshape(words.shape[0], -1)[:, :in_features].astype(scale.dtype)
    weight: NDArray[np.floating] = values - scale.dtype.type(MAX_INT)
    return weight * np.repeat(scale, GROUP_SIZE, axis=1)[:, :in_features]
