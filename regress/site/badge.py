"""A series as an image for a README: its rates, in the colour of its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.site import units
from regress.site.facts import RATES, Fact

if TYPE_CHECKING:
    from regress.site.series import Series

_COLOURS = {
    "pass": "#176c3a",
    "improved": "#0b5f8a",
    "regressed": "#b3261e",
    "inconclusive": "#7a5600",
    "broken": "#8b2b6d",
    "missing": "#566072",
    None: "#566072",
}
_CHARACTER, _MARGIN = 6.6, 12
"""Width of a character and of the margins of a badge's halves, in pixels."""


class Badge(Fact, frozen=True, kw_only=True):
    """What a badge says.

    Attributes:
        name: Its left half.
        text: Its right half.
        colour: Of the right half.
    """

    name: str
    text: str
    colour: str

    @property
    def left(self) -> int:
        """Width of the left half, in pixels."""
        return _MARGIN + round(_CHARACTER * len(self.name))

    @property
    def right(self) -> int:
        """Width of the right half, in pixels."""
        return _MARGIN + round(_CHARACTER * len(self.text))


def badge_of(series: Series) -> Badge:
    """The badge of a series."""
    rates = " · ".join(units.rate(value.median) for metric in RATES if (value := series.newest.value(metric)))
    return Badge(
        name=f"{series.model} {series.workload}",
        text=f"{rates} tokens/s" if rates else series.outcome or "no value",
        colour=_COLOURS[series.outcome],
    )
