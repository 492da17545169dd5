"""Small charts as inline SVG: what a page shows without a script. Colours are the style sheet's, by class."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from regress.site import units

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from regress.site.facts import Value
    from regress.site.series import Band, Point, Series

_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_MARGIN = 120.0, 28.0, 3.0
WIDTH, HEIGHT = 760.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 68.0, 12.0, 12.0, 28.0
SLOTS = 8
"""Colours of traces; the ninth has the first one's again."""
MOST_POINTS = 120
"""Points that a chart without a script shows: the newest ones."""
_FLATTEST = 0.02
"""The least that a sparkline's height stands for, as a fraction: noise of a tenth of a percent is a flat line."""


def spark(values: Sequence[float], label: str) -> Markup:
    """A line through the values, with a dot at the last.

    Args:
        values: Oldest first, above zero.
        label: What a screen reader says of it.
    """
    if not values:
        return Markup("")
    low, high = _widened(min(values), max(values))
    width = _SPARK_WIDTH - 2 * _SPARK_MARGIN
    height = _SPARK_HEIGHT - 2 * _SPARK_MARGIN
    step = width / max(len(values) - 1, 1)
    places = [
        (
            _SPARK_MARGIN + (number * step if len(values) > 1 else width),
            _SPARK_MARGIN + height * (high - value) / (high - low),
        )
        for number, value in enumerate(values)
    ]
    points, (x, y) = " ".join([f"{x:.1f},{y:.1f}" for x, y in places]), places[-1]
    return Markup(  # noqa: S704  # the label alone can hold markup
        f'<svg class="spark" viewBox="0 0 {_SPARK_WIDTH:g} {_SPARK_HEIGHT:g}" role="img" aria-label="{escape(label)}">'
        f'<polyline points="{points}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/></svg>'
    )


def chart(series: Series, metric: str, label: str) -> Markup:
    """A metric over the newest runs: medians with the replicates' range, what it is held against, steps, broken runs.

    Args:
        series: The series; its runs are drawn evenly, oldest first.
        metric: The metric.
        label: What a screen reader says of it.
    """
    points = series.points[-MOST_POINTS:]
    band = series.bands.get(metric)
    ends = _ends(points, metric, band)
    if ends is None:
        return Markup("")
    plot = _Plot(len(points), *ends)
    parts = [
        plot.ticks(),
        plot.band(band) if band else Markup(""),
        plot.steps(points, {step.point.run.id for step in series.steps if step.metric == metric}),
        plot.marks(series, points, metric),
        plot.dates(points),
    ]
    return opening(label) + Markup("").join(parts) + Markup("</svg>")


class Frame:
    """A chart's vertical axis.

    Args:
        low: Value at its foot.
        high: Value at its top.
    """

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high

    def y(self, value: float) -> float:
        """How far down a value stands."""
        return TOP + (HEIGHT - TOP - BOTTOM) * (self._high - value) / (self._high - self._low)

    def ticks(self) -> Markup:
        """Lines at round values, with the values."""
        return Markup("".join([self._tick(value) for value in _round_values(self._low, self._high)]))  # noqa: S704  # digits

    def _tick(self, value: float) -> str:
        y = self.y(value)
        return (
            f'<line class="grid" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">{units.rate(value) if value else "0"}</text>'
        )

    def dot(self, x: float, value: Value, kind: str, title: str) -> str:
        """A dot with its range, from the slowest replicate to the fastest, as HTML.

        Its title alone can hold markup; `Markup.format` would take ten times as long.
        """
        return (
            f'<g class="{kind}"><line x1="{x:.1f}" x2="{x:.1f}" y1="{self.y(value.high):.1f}" '
            f'y2="{self.y(value.low):.1f}"/><circle cx="{x:.1f}" cy="{self.y(value.median):.1f}" r="3"/>'
            f"<title>{escape(title)}</title></g>"
        )


def slot(number: int) -> str:
    """Class of the colour of a trace."""
    return f"slot-{number % SLOTS + 1}"


def opening(label: str) -> Markup:
    """The start of a chart's element, with what a screen reader says of it."""
    return Markup(  # noqa: S704  # the label alone can hold markup
        f'<svg class="plot" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(label)}">'
    )


