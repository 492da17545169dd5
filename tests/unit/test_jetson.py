"""A Jetson as its file system tells it: the layout of an AGX Orin's sysfs, which `regress.device.jetson` describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from regress import process
from regress.device import jetson

if TYPE_CHECKING:
    from pathlib import Path

GPU = "sys/class/devfreq/17000000.gpu"
STATUS = "var/lib/nvpmodel/status"
EMC = "sys/kernel/debug/bpmp/debug/clk/emc/rate"
ORIN = {
    "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.0, GCID: 37537400, BOARD: generic, EABI: aarch64, DATE: x\n",
    STATUS: "pmode:0002 fmode:fanNull\n",
    "etc/nvpmodel.conf": (
        "# a comment\n< POWER_MODEL ID=0 NAME=MAXN >\nCPU_ONLINE CORE_0 1\n"
        "< POWER_MODEL ID=2 NAME=MODE_30W >\nGPU MAX_FREQ 612000000\n< PM_CONFIG DEFAULT=2 >\n"
    ),
    f"{GPU}/cur_freq": "1300500000\n",
    f"{GPU}/min_freq": "306000000\n",
    f"{GPU}/max_freq": "1300500000\n",
    f"{GPU}/device/load": "987\n",
    "sys/class/devfreq/15340000.vic/cur_freq": "115200000\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48593\n",
    "sys/class/thermal/thermal_zone1/type": "gpu-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "51031\n",
    "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device0/cur_state": "2\n",
    "sys/class/thermal/cooling_device1/type": "devfreq-17000000.gpu\n",
    "sys/class/thermal/cooling_device1/cur_state": "0\n",
    "sys/class/hwmon/hwmon2/name": "soctherm_oc\n",
    "sys/class/hwmon/hwmon2/oc1_event_cnt": "0\n",
    "sys/class/hwmon/hwmon2/oc3_event_cnt": "4\n",
    "sys/class/hwmon/hwmon3/name": "ina3221\n",
    "sys/class/hwmon/hwmon3/in1_label": "VDD_GPU_SOC\n",
    "sys/class/hwmon/hwmon3/in1_input": "19120\n",
    "sys/class/hwmon/hwmon3/curr1_input": "1000\n",
    "sys/class/hwmon/hwmon3/in2_label": "VDD_CPU_CV\n",
    "sys/class/hwmon/hwmon3/in2_input": "19120\n",
    "sys/class/hwmon/hwmon3/curr2_input": "200\n",
    "sys/class/hwmon/hwmon3/in3_label": "VIN_SYS_5V0\n",
    "sys/class/hwmon/hwmon3/in3_input": "5000\n",
    "sys/class/hwmon/hwmon3/curr3_input": "800\n",
    "sys/class/hwmon/hwmon3/in4_label": "sum of shunt voltages\n",
    "sys/class/hwmon/hwmon3/in4_input": "12\n",
    "sys/class/hwmon/hwmon4/name": "ina3221\n",
    "sys/class/hwmon/hwmon4/in2_label": "VDDQ_VDD2_1V8AO\n",
    "sys/class/hwmon/hwmon4/in2_input": "5000\n",
    "sys/class/hwmon/hwmon4/curr2_input": "600\n",
}


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def orin(tmp_path: Path) -> Path:
    """The root of an AGX Orin's file system."""
    put(tmp_path, ORIN)
    return tmp_path


def test_a_board_says_what_it_is(orin: Path) -> None:
    """Its model, the release of Jetson Linux, and the power mode by name."""
    assert jetson.board(orin) == jetson.Board(
        model="NVIDIA Jetson AGX Orin Developer Kit", release="R36.4.0", power_mode="MODE_30W"
    )


def test_another_machine_is_no_board(tmp_path: Path) -> None:
    """Without a device tree, and with that of another board."""
    assert jetson.board(tmp_path) is None
    put(tmp_path, {"proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0"})
    assert jetson.board(tmp_path) is None


