"""The history: one immutable JSON file per run, in a folder that only grows.

    <runner>/<yyyy>/<mm>/<time>-<toolchain>-<random>.json          the record
    <runner>/<yyyy>/<mm>/<time>-<toolchain>-<random>.check.json    what was said of it when it was measured

No two writers ever touch the same path. A file is written under a temporary name, flushed to disk and renamed, so
that there is never half of one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from regress.errors import HistoryError
from regress.record import Record, decode_record, encode
from regress.stored import DAMAGED
from regress.verdict import SCHEMA as REPORT_SCHEMA
from regress.verdict import CheckReport

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

REPORT_SUFFIX = ".check.json"


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
    folder = root / record.runner / f"{record.recorded_at:%Y}" / f"{record.recorded_at:%m}"
    return write(folder / f"{record.id}.json", encode(record), new=True)


def append_report(report: CheckReport, record: Path) -> Path:
    """Writes what was said of a record beside it; the path.

    Raises:
        HistoryError: The folder cannot be written, or the record has a report already.
    """
    return write(record.with_name(record.stem + REPORT_SUFFIX), encode(report), new=True)


def load(path: Path) -> Record:
    """The record in a file.

    Raises:
        HistoryError: It cannot be read, is truncated, or holds what a record cannot hold.
    """
    return decode_record(read(path), str(path))


def entries(root: Path, on_bad: Callable[[HistoryError], None]) -> list[Entry]:
    """All runs of a history, oldest first.

    Args:
        root: Its folder; one that is not there is an empty history.
        on_bad: Called with the error of each file that cannot be used; the others are still returned.
    """
    found: list[Entry] = []
    for path in sorted(root.rglob("*.json")):
        if path.name.endswith(REPORT_SUFFIX) or path.name.startswith("."):
            continue
        try:
            record = load(path)
            found.append(Entry(path=path, record=record, report=_report_of(path)))
        except HistoryError as error:
            on_bad(error)
    return sorted(found, key=lambda entry: (entry.record.recorded_at, entry.record.id))


def _report_of(record: Path) -> CheckReport | None:
    path = record.with_name(record.stem + REPORT_SUFFIX)
    if not path.exists():
        return None
    try:
        report = msgspec.json.decode(read(path), type=CheckReport)
    except DAMAGED as error:
        raise HistoryError(f"{path}: {error}") from error
    if report.schema > REPORT_SCHEMA:
        raise HistoryError(f"{path}: schema {report.schema} is newer than this regress reads ({REPORT_SCHEMA})")
    return report


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
        raise HistoryError(
            f"{path}: cannot be written: {error.strerror or error}",
            hint="free space there, or name another folder",
        ) from error
    return path
