"""The files of the site: every page, what it loads, and the records themselves."""

from __future__ import annotations

import os
from importlib.metadata import distribution
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from regress.errors import HistoryError
from regress.record import encode
from regress.site import payload, render, units
from regress.site.baselines import held_by_runner
from regress.site.facts import facts, in_order
from regress.site.overview import runner_of
from regress.site.table import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from regress.baseline import Baseline
    from regress.site.entry import Entry
    from regress.site.facts import Run
    from regress.site.lengths import Lengths
    from regress.site.overview import Runner
    from regress.site.render import Pages
    from regress.site.series import Series

PLOTLY_GLOB = "plotly-*.min.js"
"""Copies of Plotly's script: written by a build, never committed, never copied as a hand-written asset."""

_File = tuple[str, bytes]
"""A path relative to the site's root, and its content."""


def build(  # noqa: PLR0913  # what a site is made of
    entries: Sequence[Entry],
    destination: Path,
    *,
    title: str,
    templates: Path,
    assets: Path,
    baselines: Mapping[str, Baseline] | None = None,
) -> Path:
    """The path of the site's `index.html`, written with all it needs beside it; nothing is ever deleted.

    Args:
        entries: The stored records with their reports, in any order; none gives a page that says so.
        destination: The web root; made where absent.
        title: Title of the site.
        templates: Folder of the Jinja templates.
        assets: Folder of the hand-written assets; may be `destination / "assets"` itself.
        baselines: File name to baseline; of several for one runner the last one holds.

    Raises:
        HistoryError: A template or an asset cannot be read, or a file cannot be written.
    """
    try:
        for name, data in _files(entries, render.Pages(templates, title), assets, baselines or {}):
            _write(destination / name, data)
    except OSError as error:
        path = error.filename or destination
        raise HistoryError(f"{path}: {error.strerror or error}", hint="the site was not built") from error
    return destination / "index.html"


def _files(entries: Sequence[Entry], pages: Pages, assets: Path, baselines: Mapping[str, Baseline]) -> Iterator[_File]:
    """All files; `index.html` comes last, so that a page never stands without what it links to."""
    runs = in_order([facts(entry) for entry in entries])
    whole = _whole(runs, held_by_runner(baselines))
    yield from _assets(assets)
    known = {run.id: run for run in runs}
    for entry in entries:
        yield render.data_path(entry.record), encode(entry.record)
        yield render.run_path(entry.record, ".js"), payload.run_payload(entry.record)
        yield render.run_path(entry.record), pages.run(entry, known).encode()
    for runner in whole.runners:
        yield from _series_files(runner, whole.runners, pages)
    yield from _lengths_files([each for runner in whole.runners for each in runner.lengths], pages)
    yield "devices.html", pages.devices(whole).encode()
    yield "regressions.html", pages.regressions(whole).encode()
    yield "regressions.atom", pages.feed(whole).encode()
    yield "baselines.html", pages.baselines(baselines, whole).encode()
    yield "data/runs.js", payload.runs_payload(whole.runners)
    yield "compare.html", pages.compare().encode()
    yield "method.html", pages.method().encode()
    yield "index.html", pages.index(whole).encode()


def _whole(runs: Sequence[Run], baselines: Mapping[str, Baseline]) -> render.Whole:
    by_runner = groupby(sorted(runs, key=lambda run: run.runner), key=lambda run: run.runner)
    runners = [runner_of(list(own), baselines.get(name)) for name, own in by_runner]
    events = [event for runner in runners for event in runner.events]
    return render.Whole(
        runners=runners,
        newest=runs[-1] if runs else None,
        count=len(runs),
        events=sorted(events, key=lambda event: (units.utc(event.first.run.recorded_at), event.name), reverse=True),
    )


def _series_files(runner: Runner, runners: Sequence[Runner], pages: Pages) -> Iterator[_File]:
    for line in runner.lines:
        series = line.series
        events = [event for event in runner.events if event.case == series.key]
        siblings = _siblings(series, runners)
        lengths = next((each for each in runner.lengths if series.key.startswith(f"{each.name}/")), None)
        yield render.series_path(series, ".js"), payload.payload(series)
        yield render.series_path(series, ".csv"), table(series).encode()
        yield render.badge_path(series), pages.badge(series).encode()
        yield render.series_path(series), pages.series(series, events, siblings, lengths).encode()


def _lengths_files(found: Sequence[Lengths], pages: Pages) -> Iterator[_File]:
    for each in found:
        siblings = [other for other in found if other.model == each.model and other is not each]
        yield render.lengths_path(each, ".js"), payload.lengths_payload(each)
        yield render.lengths_path(each), pages.lengths(each, siblings).encode()


def _siblings(series: Series, runners: Iterable[Runner]) -> list[Series]:
    """The other series of the model, those of the same runner first."""
    found = [line.series for runner in runners for line in runner.lines if line.series.model == series.model]
    others = [each for each in found if each is not series]
    return sorted(others, key=lambda each: (each.runner != series.runner, each.runner, each.quantization, each.target))


def _assets(folder: Path) -> Iterator[_File]:
    """Plotly's script from its Python package, and the hand-written assets."""
    package = distribution("plotly").locate_file("plotly/package_data/plotly.min.js")
    yield f"assets/{render.plotly_name()}", Path(str(package)).read_bytes()
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(".") and not path.match(PLOTLY_GLOB):
            yield f"assets/{path.name}", path.read_bytes()


def _write(path: Path, data: bytes) -> None:
    """Writes a file under another name first; leaves it alone where it has that content already."""
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
