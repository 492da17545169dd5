"""Small charts: the numbers are read back from where things were drawn."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from factories import make_artifact, make_broken, make_case, make_environment, make_record, sha
from html_page import read_xml
from site_entries import HOSTILE, entry, judged, later, make_baseline, series, slow

from regress.recipe import FLAGS
from regress.site import svg
from regress.site.series import Step

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from regress.site.series import Series

PREFILL, DECODE = "prefill_tokens_per_s", "decode_tokens_per_s"
HALF_A_STEP = 0.05
"""Coordinates are written to a tenth."""


def places(drawn: Element) -> list[tuple[float, float]]:
    """Where the line of a sparkline goes through."""
    (line,) = drawn.findall("polyline")
    pairs = (place.split(",") for place in line.attrib["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


def sparkline(*values: float) -> Element:
    return read_xml(svg.spark(values, "decode"))


def chart(found: Series, label: str = "Decode") -> Element:
    return read_xml(svg.chart(found, DECODE, label))


class Scale:
    """The vertical axis of a chart, by its two outermost lines and what is written beside them."""

    def __init__(self, drawn: Element) -> None:
        heights = [float(line.attrib["y1"]) for line in drawn.findall("line[@class='grid']")]
        texts = [text.text or "" for text in drawn.findall("text[@text-anchor='end']")][: len(heights)]
        self.values = [float(text.replace(",", "")) for text in texts]
        self.per_pixel = (self.values[-1] - self.values[0]) / (heights[0] - heights[-1])
        self._foot, self._lowest = heights[0], self.values[0]

    def value(self, y: str | float) -> float:
        return self._lowest + (self._foot - float(y)) * self.per_pixel

    @property
    def step(self) -> float:
        """How exactly a value can be read: a tenth of a pixel, and the rounding of the outermost lines."""
        return 2 * self.per_pixel * 2 * HALF_A_STEP


def dots(drawn: Element) -> list[Element]:
    """The groups of the runs that have a value."""
    return [group for group in drawn.findall("g") if group.find("circle") is not None]


def circle(dot: Element) -> dict[str, str]:
    found = dot.find("circle")
    assert found is not None
    return found.attrib


def line(dot: Element) -> dict[str, str]:
    found = dot.find("line")
    assert found is not None
    return found.attrib


def title(dot: Element) -> str:
    return dot.findtext("title") or ""


def test_a_sparkline_goes_through_the_values_from_left_to_right() -> None:
    values = [10.0, 12.5, 20.0, 15.0]
    found = places(sparkline(*values))

    assert [x for x, _ in found] == [3.0, 41.0, 79.0, 117.0]  # 3 + 114 / 3 * number, to the margin of 3 at 120
    # From the lowest, 10, at 25 to the highest, 20, at 3: 10 + (25 - y) / 22 * 10.
    read = [10 + (25 - y) / 22 * 10 for _, y in found]
    assert read == pytest.approx(values, abs=HALF_A_STEP / 22 * 10)


def test_the_last_value_has_a_dot() -> None:
    drawn = sparkline(10.0, 20.0, 15.0)

    (dot,) = drawn.findall("circle")

    assert (float(dot.attrib["cx"]), float(dot.attrib["cy"])) == places(drawn)[-1]


def test_noise_of_a_tenth_of_a_percent_is_a_flat_line() -> None:
    """Drawn from top to bottom it would look like a collapse."""
    heights = [y for _, y in places(sparkline(1000.0, 1001.0, 1000.0))]

    # 22 pixels stand for 2 % at least, so one for 0.09 %: 0.1 % is 1.1 pixels, about the middle at 14.
    assert max(heights) - min(heights) == pytest.approx(1.1, abs=2.1 * HALF_A_STEP)
    assert sum(heights[:2]) / 2 == pytest.approx(14, abs=HALF_A_STEP)


def test_a_single_value_is_a_dot_at_the_right_half_way_up() -> None:
    drawn = sparkline(50.0)

    assert places(drawn) == [(117.0, 14.0)]
    assert drawn.find("circle") is not None


def test_no_values_no_picture() -> None:
    assert svg.spark([], "decode") == ""
    assert svg.chart(series(entry(make_record(make_broken()))), DECODE, "") == ""


def test_a_picture_says_what_it_shows_to_who_cannot_see_it() -> None:
    drawn = sparkline(50.0), chart(series(entry()))

    assert [(each.attrib["role"], each.attrib["aria-label"]) for each in drawn] == [
        ("img", "decode"),
        ("img", "Decode"),
    ]


def test_labels_are_text_and_no_markup() -> None:
    spark = read_xml(svg.spark([50.0], HOSTILE))
    drawn = chart(series(entry(make_record(toolchain=HOSTILE)), entry(later(1, make_broken()))), HOSTILE)

    assert (spark.attrib["aria-label"], drawn.attrib["aria-label"]) == (HOSTILE, HOSTILE)
    assert title(dots(drawn)[0]).startswith(f"{HOSTILE}, 2026-10-03")
    assert {element.tag for element in drawn.iter()} <= {"svg", "line", "text", "g", "circle", "title", "path"}


def test_dots_are_medians_with_the_range_of_the_replicates() -> None:
    runs = [
        entry(make_record(make_case(prefill=(1.0, 1.0, 1.0), decode=(90.0, 100.0, 130.0)))),
        entry(later(1, make_case(prefill=(1.0,), decode=(120.0,)))),
    ]
    drawn = chart(series(*runs))
    scale = Scale(drawn)

    first, second = dots(drawn)

    assert scale.value(circle(first)["cy"]) == pytest.approx(100, abs=scale.step)
    assert scale.value(line(first)["y1"]) == pytest.approx(130, abs=scale.step)
    assert scale.value(line(first)["y2"]) == pytest.approx(90, abs=scale.step)
    assert scale.value(circle(second)["cy"]) == pytest.approx(120, abs=scale.step)
    assert line(second)["y1"] == line(second)["y2"]
    assert title(second) == "tvm-0.27.0, 2026-10-04 12:00 UTC: 120.0"


def test_runs_stand_evenly_oldest_first() -> None:
    """However long it was between them."""
    drawn = chart(series(entry(), entry(later(1)), entry(later(100))))

    first, second, third = (float(circle(dot)["cx"]) for dot in dots(drawn))

    assert second - first == pytest.approx(third - second, abs=2 * HALF_A_STEP)
    assert 68 < first < third < 748  # between the labels and the right margin
    days = [text.text for text in drawn.findall("text") if "-" in (text.text or "")]
    assert days == ["2026-10-03", "2027-01-11"]  # a hundred days: 28 of October, 30, 31, 11


def test_a_single_run_has_one_date() -> None:
    drawn = chart(series(entry()))

    assert [text.text for text in drawn.findall("text") if "-" in (text.text or "")] == ["2026-10-03"]


def test_a_dot_has_the_class_of_the_metrics_verdict() -> None:
    """Prefill regressed, decode did not: the decode chart shows decode's."""
    mixed = judged(later(2, make_case(prefill=(500.0,), decode=(50.0,))))
    drawn = chart(series(entry(), judged(later(1, slow())), mixed))

    assert [dot.attrib["class"].split()[0] for dot in dots(drawn)] == ["unjudged", "regressed", "pass"]


