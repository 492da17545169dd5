"""Who does much work on records: this process where there is little, several where there is much."""

from __future__ import annotations

import gc
import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from regress.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import ProcessPoolExecutor

A = TypeVar("A")
B = TypeVar("B")

WORTH_BYTES = 100_000_000
"""Records to look at above which further processes are worth their start, of half a second."""


class Crew(Protocol):
    """Calls a function for each of several things; the results in their order."""

    def __call__(self, function: Callable[[A], B], things: Iterable[A], /) -> Iterable[B]:
        """The results."""


@contextmanager
def crew(sizes_bytes: Sequence[int]) -> Iterator[Crew]:
    """As many processes as there are processors, for much work; this one for little.

    Args:
        sizes_bytes: Size of the records to look at, of each thing that there is to do.

    Raises:
        HistoryError: One of the processes was killed.
    """
    count = min(_processors(), len(sizes_bytes))
    if count < 2 or sum(sizes_bytes) < WORTH_BYTES:  # noqa: PLR2004  # one is this one
        with without_collector():
            yield map
    else:
        with _pool(count) as run:
            yield run


@contextmanager
def _pool(count: int) -> Iterator[Crew]:
    """So many processes of their own: a fork of this one could inherit a lock that a thread of it holds."""
    # Loaded here: they take longer than all else that one more run needs of this module.
    from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor  # noqa: PLC0415  # as said
    from multiprocessing import get_context  # noqa: PLC0415  # likewise

    with ProcessPoolExecutor(count, get_context("spawn"), _begin) as pool:
        try:
            yield pool.map
        except BrokenProcessPool as error:
            raise HistoryError(
                "a process that shared the work was killed", hint="it may have been for memory; try it again"
            ) from error
        finally:
            _end(pool)


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
