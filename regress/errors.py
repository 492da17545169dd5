"""The ways `regress` can fail: one class per exit code, raised where the fact is known, caught once in `cli`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_PASS = 0
EXIT_REGRESSED = 1
EXIT_USAGE = 2
EXIT_CONFIG = 3
EXIT_TOOLCHAIN = 4
EXIT_BUILD = 5
EXIT_BENCH = 6
EXIT_HISTORY = 7
EXIT_INCONCLUSIVE = 8
EXIT_NEWER = 9
"""`bump --check` found a newer toolchain."""
EXIT_DEFECT = 70
"""`regress` itself failed in a way nobody foresaw; sysexits.h calls it EX_SOFTWARE."""
EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141
"""The reader of the output went away before all was said: as a shell counts SIGPIPE."""


class RegressError(Exception):
    """A failure with one line to read, and what to do next.

    Args:
        message: One line that names the file and the key, or the step and its subject.
        cause: What the failing part said itself, shortened to its telling line.
        hint: What the user can do about it.
        log: Path of the full log, where there is one.
    """

    exit_code = EXIT_USAGE

    def __init__(
        self, message: str, *, cause: str | None = None, hint: str | None = None, log: str | None = None
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.hint = hint
        self.log = log

    def lines(self) -> list[str]:
        """The error as the terminal shows it: the message, then an indented line per known detail."""
        details = (("cause", self.cause), ("hint", self.hint), ("log", self.log))
        return [
            f"regress: error: {self}",
            *(f"  {name}: {text}" for name, text in details if text is not None),
        ]


class UsageError(RegressError):
    """The command line asks for something that does not exist."""

    exit_code = EXIT_USAGE


class ConfigError(RegressError):
    """`regress.toml` or a baseline file is wrong, or does not hold for this machine."""

    exit_code = EXIT_CONFIG


class ToolchainError(RegressError):
    """A toolchain could not be resolved, installed, bundled or imported."""

    exit_code = EXIT_TOOLCHAIN


class BuildError(RegressError):
    """A model could not be found, downloaded, quantized or compiled."""

    exit_code = EXIT_BUILD


class BenchError(RegressError):
    """A built model could not be loaded or measured."""

    exit_code = EXIT_BENCH


class HistoryError(RegressError):
    """A record or the history folder cannot be read or written."""

    exit_code = EXIT_HISTORY


class PublishError(HistoryError):
    """What was found out could not be told to GitHub; the records have it still."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'X'?` for the known word nearest to `word`; empty where none is near."""
    words = list(known)
    near = [each for each in words if each.startswith(word)] or difflib.get_close_matches(word, words, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
