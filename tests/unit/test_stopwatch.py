"""The instrument that times the calls of a virtual machine."""

from __future__ import annotations

import pytest

from regress.worker.stopwatch import Spent, Stopwatch


class Device:
    """A clock that passes while calls run, and a device that is waited for."""

    def __init__(self) -> None:
        self.now_ns, self.pending_ns = 0, 0

    def sync(self) -> None:
        self.now_ns, self.pending_ns = self.now_ns + self.pending_ns, 0

    def clock(self) -> int:
        return self.now_ns


@pytest.fixture
def device() -> Device:
    return Device()


def run(watch: Stopwatch, device: Device, name: str, work_ns: int, *inside: tuple[str, int]) -> None:
    """A call that launches work, and calls others before it returns."""
    assert watch(None, name, before_run=True) == 0
    for inner, inner_ns in inside:
        run(watch, device, inner, inner_ns)
    device.pending_ns += work_ns
    assert watch(None, name, before_run=False) == 0


def test_calls_of_one_name_are_added_up(device: Device) -> None:
    """Work of a device counts for the call that launched it, though that returned at once."""
    watch = Stopwatch(device.sync, device.clock)
    run(watch, device, "matmul", 3000)
    run(watch, device, "norm", 500)
    run(watch, device, "matmul", 4000)
    assert watch.take() == {"matmul": Spent(2, 7e-6), "norm": Spent(1, 0.5e-6)}
    assert watch.take() == {}


def test_work_before_a_call_is_not_its_own(device: Device) -> None:
    watch = Stopwatch(device.sync, device.clock)
    device.pending_ns = 9000
    run(watch, device, "matmul", 1000)
    assert watch.take() == {"matmul": Spent(1, 1e-6)}


def test_what_calls_inside_a_call_take_is_theirs(device: Device) -> None:
    """Two levels deep, nothing is counted twice: 7 us in all."""
    watch = Stopwatch(device.sync, device.clock)
    run(watch, device, "outer", 1000, ("inner", 2000), ("inner", 4000))
    taken = watch.take()
    assert {name: spent.calls for name, spent in taken.items()} == {"outer": 1, "inner": 2}
    assert {name: spent.time_s for name, spent in taken.items()} == pytest.approx({"outer": 1e-6, "inner": 6e-6})
