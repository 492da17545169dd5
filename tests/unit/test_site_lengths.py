"""Rates over the length of the prompt: what is drawn, what the script gets, and what the page says."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from factories import make_artifact, make_broken, make_case, make_environment, make_record, sha
from html_page import Node, read_html, read_xml
from site_entries import entry, later, pages, runner

from regress.recipe import FLAGS
from regress.site.curves import curves, token_ticks
from regress.site.lengths import MOST_CURVES, Lengths
from regress.site.payload import lengths_payload

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from site_entries import Entry

    from regress.record import CaseResult

PREFILL, DECODE = "prefill_tokens_per_s", "decode_tokens_per_s"


def at(tokens: int, decode: float = 50.0, build: str = "tiny/q4f16_1/llvm", new: int = 16) -> CaseResult:
    """A case of that length, of three replicates that lie a hundredth apart."""
    key = f"{build}/p{tokens}+{new}"
    return make_case(key, prefill=(tokens * 10.0,) * 3, decode=(decode * 0.99, decode, decode * 1.01))


def built_with(tokens: int, **flags: str) -> CaseResult:
    """A case of that length, of a build with those flags over the defaults."""
    key = f"tiny/q4f16_1/llvm/p{tokens}+16"
    return make_case(key, artifact=make_artifact(key, flags={**FLAGS, **flags}))


def lengths(*entries: Entry) -> Lengths:
    """The only model of those runs that has several lengths."""
    (found,) = runner(*entries).lengths
    return found


def page(found: Lengths, *siblings: Lengths) -> Node:
    return read_html(pages().lengths(found, siblings))


def three_lengths() -> Lengths:
    """Two toolchains; the newer one was not measured at the longest."""
    old = make_record(at(16, 50), at(1024, 40), at(4096, 30), toolchain="a")
    return lengths(entry(old), entry(later(1, at(16, 52), at(1024, 44), toolchain="b")))


def test_a_model_has_its_lengths_the_shortest_first() -> None:
    found = lengths(entry(make_record(at(1024), at(16), at(128), at(128, new=8))))

    assert [(each.prompt_tokens, each.new_tokens) for each in found.lengths] == [
        (16, 16),
        (128, 8),
        (128, 16),
        (1024, 16),
    ]
    assert (found.runner, found.name, found.device) == ("bench", "tiny/q4f16_1/llvm", "AMD EPYC 9654")


def test_a_model_with_one_length_of_prompt_has_none() -> None:
    """However many tokens follow it; and a model that is built otherwise is another one."""
    record = make_record(at(16), at(16, new=32), at(128, build="tiny/q0f16/llvm"), at(128, build="other/q4f16_1/llvm"))

    assert runner(entry(record)).lengths == ()


def test_a_curve_is_the_newest_run_of_a_toolchain_at_each_length() -> None:
    found = lengths(
        entry(make_record(at(16, 50), at(128, 40), toolchain="a")),
        entry(later(1, at(16, 60), toolchain="b")),
        entry(later(2, at(16, 51), toolchain="a")),
    )

    rates = {curve.label: [dot.rates[DECODE].median if dot else None for dot in curve.dots] for curve in found.curves}
    assert rates == {"a": [51, 40], "b": [60, None]}
    assert list(rates) == ["a", "b"]  # as they appeared first


def test_runs_of_another_machine_are_no_curve() -> None:
    there = make_environment(fingerprint=sha("there"))

    found = lengths(
        entry(make_record(at(16), at(128), toolchain="a", environment=there)),
        entry(later(1, at(16), at(128), toolchain="b")),
    )

    assert [curve.label for curve in found.curves] == ["b"]


def test_so_many_toolchains_are_kept_the_newest() -> None:
    found = lengths(*(entry(later(day, at(16), at(128), toolchain=f"t{day}")) for day in range(MOST_CURVES + 2)))

    assert [curve.label for curve in found.curves] == [f"t{day}" for day in range(2, MOST_CURVES + 2)]
    assert found.count == MOST_CURVES + 2
    assert f"of the newest {MOST_CURVES} of {MOST_CURVES + 2} toolchains" in page(found).one("header").text


def drawn(found: Lengths) -> Element:
    return read_xml(curves(found, DECODE, "Decode"))


def test_lines_go_through_the_medians_over_the_logarithm_of_the_tokens() -> None:
    older, newer = drawn(three_lengths()).findall("polyline")

    places = [[float(number) for number in pair.split(",")] for pair in older.attrib["points"].split()]
    (x16, y16), (x1024, y1024), (x4096, y4096) = places
    # 16 to 4096 are eight doublings, 16 to 1024 six of them.
    assert (x1024 - x16) / (x4096 - x16) == pytest.approx(6 / 8, abs=1e-3)
    assert (y1024 - y16) / (y4096 - y16) == pytest.approx(10 / 20, abs=0.01)  # from 50 to 40, and on to 30
    assert len(newer.attrib["points"].split()) == 2
    assert [line.attrib["class"] for line in (older, newer)] == ["slot-1", "slot-2"]


def test_a_dot_says_toolchain_length_and_rate() -> None:
    titles = [each.text for each in drawn(three_lengths()).iter("title")]

    assert titles[1] == "a, 1,024 tokens: 40.00"


def test_a_dot_names_the_flags_that_are_not_the_defaults() -> None:
    """The longest prompts may want a larger context than the others of their line."""
    found = lengths(
        entry(make_record(built_with(16), built_with(128, cuda_graph="1", context_window_size="256"), toolchain="a"))
    )

    titles = [each.text for each in drawn(found).iter("title")]

    assert titles == ["a, 16 tokens: 50.00", "a, 128 tokens, context_window_size=256, cuda_graph=1: 50.00"]


def test_the_picture_has_the_newest_toolchains_alone_in_their_colours() -> None:
    found = lengths(*(entry(later(day, at(16), at(128), toolchain=f"t{day}")) for day in range(6)))

    assert [line.attrib["class"] for line in drawn(found).findall("polyline")] == [
        "slot-3",
        "slot-4",
        "slot-5",
        "slot-6",
    ]
    (legend,) = page(found).all("ul", "legend")
    assert [(item.text, *item.classes) for item in legend.all("li")] == [
        (f"t{day}", f"slot-{day + 1}") for day in range(2, 6)
    ]


def test_nothing_measured_no_picture() -> None:
    found = lengths(entry(make_record(make_broken("m/q/t/p1+1"), make_broken("m/q/t/p2+1"))))

    assert curves(found, DECODE, "") == ""
    assert [row.elements[1].text for row in page(found).one("table").all("tr")[1:]] == ["not measured"] * 2


@pytest.mark.parametrize(
    ("fewest", "most", "ticks"),
    [
        (16, 4096, [16, 64, 256, 1024, 4096]),
        (16, 3968, [16, 64, 256, 1024, 4096]),
        (64, 512, [64, 128, 256, 512]),
        (1, 2, [1, 2]),
        (5, 12, [4, 8, 16]),
    ],
)
def test_lengths_are_marked_at_powers_of_two(fewest: int, most: int, ticks: list[int]) -> None:
    assert token_ticks(fewest, most) == ticks
    assert all(math.log2(tick).is_integer() for tick in ticks)


def test_prompts_near_each_other_are_marked_themselves() -> None:
    """No power of two may lie between them, and one beyond both would lie off the chart."""
    assert token_ticks(1500, 1600) == [1500, 1600]


def data_of(found: Lengths) -> dict[str, Any]:
    """What the script of the page is given."""
    script = lengths_payload(found).decode()
    given: dict[str, Any] = json.loads(script.removeprefix("regressLengths(").removesuffix(");\n"))
    return given


def test_the_script_has_a_row_for_each_toolchain_and_a_place_for_each_length() -> None:
    found = data_of(three_lengths())

    assert (found["runner"], found["name"], found["toolchains"]) == ("bench", "tiny/q4f16_1/llvm", ["a", "b"])
    assert (found["prompt_tokens"], found["new_tokens"]) == ([16, 1024, 4096], [16, 16, 16])
    decode = found["metrics"][DECODE]
    assert decode["median"] == [[50, 40, 30], [52, 44, None]]
    assert decode["low"][0][0] == 49.5  # a hundredth below 50
    assert decode["count"] == [[3, 3, 3], [3, 3, 0]]
    assert found["times"][1][2] is None
    assert found["metrics"][PREFILL]["median"][0] == [160, 10240, 40960]


def test_the_table_has_the_toolchains_of_each_length_the_newest_first() -> None:
    first, *_, last = page(three_lengths()).one("table").all("tbody")

    newer, older = (row.elements for row in first.all("tr"))
    assert [cell.text for cell in newer] == [
        "16 tokens and 16 new ones",
        "b 2026-10-04 12:00 UTC",
        "160.0 160.0\N{EN DASH}160.0, 3 replicates",
        "52.00 51.48\N{EN DASH}52.52, 3 replicates",
    ]
    assert older[0].text.startswith("a")
    assert newer[0].one("a").get("href") == "../../series/bench/tiny~q4f16_1~llvm~p16%2B16.html"
    assert len(last.all("tr")) == 1  # of the longest, the newer toolchain has nothing


def test_the_page_offers_toolchains_and_other_runners() -> None:
    other = lengths(entry(make_record(at(16), at(128), runner="elsewhere")))

    root = page(three_lengths(), other)

    chosen = {
        field.get("value"): "checked" in field.attributes
        for field in root.all("input")
        if field.get("name") == "toolchain"
    }
    (beside,) = [field for field in root.all("input") if field.get("name") == "beside"]
    assert chosen == {"a": True, "b": True}
    assert beside.get("value") == "elsewhere/tiny/q4f16_1/llvm"
    assert beside.get("data-src") == "../../lengths/elsewhere/tiny~q4f16_1~llvm.js"
    (item,) = root.one("ul", "siblings").all("li")
    assert item.one("a").get("href") == "../../lengths/elsewhere/tiny~q4f16_1~llvm.html"


def test_the_page_says_what_each_length_was_built_with() -> None:
    """In the table, and in the data of the chart."""
    own = lengths(entry(make_record(built_with(16, schedule="it's <b>"), built_with(128), built_with(256))))

    first, second, _ = (body.all("th")[0].text for body in page(own).one("table").all("tbody"))

    assert first.endswith("16 new ones, built with schedule=it's <b>")
    assert second.endswith("16 new ones")
    assert data_of(own)["flags"] == ["schedule=it's <b>", "", ""]
    assert "<b>" not in pages().lengths(own, [])
