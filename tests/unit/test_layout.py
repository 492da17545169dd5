"""Places in a history: what a path says, and whether a file is that."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from factories import make_import, make_record, make_report

from regress import layout
from regress.errors import HistoryError
from regress.layout import Place, check_file, place_for, place_of
from regress.record import encode

RECORD = make_record()
ID = RECORD.id
NAME = f"bench/2026/10/{ID}.json"
REPORT_NAME = f"bench/2026/10/{ID}.check.json"


def test_a_path_names_runner_month_and_id() -> None:
    """And whether it is the record or what was said of it."""
    place = place_of(NAME)
    assert place == Place(runner="bench", year="2026", month="10", id=ID)
    report = place_of(REPORT_NAME)
    assert report is not None
    assert report.is_report
    assert (report.name, report.folder, report.record) == (REPORT_NAME, "bench/2026/10", place)


def test_an_import_lies_where_a_record_would() -> None:
    """It is about no record but itself; under the name of a record, or a record under its, it is none."""
    imported = make_import()
    name = f"bench/2026/10/{imported.id}.import.json"
    place = place_of(name)
    assert place == place_for(imported)
    assert place is not None
    assert (place.is_import, place.is_report, place.record) == (True, False, place)
    assert check_file(name, encode(imported)) == place
    swapped = ((name.replace(".import", ""), imported), (NAME.replace(".json", ".import.json"), RECORD))
    for wrong, stored in swapped:
        with pytest.raises(HistoryError):
            check_file(wrong, encode(stored))


@pytest.mark.parametrize(
    "name",
    [
        "../2026/10/a.json",
        "/bench/2026/10/a.json",
        "bench/../10/a.json",
        "bench/2026/1/a.json",
        "bench/2026/10/a.txt",
        "bench/2026/10/a.json\n",
        "bench/2026/10/.hidden.json",
        "bench/2026/10/.json",
        "bench/2026/10/a/b.json",
        ".bench/2026/10/a.json",
        "bench/2026/10/a b.json",
        f"bench/2026/10/{'a' * 161}.json",
        f"{'a' * 161}/2026/10/a.json",
        "README.md",
        "",
    ],
)
def test_other_paths_are_no_places(name: str) -> None:
    """Nothing leads out of the history, is hidden in it, or too long for a file's name."""
    assert place_of(name) is None
    with pytest.raises(HistoryError, match="no place in a history"):
        check_file(name, encode(RECORD))


def test_a_record_belongs_to_the_month_of_its_own_clock() -> None:
    """As it was written down, with its offset: half past midnight in Tokyo is the new month there."""
    at = datetime(2026, 11, 1, 0, 30, tzinfo=timezone(timedelta(hours=9)))
    assert place_for(make_record(at=at)).folder == "bench/2026/11"


def test_a_file_that_is_what_its_path_says_is_good() -> None:
    assert check_file(NAME, encode(RECORD)) == place_of(NAME)
    assert check_file(REPORT_NAME, encode(make_report(RECORD, RECORD))) == place_of(REPORT_NAME)


@pytest.mark.parametrize("wrong", [f"other/2026/10/{ID}.json", f"bench/2025/10/{ID}.json", "bench/2026/10/x.json"])
def test_a_record_in_another_place_is_refused(wrong: str) -> None:
    """With the place where it belongs."""
    with pytest.raises(HistoryError, match=f"^{wrong}: it is the record {NAME}, by its runner"):
        check_file(wrong, encode(RECORD))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("bench/2026/10/x.check.json", f"record: '{ID}' is not 'x', which its path says"),
        (f"other/2026/10/{ID}.check.json", "runner: 'bench' is not 'other', which its path says"),
    ],
)
def test_a_report_of_another_record_is_refused(wrong: str, message: str) -> None:
    with pytest.raises(HistoryError) as caught:
        check_file(wrong, encode(make_report(RECORD, RECORD)))
    assert str(caught.value) == f"{wrong}: {message}"


def test_a_record_is_no_report_and_a_report_no_record() -> None:
    with pytest.raises(HistoryError, match=f"^{REPORT_NAME}: "):
        check_file(REPORT_NAME, encode(RECORD))
    with pytest.raises(HistoryError, match=r"unknown field|missing required field"):
        check_file(NAME, encode(make_report(RECORD, RECORD)))


def test_an_error_quotes_nothing_that_speaks_to_the_terminal() -> None:
    """Nor more than a few lines of it: anybody may have written the file."""
    hostile = encode(RECORD).replace(b'"regress":', b'"\\u001b[2J\\n::error::x":', 1)
    with pytest.raises(HistoryError) as caught:
        check_file(NAME, hostile)
    assert str(caught.value) == f"{NAME}: Object contains unknown field `\\x1b[2J\\n::error::x`"
    with pytest.raises(HistoryError) as caught:
        check_file(NAME, encode(RECORD).replace(b'"regress":', b'"%b":' % (b"x" * 2**20), 1))
    assert len(str(caught.value)) == 500


def test_what_is_too_large_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "LARGEST_FILE_BYTES", 2**20)
    with pytest.raises(HistoryError, match=r"json: 2 MiB are no record: more than 1 MiB"):
        check_file(NAME, b" " * 2**21)
