"""An NVIDIA GPU as NVML tells it, by a stand-in for its binding with the figures of an H200."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from regress import device
from regress.device import cpu, jetson, nvidia
from regress.device.nvidia import Gpu, Identity, Upkeep
from regress.device.nvml import Absent, load
from regress.device.tenants import Tenants

WORKER = 4000


class NVMLError(Exception):
    """As the binding's own: a return code with a text."""


@dataclass
class FakeNvml:
    """The functions of the binding that are called, of one or more GPUs; `missing` ones raise as a driver does."""

    missing: frozenset[str] = frozenset()
    count: int = 1
    total: int = 150754820096
    used: int = 644939776
    processes: dict[int, int | None] = field(default_factory=dict)
    reasons: int = 0x4
    violations: dict[int, int] = field(default_factory=dict)
    mig: int = 0
    open: int = 1
    NVMLError: type[Exception] = NVMLError
    NVML_CLOCK_SM: int = 1
    NVML_CLOCK_MEM: int = 2
    NVML_TEMPERATURE_GPU: int = 0
    NVML_DEVICE_MIG_ENABLE: int = 1
    NVML_PERF_POLICY_POWER: int = 0
    NVML_PERF_POLICY_THERMAL: int = 1
    NVML_PERF_POLICY_SYNC_BOOST: int = 2
    NVML_PERF_POLICY_BOARD_LIMIT: int = 3
    NVML_PERF_POLICY_RELIABILITY: int = 5

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("nvml") and name in object.__getattribute__(self, "missing"):

            def refuse(*_: object) -> None:
                raise NVMLError("Not Supported")

            return refuse
        return object.__getattribute__(self, name)

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        return uuid

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, instance: str) -> str:  # noqa: N802
        return f"parent of {instance}"

    def nvmlDeviceGetUUID(self, handle: int) -> bytes:  # noqa: N802
        return f"GPU-{handle}b1c".encode()

    def nvmlDeviceGetName(self, handle: object) -> bytes:  # noqa: N802
        return f"NVIDIA H200 {handle}".encode()

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.159.04"

    def nvmlSystemGetCudaDriverVersion(self) -> int:  # noqa: N802
        return 12080

    def nvmlDeviceGetCudaComputeCapability(self, _: object) -> tuple[int, int]:  # noqa: N802
        return 9, 0

    def nvmlDeviceGetMigMode(self, _: object) -> list[int]:  # noqa: N802
        return [self.mig, self.mig]

    def nvmlDeviceGetMemoryInfo(self, _: object) -> Any:  # noqa: N802, ANN401
        return SimpleNamespace(total=self.total, used=self.used)

    def nvmlDeviceGetPowerManagementLimit(self, _: object) -> int:  # noqa: N802
        return 700000

    def nvmlDeviceGetPowerManagementDefaultLimit(self, _: object) -> int:  # noqa: N802
        return 700000

    def nvmlDeviceGetPersistenceMode(self, _: object) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetEccMode(self, _: object) -> list[int]:  # noqa: N802
        return [1, 0]

    def nvmlDeviceGetApplicationsClock(self, _: object, domain: int) -> int:  # noqa: N802
        return {1: 1980}[domain]

    def nvmlDeviceGetPowerUsage(self, _: object) -> int:  # noqa: N802
        return 529139

    def nvmlDeviceGetTotalEnergyConsumption(self, _: object) -> int:  # noqa: N802
        return 2735571

    def nvmlDeviceGetClockInfo(self, _: object, domain: int) -> int:  # noqa: N802
        return {1: 1905, 2: 3201}[domain]

    def nvmlDeviceGetMaxClockInfo(self, _: object, domain: int) -> int:  # noqa: N802
        return {1: 1980, 2: 3201}[domain]

    def nvmlDeviceGetTemperature(self, _: object, sensor: int) -> int:  # noqa: N802
        return {0: 62}[sensor]

    def nvmlDeviceGetUtilizationRates(self, _: object) -> Any:  # noqa: N802, ANN401
        return SimpleNamespace(gpu=98, memory=40)

    def nvmlDeviceGetCurrentClocksEventReasons(self, _: object) -> int:  # noqa: N802
        return self.reasons

    def nvmlDeviceGetViolationStatus(self, _: object, policy: int) -> Any:  # noqa: N802, ANN401
        return SimpleNamespace(violationTime=self.violations.get(policy, 0))

    def nvmlDeviceGetComputeRunningProcesses(self, _: object) -> list[Any]:  # noqa: N802
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in self.processes.items()]


EVERYTHING = frozenset(name for name in vars(FakeNvml) if name.startswith("nvmlDevice"))


def session_of(pid: int) -> int:
    """The worker started one process of its own; the others are of other sessions, and 9999 is gone."""
    if pid == 9999:
        raise ProcessLookupError
    return WORKER if pid in (WORKER, WORKER + 1) else pid


