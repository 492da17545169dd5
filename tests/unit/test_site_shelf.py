"""The facts of a runner: read once, and what cannot be used is named each time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest
from factories import make_record, sha
from site_entries import entry, facts, judged, later, slow, store

from regress import history
from regress.record import encode
from regress.site import shelf as module
from regress.site.shelf import months, read, shelf
from regress.site.sketch import sketch

if TYPE_CHECKING:
    from pathlib import Path

    from regress.site.shelf import Month, Shelf

RECORD, REPORT = "bench/2026/10/0.json", "bench/2026/10/0.check.json"


def months_of(folder: Path, edition: str = "first") -> list[Month]:
    """The months of a runner."""
    return months(folder, history.files(folder), folder.with_name("cache"), edition)


def look(folder: Path, edition: str = "first") -> Shelf:
    """What the files in a folder say."""
    return shelf(months_of(folder, edition))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the records that are read."""
    names: list[str] = []
    read = sketch

    def noted(record: bytes, report: bytes | None, name: str, report_name: str) -> object:
        names.append(name)
        return read(record, report, name, report_name)

    monkeypatch.setattr(module, "sketch", noted)
    return names


def test_facts_are_those_of_the_files(tmp_path: Path) -> None:
    one, two = entry(), judged(later(1, slow()))

    found = look(store([one, two], tmp_path / "history"))

    assert list(found.facts.values()) == [facts(one), facts(two)]
    assert [files.name for files in found.facts] == [RECORD, "bench/2026/10/1.json"]
    assert found.unusable == ()


def test_a_record_is_read_once(tmp_path: Path, reads: list[str]) -> None:
    folder = store([entry()], tmp_path / "history")
    first = look(folder)
    (folder / "bench/2026/10/9.json").write_bytes(encode(later(1)))

    second = look(folder)

    assert reads == [RECORD, "bench/2026/10/9.json"]
    assert list(second.facts.values())[:1] == list(first.facts.values())
    assert look(folder) == second
    assert len(reads) == 2


@pytest.mark.parametrize("changed", [RECORD, REPORT])
def test_files_that_changed_are_read_again(tmp_path: Path, reads: list[str], changed: str) -> None:
    folder = store([judged(later(1))], tmp_path / "history")
    look(folder)
    os.utime(folder / changed, (1, 1))

    look(folder)

    assert reads == [RECORD, RECORD]


def test_a_report_that_came_later_is_read(tmp_path: Path) -> None:
    said, folder = judged(later(1, slow())), tmp_path / "history"
    assert said.report is not None
    store([entry(said.record)], folder)
    assert [each.run.outcome for each in look(folder).facts.values()] == [None]

    (folder / REPORT).write_bytes(encode(said.report))

    assert [each.run.outcome for each in look(folder).facts.values()] == ["regressed"]


def test_what_is_gone_from_the_history_is_gone(tmp_path: Path) -> None:
    folder = store([entry(), entry(later(1))], tmp_path / "history")
    look(folder)
    (folder / RECORD).unlink()

    assert [files.name for files in look(folder).facts] == ["bench/2026/10/1.json"]


def test_facts_of_another_edition_are_read_again(tmp_path: Path, reads: list[str]) -> None:
    """Code that reads something else of a record must not find what older code read."""
    folder = store([entry()], tmp_path / "history")

    assert look(folder, "first") == look(folder, "second")
    assert reads == [RECORD, RECORD]


def test_a_damaged_cache_is_read_anew_and_mended(tmp_path: Path, reads: list[str]) -> None:
    folder = store([entry()], tmp_path / "history")
    found = look(folder)
    (month,) = months_of(folder)
    month.kept.write_bytes(b"\xc1")

    assert look(folder) == look(folder) == found
    assert reads == [RECORD, RECORD]


