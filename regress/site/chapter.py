"""The chapter: all pages of one runner, made without knowing anything of the others.

    months ─► series ─► single runs

Each step is shared among all processes, for all chapters that are to be written: one runner, too, keeps them busy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from regress import history
from regress.crew import crew
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
    from regress.site.shelf import Month


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
        kept = self.press.kept(self.press.history) / self.runner
        return months(self.press.history, self.files, kept, self.press.code)


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
        unusable: What is wrong with each file that it was made without.
    """

    of: str
    made: dict[str, Made]
    runner: Runner | None
    unusable: tuple[str, ...]


class Draft(Fact, frozen=True, kw_only=True):
    """A chapter that lacks the pages of some runs.

    Attributes:
        task: What it is made of.
        chapter: What there is of it.
        runs: What it lacks.
        new: Those of its files that no earlier build has written.
    """

    task: Task
    chapter: Chapter
    runs: tuple[RunTask, ...]
    new: frozenset[str]


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
    unread = [month for task in tasks for month in task.months if not month.is_read]
    # The records that are read, and the chapters but one: that one is not shared, nor are the pages of its few runs.
    shared = [month.size_bytes for month in unread] + sorted([task.size_bytes for task in tasks])[:-1]
    with crew(sum(shared)) as run:
        run(read, unread)
        return _written(tasks, run, meanwhile)


def _written(tasks: Sequence[Task], run: Crew, meanwhile: Callable[[], object]) -> dict[str, Chapter]:
    """Each runner's nickname and its chapter, its records being read.

    Only now the records of runs that have a page are read as far as these show them. Where one cannot be, its chapter
    is made anew without it.
    """
    drafts = run(draft, tasks)
    pages = iter(run(write_run, [each for draft in drafts for each in draft.runs], meanwhile))
    found: dict[str, Chapter] = {}
    again: list[Task] = []
    for each in drafts:
        written = dict(zip((task.files for task in each.runs), pages, strict=False))  # the next ones are another's
        bad = {files: cause for files, cause in written.items() if isinstance(cause, str)}
        if bad:
            again.append(_without(each, bad))
        else:
            found[each.task.runner] = _whole(each, [made for made in written.values() if not isinstance(made, str)])
    return {**found, **_written(again, run, meanwhile)} if again else found


def _without(draft: Draft, bad: Mapping[Files, str]) -> Task:
    """What a chapter is made of that is not spoilt by those files, whose draft is taken away."""
    for name in draft.new:
        (draft.task.press.destination / name).unlink(missing_ok=True)
    return replace(draft.task, without={**draft.task.without, **bad})


def _whole(draft: Draft, pages: Sequence[Mapping[str, Made]]) -> Chapter:
    """The chapter with the pages that it lacked; it is kept."""
    chapter = draft.chapter
    for made in pages:
        chapter.made.update(made)
    keep(draft.task.kept, chapter)
    return chapter


def draft(task: Task) -> Draft:
    """Writes the pages of a runner, but for those of single runs that are not as they shall be."""
    earlier = recall(task.kept, Chapter)
    known = earlier.made if earlier else {}
    ledger, said = Ledger(task.press.destination, known), shelf(task.months)
    found = {files: facts for files, facts in said.facts.items() if files not in task.without}
    view = view_of(in_order(found.values()), task.baseline) if found else None
    runs: tuple[RunTask, ...] = ()
    if view:
        runs = tuple(_run_tasks(task, found, view.paged, ledger))
        _write_series(task, ledger, view)
    chapter = Chapter(
        of=task.of,
        made=ledger.made,
        runner=view.runner if view else None,
        unusable=(*said.unusable, *task.without.values()),
    )
    return Draft(task=task, chapter=chapter, runs=runs, new=frozenset(ledger.made.keys() - known.keys()))


def _run_tasks(task: Task, found: Mapping[Files, Facts], paged: Container[str], ledger: Ledger) -> Iterator[RunTask]:
    """The pages of runs that are to be written."""
    for files, facts in found.items():
        if facts.run.id in paged:
            run = facts.run
            names = (places.data_path(run), places.run_path(run, ".js"), places.run_path(run))
            linked = run.reference_run in paged
            page = RunTask(press=task.press, files=files, asked=task.asked, linked=linked, names=names)
            if not ledger.is_made(names, page.of):
                yield page


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
