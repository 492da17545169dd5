"""From page objects to files: the one place that knows Jinja, and the one that writes."""

from __future__ import annotations

import os
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from regress.errors import HistoryError
from regress.record import encode
from regress.site import charts, pages, units

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from regress.record import Record
    from regress.site.pages import Entry, Index

PLOTLY_GLOB = "plotly-*.min.js"
"""Copies of Plotly's script: written by a build, never committed, never copied as a hand-written asset."""


def build(entries: Sequence[Entry], destination: Path, *, title: str, templates: Path, assets: Path) -> Path:
    """The path of the site's `index.html`, written with all it needs beside it; nothing is ever deleted.

    Args:
        entries: The stored records with their reports, in any order; none gives a page that says so.
        destination: The web root; made where absent.
        title: Title of the site.
        templates: Folder of the Jinja templates.
        assets: Folder of the hand-written assets; may be `destination / "assets"` itself.

    Raises:
        HistoryError: A template or an asset cannot be read, or a file cannot be written.
    """
    try:
        return _build(pages.index(entries, title), entries, destination, templates, assets)
    except OSError as error:
        path = error.filename or destination
        raise HistoryError(f"{path}: {error.strerror or error}", hint="the site was not built") from error


def _build(index: Index, entries: Sequence[Entry], destination: Path, templates: Path, assets: Path) -> Path:
    html = render(index, templates)
    for name, data in _assets(assets):
        _write(destination / "assets" / name, data)
    for entry in entries:
        _write(destination / data_path(entry.record), encode(entry.record))
    # Last, so that a page never stands without what it links to.
    return _write(destination / "index.html", html.encode())


def render(index: Index, templates: Path) -> str:
    """The text of `index.html`.

    Args:
        index: What it shows.
        templates: Folder of the Jinja templates.
    """
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(_FILTERS)
    environment.globals.update(outcomes=pages.OUTCOMES, figure=charts.figure)
    return environment.get_template("index.html").render(index=index, plotly=_plotly_name())


def data_path(record: Record) -> str:
    """Where the site keeps the record's JSON, relative to its root."""
    return f"data/{record.runner}/{record.id}.json"


def _url(record: Record) -> str:
    return quote(data_path(record))


_FILTERS = {
    "energy": units.energy,
    "rate": units.rate,
    "percent": units.percent,
    "change": units.change,
    "size": units.size,
    "when": units.when,
    "iso": units.iso,
    "metric_label": units.metric_label,
    "data_url": _url,
}


def _assets(folder: Path) -> Iterable[tuple[str, bytes]]:
    """Name and content of every asset: Plotly's script from its Python package, and the hand-written ones."""
    package = distribution("plotly").locate_file("plotly/package_data/plotly.min.js")
    yield _plotly_name(), Path(str(package)).read_bytes()
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(".") and not path.match(PLOTLY_GLOB):
            yield path.name, path.read_bytes()


def _plotly_name() -> str:
    return f"plotly-{distribution('plotly').version}.min.js"


def _write(path: Path, data: bytes) -> Path:
    """The path, with that content: written beside it under another name first; untouched where it has it already."""
    if path.is_file() and path.read_bytes() == data:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        partial.write_bytes(data)
        return partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
