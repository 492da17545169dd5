"""Ctrl-C, a cancelled job and a closed session: who is ended so may finish first what takes a moment."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def postponed() -> Iterator[None]:
    """Lets an interrupt wait until the block is done, and as many more of them as come.

    For what is short: nobody can end it meanwhile. An error of the block goes first, which ends us as well. Outside the
    main thread, where no signal arrives, the block is as it would be without.

    Raises:
        KeyboardInterrupt: One came meanwhile.
    """
    came: list[int] = []
    over = False

    def note(number: int, frame: FrameType | None) -> None:
        if over:  # one that came while the others were put back
            signal.default_int_handler(number, frame)
        came.append(number)

    # Others are ignored, or somebody else's: the block of who postpones around us.
    ours = [number for number in _SIGNALS if signal.getsignal(number) is signal.default_int_handler]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    try:
        for number in ours:
            signal.signal(number, note)
        yield
    finally:
        over = True
        for number in ours:
            signal.signal(number, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt
