"""What is drawn of a long series: all that stands out, and enough of the rest."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest
from factories import make_broken
from site_entries import entry, judged, later, series, slow

from regress.site.facts import DECODE, Fault, Said, value_of
from regress.site.series import Series, Step
from regress.site.thinning import MOST_WHOLE, drawn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.site.series import Point

LONG = 20 * MOST_WHOLE


def long_series(count: int = LONG, changes: Mapping[int, Point] | None = None) -> Series:
    """So many runs at 50 tokens/s, the runs of those numbers being others."""
    plain = series(entry())
    points = [(changes or {}).get(number, plain.points[0]) for number in range(count)]
    return replace(
        plain,
        points=tuple(
            msgspec.structs.replace(point, run=msgspec.structs.replace(point.run, id=f"run-{number}"))
            for number, point in enumerate(points)
        ),
    )


def kept(found: Series) -> set[int]:
    """The numbers of the runs that are drawn."""
    return {int(point.run.id.removeprefix("run-")) for point in drawn(found)}


def rated(decode: float) -> Point:
    """A run with that rate."""
    point = series(entry()).points[0]
    values = {**point.case.values, DECODE: value_of([decode])}
    return msgspec.structs.replace(point, case=msgspec.structs.replace(point.case, values=values))


def test_a_short_series_is_drawn_whole() -> None:
    assert kept(long_series(MOST_WHOLE)) == set(range(MOST_WHOLE))


def test_a_long_one_is_drawn_in_part_from_its_first_run_to_its_last() -> None:
    found = kept(long_series())

    assert {0, LONG - 1} <= found
    assert len(found) <= MOST_WHOLE
    # Nowhere is more left out than one of 75 stretches.
    ordered = sorted(found)
    assert max(after - before for before, after in pairwise(ordered)) <= LONG / 75 + 1


@pytest.mark.parametrize("decode", [10.0, 90.0])
def test_a_single_outlier_is_drawn(decode: float) -> None:
    assert 1234 in kept(long_series(changes={1234: rated(decode)}))


def test_runs_that_say_something_else_are_drawn_with_their_neighbours() -> None:
    """A verdict, a failure, other flags, another machine: the first and the last run of each stretch."""
    regressed = series(judged(later(1, slow()))).points[0]
    broken = series(entry(later(1, make_broken()))).points[0]
    plain = series(entry()).points[0]
    odd, moved = (msgspec.structs.replace(plain, **change) for change in ({"usual": False}, {"segment": 1}))
    changes = {
        **dict.fromkeys(range(1010, 1020), regressed),
        2020: broken,
        3030: odd,
        **dict.fromkeys(range(4040, 4044), moved),
    }

    found = kept(long_series(changes=changes))

    assert {1009, 1010, 1019, 1020} <= found
    assert {2019, 2020, 2021} <= found
    assert {3029, 3030, 3031} <= found
    assert {4039, 4040, 4043, 4044} <= found


def test_the_first_run_after_a_step_is_drawn() -> None:
    plain = long_series()
    stepped = replace(plain, steps=(Step(point=plain.points[4321], metric=DECODE, loss=0.1),))

    assert 4321 not in kept(plain)
    assert 4321 in kept(stepped)


def test_a_series_that_changes_all_the_time_stays_small() -> None:
    """Its newest changes are drawn, and of the older ones what stands out."""
    odd = msgspec.structs.replace(series(entry()).points[0], usual=False)
    found = kept(long_series(changes=dict.fromkeys(range(0, LONG, 2), odd)))

    assert len(found) <= MOST_WHOLE
    assert set(range(LONG - 200, LONG)) <= found


def test_runs_without_values_are_drawn_where_there_is_nothing_else() -> None:
    point = series(entry()).points[0]
    fault = Fault(stage="build", how="killed", cause="none")
    empty = msgspec.structs.replace(point, case=msgspec.structs.replace(point.case, values={}, fault=fault))
    found = long_series(LONG, dict.fromkeys(range(LONG), empty))

    assert {0, LONG - 1} <= kept(found)


def test_a_verdict_of_one_run_stands_among_thousands() -> None:
    point = series(entry()).points[0]
    said = Said(outcome="inconclusive", reason="", text="", metric=DECODE, loss=None, tolerance=None, visible_loss=None)
    told = msgspec.structs.replace(point, case=msgspec.structs.replace(point.case, said=(said,)))

    assert 5555 in kept(long_series(changes={5555: told}))
