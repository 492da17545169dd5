"""The files of the site: every page, what it loads, and records themselves.

scan ─► chapter of each runner, where it is not current ─► pages over all runners
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from regress import history
from regress.crew import without_collector
from regress.errors import HistoryError
from regress.history import Stamp
from regress.record import digest
from regress.site import chapter, index, payload, places, plotly, render, units
from regress.site.baselines import asked_by_runner, baseline_pages, held_by_runner
from regress.site.chapter import Press, Task
from regress.site.ledger import Ledger, Made, keep, recall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from regress.baseline import Baseline
    from regress.site.baselines import BaselinePage
    from regress.site.chapter import Chapter


class _Made(msgspec.Struct, frozen=True, array_like=True):
    """The files that are of no runner."""

    made: dict[str, Made]


def build(  # noqa: PLR0913  # what a site is made of
    records: Path,
    destination: Path,
    *,
    title: str,
    templates: Path,
    assets: Path,
    cache: Path,
    baselines: Mapping[str, Baseline] | None = None,
    parquet: bool = False,
    script: plotly.Script | None = None,
    on_bad: Callable[[HistoryError], None],
) -> Path:
    """The path of the site's `index.html`, written with all it needs beside it; nothing is ever deleted.

    Args:
        records: Folder of the history; one that is not there, or is empty, gives a page that says so.
        destination: The web root; made where absent.
        title: Title of the site.
        templates: Folder of the Jinja templates.
        assets: Folder of the hand-written assets; may be `destination / "assets"` itself.
        cache: Folder of what is kept from build to build; without it the same site is made from nothing.
        baselines: File name to baseline; of several for one runner the last one holds.
        parquet: Whether to write the table of all values as Parquet, too, which takes pyarrow.
        script: Plotly's script; that of its Python package where `None`.
        on_bad: Called with the error of each file of the history that cannot be used; the site is built without it.

    Raises:
        HistoryError: A template or an asset cannot be read, or a file cannot be written.
    """
    try:
        press = _press(records, destination, templates, cache, title, script or plotly.packaged())
        with without_collector():
            whole = _write(press, baselines or {}, assets, (index.CSV, index.PARQUET) if parquet else (index.CSV,))
    except OSError as error:
        path = error.filename or destination
        raise HistoryError(f"{path}: {error.strerror or error}", hint="the site was not built") from error
    for cause in whole.unusable:
        on_bad(HistoryError(f"{records}/{cause}"))
    return destination / "index.html"


def _press(  # noqa: PLR0913, PLR0917  # what a press is made of
    records: Path, destination: Path, templates: Path, cache: Path, title: str, script: plotly.Script
) -> Press:
    code = _stamp_of(Path(__file__).parents[1], "*.py")
    return Press(
        history=records,
        destination=destination,
        cache=cache,
        templates=templates,
        title=title,
        script=script,
        code=code,
        edition=digest([code, _stamp_of(templates, "*"), title, script.name]),
    )


def _stamp_of(folder: Path, pattern: str) -> str:
    """SHA-256 over the names and the stamps of a folder's files."""
    paths = sorted(path for path in folder.rglob(pattern) if path.is_file())
    return digest([(str(path.relative_to(folder)), Stamp.of(path.stat())) for path in paths])


def _write(press: Press, baselines: Mapping[str, Baseline], assets: Path, tables: Sequence[str]) -> render.Whole:
    """Writes all; `index.html` comes last, so that a page never stands without what it links to."""
    kept = press.kept(press.destination).with_suffix(".msgpack")
    ledger = Ledger(press.destination, known.made if (known := recall(kept, _Made)) else {})
    for name, data in _assets(assets, press.script):
        ledger.write(name, data)
    numbers = cache(partial(baseline_pages, baselines))

    def prepare() -> None:
        """Does what takes long and needs no chapter: the numbers take scipy, which is slow to load."""
        press.pages().load()
        numbers()

    chapters = _chapters(press, baselines, prepare)
    whole = _whole(chapters, tables)
    of = digest([press.edition, [(each.of, each.unusable) for each in chapters]])
    _write_baselines(whole, digest([press.edition, list(baselines.items())]), numbers, press, ledger)
    _write_over_all(whole, of, press, ledger)
    keep(kept, _Made(ledger.made))
    return whole


