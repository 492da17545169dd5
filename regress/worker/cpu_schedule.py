"""Schedules of the matrix kernels for processors.

TVM's default CPU rules leave a fused dequantize-matmul as scalar loops. Two shapes matter: one token times a matrix
(decode) and many tokens times a matrix (prefill).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tvm
from tvm import s_tir, tirx

from regress.worker.passes import function_names

if TYPE_CHECKING:
    from collections.abc import Sequence

LANES = 8
"""Partial sums of a dot product: one 256-bit register of float32, and the eight values of one packed word."""
COLUMN_TILE = 16
"""Output columns of a prefill tile: one 512-bit register of float32."""
TOKEN_TILE = 8
"""Tokens of a prefill tile: its sums stay in registers."""
ROWS = 4
"""Rows of the matrix that one token meets at a time: one row's sum alone would wait for its own last addition."""


@tvm.transform.module_pass(opt_level=0, name="ScheduleCpuMatmul")
class ScheduleCpuMatmul:
    """Schedules every matmul of a module for a processor; leaves all other functions as they are."""

    def transform_module(self, mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        """The module with its matmuls scheduled."""
        for name in function_names(mod):
            function = mod[name]
            if isinstance(function, tirx.PrimFunc) and (scheduled := schedule_matmul(function)) is not None:
                mod[name] = scheduled
        return mod


def schedule_matmul(function: tirx.PrimFunc) -> tirx.PrimFunc | None:
    """The function scheduled for a processor; `None` where it holds no matmul this can schedule.

    Args:
        function: `Y[b, s, n] = sum_k X[b, s, k] * W[n, k]`, where `W` may be dequantized before and elementwise
            steps may follow.
    """
    schedule = s_tir.Schedule(function)
    blocks = _block_names(schedule)
    matmul = next((name for name in blocks if "matmul" in name), None)
    if matmul is None:
        return None
    before, after = blocks[: blocks.index(matmul)], blocks[blocks.index(matmul) + 1 :]
    loops = schedule.get_loops(schedule.get_sblock(matmul))
    extents = [schedule.get(loop).extent for loop in loops]
    batch_tokens_columns_inner = 4
    if len(loops) != batch_tokens_columns_inner or len(before) > 1 or not _divides(LANES, extents[3]):
        return None
    dequantize = before[0] if before else None
    epilogue = _joined(schedule, after)
    if _is(extents[1], 1) and _divides(ROWS, extents[2]):
        _schedule_one_token(schedule, matmul, dequantize, epilogue)
    elif _divides(COLUMN_TILE, extents[2]):
        _schedule_many_tokens(schedule, matmul, dequantize, epilogue)
    else:
        return None
    return schedule.mod["main"].with_attr("tirx.is_scheduled", True)  # noqa: FBT003


def _schedule_one_token(
    schedule: s_tir.Schedule, matmul_name: str, dequantize: str | None, epilogue: str | None
) -> None:
    """Rows of the matrix over threads; each dot product in `LANES` partial sums, dequantized in registers."""
    matmul = schedule.get_sblock(matmul_name)
    _, lane = schedule.split(schedule.get_loops(matmul)[-1], [None, LANES])
    partial = schedule.rfactor(lane, 0)
    if dequantize is not None:
        schedule.compute_inline(schedule.get_sblock(dequantize))
    block, _ = schedule.split(schedule.get_loops(matmul)[2], [None, ROWS])
    schedule.parallel(block)
    schedule.compute_at(partial, block)
    if epilogue is not None:
        schedule.reverse_compute_at(schedule.get_sblock(epilogue), block)
    lane, row, step = schedule.get_loops(partial)[-3:]
    schedule.reorder(step, row, lane)
    schedule.unroll(row)
    schedule.vectorize(lane)
    zero = schedule.decompose_reduction(partial, step)
    schedule.vectorize(schedule.get_loops(zero)[-1])
    last = schedule.get_loops(matmul)[-1]
    schedule.decompose_reduction(matmul, last)
    schedule.unroll(last)


def _schedule_many_tokens(
    schedule: s_tir.Schedule, matmul_name: str, dequantize: str | None, epilogue: str | None
) -> None:
    """Column tiles over threads; the tile's weights are packed once, then met by all tokens, a tile at a time."""
    matmul = schedule.get_sblock(matmul_name)
    schedule.pad_einsum(matmul, [1, TOKEN_TILE, 1, 1])
    padded = [name for name in _block_names(schedule) if name.endswith("_pad")]
    copy_in = schedule.get_sblock(padded[0])
    result = padded[-1]
    if epilogue is not None:
        schedule.compute_inline(schedule.get_sblock(result))
        result = epilogue
    weight = schedule.get_sblock(dequantize) if dequantize else schedule.cache_read(matmul, 1, "global")
    batch, tokens, columns, inner = schedule.get_loops(matmul)
    tile, column = schedule.split(columns, [None, COLUMN_TILE])
    block, token = schedule.split(tokens, [None, TOKEN_TILE])
    schedule.reorder(tile, batch, block, inner, token, column)
    schedule.parallel(tile)
    schedule.compute_at(weight, tile)
    schedule.transform_layout(weight, ("write", 0), lambda n, k: (n // COLUMN_TILE, k, n % COLUMN_TILE))
    write = schedule.get_sblock(result)
    schedule.reverse_compute_at(write, block)
    schedule.set_scope(matmul, 0, "local")
    schedule.vectorize(column)
    schedule.unroll(token)
    zero = schedule.get_loops(schedule.decompose_reduction(matmul, inner))
    schedule.vectorize(zero[-1])
    schedule.unroll(zero[-2])
    _vectorize_last(schedule, copy_in, LANES)
    schedule.vectorize(schedule.get_loops(write)[-1])
    _schedule_packing(schedule, weight)


def _schedule_packing(schedule: s_tir.Schedule, weight: Any) -> None:  # noqa: ANN401
    """A tile of weights, written `COLUMN_TILE` columns at a time; a word's eight values in a row."""
    column, inner = schedule.get_loops(weight)[-2:]
    schedule.reorder(inner, column)
    _, value = schedule.split(inner, [None, LANES])
    schedule.unroll(value)
    schedule.vectorize(column)


def _vectorize_last(schedule: s_tir.Schedule, block: Any, lanes: int) -> None:  # noqa: ANN401
    _, lane = schedule.split(schedule.get_loops(block)[-1], [None, lanes])
    schedule.vectorize(lane)


def _joined(schedule: s_tir.Schedule, blocks: Sequence[str]) -> str | None:
    """The name of the one block that all elementwise blocks behind the matmul were folded into."""
    if not blocks:
        return None
    for name in blocks[:-1]:
        schedule.compute_inline(schedule.get_sblock(name))
    return blocks[-1]


def _block_names(schedule: s_tir.Schedule) -> list[str]:
    """Names of a function's blocks, in order."""
    root = schedule.get_sblock("root")
    return [str(schedule.get(block).name_hint) for block in schedule.get_child_blocks(root)]


def _is(extent: tirx.Expr, value: int) -> bool:
    return isinstance(extent, tirx.IntImm) and int(extent) == value


def _divides(tile: int, extent: tirx.Expr) -> bool:
    return isinstance(extent, tirx.IntImm) and int(extent) % tile == 0
