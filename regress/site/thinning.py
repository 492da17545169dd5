"""Which runs of a long series a chart draws, so that it looks as if it drew them all."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from regress.site.facts import RATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from regress.site.series import Point, Series

MOST_WHOLE = 500
"""Runs of a series that are all drawn."""
_BUCKETS = 75
"""Stretches of a longer one: of each, two to six runs are drawn."""
_MOST_MARKS = 200
"""Runs that are drawn for what they say, at most: the newest ones."""


def drawn(series: Series) -> list[Point]:
    """The runs of a series that its chart draws, oldest first: all of a short one.

    Of a long one the runs are cut into stretches of equal length, and of each stretch the first, the last, and those
    with the least and the greatest value of each rate are kept, so that no outlier is lost and the line between them
    runs as the whole one does. Beside them are kept the first and the last run of whatever is said differently from
    the run beside it: another verdict, a failure, another machine or other flags; and the first after each step.

    Source:
        Jugel et al., M4: A Visualization-Oriented Time Series Data Aggregation (2014), here with two values at once,
        and stretches of runs in place of columns of pixels.
    """
    points = series.points
    if len(points) <= MOST_WHOLE:
        return list(points)
    length = -(-len(points) // _BUCKETS)
    kept = {place for begin in range(0, len(points), length) for place in _corners(points, begin, begin + length)}
    places = {point.run.id: place for place, point in enumerate(points)}
    kept.update(sorted({*_changes(points), *(places[step.point.run.id] for step in series.steps)})[-_MOST_MARKS:])
    return [points[place] for place in sorted(kept)]


def _corners(points: Sequence[Point], begin: int, end: int) -> Iterator[int]:
    """Places of a stretch's first and last run, and of the least and the greatest of each rate."""
    places = range(begin, min(end, len(points)))
    yield from (places[0], places[-1])
    for metric in RATES:
        values = {place: value.median for place in places if (value := points[place].value(metric))}
        if values:
            yield from (min(values, key=values.__getitem__), max(values, key=values.__getitem__))


def _changes(points: Iterable[Point]) -> Iterator[int]:
    """Places of the runs on both sides of each change of what is said of them."""
    told = [(point.outcome, point.case.fault is None, point.segment, point.usual) for point in points]
    for place, (before, after) in enumerate(pairwise(told)):
        if before != after:
            yield from (place, place + 1)
