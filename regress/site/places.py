"""Where everything stands on the site, relative to its root."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regress.site.extract import Extract
    from regress.site.facts import Run
    from regress.site.lengths import LengthsName
    from regress.site.name import SeriesName
    from regress.site.series import Series


def data_path(record: Run | Extract) -> str:
    """Where the site keeps a record's JSON, relative to its root."""
    return f"data/{record.runner}/{record.id}.json"


def index_path(runner: str) -> str:
    """Where the table of all values of a runner is, relative to the site's root."""
    return f"data/{runner}/index.csv"


def run_path(run: Run | Extract, suffix: str = ".html") -> str:
    """Where the page of a run is, relative to the site's root."""
    return f"runs/{run.runner}/{run.id}{suffix}"


def series_path(series: Series | SeriesName, suffix: str = ".html") -> str:
    """Where the page of a series is, relative to the site's root; `~` stands for the slashes of its key."""
    return f"series/{series.runner}/{_flat(series.key)}{suffix}"


def badge_path(series: Series) -> str:
    """Where the badge of a series is, relative to the site's root."""
    return f"badges/{series.runner}/{_flat(series.key)}.svg"


def lengths_path(lengths: LengthsName, suffix: str = ".html") -> str:
    """Where the page of a model over prompt lengths is, relative to the site's root."""
    return f"lengths/{lengths.runner}/{_flat(lengths.name)}{suffix}"


def _flat(key: str) -> str:
    """A key as the name of a file."""
    return key.replace("/", "~")
