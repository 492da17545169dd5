"""NVIDIA Jetson by sysfs, for there is no NVML on Orin. Reads need no privilege, but for the one that says so.

The layout is that of an AGX Orin, from the power and performance chapter of NVIDIA's Jetson Linux Developer Guide
(R35 and R36) and the kernel's documentation of devfreq, hwmon (ina3221) and thermal zones:

    /sys/class/devfreq/17000000.gpu/{cur,max}_freq         the GPU's clock in Hz; `…ga10b` in R35, `…gv11b` on Xavier
    /sys/class/hwmon/hwmonN/{in1_label,in1_input,curr1_input}   INA3221 rails, in mV and mA
    /sys/class/hwmon/hwmonM/oc1_event_cnt                  over-current throttling, counted (`name` is `soctherm_oc`)
    /sys/class/thermal/{thermal_zone,cooling_device}*      temperatures in m°C; what throttles is a cooling device
    /var/lib/nvpmodel/status, /etc/nvpmodel.conf           the power mode's number, and the names of the modes
    /sys/kernel/debug/bpmp/debug/clk/emc/rate              the memory's clock in Hz; root only
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regress import process
from regress.device.counter import Counters, line_of, number_of
from regress.telemetry import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from regress.telemetry import DeviceKind

_GPU_FOLDER = re.compile(r"\.(gpu|ga10b|gv11b|gp10b|gm20b)$|^gpu-")
_TOTAL_RAIL = "VDD_IN"
_PART_RAILS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
"""An AGX Orin has no rail of all: these three are fed from the input side by side, the others by one of them."""
_THROTTLE = re.compile(r"^devfreq-.*(gpu|ga10b|gv11b)|throttle-alert$|^hot-surface-alert$")
_EMC = "sys/kernel/debug/bpmp/debug/clk/emc/rate"
_QUERY_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Board:
    """What a Jetson is.

    Attributes:
        model: As its device tree says, such as `NVIDIA Jetson AGX Orin Developer Kit`.
        release: Of Jetson Linux, such as `R36.4.0`, which is the driver's version, too; `None` where nothing tells.
        power_mode: Name of the power mode in force; `None` where nothing tells.
    """

    model: str
    release: str | None
    power_mode: str | None


def board(root: Path = Path("/")) -> Board | None:
    """What Jetson this is; `None` where it is none.

    Args:
        root: Where its file system begins.
    """
    try:
        model = line_of(root / "proc/device-tree/model")
    except OSError:
        return None
    if "jetson" not in model.lower() and not (root / "etc/nv_tegra_release").exists():
        return None
    return Board(model=model, release=release(root), power_mode=_mode_or_none(root))


def release(root: Path = Path("/")) -> str | None:
    """The release of Jetson Linux, such as `R36.4.0`; `None` where nothing tells."""
    try:
        text = line_of(root / "etc/nv_tegra_release")
    except OSError:
        return None
    match = re.search(r"(R\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"{match[1]}.{match[2]}" if match else None


def _mode_or_none(root: Path) -> str | None:
    return Counters(OSError, ValueError).get("power_mode", lambda: power_mode(root))


def power_mode(root: Path = Path("/")) -> str:
    """Name of the power mode in force, such as `MAXN`.

    Raises:
        OSError: Neither the files can be read nor `nvpmodel` started.
        ValueError: They do not tell.
    """
    try:
        status = line_of(root / "var/lib/nvpmodel/status")
        modes = line_of(root / "etc/nvpmodel.conf")
    except OSError:
        return _asked_mode()
    number = re.search(r"pmode:(\d+)", status)
    found: list[tuple[str, str]] = re.findall(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+?)\s*>", modes)
    names = {int(each): name for each, name in found}
    if number is None or int(number[1]) not in names:
        raise ValueError("nvpmodel's status names no mode of its configuration")
    return names[int(number[1])]


def _asked_mode() -> str:
    output = process.run(["nvpmodel", "-q"], timeout_s=_QUERY_TIMEOUT_S)
    match = re.search(r"NV Power Mode:\s*(\S+)", output.stdout)
    if match is None:
        raise ValueError("nvpmodel -q names no power mode")
    return str(match[1])


class Jetson:
    """A Jetson's GPU and board, open for reading.

    Args:
        root: Where its file system begins.
        clock: The monotonic clock, in ns.
    """

    kind: DeviceKind = "jetson"

    def __init__(self, root: Path = Path("/"), clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._root, self._clock = root, clock
        self._counters = Counters(OSError, ValueError)
        self._gpu = next((each for each in _folders(root, "devfreq") if _GPU_FOLDER.search(each.name)), None)
        self._rails = self._counters.get("rails", lambda: list(_rails(root))) or []
        self._oc_counts = self._counters.get("over_current", lambda: list(_oc_counts(root))) or []
        self._throttles = [each for each in _folders(root, "thermal", "cooling_device") if _is_throttle(each)]
        self._mode = self._counters.get("power_mode", lambda: power_mode(root))

    def read(self, worker: int | None = None) -> Reading:  # noqa: ARG002  # nothing here is told by process
        """Its state now: processes are not told apart, and memory is the processor's."""
        at_ns = self._clock()
        busy = self._counters.get("utilisation", lambda: number_of(self._gpu_file("device/load")))
        return Reading(
            at_ns=at_ns,
            clock_hz=self._counters.get("clock", lambda: float(number_of(self._gpu_file("cur_freq")))),
            clock_max_hz=self._counters.get("clock_max", lambda: float(number_of(self._gpu_file("max_freq")))),
            memory_clock_hz=self._counters.get("memory_clock", lambda: float(number_of(self._root / _EMC))),
            reasons=self._counters.get("reasons", self._reasons),
            throttles=self._counters.get("throttles", self._throttle_counts) or {},
            power_w=self._counters.get("power", self._power_w),
            temperature_celsius=self._counters.get("temperature", self._temperature),
            utilisation=None if busy is None else busy / 1000,
            power_mode=self._mode,
            unreadable=dict(self._counters.unreadable),
        )

    def close(self) -> None:
        """Nothing is held."""

    def _gpu_file(self, name: str) -> Path:
        if self._gpu is None:
            raise ValueError("no GPU among the devices of devfreq")
        return self._gpu / name

    def _reasons(self) -> frozenset[str]:
        active = any(number_of(device / "cur_state") > 0 for device in self._throttles)
        return frozenset({"sw_thermal_slowdown"} if active else ())

    def _throttle_counts(self) -> dict[str, int]:
        if not self._oc_counts:
            raise ValueError("no soctherm_oc among the devices of hwmon")
        return {path.name.removesuffix("_event_cnt"): number_of(path) for path in self._oc_counts}

    def _power_w(self) -> float:
        """What the board draws: of its whole input where that is measured, else of the rails that make it up."""
        powers = {label: number_of(voltage) * number_of(current) * 1e-6 for label, voltage, current in self._rails}
        if _TOTAL_RAIL in powers:
            return powers[_TOTAL_RAIL]
        parts = [powers[label] for label in _PART_RAILS if label in powers]
        if not parts:
            raise ValueError("no INA3221 rail that is known")
        return sum(parts)

    def _temperature(self) -> float:
        zones = _folders(self._root, "thermal", "thermal_zone")
        known = [reading for reading in map(_temperature_of, zones) if reading is not None]
        if not known:
            raise ValueError("no thermal zone answers")
        return max(known) / 1000