def _chapters(press: Press, baselines: Mapping[str, Baseline], meanwhile: Callable[[], object]) -> list[Chapter]:
    """The chapters of all runners, each with its baseline: those that are current, and the others written."""
    held, asked = held_by_runner(baselines), asked_by_runner(baselines)
    files = sorted(history.files(press.history), key=lambda files: files.folder)  # `a` before `a-b`, as `a/` is not
    tasks = [
        Task(press=press, runner=runner, files=tuple(own), baseline=held.get(runner), asked=asked.get(runner, {}))
        for runner, own in groupby(files, key=lambda files: files.folder)
    ]
    found = {task.runner: chapter.current(task) for task in tasks}
    stale = [task for task in tasks if found[task.runner] is None]
    found.update(chapter.write(stale, meanwhile))
    return [each for each in found.values() if each]


def _whole(chapters: Sequence[Chapter], tables: Sequence[str]) -> render.Whole:
    runners = [each.runner for each in chapters if each.runner]
    events = [event for runner in runners for event in runner.events]
    newest = [runner.newest for runner in runners]
    return render.Whole(
        runners=runners,
        sections=[each.section for each in chapters if each.runner],
        items={name: item for each in chapters for name, item in each.items.items()},
        newest=max(newest, key=lambda run: (units.utc(run.recorded_at), run.runner)) if newest else None,
        count=sum(runner.count for runner in runners),
        events=sorted(events, key=lambda event: (units.utc(event.first.run.recorded_at), event.name), reverse=True),
        unusable=sorted(cause for each in chapters for cause in each.unusable),
        tables=tables,
    )


def _write_baselines(
    whole: render.Whole, of: str, numbers: Callable[[], list[BaselinePage]], press: Press, ledger: Ledger
) -> None:
    """The page of the baselines, whose numbers change with these alone, and with their order: it says which is held.

    It leads to the series that there are.
    """
    held = digest([of, whole.keys])
    ledger.make("baselines.html", held, lambda: press.pages().baselines(numbers(), whole))


def _write_over_all(whole: render.Whole, of: str, press: Press, ledger: Ledger) -> None:
    """The pages over all runners, which are made of all chapters; the tables are copied while these are made."""
    pages = press.pages()
    with ThreadPoolExecutor(1) as beside:
        tables = beside.submit(_write_tables, whole, of, press, ledger)
        some = any(runner.choices for runner in whole.runners)
        ledger.make("compare.html", digest([press.edition, some]), partial(pages.compare, some=some))
        ledger.make("method.html", press.edition, pages.method)
        ledger.make("devices.html", of, lambda: pages.devices(whole))
        _write_lengths(whole, press, ledger)
        ledger.make("regressions.html", of, lambda: pages.regressions(whole))
        ledger.make("regressions.atom", of, lambda: pages.feed(whole))
        ledger.make("data/runs.js", of, lambda: payload.runs_payload(whole.runners).decode())
        tables.result()
    ledger.make("index.html", digest([of, whole.tables]), lambda: pages.index(whole))


def _write_tables(whole: render.Whole, of: str, press: Press, ledger: Ledger) -> None:
    """The table of all values, from those of the runners."""
    parts = [press.destination / places.index_path(runner.name) for runner in whole.runners]
    ledger.create(index.CSV, of, partial(index.join, parts))
    if index.PARQUET in whole.tables:
        ledger.create(index.PARQUET, of, partial(index.convert, press.destination / index.CSV))


def _write_lengths(whole: render.Whole, press: Press, ledger: Ledger) -> None:
    """The pages over prompt lengths, each of which leads to those of its model on the other runners."""
    pages, found = press.pages(), {each.named: each for runner in whole.runners for each in runner.lengths}
    for own, each in found.items():
        siblings = [other for other in found if other.model == own.model and other != own]
        of = digest([press.edition, each, siblings])
        ledger.make(places.lengths_path(each), of, partial(pages.lengths, each, siblings))


def _assets(folder: Path, script: plotly.Script) -> Iterator[tuple[str, bytes]]:
    """Plotly's script, and the hand-written assets."""
    yield f"assets/{script.name}", script.path.read_bytes()
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(".") and not path.match(plotly.GLOB):
            yield f"assets/{path.name}", path.read_bytes()
