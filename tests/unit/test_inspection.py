"""What is wrong with a history: every file named that is not what it should be."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from factories import NOON, make_record, make_report

from regress import history, layout
from regress.errors import HistoryError
from regress.inspection import contents, inspect, read_checked
from regress.record import encode

if TYPE_CHECKING:
    from pathlib import Path


def problems(root: Path) -> list[str]:
    return list(inspect(root, contents(root), map).problems)


def test_a_good_history_has_no_problem(tmp_path: Path) -> None:
    """Counted by kind; hidden files, such as a write leaves that was killed, are none of its own."""
    record = make_record()
    path = history.append(record, tmp_path)
    history.append_report(make_report(record, record), path)
    history.append(make_record(at=NOON - timedelta(days=1)), tmp_path)
    path.with_name(".half.json.1234.tmp").write_bytes(b"")
    found = inspect(tmp_path, contents(tmp_path), map)
    assert (found.records, found.reports, found.problems) == (2, 1, ())


def test_a_history_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert contents(tmp_path / "none").stamps == {}


def test_each_thing_that_is_wrong_is_a_line(tmp_path: Path) -> None:
    """By name of the file."""
    record = make_record()
    path = history.append(record, tmp_path)
    month = path.parent
    (month / "cut.json").write_bytes(path.read_bytes()[:100])
    (month / "link.json").symlink_to(path)
    (tmp_path / "linked").symlink_to(month, target_is_directory=True)
    (month / "notes.txt").write_bytes(b"")
    (month / "x y.json").write_bytes(b"")
    alone = make_record(at=NOON - timedelta(days=1))
    (month / f"{alone.id}.check.json").write_bytes(encode(make_report(alone, alone)))
    where = "bench/2026/10"
    assert problems(tmp_path) == [
        f"{where}/{alone.id}.check.json: its record is not there",
        f"{where}/cut.json: Input data was truncated",
        f"{where}/link.json: a link or device: a history holds folders and plain files",
        f"{where}/notes.txt: no file of a history",
        f"{where}/x y.json: no place in a history, where files are <runner>/<yyyy>/<mm>/<id>.json",
        "linked: a link or device: a history holds folders and plain files",
    ]


def test_an_id_that_stands_twice_is_named(tmp_path: Path) -> None:
    """Both files are good by themselves."""
    first = make_record()
    path = history.append(first, tmp_path)
    history.append(make_record(runner="other", id=first.id), tmp_path)
    name = str(path.relative_to(tmp_path))
    assert problems(tmp_path) == [f"other/2026/10/{first.id}.json: its id stands twice, in {name}, too"]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much somebody put there."""
    path = history.append(make_record(), tmp_path)
    with path.open("ab") as file:
        file.truncate(2 * layout.LARGEST_FILE_BYTES)

    def refuse(_: Path) -> bytes:
        pytest.fail("it was read")

    monkeypatch.setattr(history, "read", refuse)
    with pytest.raises(HistoryError, match="64 MiB are no record: more than 32 MiB"):
        read_checked(tmp_path, str(path.relative_to(tmp_path)))
