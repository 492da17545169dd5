"""Who does much work on records: this process where there is little, several where there is much."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections import deque
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from regress.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import ProcessPoolExecutor

A = TypeVar("A")
B = TypeVar("B")

WORTH_BYTES = 20_000_000
"""Records to look at for each of several processes, at least: the start of a further one takes half a second."""
_PORTIONS = 16
"""Portions of much work for each process, at least: the last ones to be done end at nearly the same time."""
_SWITCH_S = 0.0005
"""How long this process goes on with its own portion while a thread waits to hand out another one, at most."""


def _nothing() -> None:
    """There is nothing to do meanwhile."""


class Crew(Protocol):
    """Calls a function for each of several things; the results in their order."""

    def __call__(
        self, function: Callable[[A], B], things: Iterable[A], /, meanwhile: Callable[[], object] = _nothing
    ) -> list[B]:
        """The results.

        Args:
            function: What is called; other processes find it by its module and name.
            things: What it is called with.
            meanwhile: What this process does first, where there are others, which then do more of the work.
        """


@contextmanager
def crew(size_bytes: int) -> Iterator[Crew]:
    """As many processes as the work is worth and there are processors, this one among them; for little this one alone.

    Args:
        size_bytes: Size of the records to look at, as far as they can be shared.

    Raises:
        HistoryError: One of the processes was killed.
    """
    others = processes(size_bytes) - 1
    with without_collector():
        if others:
            with _shared(others) as run:
                yield run
        else:
            yield alone


def processes(size_bytes: int) -> int:
    """How many processes share work on so many bytes of records, this one among them."""
    return max(1, min(_processors(), size_bytes // WORTH_BYTES))


def alone(
    function: Callable[[A], B],
    things: Iterable[A],
    /,
    meanwhile: Callable[[], object] = _nothing,  # noqa: ARG001  # there is no meanwhile
) -> list[B]:
    """A crew of this process alone."""
    return _each(function, things)


@contextmanager
def _shared(others: int) -> Iterator[Crew]:
    """This process and so many others, not forks of it: one could inherit a lock that a thread of this one holds."""
    # Loaded here: they take longer than all else that one more run needs of this module.
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # as said
    from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor  # noqa: PLC0415  # likewise
    from multiprocessing import get_context  # noqa: PLC0415  # likewise

    with ThreadPoolExecutor(others) as hands, ProcessPoolExecutor(others, get_context("spawn"), _begin) as pool:

        def run(
            function: Callable[[A], B], things: Iterable[A], /, meanwhile: Callable[[], object] = _nothing
        ) -> list[B]:
            left, done = deque(enumerate(_portions(list(things), others + 1))), dict[int, list[B]]()
            given = [
                hands.submit(_take, left, done, lambda portion: pool.submit(_each, function, portion).result())
                for _ in range(others)
            ]
            _take(left, done, partial(_each, function), meanwhile)
            for each in given:
                each.result()
            return [result for place in sorted(done) for result in done[place]]

        for _ in range(others):
            pool.submit(os.getpid)  # each starts one: what has not begun when this process fails could not be ended
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        try:
            yield run
        except BrokenProcessPool as error:
            raise HistoryError(
                "a process that shared the work was killed", hint="it may have been for memory; try it again"
            ) from error
        finally:
            sys.setswitchinterval(interval_s)
            _end(pool)


def _portions(things: Sequence[A], processes: int) -> list[Sequence[A]]:
    """What is taken at once: one thing of few, and of many so many that handing them out costs nothing beside them."""
    size = max(1, len(things) // (processes * _PORTIONS))
    return [things[begin : begin + size] for begin in range(0, len(things), size)]


def _each(function: Callable[[A], B], portion: Iterable[A]) -> list[B]:
    return list(map(function, portion))


def _take(
    left: deque[tuple[int, A]], done: dict[int, B], do: Callable[[A], B], first: Callable[[], object] = _nothing
) -> None:
    """Does one thing after the other that nobody else has taken; where one fails, none is left for anybody.

    A pool would be given all at once, and have each process take one more than it works on: there is no knowing then
    what this process may take.
    """
    try:
        first()
        for place, thing in _rest(left):
            done[place] = do(thing)
    except BaseException:
        left.clear()
        raise


def _rest(left: deque[A]) -> Iterator[A]:
    """What is left, for several threads at once."""
    with suppress(IndexError):
        while True:
            yield left.popleft()


def _end(pool: ProcessPoolExecutor) -> None:
    """Ends the processes: those that are done need not tidy up first, which takes them tenths of a second.

    Others end in the middle of what they write, of which only whole files are ever seen.
    """
    for process in list(pool._processes.values()):  # noqa: SLF001  # from Python 3.14 on, `terminate_workers`
        process.terminate()


@contextmanager
def without_collector() -> Iterator[None]:
    """Nobody looks for cycles meanwhile: modules, facts and pages are made of millions of objects that have none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin() -> None:
    """Leaves Ctrl-C to the process that started this one, which ends it; it ends with that one, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.disable()


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone, were it killed: nobody else would ever tell it to."""
    from multiprocessing import parent_process  # noqa: PLC0415  # loaded in these processes anyway
    from multiprocessing.connection import wait  # noqa: PLC0415  # likewise

    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
