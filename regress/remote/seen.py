"""What a machine has seen to be the same here and on a remote, so that no file is read twice for it.

A file of a history never changes. One that was compared with the remote is known by its stamp here (size and time of
writing) and by its mark there (what the remote's own listing says of its content); while both stay, it is not read
again. The file of these may be lost at any time: then all are compared once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from regress import history
from regress.errors import HistoryError
from regress.history import Stamp  # noqa: TC001  # msgspec reads the annotations at run time
from regress.stored import DAMAGED

if TYPE_CHECKING:
    from pathlib import Path


class Sight(msgspec.Struct, frozen=True, array_like=True):
    """A file that is the same here and there: its stamp here, and its mark there."""

    stamp: Stamp
    mark: str


class Seen:
    """The files of one folder that are known to be the same on one remote."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sights = _read(path)
        self._before = dict(self._sights)

    def is_same(self, name: str, stamp: Stamp, mark: str) -> bool:
        """Whether neither side has changed since they were found the same."""
        return self._sights.get(name) == Sight(stamp, mark)

    def stamp(self, name: str) -> Stamp | None:
        """The stamp of a file that was found the same; `None` where it was not."""
        sight = self._sights.get(name)
        return sight.stamp if sight else None

    def add(self, name: str, stamp: Stamp, mark: str) -> None:
        """Remembers that a file is the same on both sides."""
        self._sights[name] = Sight(stamp, mark)

    def forget(self, name: str) -> None:
        """Forgets a file that is not the same any more, or not there."""
        self._sights.pop(name, None)

    def save(self) -> None:
        """Writes what is new.

        Raises:
            HistoryError: The cache cannot be written.
        """
        if self._sights != self._before:
            history.write(self._path, msgspec.json.encode(self._sights))


def _read(path: Path) -> dict[str, Sight]:
    try:
        return msgspec.json.decode(history.read(path), type=dict[str, Sight])
    except (HistoryError, *DAMAGED):
        return {}