class _Plot(Frame):
    """Where things lie on the chart."""

    def __init__(self, count: int, low: float, high: float) -> None:
        super().__init__(low, high)
        self._step = (WIDTH - LEFT - RIGHT) / max(count, 1)

    def band(self, band: Band) -> Markup:
        """The reference's level, and the largest loss that passes below it."""
        top, bottom = self.y(band.level), self.y(band.level * (1 - band.tolerance))
        width, height = WIDTH - RIGHT - LEFT, max(bottom - top, 0)
        return Markup(  # noqa: S704  # digits
            f'<rect class="band" x="{LEFT:g}" y="{top:.1f}" width="{width:g}" height="{height:.1f}"/>'
            f'<line class="level" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{top:.1f}" y2="{top:.1f}"/>'
        )

    def steps(self, points: Sequence[Point], after: Container[str]) -> Markup:
        """A line at each run that is the first one after a change of level."""
        places = [LEFT + (number + 0.5) * self._step for number, point in enumerate(points) if point.run.id in after]
        lines = [
            f'<line class="step" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP:g}" y2="{HEIGHT - BOTTOM:g}"/>' for x in places
        ]
        return Markup("".join(lines))  # noqa: S704  # digits

    def marks(self, series: Series, points: Sequence[Point], metric: str) -> Markup:
        """A dot with its range for every run that has the metric, a cross at the foot for one that is broken."""
        drawn = []
        for number, point in enumerate(points):
            x, value = LEFT + (number + 0.5) * self._step, point.value(metric)
            if value is not None:
                drawn.append(self.dot(x, value, _kind(series, point, metric), _title(series, point, value)))
            elif point.case.fault:
                drawn.append(_cross(x, f"{point.label}: {point.case.fault.stage} failed"))
        return Markup("".join(drawn))  # noqa: S704  # escaped there

    def dates(self, points: Sequence[Point]) -> Markup:
        """The days of the first and the last run."""
        ends = [(LEFT, "start", points[0])] + ([(WIDTH - RIGHT, "end", points[-1])] if len(points) > 1 else [])
        texts = [
            f'<text x="{x:g}" y="{HEIGHT - 8:g}" text-anchor="{anchor}">{units.day(point.run.recorded_at)}</text>'
            for x, anchor, point in ends
        ]
        return Markup("".join(texts))  # noqa: S704  # digits


def _cross(x: float, title: str) -> str:
    """A cross at the chart's foot, as HTML."""
    path = f"M{x:.1f} {HEIGHT - BOTTOM - 6:.1f}m-4 -4l8 8m0 -8l-8 8"
    return f'<g class="broken"><path d="{path}"/><title>{escape(title)}</title></g>'


def _kind(series: Series, point: Point, metric: str) -> str:
    """The classes of a dot: its verdict's, its trace's, and of builds with other flags and of imports one more."""
    said = point.case.verdict(metric)
    kinds = [said.outcome if said else "unjudged", slot(series.trace(point))]
    return " ".join(kinds if point.usual and not point.run.imported else [*kinds, "other"])


def _title(series: Series, point: Point, value: Value) -> str:
    told = f"{point.label}, {units.when(point.run.recorded_at)}: {units.rate(value.median)}"
    for name, setting in series.other_flags(point).items():
        told += f", {name}={setting}"
    return f"{told}, imported from {point.run.imported}" if point.run.imported else told


def _ends(points: Sequence[Point], metric: str, band: Band | None) -> tuple[float, float] | None:
    """The least and the greatest value to show, with a margin; `None` where there is nothing."""
    values = [value for point in points if (value := point.value(metric))]
    if not values:
        return None
    lows, highs = [value.low for value in values], [value.high for value in values]
    if band:
        lows.append(band.level * (1 - band.tolerance))
        highs.append(band.level)
    return with_margin(min(lows), max(highs))


def with_margin(low: float, high: float) -> tuple[float, float]:
    """The ends of an axis that shows these two."""
    low, high = _widened(low, high)
    margin = (high - low) * 0.08
    return low - margin, high + margin


def _widened(low: float, high: float) -> tuple[float, float]:
    """The two, at least `_FLATTEST` of their mean apart."""
    middle = (low + high) / 2
    half = max((high - low) / 2, middle * _FLATTEST / 2)
    return middle - half, middle + half


def _round_values(low: float, high: float) -> list[float]:
    """Two to five round values between two others."""
    rough = (high - low) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step)
    return [step * number for number in range(first, math.floor(high / step) + 1)]
