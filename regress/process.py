"""The one place that starts processes.

Every child gets a session of its own, so that a time limit or Ctrl-C ends it with all it started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    Watch = Callable[[int], AbstractContextManager[object]]
    """What is entered with a child's process id while it runs."""

LONGEST_LINE_BYTES = 64 * 2**20
"""A longer line of output is passed on in pieces: a child that never ends its line must not fill memory."""


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a child ended.

    Attributes:
        code: Its exit status; `None` where a signal ended it.
        signal: The name of that signal, such as `SIGSEGV`; `None` where it exited by itself.
        timed_out: Whether the signal came from us, at its time limit.
        duration_s: Wall time from start to end, in seconds.
    """

    code: int | None
    signal: str | None
    timed_out: bool
    duration_s: float

    @property
    def ok(self) -> bool:
        """Whether the child exited by itself with status 0."""
        return self.code == 0

    def describe(self, timeout_s: float | None = None) -> str:
        """The end in words: `exit status 3`, `killed by SIGSEGV`, `killed at its time limit of 60 s`."""
        if self.timed_out:
            return f"killed at its time limit of {timeout_s:g} s" if timeout_s else "killed at its time limit"
        if self.signal == "SIGKILL":
            return "killed by SIGKILL, as the kernel does when memory runs out"
        return f"killed by {self.signal}" if self.signal else f"exit status {self.code}"


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a short command printed, and how it ended.

    Attributes:
        exit: How it ended.
        printed: Its standard output, as it came.
        stderr: Its standard error.
    """

    exit: Exit
    printed: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        """Its standard output as text."""
        return self.printed.decode(errors="replace")


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float | None = None,
    stdin: bytes | None = None,
) -> Output:
    """What a command printed, once it has ended.

    Args:
        argv: Program and arguments.
        env: The whole environment; this process's own where `None`.
        cwd: Working folder; this process's own where `None`.
        timeout_s: Seconds after which the command and all it started are killed; no limit where `None`.
        stdin: What it reads from standard input; nothing where `None`.

    Raises:
        OSError: The program cannot be started.
    """
    started = time.monotonic()
    process = _start(argv, env=env, cwd=cwd, stderr=subprocess.PIPE, stdin=stdin is not None)
    with _limited(process, timeout_s) as limit:
        stdout, stderr = process.communicate(stdin)
    return Output(exit=_exit(process, limit, started), printed=stdout, stderr=stderr.decode(errors="replace"))


def stream(  # noqa: PLR0913  # all that a child is given
    argv: Sequence[str | Path],
    *,
    on_line: Callable[[bytes], None],
    log: Path,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    watch: Watch = nullcontext,
) -> Exit:
    """How a command ended, after each line of its standard output was handed to `on_line` as it came.

    Args:
        argv: Program and arguments.
        on_line: Called with each line, its newline included; what it raises ends the child and is passed on.
        log: File that receives standard error.
        env: The whole environment; this process's own where `None`.
        timeout_s: Seconds after which the command and all it started are killed; no limit where `None`.
        watch: Entered with its process id, and left when its output ends: what the kernel counts of it is there still.

    Raises:
        OSError: The program cannot be started, or the log cannot be written.
    """
    started = time.monotonic()
    with log.open("wb") as log_file:
        process = _start(argv, env=env, cwd=None, stderr=log_file)
        with _limited(process, timeout_s) as limit:
            with watch(process.pid):
                for line in _lines(process):
                    on_line(line)
            process.wait()
    return _exit(process, limit, started)


def _start(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    stderr: int | IO[bytes],
    stdin: bool = False,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [os.fspath(argument) for argument in argv],
        env=env,
        cwd=cwd,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )


def _lines(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    assert process.stdout is not None  # noqa: S101  # _start always asks for it
    with process.stdout as stdout:
        while line := stdout.readline(LONGEST_LINE_BYTES):
            yield line


class _Limit:
    """A child's time limit: whether it was reached."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.expired = False

    def expire(self) -> None:
        """Ends the child and all it started."""
        self.expired = True
        _kill_session(self._process)


@contextmanager
def _limited(process: subprocess.Popen[bytes], timeout_s: float | None) -> Iterator[_Limit]:
    """Ends the child's whole session at its time limit, and whenever the block is left by an exception."""
    limit = _Limit(process)
    timer = threading.Timer(timeout_s, limit.expire) if timeout_s is not None else None
    if timer:
        timer.daemon = True
        timer.start()
    try:
        yield limit
    except BaseException:
        _kill_session(process)
        process.wait()
        raise
    finally:
        if timer:
            timer.cancel()


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended by itself in the meantime


def _exit(process: subprocess.Popen[bytes], limit: _Limit, started: float) -> Exit:
    status = process.returncode
    return Exit(
        code=status if status >= 0 else None,
        signal=signal.Signals(-status).name if status < 0 else None,
        timed_out=limit.expired and status < 0,
        duration_s=time.monotonic() - started,
    )
