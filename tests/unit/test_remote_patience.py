"""How often an exchange is begun again."""

from __future__ import annotations

import time

import pytest

from regress.remote.exchange import OutrunError, UnreachableError
from regress.remote.patience import MOST_UNREACHABLE, patience


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def attempts(timeout_s: float, error: Exception, failures: int) -> int:
    count = 0
    for attempt in patience(timeout_s):
        with attempt:
            count += 1
            if count <= failures:
                raise error
    return count


def test_whoever_is_outrun_begins_again_after_waits_by_chance(clock: Clock) -> None:
    """Each up to twice as long as the one before, at most eight seconds."""
    assert attempts(300, OutrunError("x"), failures=12) == 13
    assert len(set(clock.waits)) == 12
    assert all(wait <= min(8, 0.25 * 2**number) for number, wait in enumerate(clock.waits))


def test_it_ends_in_time(clock: Clock) -> None:
    with pytest.raises(OutrunError):
        attempts(60, OutrunError("x"), failures=10_000)
    assert 60 <= clock.now <= 68


def test_a_remote_that_does_not_answer_is_asked_a_few_times_only(clock: Clock) -> None:
    assert attempts(300, UnreachableError("x"), failures=MOST_UNREACHABLE - 1) == MOST_UNREACHABLE
    with pytest.raises(UnreachableError):
        attempts(300, UnreachableError("x"), failures=MOST_UNREACHABLE)
    assert clock.now < 10


def test_other_errors_pass_at_once(clock: Clock) -> None:
    with pytest.raises(ValueError, match="x"):
        attempts(300, ValueError("x"), failures=1)
    assert clock.waits == []
