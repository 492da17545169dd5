"""Laws of what is summed over time."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regress.device.tenants import Tenants
from regress.summary import decode_energy_j, summary
from regress.telemetry import Pass, Reading

S = 1_000_000_000
powers = st.lists(st.floats(0, 1000), min_size=12, max_size=40)
moments = st.lists(st.integers(0, 11 * S), min_size=3, max_size=3, unique=True).map(sorted)


def counted(steps: list[float]) -> list[Reading]:
    """A counter of energy that was read every second."""
    return [Reading(at_ns=n * S, energy_j=total) for n, total in enumerate(accumulate(steps))]


@given(powers, moments)
def test_energy_of_two_parts_is_the_energy_of_the_whole(steps: list[float], cuts: list[int]) -> None:
    """However the time is cut."""
    began, middle, ended = cuts
    seen = counted(steps)
    whole, first, second = (
        summary("nvidia", seen, [Pass(start, start, end)]).energy_j
        for start, end in ((began, ended), (began, middle), (middle, ended))
    )
    assert whole is not None
    assert first is not None
    assert second is not None
    assert first + second == pytest.approx(whole, abs=1e-6)


@given(powers, moments)
def test_decode_takes_no_more_energy_than_the_passes(steps: list[float], cuts: list[int]) -> None:
    """Decode is a part of them, and no energy is less than none."""
    seen, passes = counted(steps), [Pass(*cuts)]
    decode, whole = decode_energy_j(seen, passes), summary("nvidia", seen, passes).energy_j
    assert whole is not None
    assert decode is None or 0 < decode <= whole + 1e-6


@given(st.dictionaries(st.integers(1, 50), st.none() | st.integers(0, 2**40)), st.integers(1, 50))
def test_nobody_is_counted_twice(listed: dict[int, int | None], worker: int) -> None:
    """Others and the worker's processes are all that compute, and its memory is no more than is held."""
    tenants = Tenants(numbered_alike=True, session_of=lambda pid: pid - pid % 5)
    tenants.tell({}, None)
    found = tenants.tell(listed, worker)
    own = [pid for pid in listed if pid - pid % 5 == worker]
    assert found.others + len(own) == len(listed)
    assert (found.own_bytes or 0) <= sum(size or 0 for size in listed.values())
