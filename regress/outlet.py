"""What all output goes through: no secret of this process leaves it, and no text becomes a command of a CI job.

GitHub's own `::stop-commands::` would not do for the second: its runner takes the lines of standard error before those
of standard output that came with them, so that the last lines of one are obeyed once the other has ended the stop.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from regress.redact import keep_secret, struck, without_known
from regress.workflow import harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_LINE_ENDS = ("\n", "\r")


class Outlet(io.TextIOBase):
    """A stream that strikes secrets out of what is written to it.

    Args:
        stream: Where it goes.
        strike: What takes the secrets out of a text.
        to_runner: Whether a runner of GitHub's may read it, so that nothing in it may look like a command.
    """

    def __init__(self, stream: TextIO, strike: Callable[[str], str], *, to_runner: bool) -> None:
        self._stream, self._strike, self._to_runner, self._line = stream, strike, to_runner, ""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the parent's is `None`
        """The encoding of the stream behind it."""
        return self._stream.encoding

    def write(self, text: str) -> int:
        """Writes what may be written of a text; its own length."""
        self._stream.write(self._without_commands(self._strike(text)))
        return len(text)

    def command(self, lines: str) -> None:
        """Writes commands that are meant: whole lines, escaped already."""
        if self._line:
            self._stream.write("\n")
        self._stream.write(self._strike(lines))
        self._line = ""

    def flush(self) -> None:
        """Hands on what the stream holds back."""
        self._stream.flush()

    def close(self) -> None:
        """Leaves the stream open: it is not ours."""

    def fileno(self) -> int:
        """The stream's own."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def _without_commands(self, text: str) -> str:
        """The text, harmless behind what was written of the current line before."""
        if not self._to_runner:
            return text
        safe = harmless(self._line + text)
        begun, self._line = len(self._line), safe[1 + max(safe.rfind(end) for end in _LINE_ENDS) :]
        return safe[begun:]


@contextmanager
def outlets(env: Mapping[str, str]) -> Iterator[None]:
    """Standard output and standard error as outlets, while the block lasts.

    Args:
        env: Its secret variables are struck out; `GITHUB_ACTIONS` says whether a runner reads along. A file it does not
            read: data that is sent to one stays as it is.
    """
    keep_secret(env)
    in_job = env.get("GITHUB_ACTIONS") == "true"
    before = sys.stdout, sys.stderr
    # What only looks like a token may be the name of a kernel: data keeps it.
    sys.stdout = Outlet(sys.stdout, without_known, to_runner=in_job and not _is_file(sys.stdout))
    sys.stderr = Outlet(sys.stderr, struck, to_runner=in_job and not _is_file(sys.stderr))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def write_commands(lines: str) -> None:
    """Writes workflow commands to standard output."""
    if isinstance(sys.stdout, Outlet):
        sys.stdout.command(lines)
    else:
        sys.stdout.write(lines)


def _is_file(stream: TextIO) -> bool:
    with suppress(OSError, ValueError):
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    return False
