"""The texts of the site's pages, badges, tables and its feed, read back by meaning."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from factories import (
    CASE,
    NOON,
    make_artifact,
    make_broken,
    make_case,
    make_environment,
    make_record,
    make_replicate,
    sha,
)
from html_page import Node, read_html, read_xml
from site_entries import (
    HOSTILE,
    HOSTILE_KEY,
    OTHER,
    entry,
    judged,
    later,
    make_baseline,
    pages,
    series,
    slow,
    view,
    whole,
)

from regress.baseline import Session
from regress.recipe import FLAGS
from regress.replicate import Discarded
from regress.site import render
from regress.site.parts import OUTCOMES
from regress.site.places import badge_path, run_path, series_path
from regress.site.render import MOST_ROWS
from regress.site.series import Series, Step
from regress.site.svg import MOST_POINTS
from regress.site.table import HEAD, lines, text
from regress.site.thinning import drawn
from regress.verdict import SEVERITY, Verdict

if TYPE_CHECKING:
    from site_entries import Entry

    from regress.baseline import Baseline
    from regress.record import CaseResult

ATOM = "{http://www.w3.org/2005/Atom}"
DECODE = "decode_tokens_per_s"


def test_without_runs_the_comparison_says_so_and_loads_nothing() -> None:
    root = read_html(pages().compare(some=False))

    assert root.one("main").text.startswith("There are no runs to compare yet")
    assert [script.get("src") for script in root.all("script")] == ["assets/theme.js", "assets/clock.js"]
    assert root.all("form", "pair") == []


def index(*entries: Entry, baselines: dict[str, Baseline] | None = None) -> Node:
    found, own = whole(*entries, baselines=baselines), pages()
    return read_html(own.index(msgspec.structs.replace(found, sections=[*map(own.section, found.runners)])))


def regressions(*entries: Entry, baselines: dict[str, Baseline] | None = None) -> Node:
    found, own = whole(*entries, baselines=baselines), pages()
    items = {event.name: own.item(event) for event in found.events}
    return read_html(own.regressions(msgspec.structs.replace(found, items=items)))


def series_page(*entries: Entry, key: str = CASE, baseline: Baseline | None = None) -> Node:
    """The page of the case's series on the entries' only runner."""
    found = view(*entries, baseline=baseline)
    (shown,) = [each for each in found.series if each.key == key]
    events = [event for event in found.runner.events if event.key == key]
    return read_html(pages().series(shown, events, [], found.paged))


def rows(root: Node) -> list[list[Node]]:
    """The cells of each row in the bodies of the tables."""
    return [row.elements for body in root.all("tbody") for row in body.all("tr")]


def badge(found: Series) -> tuple[str, str]:
    """Text and colour of a badge."""
    root = read_xml(pages().badge(found))
    left, right = [rect.attrib for rect in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    texts = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert root.attrib["aria-label"] == ": ".join(texts)
    assert int(root.attrib["width"]) == int(left["width"]) + int(right["width"])
    return texts[1], right["fill"]


# The overview


def test_an_empty_history_says_how_to_get_the_first_record() -> None:
    root = index()

    assert "No records yet" in root.text
    assert [code.text for code in root.one("main").one("pre").all("code")] == ["regress run"]
    assert [script.get("src") for script in root.all("script")] == ["assets/theme.js", "assets/clock.js"]
    assert root.all("form") == []


def test_the_overview_counts_runs_and_runners_and_dates_the_newest() -> None:
    elsewhere = later(1, runner="elsewhere")

    one, many = index(entry()).one("header"), index(entry(), entry(elsewhere)).one("header")

    assert one.text.startswith("Trends 1 run on 1 runner, the newest of 2026-10-03 12:00 UTC · all values as CSV.")
    assert many.text.startswith("Trends 2 runs on 2 runners, the newest of 2026-10-04 12:00 UTC · all values as CSV.")
    assert many.one("time").get("datetime") == "2026-10-04T12:00:00+00:00"


def test_a_line_shows_the_newest_rates_and_how_they_changed() -> None:
    root = index(entry(), entry(later(1, make_case(prefill=(1100.0,), decode=(49.0,)))))

    ((case, verdict, prefill, decode, newest),) = rows(root)

    assert case.text == "tiny q4f16_1 · llvm · p64+16"
    assert case.one("a").get("href") == "series/bench/tiny~q4f16_1~llvm~p64%2B16.html"
    assert verdict.text == "not judged"
    assert prefill.text == "1,100 +10%"  # 1100 / 1000
    assert decode.text == "49.00 -2%"  # 49 / 50
    assert decode.one("svg").get("aria-label") == "decode, 2 runs, now 49.00 tokens per second"
    assert newest.text == "tvm-0.27.0 2026-10-04 12:00 UTC"


def test_a_line_shows_the_verdict_and_of_which_run_it_is() -> None:
    ((_, verdict, *_),) = rows(index(entry(), judged(later(1, slow())), entry(later(2, slow(), toolchain="c"))))

    assert verdict.text == "▼ regressed of tvm-0.27.0"


def test_a_line_of_a_broken_build_says_what_failed() -> None:
    ((_, verdict, prefill, decode, _),) = rows(index(entry(), entry(later(1, make_broken()))))

    assert verdict.text == "✕ broken build failed, killed by SIGSEGV"
    assert [cell.one("span").get("aria-label") for cell in (prefill, decode)] == ["not measured"] * 2


def test_cases_can_be_chosen_by_what_their_lines_show() -> None:
    """Also by the verdict of an older run, where the line shows that; and by a verdict that none has now."""
    root = index(judged(later(1, slow())), entry(later(2, make_case(CASE), make_case(OTHER), toolchain="c")))

    shown = {row.get("data-outcome"): row.get("data-quantization") for row in root.one("tbody").all("tr")}
    selects = root.one("main").all("select")
    choices = {select.get("name"): [each.text for each in select.all("option")] for select in selects}

    assert shown == {"regressed": "q4f16_1", "not judged": "q0f16"}
    assert choices == {
        "runner": ["all", "bench"],
        "model": ["all", "tiny"],
        "quantization": ["all", "q0f16", "q4f16_1"],
        "metric": ["all", "prefill", "decode"],
        "outcome": ["all", "pass", "improved", "regressed", "inconclusive", "broken", "missing", "not judged"],
    }


def test_the_banner_says_what_was_judged_and_the_last_good_run() -> None:
    good, bad = later(1, toolchain="b"), later(2, slow(), toolchain="c")

    banner = index(judged(good), judged(bad)).one("div", "banner")

    assert banner.classes == ["card", "banner", "regressed"]
    assert banner.one("h3").text == "c against tvm-0.26.0"
    assert "Checked by bench, 2026-10-05 12:00 UTC" in banner.text
    assert "Last good run: 2026-10-04 12:00 UTC with b." in banner.text
    assert f"1 open: {CASE} decode 20% worse" in banner.text
    assert [link.get("href") for link in banner.all("a")] == [
        f"runs/bench/{bad.id}.html",
        f"runs/bench/{good.id}.html",
        "regressions.html#?runner=bench",
    ]


def test_the_banner_is_of_the_newest_report_not_the_newest_record() -> None:
    banner = index(judged(later(1)), entry(later(2, toolchain="c"))).one("div", "banner")

    assert banner.one("h3").text == "tvm-0.27.0 against tvm-0.26.0"
    assert "Nothing is open." in banner.text


def test_a_runner_that_nobody_judged_says_how_to_do_it() -> None:
    banner = index(entry()).one("div", "banner")

    assert "unjudged" in banner.classes
    assert banner.one("h3").text == "Not judged yet"
    assert banner.one("code").text == "regress check"


def test_the_last_bump_lists_packages_and_what_came_of_it() -> None:
    _, card = index(entry(), judged(later(1, slow()))).one("div", "overview").elements

    assert card.one("h3").text.startswith("Last bump: tvm-0.26.0 to tvm-0.27.0")
    packages, verdicts = card.all("ul")
    assert [item.text for item in packages.all("li")] == ["apache-tvm 0.26.0 → 0.27.0"]
    assert [item.text for item in verdicts.all("li")] == [f"▼ regressed {CASE}, decode: 20% worse"]


def test_the_last_bump_says_what_it_mended_and_what_is_better_than_what() -> None:
    fast = make_case(decode=(60.0,), prefill=(1000.0,))
    bad, mended = judged(later(1, slow(), toolchain="b")), judged(later(2, fast, toolchain="c"))

    _, card = index(entry(), bad, mended).one("div", "overview").elements

    assert [item.text for item in card.one("ul", "verdicts").all("li")] == [
        f"fixed {CASE}, decode: 20% worse regressed since b",
        f"▲ improved {CASE}, decode: 20% better than tvm-0.26.0",
    ]


def test_the_last_bump_says_how_many_more_there_are() -> None:
    slows = [slow(key=f"m{number}/q/t/p1+1") for number in range(8)]
    reference = make_record(*[make_case(each.key) for each in slows])

    _, card = index(entry(reference), judged(later(1, *slows), reference)).one("div", "overview").elements

    *shown, last = card.one("ul", "verdicts").all("li")
    assert (len(shown), last.text) == (6, "and 2 more that got worse")


# The page of a series


def test_the_rows_of_a_series_are_its_runs_newest_first() -> None:
    old, new = make_record(), later(1, make_case(prefill=(990.0, 1000.0, 1030.0), decode=(49.0, 50.0, 50.5)))

    (toolchain, prefill, decode, energy, roofline, verdict), (oldest, *_) = rows(series_page(entry(old), entry(new)))

    assert toolchain.text == "tvm-0.27.0 2026-10-04 12:00 UTC"
    assert toolchain.one("a").get("href") == f"../../runs/bench/{new.id}.html"
    assert verdict.text == "not judged"
    assert prefill.text == "1,000 990.0\N{EN DASH}1,030, 3 replicates"
    assert decode.text == "50.00 49.00\N{EN DASH}50.50, 3 replicates"
    assert [cell.one("span").get("aria-label") for cell in (energy, roofline)] == ["not measured"] * 2
    assert oldest.text == "tvm-0.26.0 2026-10-03 12:00 UTC"


def test_a_row_says_that_it_was_measured_in_turn_with_its_reference() -> None:
    """Such a reference stands below it, though it may have begun a minute later."""
    reference = make_record()
    alternated = judged(later(1), reference)
    page = series_page(entry(reference), alternated)

    assert ["in turn with its reference" in row[0].text for row in rows(page)] == [True, False]


def test_a_row_says_how_the_device_fared() -> None:
    """What was discarded and why, the energy of a token, and the share of the roofline."""
    hot = Discarded(started_at=NOON, reason="throttled", text="it was hot")
    samples = {DECODE: (50.0,), "energy_per_token_j": (0.5123,), "roofline_fraction": (0.614,)}
    kept = msgspec.structs.replace(make_replicate(1000, 50), samples=samples)

    ((*_, decode, energy, roofline, _),) = rows(
        series_page(entry(make_record(make_case(replicates=(kept,), discarded=(hot,)))))
    )

    assert decode.text == "50.00 50.00\N{EN DASH}50.00, 1 replicate"
    assert energy.text == "0.512 J"
    assert roofline.text == "61.4% 1 replicate discarded (throttled)"


def test_a_row_carries_each_verdict_with_its_loss_and_tolerance() -> None:
    record = later(1, make_case(prefill=(1000.0, 1001.0, 1002.0), decode=(40.0, 40.0, 40.0)))

    (newest, _) = rows(series_page(entry(), judged(record)))

    prefill, decode = newest[-1].all("li")
    assert prefill.text == "✓ pass prefill 0.1% better tolerance 5%"  # 1001 against 1000
    assert decode.text == "▼ regressed decode 20% worse tolerance 5%"  # 40 against 50
    assert decode.one("span", "badge").classes == ["badge", "regressed"]


def test_a_row_of_a_broken_build_says_why_in_place_of_numbers() -> None:
    ((_, cause),) = rows(series_page(entry(make_record(make_broken()))))

    assert cause.text == "✕ broken build failed, killed by SIGSEGV tvm::s_tir::Tensorize -> tvm::ffi::ToJSONGraph"


def test_a_row_of_another_machine_and_of_other_flags_says_so() -> None:
    tried = make_case(artifact=make_artifact(flags={**FLAGS, "cuda_graph": "1"}))
    there = later(1, environment=make_environment(fingerprint=sha("there")))
    root = series_page(entry(there), entry(later(2)), entry(later(3)), entry(later(4, tried)))

    heads = [row[0].text for row in rows(root)]

    assert ["another machine" in head for head in heads] == [False, False, False, True]
    assert ["cuda_graph=1" in head for head in heads] == [True, False, False, False]


def test_a_case_may_be_about_other_flags_than_the_defaults() -> None:
    """Then a build with them is as usual, and one with the defaults is not."""
    asked = make_case(artifact=make_artifact(flags={**FLAGS, "cuda_graph": "1"}))
    root = series_page(
        entry(make_record(asked)), entry(later(1, make_case())), baseline=make_baseline(flags={"cuda_graph": "1"})
    )

    default, own = (row[0].text for row in rows(root))

    assert default.endswith("other build flags: cuda_graph=0")
    assert "cuda_graph" not in own
    assert "built with cuda_graph=1" in root.one("header").text


def test_machines_are_told_apart_below_a_chart_without_a_script() -> None:
    there = later(1, environment=make_environment(fingerprint=sha("there")))

    (legend,) = series_page(entry(), entry(there)).all("ul", "legend")

    assert [item.classes for item in legend.all("li")] == [["slot-1"], ["slot-2"]]
    assert [
        f"machine {sha(name)[:8]}" in item.text
        for name, item in zip(("environment", "there"), legend.all("li"), strict=True)
    ] == [True] * 2
    assert series_page(entry()).all("ul", "legend") == []


def test_the_legend_below_a_still_chart_has_a_ring_for_builds_with_other_flags() -> None:
    captured = make_case(artifact=make_artifact(flags={**FLAGS, "cuda_graph": "1"}))

    (legend,) = series_page(entry(), entry(later(1)), entry(later(2, captured))).all("ul", "legend")

    assert [(item.text, "ring" in item.classes) for item in legend.all("li")][1:] == [("other build flags", True)]
    assert "ring" not in legend.all("li")[0].classes


def test_every_row_spans_the_same_number_of_columns() -> None:
    vanished = judged(later(3, make_case(OTHER)))
    root = series_page(entry(), judged(later(1, slow())), judged(later(2, make_broken())), vanished)

    for each in root.all("table"):
        widths = {sum(int(cell.get("colspan") or 1) for cell in row.elements) for row in each.all("tr")}
        assert widths == {6}


def test_a_long_series_shows_its_newest_runs_and_says_where_the_others_are() -> None:
    found = series(entry(), entry(later(1)))
    long = replace(found, points=(found.points[0],) * (MOST_ROWS + 1))

    root = read_html(pages().series(long, [], [], ()))

    assert len(rows(root)) == MOST_ROWS
    assert root.one("p", "more").text == f"The newest {MOST_ROWS} of {MOST_ROWS + 1}; all as CSV."
    assert series_page(entry()).all("p", "more") == []


def test_what_changed_is_listed_with_its_state_and_the_steps() -> None:
    found = view(entry(), judged(later(1, slow())), judged(later(2, toolchain="c")))
    (own,) = found.series
    step = Step(point=own.points[1], metric=DECODE, loss=0.2)

    root = read_html(pages().series(replace(own, steps=(step,)), found.runner.events, [], found.paged))

    (changes,) = [section for section in root.all("section") if section.get("aria-labelledby") == "changes"]
    event, found_step = changes.all("li")
    assert event.text.startswith("▼ regressed decode rate: loss 20.0%, tolerance 5.0% first with tvm-0.27.0")
    assert event.text.endswith("in order again with c")
    assert found_step.text == (
        "step decode 20% worse since tvm-0.27.0, 2026-10-04 12:00 UTC found in the series, whatever the checks said"
    )
    assert found_step.one("a").get("href") == f"../../runs/bench/{own.points[1].run.id}.html"


def test_a_step_on_the_machine_before_says_so_and_leads_nowhere_without_a_page() -> None:
    (own,) = view(entry(), entry(later(1, environment=make_environment(fingerprint=sha("other"))))).series
    step = Step(point=own.points[0], metric=DECODE, loss=-0.2)

    root = read_html(pages().series(replace(own, steps=(step,)), [], [], ()))

    (changes,) = [section for section in root.all("section") if section.get("aria-labelledby") == "changes"]
    assert "found in the series on another machine, harness or weights than now" in changes.one("li").text
    assert changes.all("a") == []


def test_a_still_chart_of_a_part_says_of_how_many() -> None:
    found = series(entry(), entry(later(1)))
    long = replace(found, points=(found.points[0],) * (MOST_POINTS + 1))

    (still,) = read_html(pages().series(long, [], [], ())).all("div", "static")

    assert still.one("p").text == f"The newest {MOST_POINTS} of {MOST_POINTS + 1} runs."
    assert series_page(entry()).one("div", "static").all("p") == []


def test_the_reference_of_a_series_is_told_with_units() -> None:
    """Any metric can have a tolerance, not rates alone."""
    baseline = make_baseline(make_record(slow(50.0)), tolerance={"peak_memory_bytes": 0.02})

    (facts,) = series_page(entry(), baseline=baseline).all("dl", "facts")

    assert {pair.one("dt").text: pair.one("dd").text for pair in facts.all("div")} == {
        "Prefill": "1,000 tokens/s with tvm-0.26.0; a loss of 5% passes",
        "Decode": "50.00 tokens/s with tvm-0.26.0; a loss of 5% passes",
        "Peak memory": "1 GiB with tvm-0.26.0; a loss of 2% passes",
    }


def test_a_series_shows_its_chart_without_a_script() -> None:
    root = series_page(entry(), entry(later(1, slow())))

    prefill, decode = root.one("div", "static").all("svg")
    assert [len(each.all("circle")) for each in (prefill, decode)] == [2, 2]
    assert prefill.get("aria-label").startswith("Prefill rate")


def test_a_series_leads_to_the_others_of_its_model() -> None:
    own, other = view(entry(make_record(make_case(CASE), make_case(OTHER)))).series

    root = read_html(pages().series(own, [], [other], ()))

    (item,) = root.one("ul", "siblings").all("li")
    assert item.text == "p64+16 q0f16 · llvm"
    assert item.one("a").get("href") == "../../series/bench/tiny~q0f16~llvm~p64%2B16.html"


# The regressions


def test_regressions_stand_under_their_state() -> None:
    accepted = make_baseline(later(1, slow(key=CASE), runner="c"))
    baselines = {"c": msgspec.structs.replace(accepted, runner="c")}
    histories = [
        judged(later(1, slow(), runner="a")),
        judged(later(1, slow(), runner="b")),
        judged(later(2, runner="b", toolchain="x")),
        judged(later(1, slow(), runner="c")),
    ]

    root = regressions(*histories, baselines=baselines)

    shown = {
        section.get("aria-labelledby"): [item.text for item in section.all("li")] for section in root.all("section")
    }
    assert list(shown) == ["open", "accepted", "fixed"]
    assert ["on a" in text for text in shown["open"]] == [True]
    assert shown["accepted"][0].endswith("Accepted as the reference on 2026-10-04: wider heads, as agreed.")
    assert "In order again: x, 2026-10-05 12:00 UTC." in shown["fixed"][0]
    assert [heading.text for heading in root.all("h2")] == ["Open 1", "Accepted 1", "Fixed 1"]


def test_regressions_can_be_chosen_by_what_they_carry() -> None:
    reference = make_record(make_case(CASE), make_case(OTHER))

    root = regressions(judged(later(1, slow(), make_broken(OTHER)), reference))

    carried = ("runner", "model", "quantization", "metric", "kind")
    assert {
        tuple(item.get(f"data-{name}") for name in carried) for item in root.all("li") if item.get("data-kind")
    } == {
        ("bench", "tiny", "q4f16_1", "decode", "regressed"),
        ("bench", "tiny", "q0f16", "whole case", "broken"),
    }
    choices = {
        each.get("name"): [option.text for option in each.all("option")] for each in root.one("main").all("select")
    }
    assert choices == {
        "runner": ["all", "bench"],
        "model": ["all", "tiny"],
        "quantization": ["all", "q0f16", "q4f16_1"],
        "metric": ["all", "decode", "whole case"],
        "kind": ["all", "regressed", "broken", "missing"],
    }


def test_a_regression_names_case_loss_and_the_runs_around_it() -> None:
    runs = [
        judged(later(1, toolchain="b")),
        judged(later(2, slow(), toolchain="c")),
        judged(later(3, slow(), toolchain="d")),
    ]

    (item,) = regressions(*runs).one("ol").all("li")

    what, text, when = (each.text for each in item.all("p"))
    assert what == f"▼ regressed {CASE}, decode: 20% worse on bench"
    assert text == "decode rate: loss 20.0%, tolerance 5.0%"
    assert when == (
        "First bad: c, 2026-10-05 12:00 UTC. Last good: b, 2026-10-04 12:00 UTC. Seen until d, 2026-10-06 12:00 UTC."
    )


def test_no_regressions_is_said() -> None:
    assert [section.one("p").text for section in regressions(entry()).all("section")] == ["None."] * 3


def test_the_method_explains_every_outcome() -> None:
    terms = [term.text for term in read_html(pages().method()).all("dt")]

    assert terms == [f"{sign} {outcome}" for outcome, (sign, _) in OUTCOMES.items()]
    assert set(OUTCOMES) == set(SEVERITY)


# The badge


@pytest.mark.parametrize(
    ("case", "judge", "text", "colour"),
    [
        (make_case(), True, "1,000 · 50.00 tokens/s", "#176c3a"),
        (slow(60.0), True, "1,000 · 60.00 tokens/s", "#0b5f8a"),
        (slow(40.0), True, "1,000 · 40.00 tokens/s", "#b3261e"),
        (make_broken(), True, "broken", "#8b2b6d"),
        (make_broken(), False, "broken", "#8b2b6d"),
        (make_case(), False, "1,000 · 50.00 tokens/s", "#566072"),
        (make_case(replicates=()), False, "no value", "#566072"),
    ],
)
def test_a_badge_has_the_rates_in_the_colour_of_the_verdict(
    case: CaseResult,
    judge: bool,  # noqa: FBT001  # a parameter of the test
    text: str,
    colour: str,
) -> None:
    record = later(1, case)

    assert badge(series(judged(record) if judge else entry(record))) == (text, colour)


def test_a_badge_of_a_doubtful_run_is_neither_good_nor_bad() -> None:
    record = later(1)
    verdict = Verdict(case=CASE, outcome="inconclusive", reason="throttled", text="hot", metric=DECODE)
    shown = judged(record, verdicts=[verdict])

    assert badge(series(shown)) == ("1,000 · 50.00 tokens/s", "#7a5600")


# The table


def read_csv(found: Series) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text([HEAD, *lines(found)]).decode())))


def test_the_csv_has_a_line_for_each_run_and_metric() -> None:
    old, new = make_record(make_case(prefill=(1000.0,), decode=(49.0,))), later(1, slow())

    lines = read_csv(series(judged(new), entry(old)))

    assert [(line["run"], line["metric"]) for line in lines] == [
        (record.id, metric) for record in (old, new) for metric in ("prefill_tokens_per_s", DECODE, "peak_memory_bytes")
    ]
    assert lines[1] == {
        "run": old.id,
        "recorded_at": "2026-10-03T12:00:00+00:00",
        "toolchain": "tvm-0.26.0",
        "flags": "",
        "machine": sha("environment")[:8],
        "harness": sha("harness")[:8],
        "metric": DECODE,
        "median": "49.0",
        "low": "49.0",
        "high": "49.0",
        "replicates": "1",
        "verdict": "",
        "loss": "",
        "failure": "",
    }
    decode = lines[4]
    assert float(decode["loss"]) == pytest.approx(0.2)  # 1 - 40/50
    assert (decode["verdict"], decode["median"], decode["replicates"]) == ("regressed", "40.0", "3")


def test_the_csv_keeps_names_whole_whatever_is_in_them() -> None:
    name = 'a,"b"\nc'

    assert {line["toolchain"] for line in read_csv(series(entry(make_record(toolchain=name))))} == {name}


def test_the_csv_has_a_line_for_a_run_that_is_broken() -> None:
    (line,) = read_csv(series(entry(make_record(make_broken()))))

    assert (line["metric"], line["replicates"], line["verdict"]) == ("", "0", "broken")
    assert line["failure"] == "killed by SIGSEGV: tvm::s_tir::Tensorize -> tvm::ffi::ToJSONGraph"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@A1"])
def test_a_spreadsheet_takes_no_name_for_a_formula(name: str) -> None:
    (line, *_) = read_csv(series(entry(make_record(toolchain=name))))

    assert line["toolchain"] == f"'{name}"


# The feed


def feed(*entries: Entry) -> list[dict[str, str]]:
    """The entries of the feed: the text of each element, and the link's target."""
    root = read_xml(pages().feed(whole(*entries)).encode())
    return [
        {child.tag.removeprefix(ATOM): child.text or child.attrib.get("href", "") for child in each}
        for each in root.findall(f"{ATOM}entry")
    ]