def _folders(root: Path, kind: str, prefix: str = "") -> list[Path]:
    """The folders of a class in sysfs, sorted; empty where there is none."""
    return sorted((root / "sys/class" / kind).glob(f"{prefix}*"))


def _temperature_of(zone: Path) -> int | None:
    """In m°C; `None` where it does not answer, as zones of units that are switched off do."""
    try:
        return number_of(zone / "temp")
    except (OSError, ValueError):
        return None


def _rails(root: Path) -> Iterator[tuple[str, Path, Path]]:
    """Label, voltage file (mV) and current file (mA) of every rail that is measured."""
    for monitor in _folders(root, "hwmon", "hwmon"):
        for label in sorted(monitor.glob("in*_label")):
            number = label.name.removeprefix("in").removesuffix("_label")
            voltage, current = monitor / f"in{number}_input", monitor / f"curr{number}_input"
            if voltage.exists() and current.exists():
                yield line_of(label), voltage, current


def _oc_counts(root: Path) -> Iterator[Path]:
    for monitor in _folders(root, "hwmon", "hwmon"):
        if (monitor / "name").exists() and line_of(monitor / "name") == "soctherm_oc":
            yield from sorted(monitor.glob("oc*_event_cnt"))


def _is_throttle(device: Path) -> bool:
    try:
        return _THROTTLE.search(line_of(device / "type")) is not None
    except OSError:
        return False
