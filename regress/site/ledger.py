"""The ledger: which files of a site were written, what each was made of, and what is kept from build to build.

It stands in the cache. Whoever deletes it, or what it speaks of, loses time and nothing else.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, TypeVar

import msgspec

from regress.history import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

T = TypeVar("T")


class Made(msgspec.Struct, frozen=True, array_like=True):
    """A file of the site: its stamp once it was written, and what it was made of."""

    stamp: Stamp
    of: str


class Ledger:
    """Writes the files of a site that are not there yet as they shall be.

    Args:
        root: The web root.
        known: What an earlier build wrote there.

    Attributes:
        made: All files of this build, by their paths relative to the root.
    """

    def __init__(self, root: Path, known: Mapping[str, Made]) -> None:
        self._root, self._known = root, known
        self.made: dict[str, Made] = {}

    def is_made(self, names: Iterable[str], of: str) -> bool:
        """Whether all of these files stand as they were written when they were made of that."""
        known = {name: self._known.get(name) for name in names}
        if not all(each and each.of == of and is_whole(self._root, name, each) for name, each in known.items()):
            return False
        self.made.update({name: each for name, each in known.items() if each})
        return True

    def write(self, name: str, data: bytes, of: str = "") -> None:
        """Writes a file; leaves it alone where it has that content already."""
        path = self._root / name
        if not _holds(path, data):
            replace_whole(path, lambda partial: partial.write_bytes(data))
        self.made[name] = Made(Stamp.of(path.stat()), of)

    def make(self, name: str, of: str, text: Callable[[], str]) -> None:
        """Writes a file that is not made of that yet; only then is its text asked for."""
        if not self.is_made([name], of):
            self.write(name, text().encode(), of)

    def create(self, name: str, of: str, write: Callable[[Path], object]) -> None:
        """Writes a file that is not made of that yet, and that may be larger than memory."""
        if not self.is_made([name], of):
            replace_whole(self._root / name, write)
            self.made[name] = Made(Stamp.of((self._root / name).stat()), of)


def is_whole(root: Path, name: str, made: Made) -> bool:
    """Whether a file stands as it was written."""
    try:
        return Stamp.of(os.stat(f"{root}/{name}")) == made.stamp  # noqa: PTH116  # asked thousands of times
    except OSError:
        return False


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file has that content; one of another size is not read."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def replace_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Writes a file under another name first, so that there is never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def recall(path: Path, kind: type[T]) -> T | None:
    """What was kept in a file of the cache; `None` where it is not there, is damaged or of another kind."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def keep(path: Path, kept: msgspec.Struct) -> None:
    """Keeps something in a file of the cache, if that can be written."""
    data = msgspec.msgpack.encode(kept)
    with contextlib.suppress(OSError):
        replace_whole(path, lambda partial: partial.write_bytes(data))