def test_the_feed_has_an_entry_for_each_event_newest_first() -> None:
    runs = [
        judged(later(1, toolchain="b")),
        judged(later(2, slow(), toolchain="c")),
        judged(later(3, make_broken(), toolchain="d")),
    ]
    events = whole(*runs).events

    broken, regressed = feed(*runs)

    assert [broken["id"], regressed["id"]] == [event.name for event in events]
    assert regressed == {
        "title": f"regressed: {CASE}, decode 20% worse on bench (open)",
        "id": events[1].name,
        "published": "2026-10-05T12:00:00+00:00",
        "updated": "2026-10-05T12:00:00+00:00",
        "link": "series/bench/tiny~q4f16_1~llvm~p64%2B16.html",
        "summary": "decode rate: loss 20.0%, tolerance 5.0%. First bad: c. Last good: b.",
    }
    assert broken["title"] == f"broken: {CASE} on bench (open)"


def test_an_event_that_is_fixed_is_updated_and_keeps_its_id() -> None:
    bad = judged(later(1, slow()))

    (before,), (after,) = feed(bad), feed(bad, judged(later(2, toolchain="c")))

    assert before["id"] == after["id"]
    assert after["published"] == before["published"] == "2026-10-04T12:00:00+00:00"
    assert after["updated"] == "2026-10-05T12:00:00+00:00"
    assert after["title"].endswith("(fixed)")
    assert after["summary"].endswith("In order again: c.")


