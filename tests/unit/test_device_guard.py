"""Replicates that say nothing of the code, because of the state the device was in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from factories import NOON, make_artifact, make_case, make_replicate

from regress import attempt, device, supervisor
from regress.baseline import Measure
from regress.bench import Task
from regress.build import Built
from regress.device.nvml import Absent
from regress.guard import MOST_GROWTH_BYTES, Objection, Required, disturbed, remark, unfit
from regress.record import Failure
from regress.replicate import Discarded
from regress.supervisor import Launch
from regress.telemetry import Range, Reading, Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

    from regress.telemetry import DeviceKind

ANY = Required()


def seen(median_mhz: float = 1980, **changes: Any) -> Telemetry:  # noqa: ANN401
    """An H200 whose SM clock was that much of its 1980 MHz, and of which nothing else is notable."""
    clock = Range(min=1e6 * (median_mhz - 100), median=1e6 * median_mhz, max=1.98e9)
    given = {"device": "nvidia", "samples": 30, "clock_hz": clock, "clock_max_hz": 1.98e9, "others": 0, **changes}
    return Telemetry(**given)


def reason(found: Objection | None) -> str | None:
    return found.reason if found else None


@pytest.mark.parametrize(
    ("telemetry", "expected"),
    [
        (seen(), None),
        (seen(reasons={"hw_thermal_slowdown": 0.01}), "throttled"),
        (seen(reasons={"sw_thermal_slowdown": 1.0}), "throttled"),
        (seen(reasons={"hw_slowdown": 0.1}), "throttled"),
        (seen(reasons={"hw_power_brake_slowdown": 0.1}), "throttled"),
        (seen(reasons={"gpu_idle": 0.5, "applications_clocks_setting": 1.0}), None),
        (seen(violations_s={"thermal": 0.001}), "throttled"),
        (seen(violations_s={"thermal": 0.0, "power": 2.6, "reliability": 3.0}), None),
        (seen(throttles={"oc1": 0, "oc3": 1}), "throttled"),
        (seen(throttles={"oc1": 0}), None),
    ],
)
def test_heat_and_over_current_throttle(telemetry: Telemetry, expected: str | None) -> None:
    """By event reasons, by the time that heat held the clocks down, and by what a Jetson counts."""
    assert reason(disturbed(telemetry, ANY)) == expected


@pytest.mark.parametrize(
    ("median_mhz", "capped", "expected"),
    [(1584, 0.0, None), (1583, 0.0, "throttled"), (1583, 0.5, "throttled"), (1584, 1.0, None), (1905, 0.7, None)],
)
def test_a_clock_below_four_fifths_is_objected_to(median_mhz: float, capped: float, expected: str | None) -> None:
    """80 % of 1980 MHz is 1584. A power cap in half of the readings or less is not what holds the median down."""
    telemetry = seen(median_mhz, reasons={"sw_power_cap": capped})
    assert reason(disturbed(telemetry, ANY)) == expected


@pytest.mark.parametrize(
    ("limit_w", "required", "expected"),
    [
        # The power it is made for: large fp16 matmuls take an H200 down to 1425 MHz, and that is its speed.
        (700.0, ANY, None),
        (695.0, ANY, None),
        # Somebody lowered the limit.
        (600.0, ANY, "power_capped"),
        # And the baseline is of just that.
        (600.0, Required(power_mode="600 W"), None),
        # The baseline says what the clock must reach, whatever the limit.
        (700.0, Required(min_sm_clock_mhz=1500), "power_capped"),
        (600.0, Required(min_sm_clock_mhz=1400), None),
        # Not told: then it speaks against nothing.
        (None, ANY, None),
    ],
)
def test_a_clock_under_the_power_cap_is_the_speed_of_the_device_unless_the_cap_was_lowered(
    limit_w: float | None, required: Required, expected: str | None
) -> None:
    """The H200's default is 700 W; 1425 MHz is below 80 % of its 1980."""
    telemetry = seen(
        1425,
        reasons={"sw_power_cap": 0.9},
        power_limit_w=limit_w,
        power_limit_default_w=700.0,
        power_mode=limit_w and f"{limit_w:.0f} W",
    )
    assert reason(disturbed(telemetry, required)) == expected


