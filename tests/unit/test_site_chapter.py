"""A site that is built again is the one that is built from nothing, byte for byte, whatever changed in between."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import pytest
from factories import CASE, make_broken, make_case, make_environment, make_record, sha
from html_page import read_html
from site_entries import ASSETS, OTHER, TEMPLATES, entry, judged, later, make_baseline, refuse, slow, store

from regress.errors import HistoryError
from regress.record import encode
from regress.site import build, chapter, plotly
from regress.site.extract import Extract, extract
from regress.site.overview import NEWEST_RUNS
from regress.site.plotly import Script
from regress.site.render import Pages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from regress.baseline import Baseline
    from regress.site.chapter import Chapter, Rest
    from regress.site.lengths import Lengths, LengthsName

BENCH = "bench/2026/10"
LONGER = OTHER.replace("p64", "p128")


@dataclass
class Site:
    """A history and what a site of it is made with."""

    folder: Path
    title: str = "Trends"
    baselines: dict[str, Baseline] | None = None

    @property
    def history(self) -> Path:
        return self.folder / "history"

    @property
    def templates(self) -> Path:
        return self.folder / "templates"

    def build(self, name: str = "site", on_bad: Callable[[HistoryError], None] = refuse) -> Path:
        """The web root, with what that cache knows."""
        return build(
            self.history,
            self.folder / name,
            title=self.title,
            templates=self.templates,
            assets=ASSETS,
            cache=self.folder / f"{name}-cache",
            baselines=self.baselines,
            on_bad=on_bad,
        ).parent

    def add(self, name: str, data: bytes) -> None:
        """Writes a file of the history."""
        (self.history / name).write_bytes(data)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Two runners; one with more runs than have a page for their age, events, and series that one run alone has.

    Each has a page over prompt lengths, with the other one beside; without that one run the first has none.
    """
    reference = make_record(make_case(CASE), make_case(OTHER))
    runs = [entry(reference)]
    runs += [
        judged(later(day, slow(40.0 if 4 < day < 7 else 50.0), make_case(OTHER), toolchain=f"t{day // 3}"), reference)
        for day in range(1, NEWEST_RUNS + 9)
    ]
    newest = (make_broken(), make_case(OTHER), make_case(LONGER), make_case("z/q/t/p1+1"))
    runs.append(judged(later(40, *newest, toolchain="new"), reference))
    elsewhere = make_environment(fingerprint=sha("elsewhere"))
    cases = [make_case(f"tiny/q4f16_1/llvm/p{length}+16") for length in (256, 64, 1024)]
    runs += [
        entry(later(day, *cases[: day + 1], runner="elsewhere", environment=elsewhere)) for day in range(len(cases))
    ]
    store(runs, tmp_path / "history")
    shutil.copytree(TEMPLATES, tmp_path / "templates")
    return Site(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def written(folder: Path) -> dict[str, int]:
    """When each file was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def added(site: Site) -> None:
    record = later(50, slow(30.0), make_case(OTHER), toolchain="newer")
    site.add(f"{BENCH}/new.json", encode(record))


def added_in_between(site: Site) -> None:
    """It has the reference's flags and another case, so that others' neighbours change."""
    record = later(2.5, make_case(CASE), make_case("tiny/q0f32/llvm/p8+8"))
    site.add(f"{BENCH}/between.json", encode(record))


def added_on_another_device(site: Site) -> None:
    """Others that show the runner beside themselves say what it is."""
    there = make_environment(fingerprint=sha("there"), device="Another GPU")
    site.add(f"{BENCH}/there.json", encode(later(51, make_case(OTHER), make_case(LONGER), environment=there)))


def judged_later(site: Site) -> None:
    record = later(0, runner="elsewhere", environment=make_environment(fingerprint=sha("elsewhere")))
    name = next(path for path in (site.history / "elsewhere").rglob("*.json"))
    report = judged(later(1)).report
    assert report is not None
    said = msgspec.structs.replace(report, runner="elsewhere", record=record.id)
    name.with_name(f"{name.stem}.check.json").write_bytes(encode(said))


def replaced(site: Site) -> None:
    path = site.history / BENCH / "20.json"
    record = msgspec.json.decode(path.read_bytes())
    record["cases"][0]["replicates"][0]["samples"]["decode_tokens_per_s"] = [12.0]
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1))


def deleted(site: Site) -> None:
    (site.history / BENCH / f"{NEWEST_RUNS + 9}.json").unlink()
    (site.history / BENCH / f"{NEWEST_RUNS + 9}.check.json").unlink()


def runner_deleted(site: Site) -> None:
    shutil.rmtree(site.history / "elsewhere")


def held_otherwise(site: Site) -> None:
    site.baselines = {"bench.toml": make_baseline(make_record(slow(45.0)))}


def titled_otherwise(site: Site) -> None:
    site.title = "Other trends"


def drawn_otherwise(site: Site) -> None:
    path = site.templates / "base.html"
    path.write_text(path.read_text(encoding="utf-8").replace("records alone", "records"), encoding="utf-8")


def touched(site: Site) -> None:
    """As a fresh checkout does."""
    for path in site.history.rglob("*.json"):
        os.utime(path, (1, 1))


CHANGES = [
    added,
    added_in_between,
    added_on_another_device,
    judged_later,
    replaced,
    deleted,
    runner_deleted,
    held_otherwise,
    titled_otherwise,
    drawn_otherwise,
    touched,
]


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_a_site_built_again_is_the_one_built_from_nothing(site: Site, change: Callable[[Site], None]) -> None:
    """But for what nothing leads to any more, which stays: a link to it that somebody kept must not break."""
    before = contents(site.build())
    change(site)

    again, anew = contents(site.build()), contents(site.build("anew"))

    assert {name: again.get(name) for name in anew} == anew
    assert {name: data for name, data in again.items() if name not in anew} == {
        name: data for name, data in before.items() if name not in anew
    }
    assert (anew == before) == (change is touched)


def test_pages_load_the_plotly_that_is_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that nothing else has changed."""
    site.build()
    newer = Script(name="plotly-9.9.9.min.js", path=plotly.packaged().path)
    monkeypatch.setattr(plotly, "packaged", lambda: newer)

    again = contents(site.build())

    assert not [
        name
        for name, data in again.items()
        if name.endswith(".html") and b"plotly-" in data.replace(b"plotly-9.9.9", b"")
    ]


@pytest.mark.parametrize("harm", ["none", "no cache", "a damaged cache", "no site", "a page gone", "a page changed"])
def test_whatever_is_lost_is_made_again(site: Site, harm: str) -> None:
    root = site.build()
    before, cache = contents(root), site.folder / "site-cache"
    page = next((root / "series" / "bench").glob("*.html"))
    if harm == "no cache":
        shutil.rmtree(cache)
    elif harm == "a damaged cache":
        for path in cache.rglob("*.msgpack"):
            path.write_bytes(b"\x93\x01")
    elif harm == "no site":
        shutil.rmtree(root)
    elif harm == "a page gone":
        page.unlink()
    elif harm == "a page changed":
        page.write_text("mine")

    assert contents(site.build()) == before


def test_a_cache_that_cannot_be_written_costs_time_alone(site: Site) -> None:
    (site.folder / "anew-cache").write_text("a file where a folder should be")

    assert contents(site.build("anew")) == contents(site.build())


def test_nothing_is_written_where_nothing_changed(site: Site) -> None:
    before = written(site.build())

    assert written(site.build()) == before


def test_one_more_run_leaves_the_pages_of_other_runs_and_runners_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not even looked at."""
    before = written(site.build())
    made: list[str] = []
    write, read = chapter.write_rest, extract

    def noted_write(rest: Rest) -> Chapter:
        made.append(rest.task.runner)
        return write(rest)

    def noted_read(data: bytes, name: str) -> Extract:
        made.append(name)
        return read(data, name)

    monkeypatch.setattr(chapter, "write_rest", noted_write)
    monkeypatch.setattr(chapter, "extract", noted_read)
    added(site)

    after = written(site.build())

    assert made == [f"{site.history}/{BENCH}/new.json", "bench"]
    changed = {name for name in before if after[name] != before[name]}
    assert {name.split("/")[0] for name in changed} == {
        "series",
        "badges",
        "data",
        "devices.html",
        "lengths",
        "index.html",
        "regressions.html",
        "regressions.atom",
    }
    assert not [name for name in changed if "elsewhere" in name]


def beside(root: Path, runner: str) -> dict[Path, str]:
    """The scripts that a runner's page over prompt lengths can show beside its own, and what it calls the runners."""
    (page,) = (root / "lengths" / runner).glob("*.html")
    tree = read_html(page.read_text(encoding="utf-8"))
    scripts = [(page.parent / field.get("data-src")).resolve() for field in tree.all("input") if field.get("data-src")]
    return dict(zip(scripts, (item.text for item in tree.one("ul", "siblings").all("li")), strict=True))


def test_one_more_run_is_in_what_other_runners_show_beside(site: Site) -> None:
    root = site.build()
    before = beside(root, "elsewhere")
    (script,) = before
    assert b'"newer"' not in script.read_bytes()

    added(site)
    site.build()
    assert b'"newer"' in script.read_bytes()
    assert beside(root, "elsewhere") == before

    added_on_another_device(site)
    site.build()
    assert beside(root, "elsewhere") == {script: "bench q0f16 · llvm on Another GPU"}


def test_one_more_run_draws_no_other_runners_page_over_lengths_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.build()
    drawn: list[str] = []
    lengths = Pages.lengths

    def noted(pages: Pages, own: Lengths, siblings: Sequence[LengthsName]) -> str:
        drawn.append(own.runner)
        return lengths(pages, own, siblings)

    monkeypatch.setattr(Pages, "lengths", noted)
    added(site)
    site.build()

    assert drawn == ["bench"]


def test_a_runner_that_has_one_length_left_is_shown_beside_no_other(site: Site) -> None:
    """Its own page stays, as all that nothing leads to any more."""
    root = site.build()
    deleted(site)
    site.build()

    (page,) = (root / "lengths" / "elsewhere").glob("*.html")
    tree = read_html(page.read_text(encoding="utf-8"))
    assert not [field for field in tree.all("input") if field.get("name") == "beside"]
    assert not tree.all("ul", "siblings")


def test_a_series_leads_to_the_others_of_its_model_the_short_ones_first(site: Site) -> None:
    root = site.build()
    text = (root / "series" / "bench" / "tiny~q4f16_1~llvm~p64+16.html").read_text(encoding="utf-8")

    links = [link.get("href") for link in read_html(text).one("ul", "siblings").all("a")]
    assert [link.removeprefix("../../series/").replace("%2B", "+") for link in links] == [
        "bench/tiny~q0f16~llvm~p64+16.html",
        "bench/tiny~q0f16~llvm~p128+16.html",
    ]


def test_older_runs_have_a_page_only_where_something_leads_to_it(site: Site) -> None:
    """The first bad run, the last good one before it and the one in order again: but not the run after that."""
    root = site.build()
    pages = {path.stem for path in (root / "runs" / "bench").glob("*.html")}

    assert {path.stem for path in (root / "runs" / "bench").glob("*.js")} == pages
    assert {path.stem for path in (root / "data" / "bench").iterdir()} == {*pages, "index"}
    days = {later(day, toolchain=f"t{day // 3}").id[:8] for day in (4, 5, 6, 7)}
    assert days <= {name[:8] for name in pages}
    assert later(8, toolchain="t2").id[:8] not in {name[:8] for name in pages}
    # 20 newest, the reference of them all, the four days, and what the first toolchains' bumps are known by.
    assert NEWEST_RUNS + 5 <= len(pages) < NEWEST_RUNS + 10


# What cannot be used


def test_a_broken_record_is_named_and_the_others_are_shown(site: Site) -> None:
    bad: list[HistoryError] = []
    (site.history / BENCH / "broken.json").write_bytes(b'{"schema": 3, "id"')

    index = (site.build(on_bad=bad.append) / "index.html").read_text(encoding="utf-8")

    (error,) = bad
    assert str(error).startswith(f"{site.history}/{BENCH}/broken.json: Input data was truncated")
    assert f"<code>{BENCH}/broken.json: Input data was truncated" in index
    assert str(site.folder) not in index
    assert "z</span>" in index


def test_a_site_of_nothing_but_broken_records_says_so(site: Site) -> None:
    bad: list[HistoryError] = []
    shutil.rmtree(site.history)
    path = site.history / BENCH / "broken.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{}")

    index = (site.build(on_bad=bad.append) / "index.html").read_text(encoding="utf-8")

    assert len(bad) == 1
    assert "broken.json" in index
    assert "No records yet" in index


