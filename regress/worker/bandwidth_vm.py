"""Measures what a copy inside a device's memory moves: the roofline that a decode rate is seen beside.

A copy reads and writes every byte once; a decode step hardly writes. Reads alone may be a little faster.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm

if TYPE_CHECKING:
    from regress.worker.protocol import Channel

_TILE_BYTES = 2**24


def main(request: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Measures the bandwidth of a device's memory.

    Args:
        request: `device` (`cpu` or `cuda`), `bytes` (size of a buffer, several times the last-level cache), `copies`
            (between two waits for the device) and `repeats`.
        channel: For progress.

    Returns:
        `bytes_per_s`, read and written, the median of the repeats.
    """
    device = tvm.device(request["device"], 0)
    if not device.exist:
        raise RuntimeError(f"TVM sees no {request['device']} device")
    channel.progress("bandwidth")
    source = tvm.runtime.tensor(_random(request["bytes"]), device=device)
    target = tvm.runtime.empty(source.shape, "float32", device)
    copied_s(device, source, target, request["copies"])  # the first time, pages are still to be found
    times_s = [copied_s(device, source, target, request["copies"]) for _ in range(request["repeats"])]
    return {"bytes_per_s": 2 * request["bytes"] * request["copies"] / statistics.median(times_s)}


def copied_s(device: Any, source: Any, target: Any, copies: int) -> float:  # noqa: ANN401
    """How long that many copies take, in seconds."""
    device.sync()
    started = time.perf_counter_ns()
    for _ in range(copies):
        source.copyto(target)
    device.sync()
    return (time.perf_counter_ns() - started) / 1e9


def _random(size: int) -> Any:  # noqa: ANN401
    """Random float32 numbers of that many bytes: memory may compress zeros, and drivers share pages of them.

    One tile of them is repeated, far larger than what hardware compresses at once: a whole GiB takes seconds to draw.
    """
    tile = np.random.default_rng(0).random(min(size, _TILE_BYTES) // 4, dtype="float32")
    return np.resize(tile, size // 4)
