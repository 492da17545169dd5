"""Where the files of a run lie in a history, and whether a file is what its place says.

    <runner>/<yyyy>/<mm>/<id>.json           the record
    <runner>/<yyyy>/<mm>/<id>.check.json     what was said of it when it was measured
    <runner>/<yyyy>/<mm>/<id>.import.json    figures of others, which are no record

A file may come from a machine that nobody here knows: it is believed only after `check_file`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from regress.errors import HistoryError
from regress.imported import Imported, decode_imported
from regress.record import Record, decode_record, decode_stored
from regress.redact import printable
from regress.stored import MOST_NAMED
from regress.verdict import SCHEMA as REPORT_SCHEMA
from regress.verdict import CheckReport

SUFFIX = ".json"
REPORT_SUFFIX = ".check.json"
IMPORT_SUFFIX = ".import.json"
LARGEST_FILE_BYTES = 32 * 2**20
"""A larger file is none of ours: records are of less than 1 MB."""

_LONGEST_MESSAGE = 500
# An id that begins with a dot would be a hidden file, which a history does not see.
_NAME = re.compile(
    r"(?P<runner>[0-9A-Za-z][0-9A-Za-z._-]*)/(?P<year>[0-9]{4})/(?P<month>[0-9]{2})/"
    r"(?P<id>[0-9A-Za-z_+-][0-9A-Za-z._+-]*?)(?P<suffix>(?:\.check|\.import)?\.json)"
)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one file lies in a history.

    Attributes:
        runner: Nickname of the machine.
        year: Four digits.
        month: Two digits.
        id: The record's.
        suffix: What follows the id, which tells a record from what was said of it, and from an import.
    """

    runner: str
    year: str
    month: str
    id: str
    suffix: str = SUFFIX

    @property
    def folder(self) -> str:
        """The folder of its month, such as `orin/2026/10`."""
        return f"{self.runner}/{self.year}/{self.month}"

    @property
    def name(self) -> str:
        """Its path in the history, such as `orin/2026/10/<id>.json`."""
        return f"{self.folder}/{self.id}{self.suffix}"

    @property
    def is_report(self) -> bool:
        """Whether it is what was said of a record."""
        return self.suffix == REPORT_SUFFIX

    @property
    def is_import(self) -> bool:
        """Whether it is figures of others."""
        return self.suffix == IMPORT_SUFFIX

    @property
    def report(self) -> Place:
        """Where the report lies, or would, that is about the record."""
        return replace(self, suffix=REPORT_SUFFIX)

    @property
    def record(self) -> Place:
        """Where the record lies that it is about; an import is about none but itself."""
        return replace(self, suffix=SUFFIX) if self.is_report else self


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
        suffix=match["suffix"],
    )


def place_for(stored: Record | Imported) -> Place:
    """Where a record or an import belongs."""
    at, suffix = stored.recorded_at, SUFFIX if isinstance(stored, Record) else IMPORT_SUFFIX
    return Place(runner=stored.runner, year=f"{at:%Y}", month=f"{at:%m}", id=stored.id, suffix=suffix)


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
            decode = decode_imported if place.is_import else decode_record
            _check_stored(place, decode(data, name))
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


def _check_stored(place: Place, stored: Record | Imported) -> None:
    belongs = place_for(stored)
    if belongs != place:
        what = "import" if place.is_import else "record"
        raise HistoryError(
            f"{place.name}: it is the {what} {belongs.name}, by its runner, recorded_at and id",
            hint="a file of a history stays where it was written, and as it was written",
        )


def _check_report(place: Place, report: CheckReport) -> None:
    said = {"record": (report.record, place.id), "runner": (report.runner, place.runner)}
    for key, (value, expected) in said.items():
        if value != expected:
            raise HistoryError(f"{place.name}: {key}: '{value}' is not '{expected}', which its path says")