def gpu(nvml: FakeNvml, *, numbered_alike: bool = True) -> Gpu:
    tenants = Tenants(numbered_alike=numbered_alike, session_of=session_of)
    return Gpu(nvml, 0, tenants, clock=lambda: 7)


def test_a_gpu_says_what_it_is() -> None:
    """In base units; the versions as people write them."""
    found = nvidia.identity(nvml=FakeNvml())
    assert found == Identity(
        name="NVIDIA H200 0",
        driver="580.159.04",
        cuda="12.8",
        compute_capability="9.0",
        mig=False,
        memory_bytes=150754820096,
        power_limit_w=700.0,
        clock_max_hz=1.98e9,
    )
    assert found.power_mode == "700 W"


def test_a_gpu_that_tells_nothing_is_a_gpu_still() -> None:
    """Every counter may be missing: each is `None` with its reason, and nothing raises."""
    found = nvidia.identity(nvml=FakeNvml(missing=EVERYTHING - {"nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex"}))
    assert isinstance(found, Identity)
    assert (found.memory_bytes, found.compute_capability, found.mig, found.power_mode) == (None, None, None, None)
    assert found.unreadable["mig"] == "Not Supported"
    reading = gpu(FakeNvml(missing=EVERYTHING)).read(WORKER)
    assert (reading.clock_hz, reading.power_w, reading.energy_j, reading.others) == (None, None, None, None)
    assert (reading.reasons, reading.violations_s, reading.memory_own_bytes) == (None, {}, None)
    assert set(reading.unreadable) >= {
        "clock",
        "power",
        "energy",
        "processes",
        "reasons",
        "violation_thermal",
        "memory",
    }


def test_a_binding_without_a_function_counts_as_a_driver_without_it() -> None:
    """An older nvidia-ml-py does not know every name."""
    old = SimpleNamespace(NVMLError=NVMLError, NVML_CLOCK_SM=1)
    reading = Gpu(old, 0, Tenants(numbered_alike=True, session_of=session_of)).read()
    assert reading.clock_hz is None
    assert "nvmlDeviceGetClockInfo" in reading.unreadable["clock"]


def test_a_reading_is_in_base_units() -> None:
    """MHz, mW, mJ, ns and percent are NVML's own."""
    reading = gpu(FakeNvml(violations={0: 2_600_000_000, 1: 5_000_000})).read()
    assert (reading.at_ns, reading.clock_hz, reading.clock_max_hz) == (7, 1.905e9, 1.98e9)
    assert reading.memory_clock_hz == 3.201e9
    assert reading.power_w == pytest.approx(529.139)
    assert (reading.power_limit_w, reading.power_limit_default_w, reading.power_mode) == (700.0, 700.0, "700 W")
    assert reading.energy_j == pytest.approx(2735.571)
    assert (reading.temperature_celsius, reading.utilisation) == (62.0, 0.98)
    assert reading.violations_s == pytest.approx(
        {"power": 2.6, "thermal": 0.005, "sync_boost": 0.0, "board_limit": 0.0, "reliability": 0.0}
    )
    assert reading.unreadable == {}


def test_how_a_gpu_is_kept_comes_in_base_units() -> None:
    """Error correction is on now, and off after the next boot."""
    assert gpu(FakeNvml()).upkeep() == Upkeep(
        persistence=True, ecc=True, ecc_pending=False, clock_application_hz=1980e6
    )


def test_what_a_gpu_does_not_have_is_not_a_missing_counter() -> None:
    """ECC and application clocks; persistence is, where it cannot be read."""
    nothing = frozenset({"nvmlDeviceGetEccMode", "nvmlDeviceGetApplicationsClock", "nvmlDeviceGetPersistenceMode"})
    assert gpu(FakeNvml(missing=nothing)).upkeep() == Upkeep(unreadable={"persistence": "Not Supported"})


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0, set()),
        (0x1, {"gpu_idle"}),
        (0x44, {"sw_power_cap", "hw_thermal_slowdown"}),
        (0xA8, {"hw_slowdown", "sw_thermal_slowdown", "hw_power_brake_slowdown"}),
        (0x1 << 40, set()),
    ],
)
def test_event_reasons_are_named(bits: int, names: set[str]) -> None:
    """The bits as nvml.h has them; one of a later driver is no reason we know."""
    assert gpu(FakeNvml(reasons=bits)).read().reasons == frozenset(names)


def test_processes_of_others_are_told_from_the_workers() -> None:
    """By session: what the worker started is its own, a process that is gone is nobody's."""
    nvml = FakeNvml()
    sensor = gpu(nvml)
    assert (sensor.read().others, sensor.read().memory_own_bytes) == (0, 0)
    nvml.processes, nvml.used = {WORKER: 2 * 2**30, WORKER + 1: 2**30, 77: 5 * 2**30, 9999: 1}, 9 * 2**30
    reading = sensor.read(WORKER)
    assert (reading.others, reading.memory_own_bytes, reading.memory_others_bytes) == (2, 3 * 2**30, 6 * 2**30)


