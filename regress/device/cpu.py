"""The processor: its name, how much of it this process may use, the memory beside it, and what state it is in."""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from regress.device.counter import Counters, line_of, number_of
from regress.telemetry import Reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from regress.telemetry import DeviceKind

_MODEL_KEYS = ("model name", "Model", "Hardware", "cpu model")
_CPUINFO = Path("/proc/cpuinfo")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def model_name(cpuinfo: Path = _CPUINFO) -> str:
    """The processor's name, such as `AMD EPYC 9B45`; the architecture where the system does not tell.

    Virtual machines cut the name; family, model and stepping are appended so that two kinds stay two.
    """
    try:
        fields = _first_processor(cpuinfo.read_text(encoding="utf-8"))
    except OSError:
        fields = {}
    name = next((fields[key] for key in _MODEL_KEYS if key in fields), platform.machine())
    numbers = [fields[key] for key in ("cpu family", "model", "stepping") if key in fields]
    return f"{name} ({'/'.join(numbers)})" if numbers else name


def _first_processor(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields


def count() -> int:
    """Logical processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """Physical memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Processor:
    """The processor, open for reading.

    Args:
        root: Where the file system begins.
        clock: The monotonic clock, in ns.
    """

    kind: DeviceKind = "cpu"

    def __init__(self, root: Path = Path("/"), clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._root, self._clock = root, clock
        self._cores = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*"))
        self._domains = [Rapl(each) for each in sorted((root / "sys/class/powercap").glob("intel-rapl:[0-9]"))]
        self._counters = Counters(OSError, ValueError, IndexError)

    def read(self, worker: int | None = None) -> Reading:
        """Its state now.

        Args:
            worker: The process whose time is not another's; `None` before it was started.
        """
        at_ns, get = self._clock(), self._counters.get
        times = get("load", self._times)
        own = get("own_load", lambda: self._own_s(worker)) if worker is not None else 0.0
        return Reading(
            at_ns=at_ns,
            clock_hz=get("clock", lambda: self._frequency("scaling_cur_freq")),
            clock_max_hz=get("clock_max", lambda: self._frequency("cpuinfo_max_freq")),
            throttles=get("throttles", self._throttles) or {},
            energy_j=get("energy", self._energy_j),
            temperature_celsius=get("temperature", self._temperature),
            others_busy_s=None if times is None or own is None else times[0] - own,
            stolen_s=times[1] if times else None,
            unreadable=dict(self._counters.unreadable),
        )

    def close(self) -> None:
        """Nothing is held."""

    def _frequency(self, name: str) -> float:
        """The mean clock of the cores; cpufreq counts in kHz."""
        values = [number_of(core / "cpufreq" / name) for core in self._cores if (core / "cpufreq").exists()]
        if not values:
            raise ValueError("no cpufreq here")
        return statistics.fmean(values) * 1000

    def _throttles(self) -> dict[str, int]:
        files = [core / "thermal_throttle/core_throttle_count" for core in self._cores]
        counts = [number_of(file) for file in files if file.exists()]
        if not counts:
            raise ValueError("no thermal_throttle here")
        return {"thermal": sum(counts)}

    def _times(self) -> tuple[float, float]:
        """Processor time of all that ran, and what the hypervisor gave to others, in s since boot (`man 5 proc`)."""
        ticks = [int(number) for number in line_of(self._root / "proc/stat").splitlines()[0].split()[1:9]]
        user, nice, system, _idle, _iowait, irq, softirq, steal = ticks
        return (user + nice + system + irq + softirq) / _TICKS_PER_S, steal / _TICKS_PER_S

    def _own_s(self, worker: int) -> float:
        """Processor time of a process and of what it started and waited for, in s."""
        try:
            text = line_of(self._root / f"proc/{worker}/stat")
        except FileNotFoundError:
            raise ValueError("the worker is gone") from None
        # The second field is the program's name, in brackets, and may itself hold spaces and brackets.
        fields = text.rpartition(")")[2].split()
        return sum(int(ticks) for ticks in fields[11:15]) / _TICKS_PER_S

    def _energy_j(self) -> float:
        if not self._domains:
            raise ValueError("no RAPL here")
        return sum(domain.energy_j() for domain in self._domains)

    def _temperature(self) -> float:
        sensors = (self._root / "sys/class/hwmon").glob("hwmon*/name")
        processors = [name.parent for name in sensors if line_of(name) in ("coretemp", "k10temp", "zenpower")]
        values = [number_of(file) for folder in processors for file in folder.glob("temp*_input")]
        if not values:
            raise ValueError("no sensor of the processor's temperature")
        return max(values) / 1000


class Rapl:
    """One energy counter of the processor; it begins anew at its end, every minute at full load.

    Args:
        folder: Of one domain, such as `/sys/class/powercap/intel-rapl:0`; its counter is for root alone mostly.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last_uj: int | None = None
        self._wrapped_uj = 0

    def energy_j(self) -> float:
        """Energy since the counter began, ends of it added up as far as they were seen, in joules."""
        now = number_of(self._folder / "energy_uj")
        if self._last_uj is not None and now < self._last_uj:
            self._wrapped_uj += number_of(self._folder / "max_energy_range_uj")
        self._last_uj = now
        return (self._wrapped_uj + now) * 1e-6
