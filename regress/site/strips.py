"""Values of a table's column as dots on one logarithmic axis, as inline SVG."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.site.facts import Value

_WIDTH, _HEIGHT, _MARGIN = 170.0, 24.0, 14.0
_LEAST_DECADES = 1.0
"""The shortest axis, so that devices that are near each other look so."""
_FEWEST_TICKS, _MOST_TICKS = 2, 4


class Axis:
    """A logarithmic axis.

    Args:
        low: The least value that is drawn.
        high: The greatest value that is drawn.
    """

    def __init__(self, low: float, high: float) -> None:
        first, last = math.log10(low), math.log10(high)
        short = max(0.0, _LEAST_DECADES - (last - first)) / 2
        self._first, self._last = first - short, last + short

    def head(self, label: str) -> Markup:
        """The axis with its values, for the head of the column.

        Args:
            label: What a screen reader says of it.
        """
        text = Markup('<text x="{x:.1f}" y="12" text-anchor="middle">{tick}</text><path d="M{x:.1f} 17v7"/>')
        parts = [text.format(x=self._x(tick), tick=f"{tick:,g}") for tick in self.ticks()]
        opening = Markup('<svg class="strip" viewBox="0 0 {w:g} {h:g}" role="img" aria-label="{label}">')
        return opening.format(w=_WIDTH, h=_HEIGHT, label=label) + Markup("").join(parts) + Markup("</svg>")

    def strip(self, value: Value, roofline: float | None = None) -> Markup:
        """A dot with the replicates' range, and a mark at the roofline; the number stands beside it in words."""
        x = self._x(value.median)
        return Markup(  # noqa: S704  # numbers alone, and `Markup.format` would take ten times as long
            f'<svg class="strip" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" aria-hidden="true">{self._grid}'
            f"{self._bound(x, self._x(roofline)) if roofline else ''}"
            f'<path class="range" d="M{self._x(value.low):.1f} 12H{self._x(value.high):.1f}"/>'
            f'<circle cx="{x:.1f}" cy="12" r="4"/></svg>'
        )

    def ticks(self) -> Sequence[float]:
        """Two to four values: powers of ten, and thrice them where there are few."""
        tens = self._steps((1,))
        if len(tens) < _FEWEST_TICKS:
            return self._steps((1, 3))
        return tens[:: -(-len(tens) // _MOST_TICKS)]

    def _steps(self, factors: tuple[int, ...]) -> list[float]:
        powers = range(math.floor(self._first), math.ceil(self._last) + 1)
        steps = (factor * 10.0**power for power in powers for factor in factors)
        return [step for step in steps if self._first <= math.log10(step) <= self._last]

    @cached_property
    def _grid(self) -> str:
        return "".join(f'<path class="grid" d="M{self._x(tick):.1f} 0v24"/>' for tick in self.ticks())

    @staticmethod
    def _bound(x: float, end: float) -> str:
        return f'<path class="bound" d="M{x:.1f} 12H{end:.1f}"/><path class="roof" d="M{end:.1f} 4v16"/>'

    def _x(self, value: float) -> float:
        share = (math.log10(value) - self._first) / (self._last - self._first)
        return _MARGIN + (_WIDTH - 2 * _MARGIN) * share