def test_what_cannot_be_used_is_named_each_time_and_the_others_stay(tmp_path: Path) -> None:
    folder = store([entry(), judged(later(1)), entry(later(2))], tmp_path / "history")
    (folder / RECORD).write_bytes(b'{"schema": 2')
    (folder / "bench/2026/10/1.check.json").write_bytes(b'{"schema": 99}')

    for _ in range(2):
        found = look(folder)
        assert [files.name for files in found.facts] == ["bench/2026/10/2.json"]
        assert [cause.partition(": ")[0] for cause in found.unusable] == [RECORD, "bench/2026/10/1.check.json"]


def test_a_file_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    folder = store([entry()], tmp_path / "history")
    (folder / "bench/2026/10/link.json").symlink_to(tmp_path / "nowhere")

    assert look(folder).unusable == ("bench/2026/10/link.json: No such file or directory",)


def test_of_two_files_with_one_id_the_second_is_named(tmp_path: Path) -> None:
    """Their pages would lie at the same place."""
    record = make_record()
    folder = store([entry(record), entry(msgspec.structs.replace(record, harness=sha("other")))], tmp_path / "history")

    found = look(folder)

    assert [each.run.harness for each in found.facts.values()] == [record.harness]
    assert found.unusable == (f"bench/2026/10/1.json: id: that of {RECORD}",)


def test_a_record_in_the_folder_of_another_runner_is_named(tmp_path: Path) -> None:
    folder = store([entry()], tmp_path / "history")
    (folder / "bench").rename(folder / "elsewhere")

    (cause,) = look(folder).unusable

    assert cause == "elsewhere/2026/10/0.json: runner: 'bench', which is not the folder that it lies in"


def test_one_more_run_has_the_facts_of_its_own_month_alone_written(tmp_path: Path) -> None:
    folder = store([entry(), entry(later(1))], tmp_path / "history")
    november = folder / "bench" / "2026" / "11"
    november.mkdir()
    (november / "0.json").write_bytes(encode(later(31)))
    look(folder)
    kept = {month.kept: month.kept.stat().st_mtime_ns for month in months_of(folder)}
    (november / "1.json").write_bytes(encode(later(32)))

    assert [[files.name for files in month.unread] for month in months_of(folder)] == [[], ["bench/2026/11/1.json"]]
    found = look(folder)

    assert [str(path.relative_to(tmp_path)) for path in kept] == [
        "cache/bench/2026/10.msgpack",
        "cache/bench/2026/11.msgpack",
    ]
    assert [path.stat().st_mtime_ns != moment for path, moment in kept.items()] == [False, True]
    assert [files.name.removeprefix("bench/2026/") for files in found.facts] == [
        "10/0.json",
        "10/1.json",
        "11/0.json",
        "11/1.json",
    ]


def test_a_folder_in_a_months_folder_has_a_place_of_its_own(tmp_path: Path, reads: list[str]) -> None:
    """Whatever names its files have: sorted, they stand between those of the month."""
    folder = store([entry(), entry(later(1))], tmp_path / "history")
    within = folder / "bench" / "2026" / "10" / "0.more"
    within.mkdir()
    (within / "0.json").write_bytes(encode(later(2)))
    first = look(folder)

    assert len(months_of(folder)) == 2
    assert look(folder) == first
    assert len(reads) == len(first.facts) == 3


def test_what_was_read_before_it_is_asked_for_is_not_read_again(tmp_path: Path, reads: list[str]) -> None:
    (month,) = months_of(store([entry()], tmp_path / "history"))
    before = month.unread

    read(month)

    assert (before, month.unread) == (list(month.files), [])
    assert len(shelf([month]).facts) == 1
    assert reads == [RECORD]


def test_facts_of_another_edition_and_of_files_that_cannot_be_used_are_not_there(tmp_path: Path) -> None:
    folder = store([entry(), entry(later(1))], tmp_path / "history")
    (folder / RECORD).write_bytes(b"{")
    look(folder)

    assert [[files.name for files in month.unread] for month in months_of(folder)] == [[RECORD]]
    assert [len(month.unread) for month in months_of(folder, "second")] == [2]
