"""The rows of a series' table as HTML, fifty on each of hundreds of pages: a template would take twice as long."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from markupsafe import Markup, escape

from regress.site import parts, places, units
from regress.site.facts import DECODE, ENERGY, PREFILL, ROOFLINE

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from regress.site.facts import Fault
    from regress.site.series import Point, Series

_FAILED = '<tr class="failed">'
_ELSEWHERE = '<span class="note">another machine, harness or weights than now</span>'
_IN_TURN = '<span class="note">in turn with its reference</span>'
"""Such a reference stands below the run, though it may have begun after it."""
_UNJUDGED = '<span class="quiet">not judged</span>'


def rows(series: Series, shown: Iterable[Point], paged: Container[str], root: str) -> Markup:
    """Rows of a table: a run each, with its verdicts and rates.

    Args:
        series: The series.
        shown: The runs of it that have a row.
        paged: Ids of the runs that have a page.
        root: The way from the page to the site's root.
    """
    now = series.newest.segment
    return Markup("\n".join([_row(series, point, now, paged, root) for point in shown]))  # noqa: S704  # escaped there


def _row(series: Series, point: Point, now: int, paged: Container[str], root: str) -> str:
    fault = point.case.fault
    notes = _settings(series, point) if not point.usual else ""
    if point.segment != now and not point.run.imported:
        notes += _ELSEWHERE
    if point.run.reference_run:
        notes += _IN_TURN
    return (
        f"        {_FAILED if fault else '<tr>'}\n"
        f'          <th scope="row">{_name(point, paged, root)} '
        f'<span class="note">{parts.time(point.run.recorded_at)}</span>{notes}</th>\n'
        f"{_failure(fault) if fault else _measured(point)}\n"
        "        </tr>"
    )


def _name(point: Point, paged: Container[str], root: str) -> str:
    label = str(escape(point.label))
    return f'<a href="{root}{quote(places.run_path(point.run))}">{label}</a>' if point.run.id in paged else label


def _settings(series: Series, point: Point) -> str:
    return f'<span class="note">other build flags: {parts.settings(series.other_flags(point))}</span>'


def _failure(fault: Fault) -> str:
    how = f'<span class="cause">{escape(fault.stage)} failed, {escape(fault.how)}</span>'
    return f'          <td colspan="5">{parts.badge("broken")} {how} <code>{escape(fault.cause)}</code></td>'


def _measured(point: Point) -> str:
    rate = parts.alone if point.run.imported else parts.value
    energy, roofline = point.value(ENERGY), point.value(ROOFLINE)
    discarded = f'<span class="note">{escape(point.case.discarded)}</span>' if point.case.discarded else ""
    cells = (
        rate(point.value(PREFILL)),
        rate(point.value(DECODE)),
        units.cell(energy.median, "J") if energy else parts.NOTHING,
        f"{units.percent(roofline.median) if roofline else parts.NOTHING}{discarded}",
    )
    numbers = "\n".join([f'          <td class="number">{cell}</td>' for cell in cells])
    return f"{numbers}\n          <td>{_verdicts(point)}</td>"


def _verdicts(point: Point) -> str:
    """What was said of a run that gave numbers; that its build is in order goes without saying."""
    if point.case.said:
        told = [said for said in point.case.said if said.outcome != "pass" or said.metric]
        items = [f"<li>{parts.badge(said.outcome)} <span>{parts.said(said)}</span></li>" for said in told]
        return f'<ul class="verdicts">{"".join(items)}</ul>'
    if point.run.imported:
        return f'<span class="quiet">imported, not judged</span> <span class="note">{escape(point.run.imported)}</span>'
    return _UNJUDGED
