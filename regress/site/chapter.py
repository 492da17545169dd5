"""The chapter: all pages of one runner, made without knowing anything of the others.

    months ─► outline ─► single runs ─► series

The months are shared among all processes, and of many runners whole chapters are. Of few ones each step is, so that one
runner, too, keeps them busy: what was looked at for the outline may then be looked at again for the series, by another.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from regress import history
from regress.crew import alone, crew, processes
from regress.errors import HistoryError
from regress.record import digest
from regress.site import payload, places, render, table
from regress.site.extract import extract
from regress.site.facts import Fact, in_order, numbered
from regress.site.ledger import Ledger, Made, is_whole, keep, recall
from regress.site.overview import Runner, view_of
from regress.site.run import run_page
from regress.site.shelf import months, read, shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence
    from pathlib import Path

    from regress.baseline import Baseline
    from regress.crew import Crew
    from regress.history import Files
    from regress.site.facts import Facts
    from regress.site.overview import View
    from regress.site.plotly import Script
    from regress.site.shelf import Month, Shelf


_MANY = 8
"""Chapters for each further process that are shared out evenly enough as they are."""


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
        without: What is wrong with each file that it is made without, because no page can be made of it.
    """

    press: Press
    runner: str
    files: tuple[Files, ...]
    baseline: Baseline | None
    asked: Mapping[str, tuple[str, ...]]
    without: Mapping[Files, str] = {}

    def __hash__(self) -> int:
        """Of what nearly always tells two of them apart."""
        return hash((self.runner, self.files))

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

    @property
    def months(self) -> list[Month]:
        """What its files are read by."""
        return months(self.press.history, self.files, self.press.kept(self.press.history), self.press.code)


class RunTask(Fact, frozen=True, kw_only=True):
    """The page of a run to be written, with its record and the script that it is compared by.

    Attributes:
        press: What with.
        files: The files of the run.
        asked: The files of all baselines of its runner, each with the keys of its cases.
        linked: Whether the run that it was compared with has a page.
        names: Where record, script and page stand on the site.
    """

    press: Press
    files: Files
    asked: Mapping[str, tuple[str, ...]]
    linked: bool
    names: tuple[str, str, str]

    @property
    def of(self) -> str:
        """Digest of what the page is made of."""
        return digest([self.press.edition, self.files, self.linked, self.asked])


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """What was written of one runner.

    Attributes:
        of: Digest of what it was made of.
        made: Its files.
        runner: What the pages over all runners show of it; `None` where no file of it can be used.
        section: What the first page says of it; empty where there is nothing.
        items: What the page of regressions says of each of its events, by the event's name.
        unusable: What is wrong with each file that it was made without.
    """

    of: str
    made: dict[str, Made]
    runner: Runner | None
    section: str
    items: dict[str, str]
    unusable: tuple[str, ...]


class Outline(Fact, frozen=True, kw_only=True):
    """The pages of runs that a chapter has.

    Attributes:
        made: The files of those that stand as they shall.
        left: The others.
    """

    made: Mapping[str, Made]
    left: tuple[RunTask, ...]


class Rest(Fact, frozen=True, kw_only=True):
    """A chapter that lacks its series alone.

    Attributes:
        task: What it is made of.
        made: The files of its runs.
    """

    task: Task
    made: Mapping[str, Made]


def current(task: Task) -> Chapter | None:
    """The chapter as an earlier build wrote it, if nothing that it is made of has changed; `None` else.

    One that was made without some of the files is not: they may be readable by now.
    """
    chapter = recall(task.kept, Chapter)
    if chapter is None or chapter.of != task.of or chapter.unusable:
        return None
    root = task.press.destination
    return chapter if all(is_whole(root, name, made) for name, made in chapter.made.items()) else None


def write(tasks: Sequence[Task], meanwhile: Callable[[], object]) -> dict[str, Chapter]:
    """Writes the pages of several runners.

    Args:
        tasks: What is to be written.
        meanwhile: What this process does while others, if there are, begin with the pages of runs.

    Returns:
        Each runner's nickname and its chapter.
    """
    _look.cache_clear()  # since an earlier build, something may have been mended
    unread = {month: files for task in tasks for month in task.months if (files := month.unread)}
    size_bytes = sum(each.record.size_bytes for files in unread.values() for each in files)
    # A single chapter is not worth a process but for what is to be read: few of its runs have a page.
    size_bytes += sum(sorted(task.size_bytes for task in tasks)[:-1])
    with crew(size_bytes) as run:
        run(read, unread)
        if len(tasks) >= _MANY * (processes(size_bytes) - 1):
            return dict(zip((task.runner for task in tasks), run(_write_alone, tasks, meanwhile), strict=True))
        return _written(tasks, run, meanwhile)


def _write_alone(task: Task) -> Chapter:
    """Writes the pages of a runner."""
    return _written([task], alone)[task.runner]


