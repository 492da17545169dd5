"""NVIDIA GPUs by NVML: what they are, and what state they are in. Reads need no privilege; nothing is ever set.

Any counter may be missing: on another generation, under a hypervisor, in a container. It is then `None`, and why it
is stands beside it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from regress.device.counter import Counters, why
from regress.device.nvml import Absent, absence, load, select, text
from regress.device.tenants import Tenancy, Tenants, numbered_as_the_host_does
from regress.telemetry import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from regress.telemetry import DeviceKind

REASONS = {
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
"""Bit to name of a clock event reason, as nvml.h has them (`nvmlClocksEventReason…`)."""

_POLICIES = {
    "power": "NVML_PERF_POLICY_POWER",
    "thermal": "NVML_PERF_POLICY_THERMAL",
    "sync_boost": "NVML_PERF_POLICY_SYNC_BOOST",
    "board_limit": "NVML_PERF_POLICY_BOARD_LIMIT",
    "reliability": "NVML_PERF_POLICY_RELIABILITY",
}
_MHZ, _MILLI, _NANO = 1e6, 1e-3, 1e-9


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a GPU is; `None` where it does not tell.

    Attributes:
        name: Its product name.
        driver: Version of the driver.
        cuda: Newest CUDA that the driver runs, such as `13.0`.
        compute_capability: Such as `9.0`.
        mig: Whether it is split into instances (MIG).
        memory_bytes: Its memory.
        power_limit_w: The power limit that was set.
        clock_max_hz: Highest clock of its SMs.
        unreadable: Counter to why it could not be read.
    """

    name: str
    driver: str | None = None
    cuda: str | None = None
    compute_capability: str | None = None
    mig: bool | None = None
    memory_bytes: int | None = None
    power_limit_w: float | None = None
    clock_max_hz: float | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def power_mode(self) -> str | None:
        """The power limit as a name: what `nvpmodel` is to a Jetson."""
        return None if self.power_limit_w is None else f"{self.power_limit_w:.0f} W"


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """How a GPU is kept: settings that an administrator makes once. `None` where it does not tell, or has none.

    Attributes:
        persistence: Whether the driver stays loaded while nobody uses the device.
        ecc: Whether its memory corrects errors.
        ecc_pending: The same after the next boot.
        clock_application_hz: The clock its SMs are told to run at.
        unreadable: Counter to why it could not be read.
    """

    persistence: bool | None = None
    ecc: bool | None = None
    ecc_pending: bool | None = None
    clock_application_hz: float | None = None
    unreadable: Mapping[str, str] = field(default_factory=dict)


def identity(visible: str | None = None, nvml: Any = None) -> Identity | Absent:  # noqa: ANN401
    """What the GPU is that CUDA calls its first, or why there is none.

    Args:
        visible: `CUDA_VISIBLE_DEVICES`; `None` where it is not set.
        nvml: The binding, started; the installed one where `None`.
    """
    gpu = open_gpu(visible, nvml)
    if isinstance(gpu, Absent):
        return gpu
    try:
        return gpu.identity()
    finally:
        gpu.close()


def open_gpu(visible: str | None = None, nvml: Any = None) -> Gpu | Absent:  # noqa: ANN401
    """The GPU that CUDA calls its first, to be closed after use; or why there is none.

    Args:
        visible: `CUDA_VISIBLE_DEVICES`; `None` where it is not set.
        nvml: The binding, started; the installed one where `None`.
    """
    nvml = nvml or load()
    if isinstance(nvml, Absent):
        return nvml
    try:
        handle = select(nvml, visible)
    except nvml.NVMLError as error:
        handle = Absent(reason=absence(why(error)))
    if isinstance(handle, Absent):
        nvml.nvmlShutdown()
        return handle
    return Gpu(nvml, handle, Tenants(numbered_alike=numbered_as_the_host_does()))


