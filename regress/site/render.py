"""From page objects to text: the one place that knows Jinja."""

from __future__ import annotations

import contextlib
import os
import re
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from regress.site import parts, places, regressions, svg, units
from regress.site.badge import badge_of
from regress.site.curves import curves
from regress.site.devices import SORTABLE, comparisons, filters
from regress.site.facts import RATES, Fact
from regress.site.index import CSV
from regress.site.name import SeriesName
from regress.site.rows import rows

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from pathlib import Path

    from regress.site.baselines import BaselinePage
    from regress.site.extract import Extract
    from regress.site.facts import Run, Value
    from regress.site.lengths import Lengths, LengthsName
    from regress.site.overview import Runner
    from regress.site.regressions import Event
    from regress.site.run import RunPage
    from regress.site.series import Series
    from regress.verdict import CheckReport

MOST_ROWS = 50
"""Runs in the table of a series; a CSV file has all of them."""
MOST_ENTRIES = 500
"""Events in the feed, which readers fetch again and again; the page of regressions has all of them."""
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that XML cannot hold, escaped or not: a compiler that writes in colours gives such."""
_OVER_ALL = ("baselines.html", "devices.html", "index.html", "lengths.html", "regressions.atom", "regressions.html")
"""Templates of what is made of all chapters, and large: whatever else lies in their folder is none of ours."""
_UP = "../../"
"""From the pages of runs and series to the site's root."""


class Whole(Fact, frozen=True, kw_only=True):
    """All runners of a site.

    Attributes:
        runners: Sorted by name.
        sections: What the first page says of each.
        items: What the page of regressions says of each event, by the event's name.
        newest: The newest run; `None` for an empty history.
        count: How many runs there are.
        events: What got worse on any of them, the newest first.
        unusable: What is wrong with each file of the history that the site is built without.
        tables: The files with all values of all of them.
    """

    runners: Sequence[Runner]
    sections: Sequence[str]
    items: Mapping[str, str]
    newest: Run | None
    count: int
    events: Sequence[Event]
    unusable: Sequence[str] = ()
    tables: Sequence[str] = (CSV,)

    @property
    def keys(self) -> dict[str, list[str]]:
        """Each runner's nickname and the keys of its cases, sorted."""
        return {runner.name: sorted(line.key for line in runner.lines) for runner in self.runners}


class Pages:
    """The texts of all pages.

    Args:
        templates: Folder of the Jinja templates.
        title: Title of the site.
        compiled: Folder that the compiled templates are kept in; not kept where `None`.
        plotly: Name of Plotly's script among the assets.
    """

    def __init__(self, templates: Path, title: str, compiled: Path | None = None, plotly: str = "plotly.js") -> None:
        self._environment = Environment(
            loader=FileSystemLoader(templates),
            bytecode_cache=_bytecode(compiled) if compiled else None,
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._environment.filters.update(_FILTERS)
        self._environment.globals.update(_GLOBALS, site_title=title, plotly=plotly)

    def load(self) -> None:
        """Reads the templates of the pages over all runners, each of which is else read when it is first needed."""
        for name in _OVER_ALL:
            self._environment.get_template(name)

    def index(self, whole: Whole) -> str:
        """`index.html`."""
        return self._render(
            "index.html",
            here="index",
            runners=whole.runners,
            sections=map(Markup, whole.sections),
            newest=whole.newest,
            count=whole.count,
            unusable=whole.unusable,
            tables=whole.tables,
            filters=_filters(whole.runners),
        )

    def section(self, runner: Runner) -> str:
        """What `index.html` says of a runner: most of that page, and the same as long as its runs are."""
        return self._render("runner.html", runner=runner)

    def devices(self, whole: Whole) -> str:
        """`devices.html`."""
        devices = [device for runner in whole.runners for device in runner.devices]
        found, choices = list(comparisons(devices)), filters(devices)
        return self._render(
            "devices.html", here="devices", comparisons=found, filters=choices, sortable=SORTABLE.items()
        )

    def regressions(self, whole: Whole) -> str:
        """`regressions.html`."""
        return self._render(
            "regressions.html",
            here="regressions",
            events=whole.events,
            items={name: Markup(item) for name, item in whole.items.items()},  # noqa: S704  # written by `item`
            filters=regressions.filters(whole.events),
        )

    def item(self, event: Event) -> str:
        """What `regressions.html` says of an event."""
        return self._render("event.html", each=event)

    def feed(self, whole: Whole) -> str:
        """`regressions.atom`: the events that were updated last; of no time where there is no run."""
        newest = units.utc(whole.newest.recorded_at) if whole.newest else units.BEGINNING
        events = sorted(whole.events, key=lambda event: event.updated, reverse=True)[:MOST_ENTRIES]
        updated = max([newest, *(event.updated for event in events[:1])])
        text = self._render("regressions.atom", events=events, updated=updated)
        return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)

    def baselines(self, baselines: Sequence[BaselinePage], whole: Whole) -> str:
        """`baselines.html`; baselines of runners that have no runs, and cases without any, are shown, too."""
        return self._render("baselines.html", here="baselines", baselines=baselines, known=whole.keys)

    def compare(self, *, some: bool) -> str:
        """`compare.html`.

        Args:
            some: Whether there are runs to be compared.
        """
        return self._render("compare.html", here="compare", some=some)

    def method(self) -> str:
        """`method.html`."""
        return self._render("method.html", here="method")

    def run(self, page: RunPage, *, linked: bool) -> str:
        """The page of a run.

        Args:
            page: What it shows.
            linked: Whether the run that it was compared with has a page.
        """
        return self._render("run.html", root=_UP, run=page, linked=linked)

    def series(
        self,
        series: Series,
        events: Sequence[Event],
        siblings: Sequence[Series],
        paged: Container[str],
        lengths: Lengths | None = None,
    ) -> str:
        """The page of a series.

        Args:
            series: The series.
            events: What got worse in it.
            siblings: The other series of its model on the same runner.
            paged: Ids of the runs that have a page.
            lengths: The same model over prompt lengths; `None` where there is one length alone.
        """
        name = quote(places.series_path(series, "").rpartition("/")[2])
        return self._render(
            "series.html",
            root=_UP,
            series=series,
            events=events,
            siblings=siblings,
            lengths=lengths,
            shown=series.points[::-1][:MOST_ROWS],
            drawn=len(series.drawn),
            drawn_still=svg.MOST_POINTS,
            paged=paged,
            data=f"{name}.js",
            csv=f"{name}.csv",
            badge_url=quote(places.badge_path(series)),
        )

    def lengths(self, lengths: Lengths, siblings: Sequence[LengthsName]) -> str:
        """The page of a model over prompt lengths.

        Args:
            lengths: The model on a runner.
            siblings: The same model elsewhere, or built otherwise.
        """
        return self._render("lengths.html", root=_UP, lengths=lengths, siblings=siblings)

    def badge(self, series: Series) -> str:
        """The badge of a series: its rates, in the colour of its verdict."""
        return self._render("badge.svg", badge=badge_of(series))

    def _render(self, template: str, root: str = "", here: str = "", **values: Any) -> str:  # noqa: ANN401
        return self._environment.get_template(template).render(root=root, here=here, **values)