def test_a_lowered_power_limit_is_said_with_the_default() -> None:
    """So that whoever reads it knows what to set."""
    found = disturbed(seen(1425, reasons={"sw_power_cap": 1.0}, power_limit_w=600, power_limit_default_w=700), ANY)
    assert found is not None
    assert found.text == (
        "the SM clock, under the power cap, was 1,425 MHz, and must be 1,584 at least; "
        "the power limit is 600 W, by default 700 W"
    )


def test_heat_is_objected_to_under_a_power_cap_too() -> None:
    """The cap excuses a low clock, and nothing else."""
    hot = seen(1425, reasons={"sw_power_cap": 1.0, "hw_thermal_slowdown": 0.1}, power_limit_w=700.0)
    assert reason(disturbed(hot, ANY)) == "throttled"


def test_clocks_that_a_baseline_requires_take_the_place_of_the_share() -> None:
    """Who locks the clocks low on purpose says so; then a clock below is another mode, and not heat."""
    locked = Required(min_sm_clock_mhz=1200, min_memory_clock_mhz=3200)
    assert disturbed(seen(1200, memory_clock_hz=3.2e9), locked) is None
    assert reason(disturbed(seen(1199), locked)) == "wrong_mode"
    assert reason(disturbed(seen(memory_clock_hz=3.199e9), locked)) == "wrong_mode"
    found = disturbed(seen(1100), locked)
    assert found is not None
    assert found.text == "the SM clock was 1,100 MHz, and must be 1,200 at least"


def test_company_on_the_device_is_objected_to() -> None:
    """A process that computes, or memory that others take; what they held all the time is not."""
    assert reason(disturbed(seen(others=1), ANY)) == "shared_device"
    assert reason(disturbed(seen(memory_others_growth_bytes=MOST_GROWTH_BYTES), ANY)) is None
    assert reason(disturbed(seen(memory_others_growth_bytes=MOST_GROWTH_BYTES + 1), ANY)) == "shared_device"
    assert reason(unfit(seen(others=2), ANY)) == "shared_device"


def test_another_mode_is_objected_to() -> None:
    """A power mode that the baseline does not name, and a split GPU where it does not say so."""
    assert reason(unfit(seen(power_mode="MODE_30W"), Required(power_mode="MAXN"))) == "wrong_mode"
    assert unfit(seen(power_mode="MAXN"), Required(power_mode="MAXN")) is None
    assert reason(unfit(seen(mig=True), ANY)) == "wrong_mode"
    assert unfit(seen(mig=True), Required(mig=True)) is None
    assert unfit(seen(mig=False), ANY) is None


def test_what_cannot_be_read_speaks_against_nothing() -> None:
    """No counter, no objection: a note in the record is all there is."""
    blind = Telemetry(device="nvidia", samples=0, unreadable={"device": "no NVIDIA driver here"})
    assert disturbed(blind, Required(power_mode="700 W", min_sm_clock_mhz=1200, min_memory_clock_mhz=3200)) is None


def test_a_device_at_rest_is_fit() -> None:
    """Before the start its clock is low: only who else is there, and its mode, are asked then."""
    assert unfit(seen(345, reasons={"gpu_idle": 1.0}), ANY) is None


def test_a_processors_clock_is_its_own_affair() -> None:
    """It follows the load; only to heat that throttled it there is an objection."""
    clock = Range(min=8e8, median=8e8, max=8e8)
    idle = Telemetry(device="cpu", samples=9, clock_hz=clock, clock_max_hz=4e9, others_busy=3.0)
    assert disturbed(idle, ANY) is None
    assert reason(disturbed(Telemetry(device="cpu", samples=9, throttles={"thermal": 2}), ANY)) == "throttled"


HOT = Discarded(started_at=NOON, reason="throttled", text="it was hot")
SHARED = Discarded(started_at=NOON, reason="shared_device", text="somebody computes")
KEPT = make_replicate(1000.0, 50.0)
FAILED = Failure(stage="bench", cause="x", how="exit status 1")


