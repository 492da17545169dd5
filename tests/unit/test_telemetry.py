"""Readings of a device cut to the timed passes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from regress.device.monitor import Monitor
from regress.summary import decode_energy_j, summary
from regress.telemetry import Pass, Range, Reading, Telemetry

if TYPE_CHECKING:
    from regress.telemetry import DeviceKind

S = 1_000_000_000
PASSES = (Pass(10 * S, 11 * S, 13 * S), Pass(14 * S, 15 * S, 18 * S))
"""Two timed passes with a second between them: 1 + 2 s and 1 + 3 s."""


def readings(**counters: Any) -> list[Reading]:  # noqa: ANN401
    """One reading a second from 0 to 20 s; a counter that can be called is asked for its value at that second."""
    return [
        Reading(at_ns=second * S, **{name: each(second) if callable(each) else each for name, each in counters.items()})
        for second in range(21)
    ]


def test_only_what_was_read_during_the_timed_passes_counts() -> None:
    """10 to 13 s and 14 to 18 s are nine readings: an idle clock before, between and after is none of theirs."""
    timed = {10, 11, 12, 13, 14, 15, 16, 17, 18}
    found = summary(
        "nvidia", readings(clock_hz=lambda s: 1.9e9 + s if s in timed else 3.45e8, clock_max_hz=1.98e9), PASSES
    )
    assert found.samples == 9
    assert found.clock_hz == Range(min=1.9e9 + 10, median=1.9e9 + 14, max=1.9e9 + 18)
    assert found.clock_max_hz == 1.98e9


def test_event_reasons_are_shares_of_the_readings() -> None:
    """The cap holds in the readings from 16 s on: three of nine; idleness outside the passes is not said."""
    found = summary(
        "nvidia",
        readings(reasons=lambda s: frozenset({"sw_power_cap"} if 16 <= s <= 18 else {"gpu_idle"} if s < 10 else ())),
        PASSES,
    )
    assert found.reasons == {"sw_power_cap": pytest.approx(1 / 3)}


def test_accumulated_counters_are_differences_around_the_passes() -> None:
    """Between the readings at 10 and 18 s; what stands still says 0, what began anew says nothing."""
    found = summary(
        "jetson",
        readings(
            violations_s=lambda s: {"thermal": 0.25 * s, "power": 7.0, "reliability": 50.0 - s},
            throttles=lambda s: {"oc1": 3 if s < 12 else 5},
        ),
        PASSES,
    )
    assert found.violations_s == {"thermal": pytest.approx(0.25 * 8), "power": 0.0}
    assert found.throttles == {"oc1": 2}


def test_means_and_extremes_are_of_their_own_kind() -> None:
    """Power by its mean, heat and others by the most, the limit by the least."""
    found = summary(
        "nvidia",
        readings(
            power_w=lambda s: 100.0 if s < 10 else 10.0 * s,
            power_limit_w=700.0,
            temperature_celsius=lambda s: 90.0 if s == 9 else 40.0 + s,
            others=lambda s: int(s == 17),
            memory_own_bytes=lambda s: 100 * s,
            memory_others_bytes=lambda s: 500 if s < 16 else 900,
            utilisation=0.5,
            power_mode="700 W",
            mig=False,
        ),
        PASSES,
    )
    assert found.power_w == pytest.approx(140.0)  # 10 · (10 + … + 18) / 9
    assert found.power_limit_w == 700.0
    assert (found.temperature_celsius, found.others) == (58.0, 1)
    assert (found.memory_others_bytes, found.memory_others_growth_bytes) == (900, 400)
    assert found.peak_memory_bytes == 2000  # of its whole life, as a process's resident size is
    assert (found.utilisation, found.power_mode, found.mig) == (0.5, "700 W", False)


def test_processors_that_others_kept_busy() -> None:
    """Busy seconds per second from the first pass to the last: a host where one and a half processors are taken."""
    found = summary("cpu", readings(others_busy_s=lambda s: 1000 + 1.5 * s, stolen_s=lambda s: 0.25 * s), PASSES)
    assert found.others_busy == pytest.approx(1.5)
    assert found.stolen == pytest.approx(0.25)


def test_energy_is_the_counters_between_the_passes_ends() -> None:
    """300 W all the time, so 300 J/s: 8 s of passes, and 2 + 3 s of decode."""
    seen = readings(energy_j=lambda s: 5000.0 + 300.0 * s)
    assert summary("nvidia", seen, PASSES).energy_j == pytest.approx(2400.0)
    assert decode_energy_j(seen, PASSES) == pytest.approx(1500.0)


def test_energy_between_two_readings_grows_evenly() -> None:
    """A decode of 1.5 s from 10.25 s on, half of it at 100 W and half at 300 W: 75 + 225 J."""
    seen = readings(energy_j=lambda s: 100.0 * s if s <= 11 else 1100.0 + 300.0 * (s - 11))
    passes = [Pass(10 * S, 10 * S + S // 4, 11 * S + 3 * S // 4)]
    assert decode_energy_j(seen, passes) == pytest.approx(0.75 * 100 + 0.75 * 300)


def test_without_a_counter_energy_is_the_powers_sum() -> None:
    """A power that rises evenly: the trapezoid rule is exact, the integral of 10·s from 11 to 13 and 15 to 18 s."""
    seen = readings(power_w=lambda s: 10.0 * s)
    assert decode_energy_j(seen, PASSES) == pytest.approx(5 * (13**2 - 11**2) + 5 * (18**2 - 15**2))


@pytest.mark.parametrize(
    ("seen", "passes"),
    [
        (readings(), PASSES),
        ([], PASSES),
        (readings(energy_j=1.0), ()),
        (readings(energy_j=lambda s: 300.0 * s), [Pass(10 * S, 10 * S, 10 * S + S // 2)]),
        (readings(energy_j=lambda s: 300.0 * s), [Pass(10 * S, 11 * S, 21 * S)]),
        (readings(energy_j=42.0), PASSES),
    ],
    ids=["no counter", "no reading", "no pass", "half a second", "none after it", "a counter that stands still"],
)
def test_energy_that_cannot_be_known_is_none(seen: list[Reading], passes: Any) -> None:  # noqa: ANN401
    """Never a number that was not measured."""
    assert decode_energy_j(seen, passes) is None


def test_a_counter_that_began_anew_says_nothing() -> None:
    """The driver was loaded again at 12 s: the power is summed instead, 5 s of decode at 100 W."""
    seen = readings(energy_j=lambda s: 9000.0 + 300.0 * s if s < 12 else 300.0 * s, power_w=100.0)
    assert decode_energy_j(seen, PASSES) == pytest.approx(500.0)
    assert summary("nvidia", seen, PASSES).energy_j == pytest.approx(800.0)
    without = readings(energy_j=lambda s: 9000.0 + 300.0 * s if s < 12 else 300.0 * s)
    assert decode_energy_j(without, PASSES) is None


def test_memory_that_is_not_told_well_while_a_worker_starts_or_ends_is_nobodys() -> None:
    """A dying worker is no longer listed, and its memory is still in use: no other took it."""
    seen = readings(memory_others_bytes=lambda s: 9000 if s in (2, 20) else 500 if s in (0, 12) else 400)
    assert summary("nvidia", seen, PASSES).memory_others_growth_bytes == 0


def test_what_cannot_be_is_left_out_and_said() -> None:
    """A record with it could not be read again; the rest is kept."""
    found = summary(
        "nvidia",
        readings(clock_max_hz=0.0, utilisation=1.7, temperature_celsius=float("nan"), others=1, power_mode="700 W"),
        PASSES,
    )
    assert (found.clock_max_hz, found.utilisation, found.temperature_celsius) == (None, None, None)
    assert set(found.unreadable) == {"clock_max_hz", "utilisation", "temperature_celsius"}
    assert (found.others, found.power_mode) == (1, "700 W")
    assert msgspec.json.decode(msgspec.json.encode(found), type=Telemetry) == found


def test_passes_too_short_for_a_reading_say_so() -> None:
    """A clock read just before or after is not theirs; accumulated counters around them are."""
    seen = readings(clock_hz=3.45e8, throttles=lambda s: {"oc1": s}, unreadable={"power": "Not Supported"})
    found = summary("nvidia", seen, [Pass(10 * S + 1, 10 * S + 2, 10 * S + 3)])
    assert (found.samples, found.clock_hz, found.throttles) == (0, None, {"oc1": 1})
    assert found.unreadable == {"power": "Not Supported", "samples": "no reading was taken during the timed passes"}


class FakeSensor:
    """Counts how often it is read, and for whom."""

    kind: DeviceKind = "nvidia"

    def __init__(self) -> None:
        self.workers: list[int | None] = []

    def read(self, worker: int | None = None) -> Reading:
        self.workers.append(worker)
        return Reading(
            at_ns=len(self.workers) * S, others=2, memory_total_bytes=10 * 2**30, memory_used_bytes=4 * 2**30
        )

    def close(self) -> None:
        pass


def test_a_monitor_reads_before_during_and_after() -> None:
    """Once without a worker; while the block runs; and as it ends, when what accumulates is complete."""
    sensor = FakeSensor()
    monitor = Monitor(sensor, period_s=0.001)
    assert sensor.workers == [None]
    assert (monitor.before.others, monitor.free_bytes_before) == (2, 6 * 2**30)
    with monitor.watching(4000):
        while len(sensor.workers) < 5:
            time.sleep(0.001)
    read = len(sensor.workers)
    assert set(sensor.workers[1:]) == {4000}
    time.sleep(0.02)
    assert len(sensor.workers) == read
    assert monitor.telemetry([Pass(S, S, read * S)]).samples == read


def test_a_monitor_ends_with_a_worker_that_failed() -> None:
    """Whatever the block raises is passed on, and nobody reads on."""
    sensor = FakeSensor()
    monitor = Monitor(sensor, period_s=0.001)
    with pytest.raises(ValueError, match="nonsense"), monitor.watching(4000):
        raise ValueError("nonsense")
    read = len(sensor.workers)
    time.sleep(0.02)
    assert len(sensor.workers) == read


def test_the_workers_clock_is_the_monitors() -> None:
    """A worker stamps its passes by `perf_counter_ns`, readings are stamped by `monotonic_ns`: on Linux the same."""
    clocks = {time.get_clock_info(name).implementation for name in ("perf_counter", "monotonic")}
    assert len(clocks) == 1