def _bytecode(folder: Path) -> FileSystemBytecodeCache | None:
    """What keeps compiled templates in a folder; `None` where that cannot be written."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return FileSystemBytecodeCache(str(folder)) if os.access(folder, os.W_OK) else None


@cache
def pages(templates: Path, title: str, compiled: Path, plotly: str) -> Pages:
    """The texts of all pages; a process reads their templates once."""
    return Pages(templates, title, compiled, plotly)


def _filters(runners: Sequence[Runner]) -> list[tuple[str, str, list[str]]]:
    """Name, label and values of what cases can be chosen by."""
    lines = [line for runner in runners for line in runner.lines]
    return [
        ("runner", "Runner", [runner.name for runner in runners]),
        ("model", "Model", sorted({line.model for line in lines})),
        ("quantization", "Quantization", sorted({line.quantization for line in lines})),
        ("metric", "Metric", [units.metric_label(metric) for metric in RATES]),
        ("outcome", "Verdict", [*parts.OUTCOMES, "not judged"]),  # all: a link to what is regressed shows that none is
    ]


def _run_url(run: Run | Extract) -> str:
    return quote(places.run_path(run))


def _run_name(run: Run | Extract) -> str:
    """A run as the address of a comparison names it."""
    return quote(f"{run.runner}/{run.id}", safe="")


def _reference_name(report: CheckReport) -> str:
    """The run that a run was compared with, likewise."""
    return quote(f"{report.runner}/{report.reference_record}", safe="")


def _case_url(key: str, runner: str) -> str:
    """Where the series of a runner's case is."""
    return quote(places.series_path(SeriesName(runner=runner, key=key)))


def _spark(history: Sequence[float], metric: str, value: Value) -> Markup:
    runs = f"{len(history)} run{'' if len(history) == 1 else 's'}"
    label = f"{units.metric_label(metric)}, {runs}, now {units.rate(value.median)} tokens per second"
    return svg.spark(history, label)


def _plot(series: Series, metric: str, label: str) -> Markup:
    return svg.chart(series, metric, f"{label} rate of the newest runs; the table below has the same numbers")


def _devices_url(series: Series) -> str:
    model, workload = (quote(part, safe="") for part in (series.model, series.workload))
    return f"devices.html#?model={model}&workload={workload}"


_GLOBALS = {
    "alone": parts.alone,
    "badge": parts.badge,
    "nothing": parts.NOTHING,
    "outcomes": parts.OUTCOMES,
    "said": parts.said,
    "settings": parts.settings,
    "time": parts.time,
    "value": parts.value,
}
_FILTERS = {
    "case_url": _case_url,
    "cell": units.cell,
    "change": units.change,
    "curves": curves,
    "data_url": lambda record: quote(places.data_path(record)),
    "day": units.day,
    "devices_url": _devices_url,
    "digest": parts.digest,
    "duration": units.duration,
    "heads": parts.heads,
    "iso": units.iso,
    "index_url": lambda runner: quote(places.index_path(runner.name)),
    "kernels": parts.kernels,
    "lengths_url": lambda lengths, suffix=".html": quote(places.lengths_path(lengths, suffix)),
    "medians": parts.medians,
    "metric_label": units.metric_label,
    "packages": parts.packages,
    "percent": units.percent,
    "plot": _plot,
    "quantity": units.quantity,
    "rate": units.rate,
    "ratio": units.ratio,
    "reference_name": _reference_name,
    "replicates": parts.replicates,
    "reference_url": lambda report: quote(f"runs/{report.runner}/{report.reference_record}.html"),
    "rows": rows,
    "run_name": _run_name,
    "run_url": _run_url,
    "series_url": lambda series: quote(places.series_path(series)),
    "size": units.size,
    "slot": svg.slot,
    "spark": _spark,
    "verdicts": parts.verdicts,
    "when": units.when,
}
