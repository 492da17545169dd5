"""The packed words and scales, against the layout's definition worked out value by value in Python's own numbers."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from regress.worker.quantize import QUANTIZATIONS, dequantize, group_count, quantize, word_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DTYPES = ["float16", "float32"]
FORMATS = {"float16": "<e", "float32": "<f"}


def rounded(number: float, dtype: str) -> float:
    """The number of that dtype nearest to a float64, ties to even: `struct` does it without numpy.

    Rounding a float64 quotient or sum once more is the same as rounding the exact one: 53 bits are more than twice
    the 24 of float32, plus two (Figueroa, "When is double rounding innocuous?").
    """
    (result,) = struct.unpack(FORMATS[dtype], struct.pack(FORMATS[dtype], number))
    return float(result)


def by_definition(row: Sequence[float], dtype: str) -> tuple[list[int], list[float]]:
    """Words and scales of one row, one value at a time."""
    words: list[int] = []
    scales = []
    for start in range(0, len(row), 32):
        group = list(row[start : start + 32])
        scale = rounded(max(abs(weight) for weight in group) / 7, dtype)
        scales.append(scale)
        levels = [level(weight, scale, dtype) for weight in group] + [0] * (32 - len(group))
        # The first value of a word is its lowest hexadecimal digit.
        octets = (levels[first : first + 8] for first in range(0, 32, 8))
        words += [int("".join(f"{value:x}" for value in reversed(octet)), 16) for octet in octets]
    return words, scales


def level(weight: float, scale: float, dtype: str) -> int:
    if scale == 0:
        return 7
    # Python's round goes to even at a tie, as TVM's does.
    return min(max(round(rounded(rounded(weight / scale, dtype) + 7, dtype)), 0), 14)


def weights(shape: tuple[int, int], dtype: str, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).normal(0, 0.05, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("in_features", [8, 31, 32, 33, 100, 256, 688])
def test_words_and_scales_are_those_of_the_definition(dtype: str, in_features: int) -> None:
    weight = weights((5, in_features), dtype)
    words, scale = quantize(weight, dtype)
    expected = [by_definition([float(w) for w in row], dtype) for row in weight]
    assert words.tolist() == [row_words for row_words, _ in expected]
    assert scale.tolist() == [row_scales for _, row_scales in expected]
    assert (words.dtype, scale.dtype) == (np.dtype("uint32"), np.dtype(dtype))


@pytest.mark.parametrize(
    ("dtype", "words_sha256", "scale_sha256"),
    [
        (
            "float16",
            "e20fb9586593370ed0d8f3bfda7b5ab265f4a1e600353ba9fe277c00619df615",
            "cef1edfffb8083fd1a8e969febc045dd4b64ce7e363586ad36c10a4fab6e00f5",
        ),
        (
            "float32",
            "031c9a7587c95e7be61748901865513ee12cafb26d31f51ef94fdfe34f23cf3a",
            "fc8e4b484ef431400733172549ee16b9de1718c117970991e852fad3838281f2",
        ),
    ],
)
def test_the_bits_are_those_of_mlc_llms_own_quantizer(dtype: str, words_sha256: str, scale_sha256: str) -> None:
    """The digests are of what `GroupQuantize.quantize_weight` of MLC-LLM returned on apache-tvm 0.26.0 and 0.27.0.

    24 rows of 688 weights from a multiplicative sequence, row n divided by 2 ** (n % 5).
    """
    sequence = np.arange(24 * 688, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(2**32)
    spread = (sequence.astype(np.float64) / 2**32 - 0.5).reshape(24, 688).astype(dtype)
    weight = spread * np.array([2.0 ** -(row % 5) for row in range(24)], dtype)[:, None]
    words, scale = quantize(weight, dtype)
    assert hashlib.sha256(words.tobytes()).hexdigest() == words_sha256
    assert hashlib.sha256(scale.tobytes()).hexdigest() == scale_sha256


def test_a_group_written_out_by_hand() -> None:
    """Levels -7 to 7 in steps of a quarter: scale 1.75 / 7 = 0.25, level k is stored as k + 7."""
    weight = np.zeros((1, 32), "float32")
    weight[0, :15] = np.arange(-7, 8) * 0.25
    words, scale = quantize(weight, "float32")
    assert scale.tolist() == [[0.25]]
    assert [f"{word:08x}" for word in words[0]] == ["76543210", "7edcba98", "77777777", "77777777"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tie_goes_to_the_even_level(dtype: str) -> None:
    """Scale 2: halves of it are exact in both dtypes, so 7.5, 8.5, 9.5 and 6.5, 5.5, 4.5 are true ties."""
    weight = np.zeros((1, 32), dtype)
    weight[0, :8] = [14, 1, 3, 5, -1, -3, -5, -14]
    words, _ = quantize(weight, dtype)
    assert f"{words[0, 0]:08x}"[::-1] == "e88a6640"


def test_every_step_is_rounded_to_the_models_dtype() -> None:
    """In float16, 0.4998 + 7 has eight bits behind the point left: 7.5, which goes to 8; in float32 it goes to 7."""
    weight = np.zeros((1, 32), "float16")
    weight[0, :2] = [7, 0.4998]
    assert quantize(weight, "float16")[0][0, 0] >> 4 & 15 == 8
    assert quantize(weight, "float32")[0][0, 0] >> 4 & 15 == 7


def test_weights_are_rounded_to_the_models_dtype_before_anything_else() -> None:
    weight = weights((4, 64), "float32")
    for got, expected in zip(quantize(weight, "float16"), quantize(weight.astype("float16"), "float16"), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_group_of_zeros_stays_zeros_and_leaves_its_neighbours_alone(dtype: str) -> None:
    weight = weights((3, 96), dtype)
    weight[:, 32:64] = 0
    words, scale = quantize(weight, dtype)
    assert (scale[:, 1] == 0).all()
    assert (words[:, 4:8] == 0x77777777).all()
    assert not dequantize(words, scale, 96)[:, 32:64].any()
    alone, _ = quantize(weight[:, :32], dtype)
    np.testing.assert_array_equal(words[:, :4], alone)


def test_a_last_group_that_is_not_full_is_filled_with_zero_bits() -> None:
    """688 = 21 groups of 32, and 16 weights: two words of them, and two empty ones."""
    words, scale = quantize(weights((2, 688), "float16"), "float16")
    assert words.shape == (2, 88)
    assert scale.shape == (2, 22)
    assert (words[:, 85] != 0).all()
    assert (words[:, 86:] == 0).all()


def test_the_sizes_along_an_input_axis_count_whole_groups() -> None:
    assert [group_count(k) for k in (1, 32, 33, 688, 4096)] == [1, 1, 2, 22, 128]
    assert [word_count(k) for k in (1, 32, 33, 688, 4096)] == [4, 4, 8, 88, 512]


@pytest.mark.parametrize("dtype", DTYPES)
def test_dequantizing_is_level_times_scale(dtype: str) -> None:
    """0x..0e7: the levels are 7, 14, 0 and then five zeros; minus 7, times 0.5."""
    words = np.array([[0x000000E7, 0x77777777, 0, 0]], "uint32")
    weight = dequantize(words, np.array([[0.5]], dtype), 12)
    assert weight.tolist() == [[0, 3.5, -3.5, -3.5, -3.5, -3.5, -3.5, -3.5, 0, 0, 0, 0]]
    assert weight.dtype == np.dtype(dtype)


def test_the_names_are_mlcs_and_say_what_is_stored() -> None:
    facts = {name: (q.name, q.dtype, q.grouped) for name, q in QUANTIZATIONS.items()}
    assert facts == {
        "q0f32": ("q0f32", "float32", False),
        "q0f16": ("q0f16", "float16", False),
        "q4f32_1": ("q4f32_1", "float32", True),
        "q4f16_1": ("q4f16_1", "float16", True),
    }