class Gpu:
    """One GPU, open for reading.

    Args:
        nvml: The binding, started.
        handle: The device.
        tenants: Whose processes are whose.
        clock: The monotonic clock, in ns.
    """

    kind: DeviceKind = "nvidia"

    def __init__(
        self,
        nvml: Any,  # noqa: ANN401
        handle: Any,  # noqa: ANN401
        tenants: Tenants,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._nvml, self._handle, self._tenants, self._clock = nvml, handle, tenants, clock
        # A binding older than a function does not have it; a driver older than it raises.
        self._errors = (nvml.NVMLError, AttributeError)
        self._counters = Counters(*self._errors)
        self._before_bytes: int | None = None

    def identity(self) -> Identity:
        """What it is."""
        name = self._counters.get("name", partial(self._call, "nvmlDeviceGetName"))
        memory = self._read("memory", "nvmlDeviceGetMemoryInfo")
        return Identity(
            name=text(name) or "an NVIDIA GPU that does not tell its name",
            driver=text(self._counters.get("driver", self._nvml.nvmlSystemGetDriverVersion)) or None,
            cuda=self._counters.get("cuda", self._cuda),
            compute_capability=self._counters.get("compute_capability", self._compute_capability),
            mig=self._counters.get("mig", self._mig),
            memory_bytes=memory.total if memory else None,
            power_limit_w=_scaled(self._read("power_limit", "nvmlDeviceGetPowerManagementLimit"), _MILLI),
            clock_max_hz=_scaled(self._clock_of("clock_max", "nvmlDeviceGetMaxClockInfo", "NVML_CLOCK_SM"), _MHZ),
            unreadable=dict(self._counters.unreadable),
        )

    def upkeep(self) -> Upkeep:
        """How it is kept."""
        counters = Counters(*self._errors)
        mode = counters.get("persistence", partial(self._call, "nvmlDeviceGetPersistenceMode"))
        # Consumer cards have no ECC and newer ones no application clocks: an answer, and not a missing counter.
        optional = Counters(*self._errors)
        ecc = optional.get("ecc", partial(self._call, "nvmlDeviceGetEccMode"))
        clock = optional.get("clock", lambda: self._call("nvmlDeviceGetApplicationsClock", self._nvml.NVML_CLOCK_SM))
        return Upkeep(
            persistence=None if mode is None else bool(mode),
            ecc=None if ecc is None else bool(ecc[0]),
            ecc_pending=None if ecc is None else bool(ecc[1]),
            clock_application_hz=_scaled(clock, _MHZ),
            unreadable=dict(counters.unreadable),
        )

    def read(self, worker: int | None = None) -> Reading:
        """Its state now.

        Args:
            worker: The process whose computing is not another's; `None` before it was started.
        """
        at_ns = self._clock()
        memory = self._read("memory", "nvmlDeviceGetMemoryInfo")
        used = memory.used if memory else None
        if worker is None or self._before_bytes is None:
            self._before_bytes = used
        tenancy = self._counters.get("processes", partial(self._tenancy, worker))
        own = self._own_bytes(used, tenancy, worker)
        limit = self._read("power_limit", "nvmlDeviceGetPowerManagementLimit")
        default = self._read("power_limit_default", "nvmlDeviceGetPowerManagementDefaultLimit")
        energy = self._read("energy", "nvmlDeviceGetTotalEnergyConsumption")
        utilisation = self._read("utilisation", "nvmlDeviceGetUtilizationRates")
        return Reading(
            at_ns=at_ns,
            clock_hz=_scaled(self._clock_of("clock", "nvmlDeviceGetClockInfo", "NVML_CLOCK_SM"), _MHZ),
            clock_max_hz=_scaled(self._clock_of("clock_max", "nvmlDeviceGetMaxClockInfo", "NVML_CLOCK_SM"), _MHZ),
            memory_clock_hz=_scaled(self._clock_of("memory_clock", "nvmlDeviceGetClockInfo", "NVML_CLOCK_MEM"), _MHZ),
            reasons=self._reasons(),
            violations_s=self._violations(),
            power_w=_scaled(self._read("power", "nvmlDeviceGetPowerUsage"), _MILLI),
            power_limit_w=_scaled(limit, _MILLI),
            power_limit_default_w=_scaled(default, _MILLI),
            energy_j=_scaled(energy, _MILLI),
            temperature_celsius=self._counters.get("temperature", self._temperature),
            memory_used_bytes=used,
            memory_total_bytes=memory.total if memory else None,
            memory_own_bytes=own,
            memory_others_bytes=None if used is None or own is None else max(0, used - own),
            others=tenancy.others if tenancy else None,
            utilisation=None if utilisation is None else utilisation.gpu / 100,
            power_mode=None if limit is None else f"{limit * _MILLI:.0f} W",
            mig=self._counters.get("mig", self._mig),
            unreadable=dict(self._counters.unreadable),
        )

    def close(self) -> None:
        """Lets NVML go."""
        self._counters.get("shutdown", self._nvml.nvmlShutdown)

    def _call(self, function: str, *args: object) -> Any:  # noqa: ANN401
        return getattr(self._nvml, function)(self._handle, *args)

    def _read(self, counter: str, function: str) -> Any:  # noqa: ANN401
        return self._counters.get(counter, partial(self._call, function))

    def _clock_of(self, counter: str, function: str, domain: str) -> int | None:
        clock: int | None = self._counters.get(counter, lambda: self._call(function, getattr(self._nvml, domain)))
        return clock

    def _cuda(self) -> str:
        version: int = self._nvml.nvmlSystemGetCudaDriverVersion()
        return f"{version // 1000}.{version % 1000 // 10}"

    def _compute_capability(self) -> str:
        major, minor = self._call("nvmlDeviceGetCudaComputeCapability")
        return f"{major}.{minor}"

    def _mig(self) -> bool:
        current, _ = self._call("nvmlDeviceGetMigMode")
        return bool(current == self._nvml.NVML_DEVICE_MIG_ENABLE)

    def _temperature(self) -> float:
        return float(self._call("nvmlDeviceGetTemperature", self._nvml.NVML_TEMPERATURE_GPU))

    def _reasons(self) -> frozenset[str] | None:
        bits = self._read("reasons", "nvmlDeviceGetCurrentClocksEventReasons")
        return None if bits is None else frozenset(name for bit, name in REASONS.items() if bits & bit)

    def _violations(self) -> dict[str, float]:
        found = {name: self._counters.get(f"violation_{name}", partial(self._violation, name)) for name in _POLICIES}
        return {name: seconds for name, seconds in found.items() if seconds is not None}

    def _violation(self, name: str) -> float:
        status = self._call("nvmlDeviceGetViolationStatus", getattr(self._nvml, _POLICIES[name]))
        return float(status.violationTime * _NANO)

    def _tenancy(self, worker: int | None) -> Tenancy:
        processes = self._call("nvmlDeviceGetComputeRunningProcesses")
        return self._tenants.tell({process.pid: process.usedGpuMemory for process in processes}, worker)

    def _own_bytes(self, used: int | None, tenancy: Tenancy | None, worker: int | None) -> int | None:
        """Device memory of the worker: what NVML says of it, else what is used more than before it was started."""
        if worker is None:
            return 0
        if tenancy is not None and tenancy.own_bytes is not None:
            return tenancy.own_bytes
        if used is None or self._before_bytes is None:
            return None
        return max(0, used - self._before_bytes)


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