@pytest.mark.parametrize("last", [KEPT, FAILED])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_replicate_is_taken_again_after_a_pause(last: Any, count: int) -> None:  # noqa: ANN401
    """As often as may be; what is kept in the end, or failed, ends it."""
    outcomes = iter([HOT] * count + [last])
    paused: list[Discarded] = []
    taken = attempt.take(lambda: next(outcomes), Measure(retries=2), paused.append)
    assert (taken.result, taken.discarded, paused) == (last, (HOT,) * count, [HOT] * count)


@pytest.mark.parametrize("retries", [0, 2])
def test_the_attempts_are_bounded(retries: int) -> None:
    """The first and its retries; no pause after the last, which nothing follows."""
    paused: list[Discarded] = []
    taken = attempt.take(lambda: HOT, Measure(retries=retries), paused.append)
    assert taken.result is None
    assert (len(taken.discarded), len(paused)) == (retries + 1, retries)


def test_what_was_discarded_is_said_in_a_line() -> None:
    """How many, and why, by the codes."""
    assert remark(make_case()) == ""
    result = make_case(discarded=(HOT, SHARED, HOT))
    assert remark(result) == "3 replicates discarded (throttled 2 times, shared_device)"


class FakeSensor:
    """A device that is fit at first, and then as told."""

    kind: DeviceKind = "nvidia"

    def __init__(self, **meanwhile: Any) -> None:  # noqa: ANN401
        self.reads, self._meanwhile = 0, meanwhile

    def read(self, worker: int | None = None) -> Reading:
        self.reads += 1
        return Reading(at_ns=self.reads, **{"others": 0, **({} if worker is None else self._meanwhile)})

    def close(self) -> None:
        self.reads = -1


def asked() -> attempt.Asked:
    launch = Launch(python=Path("python"), env={}, timeout_s=1.0, on_progress=lambda _: None)
    artifact = make_artifact("tiny/q4f16_1/cuda/p64+16", target="cuda")
    built = Built(artifact=artifact, folder=Path("a"), cached=True)
    task = Task(workload=make_case().workload, measure=Measure())
    return attempt.Asked(built=built, task=task, launch=launch, packages={}, required=ANY)


@pytest.fixture
def ends_with(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeSensor]:
    """Makes workers end with something, on a device that is in some state meanwhile."""

    def make(result: object, **meanwhile: Any) -> FakeSensor:  # noqa: ANN401
        sensor = FakeSensor(**meanwhile)

        def run_worker(*_: object, launch: Launch) -> object:
            with launch.watch(4000):
                return result

        monkeypatch.setattr(device, "_sensor", lambda *_: sensor)
        monkeypatch.setattr(device, "gpu_here", lambda _: Absent(reason="none"))
        monkeypatch.setattr(supervisor, "run_worker", lambda _worker, _request, launch, **_: run_worker(launch=launch))
        return sensor

    return make


def test_a_worker_that_fails_beside_another_process_says_nothing_of_the_code(
    ends_with: Callable[..., FakeSensor],
) -> None:
    """It may have found no memory left: it is tried again, and not called broken."""
    sensor = ends_with(FAILED, others=1)
    found = attempt.attempt(asked())
    assert isinstance(found, Discarded)
    assert (found.reason, found.text) == ("shared_device", "1 other process computes on the device, and it failed: x")
    assert sensor.reads == -1


@pytest.mark.parametrize("meanwhile", [{}, {"memory_own_bytes": 0, "memory_others_bytes": 2**33}])
def test_a_worker_that_fails_alone_is_a_failure(ends_with: Callable[..., FakeSensor], meanwhile: Any) -> None:  # noqa: ANN401
    """What a dying worker still holds is not told as its own any more: that is nobody else's."""
    sensor = ends_with(FAILED, **meanwhile)
    assert attempt.attempt(asked()) == FAILED
    assert sensor.reads == -1


@pytest.mark.parametrize(("others", "expected"), [(0, 4e12), (1, "shared_device")])
def test_a_bandwidth_that_was_shared_is_not_believed(
    ends_with: Callable[..., FakeSensor], others: int, expected: object
) -> None:
    """It would be too low, and true rates beyond it."""
    ends_with({"bytes_per_s": 4e12}, others=others)
    found = attempt.bandwidth("cuda", asked().launch, ANY)
    assert (found.reason if isinstance(found, Objection) else found) == expected
