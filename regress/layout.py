"""Where the files of a run lie in a history, and whether a file is what its place says.

    <runner>/<yyyy>/<mm>/<id>.json           the record
    <runner>/<yyyy>/<mm>/<id>.check.json     what was said of it when it was measured

A file may come from a machine that nobody here knows: it is believed only after `check_file`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from regress.errors import HistoryError
from regress.record import Record, decode_record, decode_stored
from regress.redact import printable
from regress.stored import MOST_NAMED
from regress.verdict import SCHEMA as REPORT_SCHEMA
from regress.verdict import CheckReport

SUFFIX = ".json"
REPORT_SUFFIX = ".check.json"
LARGEST_FILE_BYTES = 32 * 2**20
"""A larger file is none of ours: records are of 0.3 to 1 MB."""

_LONGEST_MESSAGE = 500
# An id that begins with a dot would be a hidden file, which a history does not see.
_NAME = re.compile(
    r"(?P<runner>[0-9A-Za-z][0-9A-Za-z._-]*)/(?P<year>[0-9]{4})/(?P<month>[0-9]{2})/"
    r"(?P<id>[0-9A-Za-z_+-][0-9A-Za-z._+-]*?)(?P<report>\.check)?\.json"
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one file lies in a history.

    Attributes:
        runner: Nickname of the machine.
        year: Four digits.
        month: Two digits.
        id: The record's.
        is_report: Whether it is what was said of the record, and not the record.
    """

    runner: str
    year: str
    month: str
    id: str
    is_report: bool = False

    @property
    def folder(self) -> str:
        """The folder of its month, such as `orin/2026/10`."""
        return f"{self.runner}/{self.year}/{self.month}"

    @property
    def name(self) -> str:
        """Its path in the history, such as `orin/2026/10/<id>.json`."""
        return f"{self.folder}/{self.id}{REPORT_SUFFIX if self.is_report else SUFFIX}"

    @property
    def record(self) -> Place:
        """Where the record lies that it is about."""
        return replace(self, is_report=False)


def place_of(name: str) -> Place | None:
    """The place that a path in a history names; `None` where no file of a history can have that path."""
    match = _NAME.fullmatch(name)
    if not match or max(len(match["runner"]), len(match["id"])) > MOST_NAMED:
        return None
    return Place(
        runner=match["runner"],
        year=match["year"],
        month=match["month"],
        id=match["id"],
        is_report=match["report"] is not None,
    )


def place_for(record: Record) -> Place:
    """Where a record belongs."""
    at = record.recorded_at
    return Place(runner=record.runner, year=f"{at:%Y}", month=f"{at:%m}", id=record.id)


def decode_report(data: bytes, name: str) -> CheckReport:
    """The report in a file's content.

    Args:
        data: The file's content.
        name: The file's name, for errors.

    Raises:
        HistoryError: It is truncated, of a newer schema, or a field is missing, unknown or out of range.
    """
    return decode_stored(data, CheckReport, newest=REPORT_SCHEMA, name=name)


def check_file(name: str, data: bytes) -> Place:
    """The place of a file that is what its path in the history says.

    Raises:
        HistoryError: The path is none of a history, or the content cannot be read or belongs elsewhere.
    """
    place = place_of(name)
    if place is None:
        raise misplaced(name)
    check_size(name, len(data))
    try:
        if place.is_report:
            _check_report(place, decode_report(data, name))
        else:
            _check_record(place, decode_record(data, name))
    except HistoryError as error:  # it may quote what anybody wrote
        raise HistoryError(printable(str(error))[:_LONGEST_MESSAGE], hint=error.hint) from error
    return place


def misplaced(name: str) -> HistoryError:
    """What is wrong with a file whose path is none of a history."""
    return HistoryError(f"{printable(name)}: no place in a history, where files are <runner>/<yyyy>/<mm>/<id>{SUFFIX}")


def check_size(name: str, size_bytes: int) -> None:
    """Refuses a file that is too large to be a record.

    Raises:
        HistoryError: It is.
    """
    if size_bytes > LARGEST_FILE_BYTES:
        largest_mb = LARGEST_FILE_BYTES / 2**20
        raise HistoryError(f"{name}: {size_bytes / 2**20:,.0f} MiB are no record: more than {largest_mb:.0f} MiB")


def _check_record(place: Place, record: Record) -> None:
    belongs = place_for(record)
    if belongs != place:
        raise HistoryError(
            f"{place.name}: it is the record {belongs.name}, by its runner, recorded_at and id",
            hint="a file of a history stays where it was written, and as it was written",
        )


def _check_report(place: Place, report: CheckReport) -> None:
    said = {"record": (report.record, place.id), "runner": (report.runner, place.runner)}
    for key, (value, expected) in said.items():
        if value != expected:
            raise HistoryError(f"{place.name}: {key}: '{value}' is not '{expected}', which its path says")