def test_a_broken_build_is_a_cross_at_the_foot_in_its_place() -> None:
    drawn = chart(series(entry(), entry(later(1, make_broken())), entry(later(2))))

    (cross,) = [group for group in drawn.findall("g") if group.attrib["class"] == "broken"]
    path = cross.find("path")
    assert path is not None
    match = re.match(r"M([\d.]+) ([\d.]+)m", path.attrib["d"])
    assert match is not None
    before, after = (float(circle(dot)["cx"]) for dot in dots(drawn))
    assert float(match[1]) == pytest.approx((before + after) / 2, abs=2 * HALF_A_STEP)
    assert float(match[2]) == 186  # 220 high, 28 below the plot, 6 above its foot
    assert title(cross) == "tvm-0.27.0: build failed"


def test_the_band_is_the_reference_and_the_largest_loss_that_passes() -> None:
    drawn = chart(series(entry(), baseline=make_baseline(make_record(slow(50.0)), tolerance={DECODE: 0.2})))
    scale = Scale(drawn)

    band, level = drawn.find("rect[@class='band']"), drawn.find("line[@class='level']")

    assert band is not None
    assert level is not None
    top, height = float(band.attrib["y"]), float(band.attrib["height"])
    assert scale.value(top) == pytest.approx(50, abs=scale.step)
    assert scale.value(level.attrib["y1"]) == pytest.approx(50, abs=scale.step)
    assert scale.value(top + height) == pytest.approx(40, abs=scale.step)  # 50 less 20 %


def test_a_change_of_level_is_a_line_at_its_first_run() -> None:
    found = series(entry(), entry(later(1)), entry(later(2)))
    steps = tuple(
        Step(point=found.points[place], metric=metric, loss=0.1) for place, metric in ((1, DECODE), (2, PREFILL))
    )

    drawn = chart(replace(found, steps=steps))

    (step,) = drawn.findall("line[@class='step']")
    assert step.attrib["x1"] == step.attrib["x2"] == circle(dots(drawn)[1])["cx"]


