"""The history folder: it only grows, and there is never half of a file."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from factories import NOON, make_record, make_report

from regress import history
from regress.errors import HistoryError

if TYPE_CHECKING:
    from pathlib import Path


def refuse(error: HistoryError) -> None:
    pytest.fail(str(error))


def test_a_record_lies_where_its_runner_and_month_say(tmp_path: Path) -> None:
    """<runner>/<yyyy>/<mm>/<id>.json, and reads back the same."""
    record = make_record()
    path = history.append(record, tmp_path)
    assert path == tmp_path / "bench" / "2026" / "10" / f"{record.id}.json"
    assert history.load(path) == record


def test_nothing_but_whole_files_is_left(tmp_path: Path) -> None:
    """No temporary file stays, after success or failure."""
    record = make_record()
    history.append(record, tmp_path)
    with pytest.raises(HistoryError, match="it is there already"):
        history.append(record, tmp_path)
    assert [path.name for path in tmp_path.rglob("*.*")] == [f"{record.id}.json"]


def test_a_file_that_cannot_be_flushed_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is one line that names the file; what was there before stays."""
    target = tmp_path / "baseline.toml"
    target.write_text("before", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(HistoryError, match=r"baseline\.toml: cannot be written: No space left on device"):
        history.write(target, b"after")
    assert [path.name for path in tmp_path.iterdir()] == ["baseline.toml"]
    assert target.read_text(encoding="utf-8") == "before"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "bench").write_text("", encoding="utf-8")
    with pytest.raises(HistoryError, match=r"bench.*cannot be written"):
        history.append(make_record(), tmp_path)


def test_entries_come_oldest_first_with_their_reports(tmp_path: Path) -> None:
    """A report lies beside its record and is not taken for one."""
    old, new = make_record(at=NOON - timedelta(days=40)), make_record(toolchain="tvm-0.27.0")
    path = history.append(new, tmp_path)
    history.append_report(make_report(new, old), path)
    history.append(old, tmp_path)
    entries = history.entries(tmp_path, on_bad=refuse)
    assert [entry.record.id for entry in entries] == [old.id, new.id]
    assert entries[0].report is None
    assert entries[1].report == make_report(new, old)


def test_a_bad_file_among_good_ones_is_named_and_the_others_stay(tmp_path: Path) -> None:
    """One truncated record, or one with a flipped bit, hides nothing else; a report of that kind hides its own."""
    path = history.append(make_record(), tmp_path)
    old = history.append(make_record(at=NOON - timedelta(days=40)), tmp_path)
    report = old.with_name(f"{old.stem}.check.json")
    report.write_bytes(b'{"schema": 1, "record": "\xff"}')
    broken, flipped = path.with_name("broken.json"), path.with_name("flipped.json")
    broken.write_bytes(path.read_bytes()[:100])
    flipped.write_bytes(path.read_bytes().replace(b'"runner": "', b'"runner": "\xff'))
    bad: list[HistoryError] = []
    assert len(history.entries(tmp_path, on_bad=bad.append)) == 1
    assert {str(error).partition(": ")[0] for error in bad} == {str(each) for each in (report, broken, flipped)}


def test_a_history_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """The first run begins with nothing."""
    assert history.entries(tmp_path / "none", on_bad=refuse) == []


def test_files_are_listed_by_name_with_what_shows_a_change(tmp_path: Path) -> None:
    """Reports stand beside their records; what is half written, or hidden, is not listed."""
    record = make_record()
    path = history.append(record, tmp_path)
    report = history.append_report(make_report(record, record), path)
    other = history.append(make_record(at=NOON - timedelta(days=40)), tmp_path)
    path.with_name(".half.json").write_bytes(b"")
    path.with_name("notes.txt").write_bytes(b"")

    older, newer = history.files(tmp_path)

    assert [older.name, newer.name] == [str(each.relative_to(tmp_path)) for each in (other, path)]
    assert (older.report, newer.folder) == (None, "bench")
    assert newer.record == history.Stamp(path.stat().st_size, path.stat().st_mtime_ns)
    assert newer.report == history.Stamp(report.stat().st_size, report.stat().st_mtime_ns)
    assert tmp_path / newer.report_name == report
    assert history.entry(tmp_path, newer) == history.Entry(path=path, record=record, report=make_report(record, record))
    assert history.files(tmp_path / "none") == []


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 30])
def test_files_that_come_later_are_fetched_once_each_and_all_come_in_order(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ones are there sooner than they could be asked for; one that is gone is for its reader to tell of."""
    stamp = history.Stamp(1, 1)
    found = [history.Files(f"bench/{number}.json", stamp, stamp if number % 2 else None) for number in range(count)]
    asked: list[Path] = []
    monkeypatch.setattr(history, "_announce", asked.append)

    assert list(history.announced(tmp_path, found)) == found
    names = [
        name for each in found[8:] for name in ([each.name] if each.report is None else [each.name, each.report_name])
    ]
    assert asked == [tmp_path / name for name in names]

    monkeypatch.undo()
    assert list(history.announced(tmp_path, found)) == found  # none of these is there


def test_nothing_is_fetched_where_the_system_cannot_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.posix_fadvise")
    monkeypatch.setattr(history, "_announce", lambda _: pytest.fail("it was asked"))
    found = [history.Files(f"bench/{number}.json", history.Stamp(1, 1), None) for number in range(20)]

    assert list(history.announced(tmp_path, found)) == found


def test_ids_differ_within_one_second() -> None:
    """Two writers in the same second never meet."""
    ids = {history.record_id(NOON, "tvm-0.26.0") for _ in range(100)}
    assert len(ids) == 100
    assert all(each.startswith("20261003T120000Z-tvm-0.26.0-") for each in ids)