def test_a_reading_is_in_base_units(orin: Path) -> None:
    """The GPU's clock, not the video unit's; the hottest zone; three rails of 19.12 + 3.824 + 4 W.

    The memory's rail is fed by one of the three, and the sum of shunt voltages is no rail.
    """
    reading = jetson.Jetson(orin, clock=lambda: 7).read()
    assert (reading.at_ns, reading.clock_hz, reading.clock_max_hz) == (7, 1.3005e9, 1.3005e9)
    assert reading.temperature_celsius == pytest.approx(51.031)
    assert reading.power_w == pytest.approx(19.12 + 3.824 + 4.0)
    assert reading.utilisation == pytest.approx(0.987)
    assert reading.throttles == {"oc1": 0, "oc3": 4}
    assert (reading.reasons, reading.power_mode) == (frozenset(), "MODE_30W")


def test_a_rail_of_all_is_the_power(orin: Path) -> None:
    """As an Orin NX or Nano has it."""
    put(orin, {"sys/class/hwmon/hwmon3/in1_label": "VDD_IN\n"})
    assert jetson.Jetson(orin).read().power_w == pytest.approx(19.12)


def test_the_memorys_clock_is_read_where_it_may_be(orin: Path) -> None:
    """It lies in debugfs, which is root's alone on most systems."""
    assert "memory_clock" in jetson.Jetson(orin).read().unreadable
    put(orin, {EMC: "3199000000\n"})
    assert jetson.Jetson(orin).read().memory_clock_hz == 3.199e9


def test_a_cooling_device_of_the_gpu_throttles_it(orin: Path) -> None:
    """A fan that turns does not."""
    put(orin, {"sys/class/thermal/cooling_device1/cur_state": "3\n"})
    assert jetson.Jetson(orin).read().reasons == frozenset({"sw_thermal_slowdown"})


@pytest.mark.parametrize("folder", ["17000000.ga10b", "17000000.gv11b", "gpu-gpc-0"])
def test_the_gpu_is_found_under_its_other_names(tmp_path: Path, folder: str) -> None:
    """Releases and generations call it differently."""
    put(tmp_path, {f"sys/class/devfreq/{folder}/cur_freq": "114750000\n", STATUS: "", "etc/nvpmodel.conf": ""})
    assert jetson.Jetson(tmp_path).read().clock_hz == 1.1475e8


def test_a_zone_that_does_not_answer_is_left_out(orin: Path) -> None:
    """Those of units that are switched off give an error when they are read."""
    (orin / "sys/class/thermal/thermal_zone1/temp").unlink()
    assert jetson.Jetson(orin).read().temperature_celsius == pytest.approx(48.593)


def test_nothing_readable_is_nothing_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each counter says why, and nothing raises; `nvpmodel` itself is asked last, and is not there either."""

    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(process, "run", refuse)
    reading = jetson.Jetson(tmp_path).read()
    assert reading.unreadable["clock"] == "no GPU among the devices of devfreq"
    assert reading.unreadable["throttles"] == "no soctherm_oc among the devices of hwmon"
    assert set(reading.unreadable) >= {"power", "power_mode", "temperature", "utilisation", "memory_clock"}
    assert (reading.clock_hz, reading.power_w, reading.throttles) == (None, None, {})


def test_nvpmodel_is_asked_where_its_files_do_not_tell(orin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words it prints."""
    (orin / STATUS).unlink()
    output = process.Output(
        exit=process.Exit(code=0, signal=None, timed_out=False, duration_s=0.1),
        printed=b"NV Power Mode: MAXN\n0\n",
        stderr="",
    )
    monkeypatch.setattr(process, "run", lambda *_, **__: output)
    assert jetson.power_mode(orin) == "MAXN"


def test_a_mode_without_a_name_is_not_guessed(orin: Path) -> None:
    """The status names a number that the configuration does not know."""
    put(orin, {STATUS: "pmode:0009\n"})
    assert jetson.Jetson(orin).read().power_mode is None
    assert jetson.board(orin) == jetson.Board(
        model="NVIDIA Jetson AGX Orin Developer Kit", release="R36.4.0", power_mode=None
    )