def test_a_chart_without_a_reference_has_no_band() -> None:
    assert chart(series(entry())).find("rect") is None


def test_all_that_is_drawn_lies_inside_the_picture() -> None:
    """The band too, however far the rates have come from it."""
    far = make_baseline(make_record(slow(500.0)))
    drawn = chart(series(entry(), judged(later(1, slow(5.0))), baseline=far))

    heights = [
        float(value)
        for element in drawn.iter()
        for name, value in element.attrib.items()
        if name in {"y", "y1", "y2", "cy"}
    ]
    assert 0 <= min(heights) <= max(heights) <= 220


def test_a_build_with_other_flags_is_a_ring_that_names_them() -> None:
    """In the colour that it has in the chart of a script: the one after those of the machines."""
    tried = make_case(artifact=make_artifact(flags={**FLAGS, "cuda_graph": "1"}))

    usual, _, ring = dots(chart(series(entry(), entry(later(1)), entry(later(2, tried)))))

    assert usual.attrib["class"] == "unjudged slot-1"
    assert ring.attrib["class"] == "unjudged slot-2 other"
    assert title(ring).endswith(": 50.00, cuda_graph=1")


def test_machines_have_the_colours_of_their_traces() -> None:
    there = make_environment(fingerprint=sha("there"))

    drawn = chart(series(entry(), entry(later(1, environment=there)), entry(later(2))))

    assert [dot.attrib["class"].split()[1] for dot in dots(drawn)] == ["slot-1", "slot-2", "slot-1"]


def test_the_ninth_trace_has_the_first_colour_again() -> None:
    assert [svg.slot(number) for number in (0, 7, 8)] == ["slot-1", "slot-8", "slot-1"]


def test_a_chart_shows_the_newest_runs_alone() -> None:
    """So many that a page without a script stays small; its table and its file have the others."""
    found = series(entry(), entry(later(1, slow(80.0))))
    many = replace(found, points=(found.points[0],) * 5 + (found.points[1],) * 120)

    drawn = chart(many)

    assert len(dots(drawn)) == 120
    assert {circle(dot)["cy"] for dot in dots(drawn)} == {circle(dots(drawn)[0])["cy"]}


@pytest.mark.parametrize("rate", [0.2, 0.999, 1.0, 3.7, 12.34, 99.9, 104.5, 870.0, 1234.5, 98765.0])
@pytest.mark.parametrize("spread", [1.0, 1.0805, 1.3, 4.0, 700.0])
def test_an_axis_has_two_to_five_lines_at_round_values_that_differ_as_written(rate: float, spread: float) -> None:
    """Whatever the rates are: with one line alone nobody could read a value off."""
    drawn = chart(series(entry(make_record(make_case(prefill=(1.0, 1.0), decode=(rate, rate * spread))))))

    scale = Scale(drawn)

    assert 2 <= len(scale.values) <= 5
    assert all(low < high for low, high in pairwise(scale.values))
    # As far apart as 1, 2, 2.5 or 5 of some power of ten, in the digits that a rate is written with.
    gaps = [high - low for low, high in pairwise(scale.values)]
    assert max(gaps) - min(gaps) <= 0.011 * max(1.0, scale.values[-1] / 100)


def test_the_lines_of_an_axis_stand_at_the_values_beside_them() -> None:
    """Read with the two outermost, the others must agree."""
    drawn = chart(series(entry(make_record(make_case(prefill=(1.0, 1.0), decode=(1000.0, 1400.0))))))
    scale = Scale(drawn)

    heights = [line.attrib["y1"] for line in drawn.findall("line[@class='grid']")]

    # From 1000 to 1400 with a margin of 8 %: 968 to 1432, a quarter of which is 116; the next round step is 200.
    assert scale.values == [1000, 1200, 1400]
    assert [scale.value(height) for height in heights] == pytest.approx(scale.values, abs=scale.step)


def test_a_value_that_a_run_lacks_is_no_dot() -> None:
    vanished = judged(later(1, make_case("other/q/t/p1+1")))

    assert len(dots(chart(series(entry(), vanished)))) == 1


def test_the_same_series_gives_the_same_picture() -> None:
    runs = [entry(), judged(later(1, slow()))]

    assert svg.chart(series(*runs), DECODE, "") == svg.chart(series(*runs[::-1]), DECODE, "")
