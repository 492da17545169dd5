"""Whether a device was in the state that rates are compared in while a replicate was timed.

A replicate for which it was not says nothing of the code: neither that it lost speed nor that it did not. nvbench
discards likewise while the SM clock is below a share of its peak, and only so many times.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, NamedTuple, Protocol

import msgspec

from regress.config import Table

if TYPE_CHECKING:
    from regress.replicate import Discarded, GuardReason
    from regress.telemetry import Telemetry

LOWEST_CLOCK_SHARE = 0.8
"""Of the highest SM clock, what the median must reach.

Source: NVIDIA's nvbench, `gpu_throttle_threshold` (0.75 by default there, recommended 0.8 of the peak).
"""
MOST_GROWTH_BYTES = 256 * 2**20
"""Growth of others' device memory that is no tenant yet: a desktop moves its windows."""
CAPPED_SHARE = 0.5
"""Share of the readings under a power cap above which a low clock is the cap's doing."""
LOWERED_SHARE = 0.99
"""Of the default power limit, what one in force is below where somebody set it lower, and it is not rounded alone."""
LEAST_VIOLATION_S = 0.001

_THROTTLING = ("hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown")
_CAPPED_CLOCK = "SM clock, under the power cap,"
_MHZ = 1e6

Frequency = Annotated[float, msgspec.Meta(gt=0, le=1e6)]


class Required(Table, frozen=True):
    """`[device]`: the state that the device must be in.

    Attributes:
        power_mode: Name of the power mode: of a Jetson `nvpmodel`'s, of another GPU its power limit, such as `700 W`.
        min_sm_clock_mhz: What the median of the SM clock must reach, in place of 80 % of its maximum.
        min_memory_clock_mhz: What the median of the memory's clock must reach.
        mig: Whether an instance of a split GPU (MIG) is meant.
    """

    power_mode: Annotated[str, msgspec.Meta(pattern=r"^\S(.*\S)?\Z")] | None = None
    min_sm_clock_mhz: Frequency | None = None
    min_memory_clock_mhz: Frequency | None = None
    mig: bool = False


class Kept(Protocol):
    """What was kept of a case, as its result in a record says."""

    @property
    def discarded(self) -> tuple[Discarded, ...]:
        """Replicates that were not."""

    @property
    def gave_up(self) -> GuardReason | None:
        """Why no more were taken; `None` where it was not so."""


class Objection(NamedTuple):
    """What speaks against a replicate, as it says nothing of the code: a code, and a sentence."""

    reason: GuardReason
    text: str


def unfit(telemetry: Telemetry, required: Required) -> Objection | None:
    """Why nothing should be measured on a device as it stands; `None` where nothing speaks against it.

    What cannot be read speaks against nothing.
    """
    return _wrong_mode(telemetry, required) or _shared(telemetry)


def disturbed(telemetry: Telemetry, required: Required) -> Objection | None:
    """Why a replicate that was timed on a device is not to be kept; `None` where nothing speaks against it."""
    return unfit(telemetry, required) or _throttled(telemetry) or _slow_clock(telemetry, required)


def remark(result: Kept) -> str:
    """How many replicates of a case were discarded and why, for a sentence; empty where none was."""
    if not result.discarded:
        return ""
    counted = Counter(each.reason for each in result.discarded)
    reasons = ", ".join(f"{reason} {count} times" if count > 1 else reason for reason, count in counted.items())
    plural = "s" if len(result.discarded) > 1 else ""
    return f"{len(result.discarded)} replicate{plural} discarded ({reasons})"


def surrender(result: Kept) -> str:
    """Why no more of a case was measured, for a sentence; of a case of which that was given up."""
    return f"{remark(result)}, the last because {result.discarded[-1].text}"


def discards(result: Kept) -> str:
    """What was not kept of a case, and whether it was given up, for a sentence; empty where all was kept."""
    return surrender(result) if result.gave_up else remark(result)


