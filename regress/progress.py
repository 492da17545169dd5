"""How far a run is, for the person who waits: a live line on a terminal, plain lines elsewhere, on standard error."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from rich.console import Console
    from rich.status import Status

    from regress.record import Failure
    from regress.supervisor import Progress


class Step:
    """One step under way; its text may change."""

    def __init__(self, title: str, status: Status | None) -> None:
        self._title, self._status = title, status
        self.remarks = ""

    def remark(self, text: str) -> None:
        """Adds a word to the line that stays when the step is done."""
        self.remarks = f", {text}"

    def update(self, progress: Progress) -> None:
        """Shows what a worker says of itself."""
        if self._status is not None:
            count = f" {progress.done + 1}/{progress.total}" if progress.total else ""
            self._status.update(f"{self._title}: {progress.text}{count}")


class Reporter:
    """Writes progress to standard error."""

    def __init__(self) -> None:
        self._console = _console() if sys.stderr.isatty() else None

    def note(self, text: str) -> None:
        """One line that stays."""
        if self._console is not None:
            self._console.print(text, markup=False)
        else:
            say(text)

    def broken(self, failure: Failure) -> None:
        """Why the step before gave no result."""
        self.note(f"  broken at {failure.stage} ({failure.how}): {failure.cause}")

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step that takes time: shown while it lasts, and with its duration once it is done."""
        started = time.monotonic()
        with self._status(title) as status:
            step = Step(title, status)
            yield step
        self.note(f"{title} ({time.monotonic() - started:.1f} s{step.remarks})")

    def _status(self, title: str) -> AbstractContextManager[Status | None]:
        if self._console is None:
            return nullcontext()
        # A slow spinner: a faster one would take its share of the processor that is measured.
        return self._console.status(title, refresh_per_second=2)


def _console() -> Console:
    from rich.console import Console  # noqa: PLC0415  # 0.1 s that only a terminal needs

    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line on standard error, without anything that takes time to load."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
