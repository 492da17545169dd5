"""Laws of the group quantization, over rows of any length and any spread of weights."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from regress.worker import quantize as quantizing
from regress.worker.quantize import GROUP_SIZE, dequantize, quantize, quantize_stack

Weight = NDArray[Any]

# A weight is a few thousandths to a few units; below about 0.0004 a float16 scale has lost bits of its own.
SMALLEST, LARGEST = 2**-8, 16.0


@st.composite
def weights(draw: st.DrawFn) -> Weight:
    dtype = draw(st.sampled_from(["float16", "float32"]))
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 100)))
    size = st.floats(SMALLEST, LARGEST, width=16)
    element = st.one_of(st.just(0.0), size, size.map(lambda value: -value))
    drawn = draw(arrays.arrays(np.float64, shape, elements=element, fill=st.nothing()))
    return drawn.astype(dtype)


def round_trip(weight: Weight) -> Weight:
    words, scale = quantize(weight, str(weight.dtype))
    return dequantize(words, scale, weight.shape[1])


def levels(weight: Weight) -> NDArray[np.int64]:
    """Each weight's level, from -7 to 7."""
    words, _ = quantize(weight, str(weight.dtype))
    nibbles = words[:, :, None] >> np.arange(0, 32, 4, dtype=np.uint32) & 15
    return nibbles.reshape(len(weight), -1)[:, : weight.shape[1]].astype(np.int64) - 7


def per_weight(scale: Weight, columns: int) -> NDArray[np.float64]:
    return np.repeat(scale, GROUP_SIZE, axis=1)[:, :columns].astype(np.float64)


def slack(weight: Weight) -> float:
    """What rounding may add to half a scale, in scales.

    The quotient is below 8, the sum with 7 below 16, the product with the scale below 8 scales: half a unit in the
    last place of each is 2**-9, 2**-8 and 2**-9 in float16 (11 bits), together 2**-7; 2**13 times less in float32.
    """
    return float(2.0**-7 if weight.dtype == np.float16 else 2.0**-20)


@given(weights())
def test_no_weight_moves_by_more_than_half_a_scale(weight: Weight) -> None:
    _, scale = quantize(weight, str(weight.dtype))
    moved = np.abs(weight.astype(np.float64) - round_trip(weight))
    assert (moved <= (0.5 + slack(weight)) * per_weight(scale, weight.shape[1])).all()


@given(weights())
def test_the_largest_weight_of_a_group_is_an_outermost_level(weight: Weight) -> None:
    found = np.abs(levels(weight))
    for start in range(0, weight.shape[1], GROUP_SIZE):
        group = np.abs(weight[:, start : start + GROUP_SIZE])
        outermost = found[:, start : start + GROUP_SIZE].max(axis=1)
        np.testing.assert_array_equal(outermost, np.where(group.max(axis=1) > 0, 7, 0))


@given(weights())
def test_quantizing_again_changes_no_level(weight: Weight) -> None:
    """The scale may move by the rounding of 7 * scale / 7, which is far less than half a level."""
    np.testing.assert_array_equal(levels(round_trip(weight)), levels(weight))
    _, scale = quantize(weight, str(weight.dtype))
    _, again = quantize(round_trip(weight), str(weight.dtype))
    np.testing.assert_array_max_ulp(scale, again, maxulp=1)


@given(weights())
def test_the_negative_has_the_opposite_levels_but_for_the_rounding_of_a_tie(weight: Weight) -> None:
    """7 + x keeps fewer bits of x than 7 - x does, so that only weights near a tie may differ, by one level."""
    sums = levels(weight) + levels(-weight)
    _, scale = quantize(weight, str(weight.dtype))
    width = per_weight(scale, weight.shape[1])
    quotient = np.abs(weight.astype(np.float64)) / np.where(width == 0, 1, width)
    near_tie = np.abs(quotient % 1 - 0.5) <= slack(weight)
    assert not sums[~near_tie].any()
    assert (np.abs(sums) <= 1).all()


