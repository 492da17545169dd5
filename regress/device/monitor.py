"""Reads a device every so often while a worker runs."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from regress.summary import decode_energy_j, summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from regress.telemetry import DeviceKind, Pass, Reading, Telemetry

PERIOD_S = 0.1
"""Time between readings: the guard needs some during the timed passes, and each costs NVML a few milliseconds."""


class Sensor(Protocol):
    """A device that can be read."""

    kind: DeviceKind

    def read(self, worker: int | None = None) -> Reading:
        """Its state now, with the process whose doing is not another's; `None` before it was started."""

    def close(self) -> None:
        """Lets it go."""


class Monitor:
    """The readings of a device from before a worker is started until it ended.

    Args:
        sensor: The device; it is read once, while there is no worker yet.
        period_s: Time between readings.
    """

    def __init__(self, sensor: Sensor, period_s: float = PERIOD_S) -> None:
        self._sensor, self._period_s = sensor, period_s
        self._readings: list[Reading] = [sensor.read()]
        self._ended = threading.Event()

    @property
    def before(self) -> Telemetry:
        """The device as it was before the worker was started."""
        return summary(self._sensor.kind, self._readings[:1], ())

    @property
    def free_bytes_before(self) -> int | None:
        """Device memory that was free before the worker was started; `None` where it is not known."""
        first = self._readings[0]
        if first.memory_total_bytes is None or first.memory_used_bytes is None:
            return None
        return first.memory_total_bytes - first.memory_used_bytes

    @contextmanager
    def watching(self, worker: int) -> Iterator[None]:
        """Reads while the block runs, and once more as it ends: what accumulates must be known until then."""
        thread = threading.Thread(target=self._read_on, args=(worker,), name="telemetry", daemon=True)
        try:
            thread.start()
            yield
        finally:
            self._ended.set()
            if thread.is_alive():  # not yet, where an interrupt came first
                thread.join()
            self._readings.append(self._sensor.read(worker))

    def telemetry(self, passes: Sequence[Pass]) -> Telemetry:
        """What the device said during the timed passes."""
        return summary(self._sensor.kind, self._readings, passes)

    def decode_energy_j(self, passes: Sequence[Pass]) -> float | None:
        """Energy drawn while tokens were decoded, in joules; `None` where it is not known."""
        return decode_energy_j(self._readings, passes)

    def _read_on(self, worker: int) -> None:
        while not self._ended.wait(self._period_s):
            self._readings.append(self._sensor.read(worker))