def test_a_record_that_is_found_broken_when_its_page_is_made_is_left_out(site: Site) -> None:
    """With the series that it alone has, of which other runners' pages must not speak either."""
    name = f"{BENCH}/{NEWEST_RUNS + 9}.json"
    only = "z~q~t~p1+1"
    assert (site.build() / "series" / "bench" / f"{only}.html").is_file()
    spoil(site.history / name)
    bad: list[HistoryError] = []

    root = site.build("anew", on_bad=bad.append)

    assert [str(error).partition(": ")[0] for error in bad] == [f"{site.history}/{name}"]
    assert not (root / "series" / "bench" / f"{only}.html").exists()
    pages = {path: text for path, text in contents(root).items() if path.endswith(".html")}
    assert [path for path, text in pages.items() if only.encode() in text] == []
    assert name in pages["index.html"].decode()


def spoil(path: Path) -> None:
    """What only the page of the run shows of a record is no longer what it shall be."""
    path.write_bytes(path.read_bytes().replace(b'"started_at":"', b'"started_at":"once, ', 1))


def test_a_record_that_spoils_its_page_has_nothing_written_twice_nor_deleted(site: Site) -> None:
    """Nor where nobody remembers what an earlier build has written."""
    before = contents(site.build())
    spoil(site.history / f"{BENCH}/{NEWEST_RUNS + 9}.json")
    bad: list[HistoryError] = []
    shutil.rmtree(site.folder / "site-cache")

    first = written(site.build(on_bad=bad.append))

    assert before.keys() <= first.keys()
    assert written(site.build(on_bad=bad.append)) == first
    assert len(bad) == 2


