"""The machine as a record describes it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from regress import device
from regress.device import cpu
from regress.device.nvml import Absent
from regress.record import digest

if TYPE_CHECKING:
    from pathlib import Path


def test_what_moves_the_same_code_is_another_machine() -> None:
    """Another minor Python, another thread count; a patch release is not."""
    here = device.environment({"TVM_NUM_THREADS": "1"}, "3.11.7")
    assert here.python == "3.11"
    assert device.environment({"TVM_NUM_THREADS": "1"}, "3.11.9").fingerprint == here.fingerprint
    assert device.environment({"TVM_NUM_THREADS": "1"}, "3.12.1").fingerprint != here.fingerprint
    assert device.environment({"TVM_NUM_THREADS": "2"}, "3.11.7").fingerprint != here.fingerprint
    assert device.environment({}, "3.11.7").fingerprint != here.fingerprint


def test_a_processor_is_named_with_its_numbers(tmp_path: Path) -> None:
    """Virtual machines cut the name: family, model and stepping tell two of them apart."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nstepping\t: 1\n\n"
        "processor\t: 1\nmodel name\t: another\n",
        encoding="utf-8",
    )
    assert cpu.model_name(cpuinfo) == "AMD EPYC (25/17/1)"


def test_a_processor_without_a_description_is_named_by_its_architecture(tmp_path: Path) -> None:
    """There is always a name."""
    assert cpu.model_name(tmp_path / "none")


def test_a_processors_fingerprint_is_of_what_it_always_was() -> None:
    """What is known of GPUs alone is no part of it, so that references of before telemetry still hold."""
    here = device.environment({"TVM_NUM_THREADS": "1"}, "3.11.7", ["llvm"])
    assert (here.driver, here.power_mode, here.mig) == (None, None, None)
    decisive = {
        "machine": here.machine,
        "cpu": here.cpu,
        "cpu_count": here.cpu_count,
        "device": here.cpu,
        "python": "3.11",
        "driver": None,
        "settings": {"TVM_NUM_THREADS": "1"},
    }
    assert here.fingerprint == digest({**decisive, "memory": f"{here.memory_bytes:.1e}"})


PROC_STAT = "cpu  1000 200 300 9000 50 25 75 400 0 0\ncpu0 1 2 3 4\n"
WORKER_STAT = "4000 (a (bad) name) S 1 4000 4000 0 -1 4194560 1 2 3 4 150 50 20 30 20 0 4 0 99\n"
CORE = "sys/devices/system/cpu/cpu{}/"
RAPL = "sys/class/powercap/intel-rapl:0/"


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_a_processor_tells_its_clock_heat_and_company(tmp_path: Path) -> None:
    """In base units. Of 1600 busy ticks (user, nice, system, interrupts), 250 are the worker's and its children's."""
    put(
        tmp_path,
        {
            "proc/stat": PROC_STAT,
            "proc/4000/stat": WORKER_STAT,
            CORE.format(0) + "cpufreq/scaling_cur_freq": "2400000\n",
            CORE.format(0) + "cpufreq/cpuinfo_max_freq": "3700000\n",
            CORE.format(0) + "thermal_throttle/core_throttle_count": "2\n",
            CORE.format(1) + "cpufreq/scaling_cur_freq": "3600000\n",
            CORE.format(1) + "cpufreq/cpuinfo_max_freq": "3700000\n",
            CORE.format(1) + "thermal_throttle/core_throttle_count": "5\n",
            RAPL + "energy_uj": "12000000\n",
            "sys/class/hwmon/hwmon0/name": "nvme\n",
            "sys/class/hwmon/hwmon0/temp1_input": "99000\n",
            "sys/class/hwmon/hwmon1/name": "k10temp\n",
            "sys/class/hwmon/hwmon1/temp1_input": "61500\n",
        },
    )
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    reading = cpu.Processor(tmp_path, clock=lambda: 7).read(4000)
    assert (reading.at_ns, reading.clock_hz, reading.clock_max_hz) == (7, 3.0e9, 3.7e9)
    assert reading.throttles == {"thermal": 7}
    assert reading.others_busy_s == pytest.approx((1600 - 250) * tick_s)
    assert reading.stolen_s == pytest.approx(400 * tick_s)
    assert reading.energy_j == pytest.approx(12.0)
    assert reading.temperature_celsius == pytest.approx(61.5)
    assert reading.unreadable == {}
    before = cpu.Processor(tmp_path).read()
    assert before.others_busy_s == pytest.approx(1600 * tick_s)


def test_a_processor_that_tells_nothing_is_measured_all_the_same(tmp_path: Path) -> None:
    """As virtual machines are: each counter says why."""
    reading = cpu.Processor(tmp_path).read(4000)
    assert (reading.clock_hz, reading.energy_j, reading.others_busy_s, reading.throttles) == (None, None, None, {})
    assert set(reading.unreadable) >= {"clock", "throttles", "energy", "temperature", "load", "own_load"}


def test_an_energy_counter_that_begins_anew_goes_on(tmp_path: Path) -> None:
    """From 95 of 100 J to 5, and once more: 10 J each time."""
    put(tmp_path, {"energy_uj": "95000000\n", "max_energy_range_uj": "100000000\n"})
    counter = cpu.Rapl(tmp_path)
    first = counter.energy_j()
    found = []
    for now in ("5000000", "95000000", "5000000"):
        put(tmp_path, {"energy_uj": now})
        found.append(counter.energy_j() - first)
    assert found == pytest.approx([10.0, 100.0, 110.0])


def test_a_gpu_that_only_a_device_node_tells_of_is_no_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "gpu_here", lambda _: Absent(reason="no NVIDIA driver here"))
    assert device.no_gpu(None, tmp_path) == "no NVIDIA driver here"
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    assert device.no_gpu(None, tmp_path) is None
