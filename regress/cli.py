"""The command line: arguments to one call, errors to an exit code.

Nothing but the standard library is loaded until the command is known.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import importlib
import io
import os
import signal
import sys
import traceback
from typing import IO, TYPE_CHECKING

from regress.arguments import parser
from regress.crew import without_collector
from regress.errors import EXIT_DEFECT, EXIT_HISTORY, EXIT_INTERRUPTED, EXIT_PIPE_CLOSED, RegressError
from regress.outlet import outlets

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit code.

    Args:
        argv: Arguments after the program's name; the process's own where `None`.
    """
    atexit.register(gc.freeze)  # else Python looks for cycles in all that it loaded, which ends with the process anyway
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without `±` is no reason to fail
    with outlets(os.environ):
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    args = parser().parse_args(argv)
    _end_workers_with_us()
    try:
        code = _call(args)
    except RegressError as error:
        sys.stderr.write("\n".join(error.lines()) + "\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("regress: interrupted\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _silence(sys.stdout)
        return EXIT_PIPE_CLOSED
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not exit 1, which says "regressed"
        _silence(sys.stdout)
        return _unforeseen(error)
    return code


def _call(args: argparse.Namespace) -> int:
    module, _, function = args.call.partition(":")
    with without_collector():
        command = getattr(importlib.import_module(f"regress.commands.{module}"), function)
    code: int = command(args)
    sys.stdout.flush()
    return code


def _unforeseen(error: Exception) -> int:
    """Says what happened: one line where the machine's storage refused, a traceback where `regress` is wrong."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        where = error.filename or "standard output"
        sys.stderr.write(f"regress: error: {where}: cannot be written: {error.strerror}\n")
        return EXIT_HISTORY
    traceback.print_exception(error)
    sys.stderr.write("regress: error: this is a defect of regress, please report it\n")
    return EXIT_DEFECT


def _silence(stream: IO[str]) -> None:
    """Sends what a stream still holds nowhere: Python would fail over it once more while it shuts down."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _end_workers_with_us() -> None:
    """Makes a cancelled job (SIGTERM) and a closed session (SIGHUP) end the workers as Ctrl-C does.

    Workers have sessions of their own, so that a signal to ours would not reach them.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.default_int_handler)