def test_a_feed_that_is_full_has_the_events_that_were_updated_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old event that is fixed today is news, and a newer one that nothing has happened to since is none."""
    runs = [
        judged(later(1, slow())),
        judged(later(2, make_broken(), toolchain="b")),
        judged(later(3, slow(), toolchain="c")),
        judged(later(4, toolchain="d")),
    ]
    monkeypatch.setattr(render, "MOST_ENTRIES", 1)

    (shown,) = feed(*runs)

    newest, oldest = whole(*runs).events
    assert (newest.kind, oldest.kind) == ("broken", "regressed")
    assert shown["id"] == oldest.name
    assert shown["updated"] == "2026-10-07T12:00:00+00:00"


def test_an_event_that_is_accepted_is_updated_when_the_baseline_was_written() -> None:
    """Only the day of that is known, and the last run that its reference is made of."""
    bad, again = later(1, slow()), later(7, slow(), toolchain="tvm-0.27.0")
    accepting = make_baseline(bad)
    (case,) = accepting.cases
    assert case.reference is not None
    sessions = (*case.reference.sessions, Session(record="x", recorded_at=again.recorded_at, values={DECODE: (40.0,)}))
    for reference, updated in [
        (case.reference, "2026-10-04T12:00:00+00:00"),  # written on that day, of the run of that noon
        (msgspec.structs.replace(case.reference, written_on=date(2026, 10, 9)), "2026-10-09T00:00:00+00:00"),
        (msgspec.structs.replace(case.reference, sessions=sessions), "2026-10-10T12:00:00+00:00"),
    ]:
        cases = (msgspec.structs.replace(case, reference=reference),)
        baselines = {"bench": msgspec.structs.replace(accepting, cases=cases)}
        root = read_xml(pages().feed(whole(judged(bad), baselines=baselines)).encode())
        (shown,) = root.findall(f"{ATOM}entry")
        assert (shown.findtext(f"{ATOM}title") or "").endswith("(accepted)")
        assert "Accepted as the reference: wider heads, as agreed." in (shown.findtext(f"{ATOM}summary") or "")
        assert shown.findtext(f"{ATOM}published") == "2026-10-04T12:00:00+00:00"
        assert shown.findtext(f"{ATOM}updated") == updated
        assert root.findtext(f"{ATOM}updated") == updated  # a feed is as new as its newest entry


def test_the_feed_has_what_a_reader_needs() -> None:
    """RFC 4287: an id, a title, a time, an author, and a link to itself; a time with its offset."""
    root = read_xml(pages().feed(whole(entry(), entry(later(1)))).encode())

    texts = {child.tag.removeprefix(ATOM): child.text for child in root}
    assert texts["id"] == "urn:regress:Trends:regressions"  # of no other site
    assert texts["title"] == "Regressions · Trends"
    assert datetime.fromisoformat(texts["updated"] or "") == NOON + timedelta(days=1)
    assert root.findtext(f"{ATOM}author/{ATOM}name") == "regress"
    links = {link.attrib["rel"]: link.attrib["href"] for link in root.findall(f"{ATOM}link")}
    assert links == {"self": "regressions.atom", "alternate": "regressions.html"}


def test_the_feed_of_an_empty_history_is_valid_and_of_no_time() -> None:
    root = read_xml(pages().feed(whole()).encode())

    assert root.findtext(f"{ATOM}updated") == "1970-01-01T00:00:00+00:00"
    assert root.findall(f"{ATOM}entry") == []


def test_hostile_text_stays_text_in_the_feed() -> None:
    root = read_xml(pages(HOSTILE).feed(whole(entry(make_record(make_broken(cause=HOSTILE), toolchain=HOSTILE)))))

    assert root.findtext(f"{ATOM}title") == f"Regressions · {HOSTILE}"
    assert HOSTILE in (root.findtext(f"{ATOM}entry/{ATOM}summary") or "")
    assert {element.tag for element in root.iter()} == {
        ATOM + name
        for name in (
            *("feed", "title", "id", "updated", "author", "name", "link"),
            *("entry", "published", "summary"),
        )
    }


def test_a_compiler_that_writes_in_colours_does_not_break_the_feed() -> None:
    """XML cannot hold a control character, and a reader would refuse the whole feed for one."""
    (shown,) = feed(entry(make_record(make_broken(cause="\x1b[31merror:\x00 no kernel\tat all\ufffe"))))

    assert "\N{REPLACEMENT CHARACTER}[31merror:\N{REPLACEMENT CHARACTER} no kernel\tat all" in shown["summary"]


# Where everything is


def test_paths_have_a_name_for_each_run_series_and_badge() -> None:
    found = series(judged(later(1, slow())))
    (event,) = view(judged(later(1, slow()))).runner.events

    assert run_path(found.points[0].run) == f"runs/bench/{found.points[0].run.id}.html"
    assert series_path(found) == series_path(event) == "series/bench/tiny~q4f16_1~llvm~p64+16.html"
    assert series_path(found, ".csv") == "series/bench/tiny~q4f16_1~llvm~p64+16.csv"
    assert badge_path(found) == "badges/bench/tiny~q4f16_1~llvm~p64+16.svg"


def test_a_key_with_markup_in_it_stays_text() -> None:
    """A stored record cannot have such a key, but a page does not rely on that."""
    own, plain = replace(series(entry()), key=HOSTILE_KEY), series(entry())
    harmless = whole(entry(make_record(make_case(), make_case(CASE.replace("p64", "p128")))))
    (named,), (model, quantization, target, _) = harmless.runners, HOSTILE_KEY.split("/")
    (lengths,) = (
        msgspec.structs.replace(each, model=model, quantization=quantization, target=target) for each in named.lengths
    )
    lines, devices = (
        tuple(msgspec.structs.replace(each, key=HOSTILE_KEY) for each in found)
        for found in (named.lines, named.devices)
    )
    renamed = msgspec.structs.replace(named, lines=lines, devices=devices, lengths=(lengths,))
    hostile = msgspec.structs.replace(harmless, runners=[renamed])

    def tags(text: str) -> list[str]:
        return [node.tag for node in read_html(text).walk()]

    assert tags(pages().series(own, [], [], (), lengths)) == tags(pages().series(plain, [], [], (), named.lengths[0]))
    assert tags(pages().index(hostile)) == tags(pages().index(harmless))
    assert tags(pages().lengths(lengths, [lengths])) == tags(pages().lengths(named.lengths[0], named.lengths))
    assert {row.get("data-model") for row in read_html(pages().devices(hostile)).all("tr")} == {"", model}
    assert HOSTILE_KEY.split("/")[0] in read_xml(pages().badge(own)).attrib["aria-label"]


def test_runs_without_a_page_are_no_links() -> None:
    old, new = make_record(), later(1)

    root = read_html(pages().series(series(entry(old), entry(new)), [], [], {new.id}))

    assert [[link.text for link in row[0].all("a")] for row in rows(root)] == [["tvm-0.27.0"], []]


def test_a_chart_of_a_part_of_the_runs_says_of_how_many_and_where_all_are() -> None:
    found = series(entry(), entry(later(1)))
    long = replace(found, points=(found.points[0],) * 5000)

    caption = read_html(pages().series(long, [], [], ())).one("figcaption")

    shown = len(drawn(long))
    assert f"The chart shows {shown:,} of 5,000 runs" in caption.text
    assert caption.one("a").get("href") == "tiny~q4f16_1~llvm~p64%2B16.csv"
    assert "The chart shows" not in series_page(entry()).one("figcaption").text


def test_what_cannot_be_used_is_named_on_the_first_page() -> None:
    root = read_html(
        pages().index(msgspec.structs.replace(whole(entry()), unusable=["bench/2026/10/x.json: <truncated>"]))
    )

    (named,) = [section for section in root.all("section") if section.get("aria-labelledby") == "unusable"]
    assert named.one("code").text == "bench/2026/10/x.json: <truncated>"
    assert "unusable" not in {node.get("id") for node in index(entry()).walk() if "id" in node.attributes}