@pytest.mark.parametrize(("before", "meanwhile", "others"), [({}, {5: None}, 0), ({5: None}, {5: None, 6: None}, 1)])
def test_in_a_container_the_one_that_comes_is_the_worker(
    before: dict[int, int | None], meanwhile: dict[int, int | None], others: int
) -> None:
    """NVML lists the host's process numbers there; who was listed before is another."""
    nvml = FakeNvml(processes=before)
    sensor = gpu(nvml, numbered_alike=False)
    assert sensor.read().others == len(before)
    nvml.processes = meanwhile
    assert sensor.read(WORKER).others == others


def test_memory_that_is_not_told_by_process_is_what_was_added() -> None:
    """Total in use less what was in use before the worker was started."""
    nvml = FakeNvml(processes={}, used=2**30)
    sensor = gpu(nvml)
    sensor.read()
    nvml.processes, nvml.used = {WORKER: None}, 5 * 2**30
    reading = sensor.read(WORKER)
    assert (reading.memory_own_bytes, reading.memory_others_bytes) == (4 * 2**30, 2**30)


@pytest.mark.parametrize(
    ("visible", "name"),
    [
        (None, "NVIDIA H200 0"),
        ("1", "NVIDIA H200 1"),
        ("1,0", "NVIDIA H200 1"),
        ("GPU-1b", "NVIDIA H200 1"),
        ("MIG-abc", "NVIDIA H200 parent of MIG-abc"),
    ],
)
def test_the_device_is_the_one_that_cuda_calls_its_first(visible: str | None, name: str) -> None:
    """By number, by UUID or the beginning of one, or by a MIG instance's."""
    found = nvidia.identity(visible, FakeNvml(count=2))
    assert isinstance(found, Identity)
    assert found.name == name


@pytest.mark.parametrize(
    ("visible", "reason"),
    [
        ("", "CUDA_VISIBLE_DEVICES hides every device"),
        ("-1", "CUDA_VISIBLE_DEVICES hides every device"),
        ("2", "there is no device 2: the driver sees 2"),
        ("GPU-zzz", "CUDA_VISIBLE_DEVICES names a device that the driver does not see"),
    ],
)
def test_a_device_that_is_not_there_is_a_reason(visible: str, reason: str) -> None:
    """And NVML is let go again."""
    nvml = FakeNvml(count=2)
    assert nvidia.identity(visible, nvml) == Absent(reason=reason)
    assert nvml.open == 0


def test_a_machine_without_a_driver_has_no_gpu() -> None:
    """The binding is installed, its library is not; here as anywhere without one."""
    found = load()
    if not isinstance(found, Absent):
        pytest.skip("there is an NVIDIA driver here")
    assert found.reason.startswith("no NVIDIA driver here: ")


def test_a_gpu_is_the_environments_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its driver, power limit and MIG mode, each of which makes it another machine; without its serial number."""
    monkeypatch.setattr(jetson, "board", lambda: None)
    monkeypatch.setattr(nvidia, "load", FakeNvml)
    here = device.environment({}, "3.11.7", ["cuda"])
    assert (here.device, here.driver, here.power_mode, here.mig) == ("NVIDIA H200 0", "580.159.04", "700 W", False)
    monkeypatch.setattr(nvidia, "load", lambda: FakeNvml(mig=1))
    assert device.environment({}, "3.11.7", ["cuda"]).fingerprint != here.fingerprint
    monkeypatch.setattr(nvidia, "load", lambda: Absent(reason="no NVIDIA driver here"))
    assert device.environment({}, "3.11.7", ["cuda"]) == device.environment({}, "3.11.7", ["llvm"])


def test_a_gpus_own_memory_tells_two_machines_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards of one name are sold with 8 or 12 GB. The host's, which a virtual machine is given as it goes, does not."""
    monkeypatch.setattr(jetson, "board", lambda: None)
    monkeypatch.setattr(nvidia, "load", FakeNvml)
    here = device.environment({}, "3.11.7", ["cuda"])
    monkeypatch.setattr(cpu, "memory_bytes", lambda: 33 * 2**30)
    grown = device.environment({}, "3.11.7", ["cuda"])
    assert (grown.fingerprint, grown.memory_bytes) == (here.fingerprint, 33 * 2**30)
    monkeypatch.setattr(nvidia, "load", lambda: FakeNvml(total=12 * 2**30))
    assert device.environment({}, "3.11.7", ["cuda"]).fingerprint != here.fingerprint


def test_a_gpu_that_cannot_be_read_is_measured_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its telemetry holds the reason."""
    monkeypatch.setattr(jetson, "board", lambda: None)
    monkeypatch.setattr(nvidia, "load", lambda: Absent(reason="no NVIDIA driver here"))
    with device.monitor("cuda-sm_90") as monitor:
        assert monitor.before.unreadable == {"device": "no NVIDIA driver here"}
        assert monitor.before.device == "nvidia"
