"""What a device said of itself while a replicate was timed: single readings, and their summary in the record.

The summary is published with the record: it holds no serial number, no process id and no process name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import msgspec

from regress.stored import Amount, Bytes, Positive, Share, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping

DeviceKind = Literal["nvidia", "jetson", "cpu"]
Celsius = Annotated[float, msgspec.Meta(ge=-274, le=1e4)]


class Pass(NamedTuple):
    """One timed pass on the monotonic clock, in ns: where prefill began and ended, and where decode ended."""

    began_ns: int
    prefilled_ns: int
    ended_ns: int


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A device at one moment; `None` where a counter cannot be read, and then `unreadable` says why.

    Attributes:
        at_ns: When, on the monotonic clock.
        clock_hz: Clock of what computes: the SMs of a GPU, the mean of a CPU's cores.
        clock_max_hz: The highest that it can be.
        memory_clock_hz: Clock of the device's memory.
        reasons: Why the clocks are what they are, by NVML's names; empty where nothing holds them down.
        violations_s: Limit to the time it has held the clocks down, accumulated since the driver was loaded.
        throttles: Cause to the number of times it throttled the device, accumulated since boot.
        power_w: Power drawn.
        power_limit_w: Power that may be drawn.
        power_limit_default_w: Power that it is made to draw: the limit where nobody set another.
        energy_j: Energy drawn, accumulated since some moment.
        temperature_celsius: The hottest of its sensors.
        memory_used_bytes: Device memory in use, by whomever.
        memory_total_bytes: Device memory that there is.
        memory_own_bytes: Device memory of the worker.
        memory_others_bytes: Device memory of everyone else, the driver included.
        others: Other processes that compute on the device.
        others_busy_s: Processor time of other processes, accumulated since boot.
        stolen_s: Processor time that a hypervisor gave to others, accumulated since boot.
        utilisation: Share of the time in which something ran on the device.
        power_mode: Name of the power mode in force.
        mig: Whether the GPU is split into instances (MIG).
        unreadable: Counter to why it could not be read.
    """

    at_ns: int
    clock_hz: float | None = None
    clock_max_hz: float | None = None
    memory_clock_hz: float | None = None
    reasons: frozenset[str] | None = None
    violations_s: Mapping[str, float] = field(default_factory=dict)
    throttles: Mapping[str, int] = field(default_factory=dict)
    power_w: float | None = None
    power_limit_w: float | None = None
    power_limit_default_w: float | None = None
    energy_j: float | None = None
    temperature_celsius: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    memory_own_bytes: int | None = None
    memory_others_bytes: int | None = None
    others: int | None = None
    others_busy_s: float | None = None
    stolen_s: float | None = None
    utilisation: float | None = None
    power_mode: str | None = None
    mig: bool | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)


class Range(Stored, frozen=True):
    """The least, the middle and the greatest of what was read."""

    min: Amount
    median: Amount
    max: Amount


class Telemetry(Stored, frozen=True, omit_defaults=True):
    """A device during the timed passes of a replicate; `None`, or no entry, where nothing could be read.

    Attributes:
        device: What kind of device it is of.
        samples: Readings taken during the timed passes.
        clock_hz: Clock of what computes.
        clock_max_hz: The highest that it can be.
        memory_clock_hz: Clock of the device's memory, median.
        reasons: Why the clocks were what they were, by NVML's names, to the share of the readings that said so.
        violations_s: Limit to the time it held the clocks down.
        throttles: Cause to how often it throttled the device.
        power_w: Mean power.
        power_limit_w: Power that may be drawn.
        power_limit_default_w: The limit where nobody set another.
        energy_j: Energy drawn; integrated from the power where `unreadable` says that there is no counter of it.
        temperature_celsius: The highest.
        peak_memory_bytes: The most device memory that the worker held, from its start to its end.
        memory_others_bytes: The most device memory that everyone else held, the driver included.
        memory_others_growth_bytes: How far that was above what it was before the worker was started.
        others: The most other processes that computed on the device at once.
        others_busy: Processors that other processes kept busy, on average.
        stolen: Processors that the hypervisor gave to others, on average.
        utilisation: Share of the time in which something ran on the device, on average.
        power_mode: Name of the power mode in force.
        mig: Whether the GPU was split into instances.
        unreadable: Counter to why it could not be read.
    """

    device: DeviceKind
    samples: Bytes
    clock_hz: Range | None = None
    clock_max_hz: Positive | None = None
    memory_clock_hz: Amount | None = None
    reasons: dict[str, Share] = {}
    violations_s: dict[str, Amount] = {}
    throttles: dict[str, Bytes] = {}
    power_w: Amount | None = None
    power_limit_w: Amount | None = None
    power_limit_default_w: Amount | None = None
    energy_j: Amount | None = None
    temperature_celsius: Celsius | None = None
    peak_memory_bytes: Bytes | None = None
    memory_others_bytes: Bytes | None = None
    memory_others_growth_bytes: Bytes | None = None
    others: Bytes | None = None
    others_busy: Amount | None = None
    stolen: Amount | None = None
    utilisation: Share | None = None
    power_mode: str | None = None
    mig: bool | None = None
    unreadable: dict[str, str] = {}