def test_no_page_of_a_series_stands_before_those_of_the_runs_that_it_leads_to(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Pages, "run", fail)
    with pytest.raises(HistoryError, match="No space left"):
        site.build()

    assert not (site.folder / "site" / "series").exists()


def test_what_was_spoilt_by_the_folder_and_is_mended_is_shown(site: Site) -> None:
    """Without the file being touched, and by the same process."""
    path = site.history / BENCH / "3.json"
    link, elsewhere = site.history / BENCH / "link.json", site.folder / "3.json"
    path.rename(elsewhere)
    link.symlink_to(elsewhere.with_name("nowhere.json"))
    bad: list[HistoryError] = []
    site.build(on_bad=bad.append)
    assert len(bad) == 1
    elsewhere.rename(elsewhere.with_name("nowhere.json"))

    again = contents(site.build(on_bad=refuse))

    assert again == contents(site.build("anew"))


def test_a_broken_record_that_is_mended_is_shown(site: Site) -> None:
    bad: list[HistoryError] = []
    path = site.history / BENCH / "3.json"
    data = path.read_bytes()
    path.write_bytes(data[:-20])
    site.build(on_bad=bad.append)
    path.write_bytes(data)

    assert contents(site.build()) == contents(site.build("anew"))
    assert len(bad) == 1
