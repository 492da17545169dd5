"""Rates over the length of the prompt as inline SVG: what the page shows without a script."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from markupsafe import Markup

from regress.site import svg, units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.site.lengths import Curve, Length, Lengths

_INSET = 24.0
"""From the frame to the first and to the last length."""
_MOST_TICKS = 6


def curves(lengths: Lengths, metric: str, label: str) -> Markup:
    """A line for each of the newest toolchains, with the replicates' ranges, over the logarithm of the prompt's tokens.

    Args:
        lengths: What is drawn; the newest toolchains in the colours that they have in the chart of a script.
        metric: The rate.
        label: How the page calls it.
    """
    chosen = list(enumerate(lengths.curves))[lengths.first_chosen :]
    values = [value for _, curve in chosen for dot in curve.dots if dot and (value := dot.rates.get(metric))]
    if not values:
        return Markup("")
    low, high = svg.with_margin(min(value.low for value in values), max(value.high for value in values))
    plot = _Plot(lengths.lengths, max(low, 0.0), high)
    parts = [plot.ticks(), plot.tokens(), *(plot.line(curve, svg.slot(slot), metric) for slot, curve in chosen)]
    opening = svg.opening(f"{label} rate over the prompt's tokens; the table below has the same numbers")
    return opening + Markup("").join(parts) + Markup("</svg>")


def token_ticks(fewest: int, most: int) -> list[int]:
    """Powers of two about from the shortest prompt to the longest, as many as stand beside each other.

    The two prompts themselves, where they are too near each other for two such powers.
    """
    if most < 2 * fewest:
        return [fewest, most]
    first, last = round(math.log2(fewest)), round(math.log2(most))
    step = -(-(last - first + 1) // _MOST_TICKS)
    return [2**power for power in range(first, last + 1, step)]


class _Plot(svg.Frame):
    """Where things lie on the chart."""

    def __init__(self, lengths: Sequence[Length], low: float, high: float) -> None:
        super().__init__(low, high)
        self._lengths = lengths
        self._first, self._last = (math.log2(lengths[place].prompt_tokens) for place in (0, -1))

    def tokens(self) -> Markup:
        """Lengths below the chart."""
        text = Markup('<text x="{x:.1f}" y="{y:g}" text-anchor="middle">{tokens:,}</text>')
        ticks = token_ticks(self._lengths[0].prompt_tokens, self._lengths[-1].prompt_tokens)
        return Markup("").join(text.format(x=self._x(each), y=svg.HEIGHT - 8, tokens=each) for each in ticks)

    def line(self, curve: Curve, kind: str, metric: str) -> Markup:
        """One toolchain."""
        having = [
            (self._x(length.prompt_tokens), value, f"{curve.label}, {length.prompt_tokens:,} tokens{_built(length)}")
            for length, dot in zip(self._lengths, curve.dots, strict=True)
            if dot and (value := dot.rates.get(metric))
        ]
        line = Markup('<polyline class="{kind}" points="{points}"/>').format(
            kind=kind, points=" ".join(f"{x:.1f},{self.y(value.median):.1f}" for x, value, _ in having)
        )
        dots = [self.dot(x, value, kind, f"{what}: {units.rate(value.median)}") for x, value, what in having]
        return line + Markup("".join(dots))  # noqa: S704  # escaped there

    def _x(self, tokens: int) -> float:
        left, right = svg.LEFT + _INSET, svg.WIDTH - svg.RIGHT - _INSET
        return left + (right - left) * (math.log2(tokens) - self._first) / (self._last - self._first)


def _built(length: Length) -> str:
    return f", {length.flags}" if length.flags else ""