@given(weights(), st.integers(-3, 3))
def test_a_power_of_two_times_the_weight_has_the_same_levels(weight: Weight, exponent: int) -> None:
    factor = weight.dtype.type(2.0**exponent)
    words, scale = quantize(weight, str(weight.dtype))
    scaled_words, scaled = quantize(weight * factor, str(weight.dtype))
    np.testing.assert_array_equal(scaled_words, words)
    np.testing.assert_array_equal(scaled, scale * factor)


@given(weights())
def test_rows_and_groups_do_not_see_each_other(weight: Weight) -> None:
    words, scale = quantize(weight, str(weight.dtype))
    backwards, _ = quantize(weight[::-1], str(weight.dtype))
    np.testing.assert_array_equal(backwards, words[::-1])
    first_words, first_scale = quantize(weight[:, :GROUP_SIZE], str(weight.dtype))
    np.testing.assert_array_equal(first_words, words[:, :4])
    np.testing.assert_array_equal(first_scale, scale[:, :1])


@st.composite
def stacks(draw: st.DrawFn) -> list[Weight]:
    """One to three matrices of one width, of any finite float16 or float32: zeros, subnormals, the largest."""
    dtype = draw(st.sampled_from([np.float16, np.float32]))
    width = draw(st.integers(1, 100))
    element = st.floats(allow_nan=False, allow_infinity=False, width=16)
    rows = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    return [draw(arrays.arrays(dtype, (count, width), elements=element)) for count in rows]


def plainly(weight: Weight, dtype: str) -> tuple[NDArray[np.uint32], Weight]:
    """The formula on a whole matrix, in numpy's own arithmetic of that dtype."""
    rows, columns = weight.shape
    padded = np.zeros((rows, -(-columns // GROUP_SIZE) * GROUP_SIZE), dtype)
    padded[:, :columns] = weight
    groups = padded.reshape(rows, -1, GROUP_SIZE)
    seven = np.dtype(dtype).type(7)
    scale = np.abs(groups).max(axis=-1) / seven
    divisor = np.where(scale == 0, np.ones_like(scale), scale)[:, :, None]
    values = np.clip(np.round(groups / divisor + seven), 0, 14).reshape(rows, -1).astype(np.uint32)
    values[:, columns:] = 0
    nibbles = values.reshape(rows, -1, 8) << np.arange(0, 32, 4, dtype=np.uint32)
    return np.bitwise_or.reduce(nibbles, axis=-1), scale


@given(stacks(), st.sampled_from(["float16", "float32"]), st.integers(1, 300))
def test_blocks_and_threads_change_no_bit_of_the_plain_formula(parts: list[Weight], dtype: str, size: int) -> None:
    with ThreadPoolExecutor(3) as pool, mock.patch.object(quantizing, "BLOCK_WEIGHTS", size):
        words, scale = quantize_stack(parts, dtype, pool.map)
    expected_words, expected_scale = plainly(np.concatenate(parts), dtype)
    assert (words.dtype, scale.dtype) == (expected_words.dtype, expected_scale.dtype)
    assert (words.tobytes(), scale.tobytes()) == (expected_words.tobytes(), expected_scale.tobytes())


def test_every_float16_weight_has_the_level_of_the_plain_formula() -> None:
    """Each of them beside the largest of its group, which is 1, 3 or 11 times as large and so sets the scale."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    small = halves[np.abs(halves) < 2000][: 31 * 2016]
    for factor in (1, 3, 11):
        groups = np.zeros((len(small) // 31, GROUP_SIZE), np.float16)
        groups[:, 1:] = small[: len(groups) * 31].reshape(-1, 31)
        groups[:, 0] = np.abs(groups).max(axis=1) * np.float16(factor)
        words, scale = quantize(groups, "float16")
        expected_words, expected_scale = plainly(groups, "float16")
        assert (words.tobytes(), scale.tobytes()) == (expected_words.tobytes(), expected_scale.tobytes())
