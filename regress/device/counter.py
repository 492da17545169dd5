"""Reading counters that may be missing: a value, or why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from regress.redact import publishable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


class Counters:
    """Reads counters one by one, and keeps why one could not be read.

    Args:
        errors: What a reader raises where its counter cannot be read.
    """

    def __init__(self, *errors: type[Exception]) -> None:
        self._errors = errors
        self.unreadable: dict[str, str] = {}

    def get(self, counter: str, read: Callable[[], T]) -> T | None:
        """What `read` gives; `None` where it cannot, and `unreadable` says why."""
        try:
            value = read()
        except self._errors as error:
            self.unreadable[counter] = why(error)
            return None
        self.unreadable.pop(counter, None)
        return value


def why(error: Exception) -> str:
    """Why something could not be read, fit to be published."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return publishable(str(error)) or type(error).__name__


def line_of(path: Path) -> str:
    """The text of a file that the kernel makes; a device tree's texts end with a null.

    Raises:
        OSError: It cannot be read.
    """
    return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")


def number_of(path: Path) -> int:
    """The number in a file that the kernel makes.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds no number.
    """
    return int(line_of(path))
