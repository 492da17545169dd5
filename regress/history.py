"""The history: one immutable JSON file per run, in a folder that only grows.

    <runner>/<yyyy>/<mm>/<time>-<toolchain>-<random>.json          the record
    <runner>/<yyyy>/<mm>/<time>-<toolchain>-<random>.check.json    what was said of it when it was measured
    <runner>/<yyyy>/<mm>/<time>-<toolchain>-<digest>.import.json   figures of others, which are no record

No two writers ever touch the same path. A file is written under a temporary name, flushed to disk and renamed, so
that there is never half of one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

import msgspec

from regress import layout
from regress.errors import HistoryError
from regress.layout import place_for
from regress.record import Record, decode_record, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from regress.imported import Imported
    from regress.verdict import CheckReport

REPORT_SUFFIX, IMPORT_SUFFIX = layout.REPORT_SUFFIX, layout.IMPORT_SUFFIX
_AHEAD = 8
"""Runs whose files are fetched from the disk while others are looked at."""


class Stamp(msgspec.Struct, frozen=True, array_like=True):
    """What shows that a file was not changed: its size in bytes, and when it was written, in nanoseconds."""

    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp that a file's status gives."""
        return cls(status.st_size, status.st_mtime_ns)


class Files(msgspec.Struct, frozen=True, array_like=True):
    """The files of one run, or of an import.

    Attributes:
        name: Where its record lies in the history, such as `orin/2026/10/<id>.json`.
        record: Stamp of the record.
        report: Stamp of what was said of it; `None` where it was not judged.
    """

    name: str
    record: Stamp
    report: Stamp | None

    @property
    def report_name(self) -> str:
        """Where its report lies, or would."""
        return self.name.removesuffix(".json") + REPORT_SUFFIX

    @property
    def is_import(self) -> bool:
        """Whether it is figures of others, and no run."""
        return self.name.endswith(IMPORT_SUFFIX)

    @property
    def folder(self) -> str:
        """The folder of the history that it lies in: its runner's."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run of the history.

    Attributes:
        path: Where its record lies.
        record: What was measured.
        report: What was said of it when it was measured; `None` where it was not judged.
    """

    path: Path
    record: Record
    report: CheckReport | None


def record_id(recorded_at: datetime, toolchain: str) -> str:
    """A new id: UTC time, toolchain, and enough chance that no two writers meet."""
    return f"{recorded_at:%Y%m%dT%H%M%SZ}-{toolchain}-{secrets.token_hex(4)}"


def append(record: Record, root: Path) -> Path:
    """Writes a record to the history; its path.

    Raises:
        HistoryError: The folder cannot be written, or the record is there already.
    """
    return write(root / place_for(record).name, encode(record), new=True)


def append_import(imported: Imported, root: Path) -> tuple[Path, bool]:
    """Writes an import to the history, if it is not there yet; its path, and whether it was written.

    Raises:
        HistoryError: The folder cannot be written.
    """
    path = root / place_for(imported).name
    return (path, False) if path.exists() else (write(path, encode(imported), new=True), True)


def append_report(report: CheckReport, record: Path) -> Path:
    """Writes what was said of a record beside it; the path.

    Raises:
        HistoryError: The folder cannot be written, or the record has a report already.
    """
    return write(record.with_name(record.stem + REPORT_SUFFIX), encode(report), new=True)


def load(path: Path) -> Record:
    """The record in a file.

    Raises:
        HistoryError: It cannot be read, is truncated, or holds what a record cannot hold; or it is an import.
    """
    if path.name.endswith(IMPORT_SUFFIX):
        raise HistoryError(
            f"{path}: an import: one sample of others' making, which is neither judged nor a reference",
            hint="measure with `regress bench`, or state it as [cases.published] of a baseline",
        )
    return decode_record(read(path), str(path))


def entries(root: Path, on_bad: Callable[[HistoryError], None]) -> list[Entry]:
    """All runs of a history, oldest first.

    Args:
        root: Its folder; one that is not there is an empty history.
        on_bad: Called with the error of each file that cannot be used; the others are still returned.
    """
    found: list[Entry] = []
    for each in files(root):
        if each.is_import:
            continue
        try:
            found.append(entry(root, each))
        except HistoryError as error:  # each file for itself
            on_bad(error)
    return sorted(found, key=lambda entry: (entry.record.recorded_at, entry.record.id))


def files(root: Path) -> list[Files]:
    """The files of all runs and imports of a history, by their names; a folder that is not there is an empty history.

    Raises:
        HistoryError: A folder of it cannot be read.
    """
    try:
        stamps = dict(_stamps(root, "")) if root.is_dir() else {}
    except OSError as error:
        raise HistoryError(f"{error.filename}: {error.strerror}") from error
    names = sorted(name for name in stamps if not name.endswith(REPORT_SUFFIX))
    return [
        Files(name=name, record=stamps[name], report=stamps.get(name.removesuffix(".json") + REPORT_SUFFIX))
        for name in names
    ]


def _stamps(folder: Path | str, prefix: str) -> Iterator[tuple[str, Stamp]]:
    """Name and stamp of every JSON file below a folder; pathlib would take three times as long."""
    with os.scandir(folder) as found:
        for each in found:
            if each.is_dir():
                yield from _stamps(each.path, f"{prefix}{each.name}/")
            elif each.name.endswith(".json") and not each.name.startswith("."):
                yield f"{prefix}{each.name}", _stamp(each)


def _stamp(found: os.DirEntry[str]) -> Stamp:
    """The stamp of a file; of a link that leads nowhere its own: that is found out when it is read."""
    try:
        return Stamp.of(found.stat())
    except OSError:
        return Stamp.of(found.stat(follow_symlinks=False))


def entry(root: Path, found: Files) -> Entry:
    """One run of a history.

    Raises:
        HistoryError: One of its files cannot be read, is truncated, or holds what it cannot hold.
    """
    path = root / found.name
    return Entry(path=path, record=load(path), report=report(root, found))


def report(root: Path, found: Files) -> CheckReport | None:
    """What was said of a run of a history; `None` where it was not judged.

    Raises:
        HistoryError: The file cannot be read, is truncated, or holds what it cannot hold.
    """
    path = root / found.report_name
    return None if found.report is None else layout.decode_report(read(path), str(path))


def announced(root: Path, found: Sequence[Files]) -> Iterator[Files]:
    """The same files one after the other, while the system fetches some that come later, where it can be asked to."""
    later = found[_AHEAD:] if hasattr(os, "posix_fadvise") else ()
    for each, coming in zip_longest(found, later):
        if coming is not None:
            _announce(root / coming.name)
            if coming.report is not None:
                _announce(root / coming.report_name)
        yield each


def _announce(path: Path) -> None:
    """Has the system fetch a file; one that cannot be read is told of when it is read."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)


def read(path: Path) -> bytes:
    """A file's content.

    Raises:
        HistoryError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise HistoryError(f"{path}: {error.strerror or error}") from error


def write(path: Path, data: bytes, *, new: bool = False) -> Path:
    """Writes a file whole or not at all; its path.

    Args:
        path: Where; folders that are missing are made.
        data: Its content.
        new: Refuse to replace a file that is there.

    Raises:
        HistoryError: It cannot be written, or is there although it must be new.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        if new and path.exists():
            raise FileExistsError(errno.EEXIST, "it is there already")
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        there = error.errno == errno.EEXIST
        raise HistoryError(
            f"{path}: cannot be written: {error.strerror or error}",
            hint="move it away to write it anew" if there else "free space there, or name another folder",
        ) from error
    return path
