"""The chapter: all pages of one runner, made without knowing anything of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from regress import history
from regress.errors import HistoryError
from regress.record import digest
from regress.site import payload, places, render, table
from regress.site.extract import extract
from regress.site.facts import Fact, in_order, numbered
from regress.site.ledger import Ledger, Made, is_whole, keep, recall
from regress.site.overview import Runner, view_of
from regress.site.run import run_page
from regress.site.shelf import shelf

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from regress.baseline import Baseline
    from regress.history import Files
    from regress.site.facts import Facts
    from regress.site.overview import View
    from regress.site.plotly import Script
    from regress.site.shelf import Shelf


class Press(Fact, frozen=True, kw_only=True):
    """What every page is made with.

    Attributes:
        history: Folder of the records.
        destination: The web root.
        cache: Folder of what is kept from build to build.
        templates: Folder of the Jinja templates.
        title: Title of the site.
        script: Plotly's script.
        code: Which version of this package it is: another one reads all records again.
        edition: Which version of it, of the templates, of the title and of Plotly.
    """

    history: Path
    destination: Path
    cache: Path
    templates: Path
    title: str
    script: Script
    code: str
    edition: str

    def pages(self) -> render.Pages:
        """What writes the texts."""
        return render.pages(self.templates, self.title, self.cache / "templates", self.script.name)

    def kept(self, folder: Path) -> Path:
        """Where the cache keeps what is known of a folder."""
        return self.cache / digest(str(folder.resolve()))[:16]


class Task(Fact, frozen=True, kw_only=True):
    """A chapter to be written.

    Attributes:
        press: What with.
        runner: Nickname of the runner.
        files: The files of its runs.
        baseline: The baseline that its runs are held against; `None` where it has none.
        asked: The files of all its baselines, each with the keys of its cases.
    """

    press: Press
    runner: str
    files: tuple[Files, ...]
    baseline: Baseline | None
    asked: Mapping[str, tuple[str, ...]]

    @property
    def size_bytes(self) -> int:
        """Size of all its records."""
        return sum(files.record.size_bytes for files in self.files)

    @property
    def of(self) -> str:
        """Digest of what the chapter is made of."""
        return digest([self.press.edition, self.files, self.baseline, self.asked])

    @property
    def kept(self) -> Path:
        """Where the chapter is kept."""
        return self.press.kept(self.press.destination) / f"{self.runner}.msgpack"

    def shelf(self) -> Shelf:
        """What the files say."""
        kept = self.press.kept(self.press.history) / f"{self.runner}.msgpack"
        return shelf(self.press.history, self.files, kept, self.press.code)


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """What was written of one runner.

    Attributes:
        of: Digest of what it was made of.
        made: Its files.
        runner: What the pages over all runners show of it; `None` where no file of it can be used.
        unusable: What is wrong with each file that it was made without.
    """

    of: str
    made: dict[str, Made]
    runner: Runner | None
    unusable: tuple[str, ...]


def current(task: Task) -> Chapter | None:
    """The chapter as an earlier build wrote it, if nothing that it is made of has changed; `None` else.

    One that was made without some of the files is not: they may be readable by now.
    """
    chapter = recall(task.kept, Chapter)
    if chapter is None or chapter.of != task.of or chapter.unusable:
        return None
    root = task.press.destination
    return chapter if all(is_whole(root, name, made) for name, made in chapter.made.items()) else None


def write(task: Task) -> Chapter:
    """Writes the pages of a runner."""
    earlier = recall(task.kept, Chapter)
    ledger = Ledger(task.press.destination, earlier.made if earlier else {})
    shelf = task.shelf()
    view, unusable = _write_runs(task, ledger, dict(shelf.facts))
    if view:
        _write_series(task, ledger, view)
    chapter = Chapter(
        of=task.of,
        made=ledger.made,
        runner=view.runner if view else None,
        unusable=(*shelf.unusable, *unusable),
    )
    keep(task.kept, chapter)
    return chapter


def _write_runs(task: Task, ledger: Ledger, found: dict[Files, Facts]) -> tuple[View | None, list[str]]:
    """Writes the pages of the runs that have one; all of the runner, and what is wrong with files that it is without.

    Only now are these records read as far as their pages show them. Where one cannot be, all is made anew without it.
    """
    unusable: list[str] = []
    while found:
        view = view_of(in_order(found.values()), task.baseline)
        paged, bad = view.paged, set()
        for files, facts in found.items():
            if facts.run.id in paged:
                try:
                    _write_run(task, ledger, files, facts, linked=facts.run.reference_run in paged)
                except HistoryError as error:
                    unusable.append(str(error).removeprefix(f"{task.press.history}/"))
                    bad.add(files)
        if not bad:
            return view, unusable
        found = {files: facts for files, facts in found.items() if files not in bad}
    return None, unusable


def _write_run(task: Task, ledger: Ledger, files: Files, facts: Facts, *, linked: bool) -> None:
    data, script, page = places.data_path(facts.run), places.run_path(facts.run, ".js"), places.run_path(facts.run)
    of = digest([task.press.edition, files, linked, task.asked])
    if ledger.is_made((data, script, page), of):
        return
    path = task.press.history / files.name
    stored = history.read(path)
    found = run_page(extract(stored, str(path)), history.report(task.press.history, files), task.asked)
    ledger.write(data, stored, of)
    ledger.write(script, payload.run_payload(found), of)
    ledger.write(page, task.press.pages().run(found, linked=linked).encode(), of)


def _write_series(task: Task, ledger: Ledger, view: View) -> None:
    """Writes the pages of a runner's series, and the data of its pages over prompt lengths, which others show, too."""
    pages, paged = task.press.pages(), view.paged
    for each in view.runner.lengths:
        ledger.write(places.lengths_path(each, ".js"), payload.lengths_payload(each))
    lengths = {length.key: each for each in view.runner.lengths for length in each.lengths}
    ordered = sorted(view.series, key=lambda series: numbered(series.key))
    lines: list[str] = []
    for series in view.series:
        events = [event for event in view.runner.events if event.case == series.key]
        siblings = [other for other in ordered if other.model == series.model and other is not series]
        ledger.write(places.series_path(series, ".js"), payload.payload(series, paged))
        own = table.lines(series)
        lines += table.index_lines(series, own)
        ledger.write(places.series_path(series, ".csv"), table.text([table.HEAD, *own]))
        ledger.write(places.badge_path(series), pages.badge(series).encode())
        page = pages.series(series, events, siblings, paged, lengths.get(series.key))
        ledger.write(places.series_path(series), page.encode())
    ledger.write(places.index_path(task.runner), table.text([table.INDEX_HEAD, *lines]))
