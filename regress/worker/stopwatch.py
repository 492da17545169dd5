"""An instrument for TVM's virtual machine that times calls; needs nothing of TVM itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Spent(NamedTuple):
    """What all calls of one name took together.

    Attributes:
        calls: How many there were.
        time_s: Their time, without that of calls inside them, in seconds.
    """

    calls: int
    time_s: float


class Stopwatch:
    """An instrument for TVM's virtual machine: the time of each call, less that of the calls inside it.

    Args:
        sync: Waits for the device.
        clock: A monotonic clock, in ns.
    """

    def __init__(self, sync: Callable[[], None], clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._sync, self._clock = sync, clock
        self._open: list[list[int]] = []
        self._spent_ns: dict[str, list[int]] = {}

    def __call__(self, _function: object, name: str, before_run: bool, *_rest: object) -> int:  # noqa: FBT001
        """Takes the time before and after one call; 0, for "go on"."""
        self._sync()
        now = self._clock()
        if before_run:
            self._open.append([now, 0])
            return 0
        started, inside = self._open.pop()
        took = now - started
        if self._open:
            self._open[-1][1] += took
        spent = self._spent_ns.setdefault(str(name), [0, 0])
        spent[0] += 1
        spent[1] += took - inside
        return 0

    def take(self) -> dict[str, Spent]:
        """Name to what its calls took since the last time this was asked."""
        spent, self._spent_ns = self._spent_ns, {}
        return {name: Spent(calls, took / 1e9) for name, (calls, took) in spent.items()}