def _written(tasks: Sequence[Task], run: Crew, meanwhile: Callable[[], object] = lambda: None) -> dict[str, Chapter]:
    """Each runner's nickname and its chapter.

    Of a run that has a page the record is only now read as far as that shows it. Where it cannot be, the chapter is
    made without it.
    """
    outlines = run(outline, tasks)
    written = iter(run(write_run, [page for each in outlines for page in each.left], meanwhile))
    rests: list[Rest] = []
    again: list[Task] = []
    for task, each in zip(tasks, outlines, strict=True):
        made, bad = dict(each.made), dict(task.without)
        for page, found in zip(each.left, written, strict=False):  # those behind them are of the next chapters
            if isinstance(found, str):
                bad[page.files] = found
            else:
                made.update(found)
        if len(bad) > len(task.without):
            again.append(replace(task, without=bad))
        else:
            rests.append(Rest(task=task, made=made))
    chapters = dict(zip((rest.task.runner for rest in rests), run(write_rest, rests), strict=True))
    return {**chapters, **(_written(again, run, meanwhile) if again else {})}


def outline(task: Task) -> Outline:
    """Which runs have a page."""
    view, shelf = _look(task)
    earlier = recall(task.kept, Chapter)
    ledger = Ledger(task.press.destination, earlier.made if earlier else {})
    pages = _run_tasks(task, shelf.facts, view.paged) if view else ()
    left = tuple(page for page in pages if not ledger.is_made(page.names, page.of))
    return Outline(made=ledger.made, left=left)


@lru_cache(maxsize=1)
def _look(task: Task) -> tuple[View | None, Shelf]:
    """All that is shown of a runner, `None` where no file of it can be used, and what its files say."""
    found = shelf(task.months)
    facts = [each for files, each in found.facts.items() if files not in task.without]
    return view_of(in_order(facts), task.baseline) if facts else None, found


def _run_tasks(task: Task, found: Mapping[Files, Facts], paged: Container[str]) -> Iterator[RunTask]:
    for files, facts in found.items():
        run = facts.run
        if run.id in paged and files not in task.without:
            yield RunTask(
                press=task.press,
                files=files,
                asked=task.asked,
                linked=run.reference_run in paged,
                names=(places.data_path(run), places.run_path(run, ".js"), places.run_path(run)),
            )


def write_run(task: RunTask) -> dict[str, Made] | str:
    """Writes the page of a run; its files, or what is wrong with those that it is made of."""
    root, ledger = task.press.history, Ledger(task.press.destination, {})
    path = root / task.files.name
    try:
        stored = history.read(path)
        page = run_page(extract(stored, str(path)), history.report(root, task.files), task.asked)
    except HistoryError as error:
        return str(error).removeprefix(f"{root}/")
    written = (stored, payload.run_payload(page), task.press.pages().run(page, linked=task.linked).encode())
    of = task.of
    for name, data in zip(task.names, written, strict=True):
        ledger.write(name, data, of)
    return ledger.made


def write_rest(rest: Rest) -> Chapter:
    """Writes what a chapter lacks, and keeps it."""
    task = rest.task
    view, shelf = _look(task)
    ledger, pages = Ledger(task.press.destination, {}), task.press.pages()
    if view:
        _write_series(task, ledger, view)
    chapter = Chapter(
        of=task.of,
        made={**rest.made, **ledger.made},
        runner=view.runner if view else None,
        section=pages.section(view.runner) if view else "",
        items={event.name: pages.item(event) for event in view.runner.events} if view else {},
        unusable=(*shelf.unusable, *task.without.values()),
    )
    keep(task.kept, chapter)
    _look.cache_clear()  # nobody looks at it again, and it is large
    return chapter


def _write_series(task: Task, ledger: Ledger, view: View) -> None:
    """Writes the pages of a runner's series, and the data of its pages over prompt lengths, which others show, too."""
    pages, paged = task.press.pages(), view.paged
    for each in view.runner.lengths:
        ledger.write(places.lengths_path(each, ".js"), payload.lengths_payload(each))
    lengths = {length.key: each for each in view.runner.lengths for length in each.lengths}
    ordered = sorted(view.series, key=lambda series: numbered(series.key))
    lines: list[str] = []
    for series in view.series:
        events = [event for event in view.runner.events if event.key == series.key]
        siblings = [other for other in ordered if other.model == series.model and other is not series]
        ledger.write(places.series_path(series, ".js"), payload.payload(series, paged))
        own = table.lines(series)
        lines += table.index_lines(series, own)
        ledger.write(places.series_path(series, ".csv"), table.text([table.HEAD, *own]))
        ledger.write(places.badge_path(series), pages.badge(series).encode())
        page = pages.series(series, events, siblings, paged, lengths.get(series.key))
        ledger.write(places.series_path(series), page.encode())
    ledger.write(places.index_path(task.runner), table.text([table.INDEX_HEAD, *lines]))
