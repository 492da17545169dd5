"""A history folder as one side of an exchange."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from factories import NOON, make_record, make_report

from regress import history
from regress.layout import place_for
from regress.record import encode
from regress.remote.folder import Folder
from regress.remote.seen import Seen

if TYPE_CHECKING:
    from pathlib import Path

    from regress.record import Record

ROOT = "history"


def record(day: int) -> Record:
    return make_record(at=NOON + timedelta(days=day))


def store(tmp_path: Path, day: int, *, judged: bool = True) -> list[str]:
    """Names of a new run's files."""
    root = tmp_path / ROOT
    path = history.append(record(day), root)
    if not judged:
        return [str(path.relative_to(root))]
    report = history.append_report(make_report(record(day), record(day)), path)
    return [str(each.relative_to(root)) for each in (path, report)]


def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / ROOT, Seen(tmp_path / "seen.json"))


def never(name: str, _: bytes) -> bool:
    pytest.fail(f"{name} was compared")


def messages(side: Folder) -> list[str]:
    return [str(error) for error in side.problems]


def test_what_the_remote_lacks_is_given_records_first(tmp_path: Path) -> None:
    one, two, there = store(tmp_path, 1), store(tmp_path, 2), store(tmp_path, 3, judged=False)
    side = folder(tmp_path)
    side.given(there[0], "mark")
    assert side.to_give({there[0]: "mark"}, never) == [one[0], two[0], one[1], two[1]]
    assert side.problems == []


def test_what_was_compared_is_not_read_again(tmp_path: Path) -> None:
    """Until one of both sides changes, also in another process."""
    (name,) = store(tmp_path, 1, judged=False)
    side = folder(tmp_path)
    assert side.to_give({name: "mark"}, lambda *_: True) == []
    side.seen.save()
    assert folder(tmp_path).unseen() == []
    assert folder(tmp_path).to_give({name: "mark"}, never) == []
    changed = folder(tmp_path)
    assert changed.to_give({name: "other"}, lambda *_: False) == []
    assert messages(changed) == [f"{name}: the remote has another file of this name"]


def test_a_file_that_the_remote_has_lost_is_given_again(tmp_path: Path) -> None:
    (name,) = store(tmp_path, 1, judged=False)
    side = folder(tmp_path)
    side.given(name, "mark")
    assert side.has_lost({}, {"bench/2026/10"})
    assert not side.has_lost({}, {"bench/2026/11"})
    assert side.to_give({}, never) == [name]


def test_a_report_goes_where_its_record_is(tmp_path: Path) -> None:
    """What one look at the remote refused, a newer one may let go."""
    name, report = store(tmp_path, 1)
    (tmp_path / ROOT / name).unlink()
    side = folder(tmp_path)
    assert side.to_give({}, never) == []
    assert messages(side) == [f"{report}: its record is not there, or not good"]
    assert side.to_give({name: "mark"}, never) == [report]
    assert messages(side) == []


def test_a_report_stays_with_a_record_that_cannot_go(tmp_path: Path) -> None:
    name, report = store(tmp_path, 1)
    (tmp_path / ROOT / name).write_bytes(b"{}")
    side = folder(tmp_path)
    assert side.to_give({}, never) == []
    assert [message.partition(": ")[0] for message in messages(side)] == [report, name]


def test_a_report_does_not_go_to_another_record_of_that_name(tmp_path: Path) -> None:
    """Neither there nor here: it would speak of what nobody measured."""
    name, report = store(tmp_path, 1)
    side = folder(tmp_path)
    differ = f"{name}: the remote has another file of this name"
    alone = f"{report}: its record is not there, or not good"
    assert side.to_give({name: "mark"}, lambda *_: False) == []
    assert messages(side) == [alone, differ]
    data = (tmp_path / ROOT / report).read_bytes()
    (tmp_path / ROOT / report).unlink()
    side = folder(tmp_path)
    assert side.to_take({name: "mark", report: "x"}, lambda *_: False) == [report]
    side.take(report, data, "x")
    assert (side.taken, messages(side)) == ([], [alone, differ])


def test_what_is_taken_is_written_and_known(tmp_path: Path) -> None:
    """Records before reports; another look finds nothing more to take."""
    judged = make_report(record(1), record(1))
    name = place_for(record(1)).name
    report = name.replace(".json", ".check.json")
    side = folder(tmp_path)
    marks = {report: "b", name: "a"}
    assert side.to_take(marks, never) == [name, report]
    side.take(name, encode(record(1)), "a")
    side.take(report, encode(judged), "b")
    assert side.taken == [name, report]
    assert side.to_take(marks, never) == []
    assert history.load(tmp_path / ROOT / name) == record(1)


def test_what_is_no_record_is_not_taken(tmp_path: Path) -> None:
    """Damaged, of another place, or a report without its record."""
    name = place_for(record(1)).name
    report = name.replace(".json", ".check.json")
    side = folder(tmp_path)
    assert side.to_take({name: "a", "../evil.json": "b", "x.txt": "c"}, never) == [name]
    side.take(name, encode(record(2)), "a")
    side.take(report, encode(make_report(record(1), record(1))), "b")
    assert side.taken == []
    assert not (tmp_path / ROOT).exists()
    assert messages(side) == [
        "the remote has what is no file of a history: ../evil.json, and 1 more",
        f"{report}: its record is not there, or not good",
        f"{name}: it is the record {place_for(record(2)).name}, by its runner, recorded_at and id",
    ]


def test_a_file_that_came_in_between_is_not_replaced(tmp_path: Path) -> None:
    """The same bytes are well, others a problem."""
    side = folder(tmp_path)
    name = place_for(record(1)).name
    side.to_take({name: "a"}, never)
    path = history.append(record(1), tmp_path / ROOT)
    side.take(name, encode(record(1)), "a")
    assert messages(side) == []
    path.write_bytes(b"other")
    side.take(name, encode(record(1)), "a")
    assert messages(side) == [f"{name}: the remote has another file of this name"]
    assert path.read_bytes() == b"other"


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """It leads out of the history."""
    (tmp_path / ROOT).mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ROOT / "bench").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    name = place_for(record(1)).name
    side = folder(tmp_path)
    side.take(name, encode(record(1)), "a")
    assert f"{name}: bench is a link here: a history holds folders and plain files" in messages(side)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_what_was_seen_may_be_lost(tmp_path: Path) -> None:
    """A damaged note is none."""
    (tmp_path / "seen.json").write_bytes(b'{"x": [')
    (name,) = store(tmp_path, 1, judged=False)
    assert folder(tmp_path).unseen() == [name]
