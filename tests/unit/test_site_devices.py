"""How runners compare: whose values stand in the table, in which order, and where their dots are drawn."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from factories import make_broken, make_case, make_environment, make_record, make_replicate, sha
from html_page import Node, read_html, read_xml
from site_entries import entry, judged, later, pages, runner, series, slow, whole

from regress.site.devices import Device, comparisons, device_of
from regress.site.facts import Value
from regress.site.strips import Axis

if TYPE_CHECKING:
    from site_entries import Entry

    from regress.record import CaseResult

DECODE = "decode_tokens_per_s"


def device(*entries: Entry) -> Device:
    found = device_of(series(*entries))
    assert found is not None
    return found


def of_gpu(decode: float, *, roofline: float, energy_j: float, key: str = "tiny/q4f16_1/llvm/p64+16") -> CaseResult:
    """A case of one replicate that tells its share of the roofline and its energy."""
    kept = make_replicate(1000, decode)
    samples = {**kept.samples, "roofline_fraction": (roofline,), "energy_per_token_j": (energy_j,)}
    return make_case(key, replicates=(msgspec.structs.replace(kept, samples=samples),))


def on(name: str, *cases: CaseResult, day: float = 0, **changes: Any) -> Entry:  # noqa: ANN401
    return entry(later(day, *cases, runner=name, **changes))


def page(*entries: Entry) -> Node:
    return read_html(pages().devices(whole(*entries)))


def test_the_values_are_of_the_newest_run() -> None:
    found = device(entry(), entry(later(1, slow(60.0))))

    assert (found.values[DECODE].median, found.toolchain, found.is_newest) == (60, "tvm-0.27.0", True)


def test_a_run_that_got_worse_is_passed_over_and_told() -> None:
    """Its case is shown as regressed, with what it gives when in order."""
    found = device(entry(), judged(later(1, slow(40.0))))

    assert (found.values[DECODE].median, found.toolchain) == (50, "tvm-0.26.0")
    assert (found.outcome, found.is_newest) == ("regressed", False)


def test_where_all_runs_are_worse_the_newest_one_counts() -> None:
    found = device(judged(later(1, slow(41.0))), judged(later(2, slow(40.0))))

    assert found.values[DECODE].median == 40


def test_a_broken_build_leaves_the_values_before_it() -> None:
    found = device(entry(), entry(later(1, make_broken())))

    assert (found.values[DECODE].median, found.outcome, found.is_newest) == (50, "broken", False)


def test_values_of_another_machine_are_none() -> None:
    """A better run on the machine before says nothing of this one."""
    there = make_environment(fingerprint=sha("there"))

    found = device(entry(make_record(environment=there)), judged(later(1, slow(40.0))))

    assert found.values[DECODE].median == 40


def test_what_was_never_measured_is_no_device() -> None:
    assert device_of(series(entry(make_record(make_broken())))) is None
    assert runner(entry(make_record(make_broken()))).devices == ()


def test_the_roofline_is_the_decode_rate_by_its_share() -> None:
    assert device(entry(make_record(of_gpu(50, roofline=0.4, energy_j=1)))).roofline == pytest.approx(125)  # 50 / 0.4
    assert device(entry()).roofline is None


def test_runners_of_one_model_and_workload_are_together_the_fastest_first() -> None:
    """Whatever they are built for: a processor takes another target, and other weights."""
    runs = whole(
        on("slow", slow(40.0)),
        on("fast", slow(60.0, key="tiny/q4f32_1/cuda/p64+16")),
        on("slow", slow(1.0, key="tiny/q4f16_1/llvm/p1024+16"), day=1),
        on("slow", slow(2.0, key="tiny/q4f16_1/llvm/p128+16"), day=2),
    )

    found = [
        (each.model, each.workload, [device.runner for device in each.devices])
        for each in comparisons(device for runner in runs.runners for device in runner.devices)
    ]

    assert found == [
        ("tiny", "p64+16", ["fast", "slow"]),
        ("tiny", "p128+16", ["slow"]),
        ("tiny", "p1024+16", ["slow"]),
    ]


def test_a_row_has_rates_roofline_energy_and_memory() -> None:
    root = page(on("gpu", of_gpu(50, roofline=0.4, energy_j=0.5)), on("cpu", slow(5.0)))

    gpu, cpu = (row.elements for row in root.one("tbody").all("tr"))

    assert gpu[0].text == "gpu q4f16_1 · llvm AMD EPYC 9654"
    assert gpu[0].one("a").get("href") == "series/gpu/tiny~q4f16_1~llvm~p64%2B16.html"
    assert [gpu[place].text for place in (2, 4, 6, 7, 8)] == ["1,000", "50.00", "40%", "0.5 J", "1 GiB"]
    assert [cpu[place].one("span").get("aria-label") for place in (6, 7)] == ["not measured"] * 2
    assert [len(each.all("path", "roof")) for each in (gpu[5], cpu[5], gpu[3])] == [1, 0, 0]


def test_a_row_carries_what_it_is_chosen_and_sorted_by() -> None:
    root = page(on("gpu", of_gpu(50, roofline=0.4, energy_j=0.5)), on("cpu", slow(5.0)))

    gpu, cpu = (row.attributes for row in root.one("tbody").all("tr"))

    assert {name: gpu[f"data-{name}"] for name in ("runner", "model", "quantization", "workload")} == {
        "runner": "gpu",
        "model": "tiny",
        "quantization": "q4f16_1",
        "workload": "p64+16",
    }
    sorted_by = {name.removeprefix("data-"): float(value or 0) for name, value in gpu.items() if name[5:] in SORTED}
    assert sorted_by == {"prefill": 1000, "decode": 50, "roofline": 0.4, "energy": 0.5, "memory": 2**30}
    assert "data-energy" not in cpu
    choices = {
        each.get("name"): [option.text for option in each.all("option")] for each in root.one("main").all("select")
    }
    assert choices == {
        "runner": ["all", "cpu", "gpu"],
        "model": ["all", "tiny"],
        "quantization": ["all", "q4f16_1"],
        "workload": ["all", "p64+16"],
        "sort": ["decode", "prefill", "roofline", "energy", "memory"],
    }


SORTED = {"prefill", "decode", "roofline", "energy", "memory"}


def test_a_row_says_that_its_values_are_not_the_newest() -> None:
    (row,) = page(entry(), judged(later(1, slow()))).one("tbody").all("tr")

    assert "▼ regressed" in row.elements[0].text
    assert row.elements[1].text == "tvm-0.26.0 2026-10-03 12:00 UTC, not its newest"


def test_nothing_measured_is_said() -> None:
    assert page().one("main").text == "Nothing has been measured yet."


def test_dots_stand_on_one_logarithmic_axis() -> None:
    axis = Axis(10, 1000)

    def x(value: float) -> float:
        strip = read_xml(axis.strip(Value(median=value, low=value, high=value, count=1)))
        return float(next(each.attrib["cx"] for each in strip.iter("circle")))

    assert x(100) == pytest.approx((x(10) + x(1000)) / 2, abs=0.1)
    assert 0 < x(10) < x(1000) < 170


def test_a_strip_reaches_from_the_slowest_replicate_to_the_fastest_and_to_the_roofline() -> None:
    axis = Axis(10, 1000)

    strip = read_xml(axis.strip(Value(median=100, low=10, high=1000, count=3), roofline=1000))

    lines = {
        each.attrib["class"]: [float(number) for number in re.findall(r"[\d.]+", each.attrib["d"])]
        for each in strip.iter("path")
    }
    assert lines["range"] == [14, 12, 156]  # from margin to margin of 170
    assert lines["bound"] == [85, 12, 156]  # from the dot in the middle
    assert lines["roof"][0] == 156


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(20, 2000, [100, 1000]), (50, 50, [30, 100]), (1, 10_000, [1, 100, 10_000]), (30, 400, [30, 100, 300])],
)
def test_an_axis_has_round_values_that_do_not_crowd(low: float, high: float, ticks: list[float]) -> None:
    """Devices that are all alike get a whole decade around them."""
    assert Axis(low, high).ticks() == pytest.approx(ticks)


def test_the_head_of_an_axis_has_the_values_and_says_what_it_is() -> None:
    head = read_xml(Axis(20, 2000).head("decode"))

    assert [each.text for each in head.iter("text")] == ["100", "1,000"]
    assert (head.attrib["role"], head.attrib["aria-label"]) == ("img", "decode")
    assert all(math.isfinite(float(each.attrib["x"])) for each in head.iter("text"))