def _wrong_mode(telemetry: Telemetry, required: Required) -> Objection | None:
    if telemetry.mig and not required.mig:
        return Objection("wrong_mode", "the GPU is split into instances (MIG)")
    mode = telemetry.power_mode
    if required.power_mode is not None and mode is not None and mode != required.power_mode:
        return Objection("wrong_mode", f"the power mode is {mode}, the baseline requires {required.power_mode}")
    return None


def _shared(telemetry: Telemetry) -> Objection | None:
    if telemetry.others:
        plural = "es compute" if telemetry.others > 1 else " computes"
        return Objection("shared_device", f"{telemetry.others} other process{plural} on the device")
    growth = telemetry.memory_others_growth_bytes or 0
    if growth > MOST_GROWTH_BYTES:
        return Objection("shared_device", f"others took {growth / 2**30:.1f} GiB more of the device's memory meanwhile")
    return None


def _throttled(telemetry: Telemetry) -> Objection | None:
    reasons = [reason for reason in _THROTTLING if reason in telemetry.reasons]
    if reasons:
        return Objection("throttled", f"the device was throttled: {', '.join(reasons)}")
    causes = [cause for cause, count in telemetry.throttles.items() if count]
    if causes:
        return Objection("throttled", f"the device was throttled: {', '.join(causes)}")
    hot_s = telemetry.violations_s.get("thermal", 0.0)
    if hot_s >= LEAST_VIOLATION_S:
        return Objection("throttled", f"the device was throttled: its heat held the clocks down for {hot_s:.3f} s")
    return None


def _slow_clock(telemetry: Telemetry, required: Required) -> Objection | None:
    """A clock below its floor: by the power cap where that was on, by whatever it was else."""
    if telemetry.device == "cpu":
        return None  # a processor's clock follows its load, and its highest is of one core alone
    memory_floor = (required.min_memory_clock_mhz or 0.0) * _MHZ
    if telemetry.memory_clock_hz is not None and telemetry.memory_clock_hz < memory_floor:
        return _too_slow("wrong_mode", "memory clock", telemetry.memory_clock_hz, memory_floor)
    floor = _floor_hz(telemetry, required)
    if telemetry.clock_hz is None or telemetry.clock_hz.median >= floor:
        return None
    if telemetry.reasons.get("sw_power_cap", 0.0) > CAPPED_SHARE:
        return _capped(telemetry, required, _too_slow("power_capped", _CAPPED_CLOCK, telemetry.clock_hz.median, floor))
    reason: GuardReason = "throttled" if required.min_sm_clock_mhz is None else "wrong_mode"
    return _too_slow(reason, "SM clock", telemetry.clock_hz.median, floor)


def _capped(telemetry: Telemetry, required: Required, objection: Objection) -> Objection | None:
    """The objection to a low clock under the power cap, where it is not the speed that the device has.

    A GPU at full load reaches the power it is made for, and large matmuls take its clock far down: so it always runs
    them. It is another speed where a baseline names the clock that it must reach, or somebody lowered the limit, unless
    a baseline names that very limit as the mode to measure in.
    """
    if required.min_sm_clock_mhz is not None:
        return objection
    limit, default = telemetry.power_limit_w, telemetry.power_limit_default_w
    if required.power_mode is not None or limit is None or default is None or limit >= LOWERED_SHARE * default:
        return None
    return Objection(
        objection.reason, f"{objection.text}; the power limit is {limit:.0f} W, by default {default:.0f} W"
    )


def _floor_hz(telemetry: Telemetry, required: Required) -> float:
    if required.min_sm_clock_mhz is not None:
        return required.min_sm_clock_mhz * _MHZ
    return LOWEST_CLOCK_SHARE * (telemetry.clock_max_hz or 0.0)


def _too_slow(reason: GuardReason, what: str, found_hz: float, floor_hz: float) -> Objection:
    return Objection(reason, f"the {what} was {found_hz / _MHZ:,.0f} MHz, and must be {floor_hz / _MHZ:,.0f} at least")
