"""Interrupts that wait until something short is done."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from regress.interruption import postponed

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _as_in_a_command() -> Iterator[None]:
    """All three end a command as Ctrl-C does."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupted(done: list[int], number: signal.Signals = signal.SIGINT) -> None:
    """Two things that are done while somebody interrupts."""
    with postponed():
        for each in range(2):
            signal.raise_signal(number)
            done.append(each)


@pytest.mark.parametrize("number", SIGNALS)
def test_what_has_begun_is_done_however_often_somebody_interrupts(number: signal.Signals) -> None:
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(done, number)
    assert done == [0, 1]


def test_afterwards_an_interrupt_is_one_at_once() -> None:
    with postponed():
        pass
    assert {signal.getsignal(number) for number in SIGNALS} == {signal.default_int_handler}


def test_an_error_goes_first() -> None:
    def fail() -> None:
        with postponed():
            signal.raise_signal(signal.SIGINT)
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        fail()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_outermost_block_is_what_an_interrupt_waits_for() -> None:
    done: list[int] = []

    def nested() -> None:
        with postponed():
            interrupted(done)
            done.append(2)

    with pytest.raises(KeyboardInterrupt):
        nested()
    assert done == [0, 1, 2]


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As a closed session is under `nohup`."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with postponed():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_another_thread_which_gets_no_signals_does_as_without() -> None:
    done = []

    def work() -> None:
        with postponed():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_an_interrupt_while_the_others_are_put_back_leaves_none_that_is_swallowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first of the three is one again, and comes before the two others are."""
    put_back: list[int] = []
    put = signal.signal

    def interrupting(number: int, handler: object) -> object:
        before = put(number, handler)  # type: ignore[arg-type]
        if handler is signal.default_int_handler:
            put_back.append(number)
            if len(put_back) == 1:
                signal.raise_signal(signal.Signals(number))
        return before

    monkeypatch.setattr("regress.interruption.signal.signal", interrupting)
    with pytest.raises(KeyboardInterrupt), postponed():
        pass
    monkeypatch.undo()

    for number in SIGNALS:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
