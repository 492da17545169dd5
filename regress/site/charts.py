"""The chart of a runner as a Plotly figure of plain dicts: `plotly.graph_objects` is slow and not needed to draw.

Colours belong to the style sheet, which knows light from dark: a trace names its slot in `meta`, and `charts.js`
looks the colour up. Marker shapes tell the cases apart without it.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

from regress.site import units
from regress.site.pages import DECODE, PREFILL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.site.pages import CaseGroup, Row, RunnerSection
    from regress.verdict import Spread

Figure = dict[str, Any]
"""What `Plotly.newPlot` takes: `data` and `layout`."""

COLOUR_SLOTS = 8
"""How many series colours the style sheet has; more cases than that take them in turn."""

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "star", "hexagon", "triangle-down", "pentagon")

LOG_FROM = 8
"""Ratio of the largest to the smallest rate from which a panel is logarithmic: below it nothing is squashed flat."""

MOST_TICKS = 9
"""How many tick labels a logarithmic panel has room for."""

_PANELS = ((PREFILL, "y"), (DECODE, "y2"))
_HOVER = "<b>%{fullData.name}</b><br>%{x}<br>%{customdata[0]}<extra></extra>"


def figure(section: RunnerSection) -> Figure:
    """Prefill above decode over the runner's toolchains: medians, with the replicates' range as error bars."""
    data = [
        _rates(group, slot, metric, axis, section.labels)
        for slot, group in enumerate(section.groups)
        for metric, axis in _PANELS
    ]
    broken = [_broken(section, metric, axis) for metric, axis in _PANELS]
    return {"data": data + [trace for trace in broken if trace["x"]], "layout": _layout(section)}


def literal(text: str) -> str:
    """The text as Plotly shows it unchanged: its labels and names are read as a small HTML."""
    return html.escape(text, quote=False)


def _rates(group: CaseGroup, slot: int, metric: str, axis: str, labels: Sequence[str]) -> Figure:
    rows = _in_order(group, labels)
    spreads = [row.values(metric) for row in rows]
    return {
        "type": "scatter",
        "mode": "lines+markers+text",
        "name": literal(group.key),
        "legendgroup": literal(group.key),
        "showlegend": metric == PREFILL,
        "meta": {"slot": slot % COLOUR_SLOTS + 1},
        "x": [literal(row.label) for row in rows],
        "y": [spread.median if spread else None for spread in spreads],
        "yaxis": axis,
        "error_y": _range(spreads),
        "marker": {"symbol": SYMBOLS[slot % len(SYMBOLS)], "size": 9},
        "text": [_mark(row, metric) for row in rows],
        "textposition": "bottom center",
        "customdata": [[_hover(row, metric)] for row in rows],
        "hovertemplate": _HOVER,
        "cliponaxis": False,
    }


def _in_order(group: CaseGroup, labels: Sequence[str]) -> list[Row]:
    return sorted(group.rows, key=lambda row: labels.index(row.label))


def _range(spreads: Sequence[Spread | None]) -> Figure:
    """Error bars from the smallest to the largest replicate."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(spread.values) - spread.median if spread else None for spread in spreads],
        "arrayminus": [spread.median - min(spread.values) if spread else None for spread in spreads],
    }


def _mark(row: Row, metric: str) -> str:
    """What stands beside a point: the loss where it regressed, else nothing."""
    verdict = row.verdict(metric)
    if verdict is None or verdict.outcome != "regressed" or verdict.loss is None:
        return ""
    return f"▼ {units.change(verdict.loss)}"


def _hover(row: Row, metric: str) -> str:
    spread, verdict = row.values(metric), row.verdict(metric)
    lines = [] if spread is None else [_measured(spread)]
    lines += [] if verdict is None else [f"{verdict.outcome}: {verdict.text}"]
    lines.append(units.when(row.record.recorded_at))
    return "<br>".join(map(literal, lines))


def _measured(spread: Spread) -> str:
    ends = f"{units.rate(min(spread.values))} to {units.rate(max(spread.values))}"
    return f"{units.rate(spread.median)} tokens/s ({ends}, {len(spread.values)} replicates)"


def _broken(section: RunnerSection, metric: str, axis: str) -> Figure:
    """A cross at the foot of the panel for every toolchain with which some case does not build or run."""
    causes = {label: _causes(section, label) for label in section.labels}
    causes = {label: lines for label, lines in causes.items() if lines}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "broken",
        "legendgroup": "broken",
        "showlegend": axis == "y",
        "meta": {"slot": "broken"},
        "x": [literal(label) for label in causes],
        "y": [_foot(section, metric)] * len(causes),
        "yaxis": axis,
        "marker": {"symbol": "x", "size": 11},
        "customdata": [["<br>".join(lines)] for lines in causes.values()],
        "hovertemplate": _HOVER,
        "cliponaxis": False,
    }


def _causes(section: RunnerSection, label: str) -> list[str]:
    failures = ((group.key, row.failure) for group in section.groups for row in group.rows if row.label == label)
    return [literal(f"{key}: {failure.stage} failed, {failure.how}") for key, failure in failures if failure]


def _medians(section: RunnerSection, metric: str) -> list[float]:
    spreads = (row.values(metric) for group in section.groups for row in group.rows)
    return [spread.median for spread in spreads if spread]


def _is_log(medians: Sequence[float]) -> bool:
    return bool(medians) and max(medians) > LOG_FROM * min(medians)


def _foot(section: RunnerSection, metric: str) -> float:
    """Where the panel ends below: zero, or half the smallest rate on a logarithmic axis."""
    medians = _medians(section, metric)
    return min(medians) / 2 if _is_log(medians) else 0


def _layout(section: RunnerSection) -> Figure:
    return {
        "height": 520,
        "margin": {"l": 72, "r": 24, "t": 24, "b": 40},
        "hovermode": "closest",
        "legend": {"orientation": "h", "y": -0.12, "yanchor": "top", "x": 0, "xanchor": "left"},
        "xaxis": {
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [literal(label) for label in section.labels],
            "anchor": "y2",
            "automargin": True,
            "ticks": "outside",
            "ticklen": 8,
            "tickcolor": "rgba(0,0,0,0)",
        },
        "yaxis": _rate_axis("Prefill", _medians(section, PREFILL), [0.55, 1]),
        "yaxis2": _rate_axis("Decode", _medians(section, DECODE), [0, 0.45]),
    }


def _rate_axis(name: str, medians: Sequence[float], domain: list[float]) -> Figure:
    if not _is_log(medians):
        title = {"text": f"{name}, tokens/s"}
        return {"title": title, "rangemode": "tozero", "automargin": True, "domain": domain}
    ends = (min(medians) / 2, max(medians) * 1.5)  # room for the crosses below and the error bars above
    ticks = _log_ticks(*ends)
    return {
        "title": {"text": f"{name}, tokens/s (log)"},
        "type": "log",
        "automargin": True,
        "range": [math.log10(end) for end in ends],
        "tickvals": ticks,
        "ticktext": [f"{tick:,g}" for tick in ticks],
        "domain": domain,
    }


def _log_ticks(low: float, high: float) -> list[float]:
    """Round values between two rates, 1, 2 and 5 of each power of ten, or the powers alone where those are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in (1, 2, 5) if low <= step * 10.0**power <= high]
    return ticks if len(ticks) <= MOST_TICKS else [10.0**power for power in powers if low <= 10.0**power <= high]
