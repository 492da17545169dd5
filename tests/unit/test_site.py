"""The site's pure parts: what the pages show, the chart's figure, and the HTML they become."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
from dataclasses import replace
from datetime import timedelta, timezone
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import msgspec
import plotly.graph_objects as go
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
    make_report,
    make_toolchain,
    make_workload,
    sha,
)
from site_sample import LLAMA_2, LLAMA_3, sample_history

from regress.errors import HistoryError
from regress.record import CaseResult, Package, Record, decode_record
from regress.replicate import Discarded
from regress.site import Entry, build, charts, pages, render, units
from regress.verdict import CheckReport, Verdict

ROOT = Path(__file__).parents[2]
TEMPLATES, ASSETS = ROOT / "templates", ROOT / "site" / "assets"
OTHER = "tiny/q0f16/llvm/p64+16"
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


class Node:
    """An element of a parsed page."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.children: list[Node | str] = []

    def all(self, tag: str, css_class: str | None = None) -> list[Node]:
        """Every element of that tag (and class) below, in order of appearance."""
        found = []
        for child in self.children:
            if isinstance(child, Node):
                if child.tag == tag and (css_class is None or css_class in child.classes):
                    found.append(child)
                found += child.all(tag, css_class)
        return found

    def one(self, tag: str, css_class: str | None = None) -> Node:
        (found,) = self.all(tag, css_class)
        return found

    @property
    def classes(self) -> list[str]:
        return (self.attributes.get("class") or "").split()

    @property
    def text(self) -> str:
        """The words in it, separated by single spaces."""
        parts = (child if isinstance(child, str) else child.text for child in self.children)
        return " ".join(" ".join(parts).split())


class Page(HTMLParser):
    """A strict reading: an end tag that does not match its start is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root = Node("", {})
        self._open = [self.root]
        self.feed(html)
        self.close()
        assert [node.tag for node in self._open] == [""]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute: {names}"
        node = Node(tag, dict(attrs))
        self._open[-1].children.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def page(*entries: Entry, title: str = "Trends") -> Node:
    """The index page of those entries, parsed."""
    return Page(render.render(pages.index(entries, title), TEMPLATES)).root


def rows(root: Node) -> list[list[Node]]:
    """The cells of each row of the tables that stands for a toolchain."""
    cells = [
        [child for child in row.children if isinstance(child, Node)]
        for body in root.all("tbody")
        for row in body.all("tr")
    ]
    return [row for row in cells if row[0].attributes.get("scope") == "row"]


def figures(root: Node) -> list[charts.Figure]:
    scripts = [script for script in root.all("script") if script.attributes.get("type") == "application/json"]
    return [json.loads("".join(str(child) for child in script.children)) for script in scripts]


def entry(record: Record | None = None, report: CheckReport | None = None) -> Entry:
    return Entry(record=record or make_record(), report=report)


def later(days: int, *cases: CaseResult, toolchain: str = "tvm-0.27.0") -> Record:
    return make_record(*cases, toolchain=toolchain, at=NOON + timedelta(days=days))


# Quantities


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.6, "12,346"), (1000, "1,000"), (123.45, "123.5"), (26.21, "26.21"), (0.01234, "0.0123")],
)
def test_rates_keep_about_four_digits(value: float, text: str) -> None:
    assert units.rate(value) == text


@pytest.mark.parametrize(
    ("loss", "text"), [(0.1234, "12.3% worse"), (-0.004, "0.4% better"), (0.0004, "no change"), (-0.0, "no change")]
)
def test_a_loss_says_which_way_it_goes(loss: float, text: str) -> None:
    assert units.change(loss) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.977 KiB"),  # 1000 / 1024
        (3 * 2**20, "3 MiB"),
        (4_200_000_000, "3.91 GiB"),  # 4.2e9 / 1024^3 = 3.9116
        (5000 * 2**40, "5,000 TiB"),
    ],
)
def test_sizes_take_the_nearest_binary_prefix(count: int, text: str) -> None:
    assert units.size(count) == text


def test_times_are_shown_in_utc() -> None:
    japan = NOON.astimezone(timezone(timedelta(hours=9)))

    assert units.when(japan) == "2026-10-03 12:00 UTC"
    assert units.when(NOON.replace(tzinfo=None)) == "2026-10-03 12:00 UTC"


# What the pages show


def test_one_row_per_case_and_toolchain_with_the_newest_record() -> None:
    """A second run with the same toolchain does not add a row: it takes the row over."""
    first, second = make_record(), later(1, make_case(decode=(40.0,), prefill=(900.0,)), toolchain="tvm-0.26.0")

    (group,) = pages.index([entry(first), entry(second)], "").runners[0].groups

    (row,) = group.rows
    assert row.record is second
    assert row.runs == 2
    assert row.decode is not None
    assert row.decode.median == 40.0


def test_rows_stand_newest_first_and_labels_oldest_first() -> None:
    records = [
        make_record(toolchain=name, at=NOON + timedelta(days=day)) for name, day in (("b", 0), ("a", 1), ("c", 2))
    ]

    (runner,) = pages.index([entry(record) for record in (records[1], records[2], records[0])], "").runners

    assert runner.labels == ("b", "a", "c")
    assert [row.label for row in runner.groups[0].rows] == ["c", "a", "b"]


def test_toolchains_of_one_name_are_told_apart_by_their_fingerprint() -> None:
    """A nightly keeps its name while the packages behind it change."""
    one, two = make_toolchain("nightly"), make_toolchain("nightly", fingerprint="f" * 64)
    entries = [entry(make_record(toolchain=one)), entry(make_record(toolchain=two, at=NOON + timedelta(days=1)))]

    (runner,) = pages.index(entries, "").runners

    assert runner.labels == (f"nightly ({sha('nightly')[:8]})", "nightly (ffffffff)")
    assert len(runner.groups[0].rows) == 2


def test_cases_keep_the_order_of_the_newest_record() -> None:
    old, new = make_record(make_case("z/q/t/p1+1"), make_case(CASE)), later(1, make_case(OTHER), make_case(CASE))

    (runner,) = pages.index([entry(old), entry(new)], "").runners

    assert [group.key for group in runner.groups] == [OTHER, CASE, "z/q/t/p1+1"]


def test_a_vanished_case_keeps_a_row_of_its_own() -> None:
    """A case that a record lacks is never silently absent: its verdict says so."""
    reference, record = make_record(make_case(CASE), make_case(OTHER)), later(1, make_case(CASE))
    report = make_report(record, reference)

    group = pages.index([entry(reference), entry(record, report)], "").runners[0].groups[1]

    assert group.key == OTHER
    newest = group.rows[0]
    assert (newest.label, newest.result) == ("tvm-0.27.0", None)
    assert [verdict.outcome for verdict in newest.verdicts] == ["missing"]
    assert group.workload == make_workload(OTHER)


def test_a_verdict_outlives_a_later_run_that_was_not_judged() -> None:
    """A toolchain found regressed does not become clean because it later serves as somebody's reference."""
    reference, slow = make_record(), later(1, make_case(decode=(40.0, 40.0, 40.0)))
    again, next_one = later(2, make_case(decode=(40.0, 40.0, 40.0))), later(3, toolchain="tvm-0.28.0")
    entries = [
        entry(reference),
        entry(slow, make_report(slow, reference)),
        entry(again),
        entry(next_one, make_report(next_one, again)),
    ]

    rows_ = pages.index(entries, "").runners[0].groups[0].rows

    (row,) = [row for row in rows_ if row.label == "tvm-0.27.0"]
    verdict = row.verdict(pages.DECODE)
    assert verdict is not None
    assert verdict.outcome == "regressed"
    assert row.record is again
    assert row.judged is slow
    assert row.is_reference


def test_the_banner_is_of_the_newest_report_not_the_newest_record() -> None:
    old, new, newest = make_record(), later(1), later(2, toolchain="tvm-0.28.0")
    report = make_report(new, old)

    (runner,) = pages.index([entry(newest), entry(old, make_report(old, old)), entry(new, report)], "").runners

    assert runner.newest is newest
    assert runner.banner is not None
    assert runner.banner.report is report
    assert runner.banner.passed == 2


def test_main_packages_come_first_by_role_with_their_suffixes() -> None:
    names = (
        "numpy",
        "apache-tvm-ffi",
        "mlc-ai-nightly-cu128",
        "torch",
        "mlc-llm-nightly-cu128",
        "apache-tvm",
        "tvmx",
    )
    packages = [Package(name=name, version="1") for name in names]

    assert [package.name for package in pages.main_packages(packages)] == [
        "mlc-llm-nightly-cu128",
        "mlc-ai-nightly-cu128",
        "apache-tvm",
        "apache-tvm-ffi",
    ]


# The chart


def traces(figure: charts.Figure, name: str) -> list[charts.Figure]:
    return [trace for trace in figure["data"] if trace["name"] == name]


def test_the_figure_is_one_that_plotly_accepts() -> None:
    """Plotly's own schema, property by property: an unknown key or a wrong value raises."""
    for runner in pages.index(sample_history(), "").runners:
        figure = charts.figure(runner)
        assert len(go.Figure(figure).data) == len(figure["data"])


def test_plotly_would_refuse_a_wrong_figure() -> None:
    """The test above can fail."""
    figure = charts.figure(pages.index([entry()], "").runners[0])
    figure["data"][0]["error_y"]["arrayminos"] = figure["data"][0]["error_y"].pop("arrayminus")

    with pytest.raises(ValueError, match="arrayminos"):
        go.Figure(figure)


def test_points_are_medians_with_the_range_of_the_replicates() -> None:
    record = make_record(make_case(prefill=(90.0, 100.0, 130.0), decode=(9.0, 10.0, 12.0)))

    prefill, decode = charts.figure(pages.index([entry(record)], "").runners[0])["data"]

    assert (prefill["y"], decode["y"]) == ([100.0], [10.0])
    assert (prefill["error_y"]["array"], prefill["error_y"]["arrayminus"]) == ([30.0], [10.0])  # 130-100, 100-90
    assert (prefill["yaxis"], decode["yaxis"]) == ("y", "y2")
    assert (prefill["showlegend"], decode["showlegend"]) == (True, False)


def test_a_broken_build_is_a_gap_in_its_line_and_a_cross_on_the_axis() -> None:
    (runner,) = [runner for runner in pages.index(sample_history(), "").runners if runner.name == "orin"]
    figure = charts.figure(runner)

    assert [value is None for value in traces(figure, LLAMA_3)[0]["y"]] == [False, True, False]
    cross, _ = traces(figure, "broken")
    assert (cross["x"], cross["y"]) == (["mlc-2026-08"], [0])
    assert cross["customdata"] == [[f"{LLAMA_3}: build failed, killed by SIGSEGV"]]


def test_a_regression_is_written_beside_its_point_and_nothing_else_is() -> None:
    (runner,) = [runner for runner in pages.index(sample_history(), "").runners if runner.name == "orin"]
    prefill, decode = traces(charts.figure(runner), LLAMA_2)

    # 26.21 against 31.62 tokens/s: 1 - 26.21/31.62 = 0.1711
    assert decode["text"] == ["", "", "▼ 17.1% worse"]
    assert prefill["text"] == ["", "", ""]
    assert "regressed" in decode["customdata"][2][0]


def test_rates_far_apart_get_a_logarithmic_axis_that_holds_the_crosses() -> None:
    record = make_record(make_case(prefill=(80.0,), decode=(10.0,)), make_case(OTHER, prefill=(800.0,), decode=(11.0,)))
    broken = later(1, make_broken(CASE), make_case(OTHER))
    figure = charts.figure(pages.index([entry(record), entry(broken)], "").runners[0])

    axis, linear = figure["layout"]["yaxis"], figure["layout"]["yaxis2"]
    assert (axis["type"], linear.get("type")) == ("log", None)
    crosses = {trace["yaxis"]: trace["y"] for trace in traces(figure, "broken")}
    assert crosses == {"y": [40.0], "y2": [0]}
    assert 10 ** axis["range"][0] == pytest.approx(40.0)
    assert axis["ticktext"] == ["50", "100", "200", "500", "1,000"]  # from 80 / 2 to 1000 * 1.5


def test_a_wide_logarithmic_axis_is_marked_at_powers_of_ten_alone() -> None:
    assert charts._log_ticks(0.5, 20000) == [1, 10, 100, 1000, 10000]
    assert charts._log_ticks(40, 1000) == [50, 100, 200, 500, 1000]


def test_names_are_not_read_as_markup_by_plotly() -> None:
    key = "<b>x&amp;/q/t/p1+1"
    record = make_record(make_case(key), toolchain="<i>tvm</i>")

    figure = charts.figure(pages.index([entry(record)], "").runners[0])

    assert figure["data"][0]["name"] == "&lt;b&gt;x&amp;amp;/q/t/p1+1"
    assert figure["data"][0]["x"] == figure["layout"]["xaxis"]["categoryarray"] == ["&lt;i&gt;tvm&lt;/i&gt;"]


# The page


def test_an_empty_history_says_how_to_get_the_first_record() -> None:
    root = page()

    assert "No records yet" in root.text
    assert [code.text for code in root.one("main").one("pre").all("code")] == ["regress run"]
    assert root.all("script") == []


def test_a_row_shows_the_numbers_of_its_record() -> None:
    artifact = make_artifact(bits_per_param=4.504, model_lib_bytes=3_612_880)
    record = make_record(make_case(prefill=(990.0, 1000.0, 1030.0), decode=(49.0, 50.0, 50.5), artifact=artifact))

    ((toolchain, verdict, *numbers, recorded),) = rows(page(entry(record)))

    assert toolchain.text == "tvm-0.26.0 apache-tvm 0.26.0"
    assert verdict.text == "not judged"
    assert [cell.text for cell in numbers] == [
        "1,000 990.0\N{EN DASH}1,030",
        "50.00 49.00\N{EN DASH}50.50",
        "4.50",
        "3.45 MiB",  # 3612880 / 1048576 = 3.4455
        "1 GiB",
        "3",
    ]
    assert recorded.text == "2026-10-03 12:00 UTC"
    assert recorded.one("time").attributes["datetime"] == "2026-10-03T12:00:00+00:00"
    assert recorded.one("a").attributes["href"] == f"data/bench/{record.id}.json"


def test_a_row_says_how_the_device_fared() -> None:
    """What was discarded and why, and of the median replicate the energy of a token and its share of the roofline."""
    hot = Discarded(started_at=NOON, reason="throttled", text="it was hot")
    samples = {"decode_tokens_per_s": (50.0,), "energy_per_token_j": (0.5123,), "roofline_fraction": (0.614,)}
    kept = msgspec.structs.replace(make_replicate(1000, 50), samples=samples)
    ((_, _, _, decode, *_, replicates, _),) = rows(
        page(entry(make_record(make_case(replicates=(kept,), discarded=(hot,)))))
    )
    assert decode.text.endswith("0.512 J per token 61.4% of the memory roofline")
    assert replicates.text == "1 1 replicate discarded (throttled)"


def test_a_case_that_was_given_up_says_why() -> None:
    """Also where no check was made: its row would be a row of dashes."""
    hot = Discarded(started_at=NOON, reason="throttled", text="it was hot")
    record = make_record(make_case(replicates=(), discarded=(hot, hot), gave_up="throttled"))
    ((*_, replicates, _),) = rows(page(entry(record)))
    assert replicates.text == "0 2 replicates discarded (throttled 2 times), the last because it was hot"


def test_the_case_names_model_quantization_target_and_workload() -> None:
    (head,) = [cell for cell in page(entry()).all("th") if cell.attributes["scope"] == "rowgroup"]

    assert head.text == (
        f"{CASE} model synthetic:tiny · quantization q4f16_1 · target llvm · 64 prompt + 16 new tokens"
    )


def test_every_verdict_carries_its_loss_and_tolerance() -> None:
    reference = make_record()
    record = later(1, make_case(prefill=(1000.0, 1001.0, 1002.0), decode=(40.0, 40.0, 40.0)))

    newest, oldest = rows(page(entry(reference), entry(record, make_report(record, reference))))

    prefill, decode = newest[1].all("li")
    assert prefill.text == "✓ pass prefill 0.1% better tolerance 5%"  # 1001 against 1000
    assert decode.text == "▼ regressed decode 20% worse tolerance 5%"  # 40 against 50
    assert decode.one("span", "badge").classes == ["badge", "regressed"]
    assert oldest[1].text == "the reference"


def test_a_broken_build_is_a_row_with_cause_end_and_log() -> None:
    reference, record = make_record(), later(1, make_broken(log="first line\nlast <line>"))

    newest, _ = rows(page(entry(reference), entry(record, make_report(record, reference))))

    assert newest[1].text == "✕ broken"
    assert "build failed, killed by SIGSEGV" in newest[2].text
    assert "tvm::s_tir::Tensorize -> tvm::ffi::ToJSONGraph" in newest[2].text
    details = newest[2].one("details")
    assert details.one("summary").text == "Last 2 lines of the log"
    assert details.one("pre").children == ["first line\nlast <line>"]


def test_a_broken_build_without_report_or_log_still_says_broken() -> None:
    ((_, verdict, cause, _),) = rows(page(entry(make_record(make_broken(log="")))))

    assert verdict.text == "✕ broken"
    assert cause.all("details") == []


def test_every_row_spans_the_same_number_of_columns() -> None:
    entries = sample_history()
    vanished = later(1, make_case(CASE))
    report = make_report(vanished, make_record(make_case(CASE), make_case(OTHER)))

    root = page(*entries, entry(vanished, report))

    for table in root.all("table"):
        widths = {
            sum(int(cell.attributes.get("colspan") or 1) for cell in row.children if isinstance(cell, Node))
            for row in table.all("tr")
        }
        assert widths == {9}


def test_the_banner_says_outcome_toolchains_and_each_sentence() -> None:
    reference, record = make_record(), later(1, make_case(decode=(40.0, 40.0, 40.0)))

    banner = page(entry(reference), entry(record, make_report(record, reference))).one("div", "banner")

    assert banner.one("h3").text == "▼ regressed tvm-0.27.0 against tvm-0.26.0"
    assert "measured in the same run" in banner.one("p").text
    assert [line.text for line in banner.all("li")] == [
        f"▼ regressed {CASE} decode rate: loss 20.0%, tolerance 5.0%",
        "✓ pass 1 other verdict passed",
    ]


def test_the_banner_names_the_baseline_of_a_stored_reference() -> None:
    reference, record = make_record(), later(1)

    banner = page(entry(record, make_report(record, reference, against="stored"))).one("div", "banner")

    assert "stored in the baseline bench" in banner.one("p").text
    assert [line.text for line in banner.all("li")] == ["✓ pass 2 verdicts passed"]


def test_the_environment_of_the_newest_record_is_shown() -> None:
    environment = make_environment(
        device="Orin", driver="540.4.0", settings={"TVM_NUM_THREADS": "8"}, fingerprint=sha("new")
    )
    root = page(entry(), entry(msgspec.structs.replace(later(1), environment=environment)))

    facts = {pair.one("dt").text: pair.one("dd").text for pair in root.one("dl", "facts").all("div")}

    assert facts == {
        "Device": "Orin",
        "Driver": "540.4.0",
        "Processor": "AMD EPYC 9654, 16 logical, x86_64",
        "Memory": "64 GiB",
        "System": "Debian GNU/Linux 12, kernel 6.1.0-26-amd64",
        "TVM_NUM_THREADS": "8",
    }
    notes = ["another environment" in row[-1].text for row in rows(root)]
    assert notes == [False, True]


def test_headers_have_scopes_and_landmarks_have_names() -> None:
    root = page(*sample_history())
    ids = [
        node.attributes["id"]
        for tag in ("section", "h2", "h3", "main")
        for node in root.all(tag)
        if "id" in node.attributes
    ]

    assert {cell.attributes.get("scope") for cell in root.all("th")} == {"col", "row", "rowgroup"}
    assert len(ids) == len(set(ids))
    named = [node.attributes.get("aria-labelledby") for tag in ("section", "div", "table") for node in root.all(tag)]
    assert {name for name in named if name} <= set(ids)
    assert [node.attributes["lang"] for node in root.all("html")] == ["en"]


def test_nothing_on_the_page_is_fetched_from_elsewhere() -> None:
    root = page(*sample_history())
    links = [
        node.attributes[name]
        for tag in ("script", "link", "a", "img")
        for node in root.all(tag)
        for name in ("src", "href")
        if name in node.attributes
    ]

    assert links
    assert [link for link in links if link is None or re.match(r"[a-z]+:|//", link)] == []
    (policy,) = [meta.attributes["content"] for meta in root.all("meta") if "http-equiv" in meta.attributes]
    assert "default-src 'none'" in (policy or "")
    inline = [script for script in root.all("script") if "src" not in script.attributes]
    assert {script.attributes["type"] for script in inline} == {"application/json"}


HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\'&'


def hostile_history() -> list[Entry]:
    """Markup wherever a record holds free text."""
    toolchain = make_toolchain(HOSTILE, packages=(Package(name="apache-tvm", version=HOSTILE),))
    environment = make_environment(device=HOSTILE, driver=HOSTILE, cpu=HOSTILE, settings={HOSTILE: HOSTILE})
    model = msgspec.structs.replace(make_artifact().model, source=HOSTILE, name=HOSTILE)
    artifact = make_artifact(model=model, quantization=HOSTILE, target=HOSTILE)
    cases = (
        msgspec.structs.replace(make_case(artifact=artifact), key=HOSTILE),
        make_broken(OTHER, cause=HOSTILE, how=HOSTILE, log=HOSTILE),
    )
    record = make_record(*cases, toolchain=toolchain, environment=environment, id="..")
    verdict = Verdict(case=HOSTILE, outcome="missing", reason="no_reference", text=HOSTILE, metric=HOSTILE)
    return [entry(record, make_report(record, make_record(toolchain=toolchain), verdicts=[verdict]))]


def test_hostile_text_stays_text() -> None:
    harmless, hostile = (
        page(entry(make_record(make_case(), make_broken(OTHER)))),
        page(*hostile_history(), title=HOSTILE),
    )

    assert len(hostile.all("script")) == len(harmless.all("script")) == 3
    assert hostile.all("img") == []
    assert hostile.one("h1").text == hostile.one("title").text == HOSTILE
    assert HOSTILE in hostile.one("pre").text
    (figure,) = figures(hostile)
    assert figure["data"][0]["name"] == charts.literal(HOSTILE)


# Files


def site(destination: Path, entries: list[Entry], assets: Path = ASSETS) -> Path:
    return build(entries, destination, title="Trends", templates=TEMPLATES, assets=assets)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_the_page_names_is_there(tmp_path: Path) -> None:
    index = site(tmp_path / "out", sample_history())
    root = Page(index.read_text(encoding="utf-8")).root
    links = [
        node.attributes.get("src") or node.attributes.get("href")
        for tag in ("script", "link", "a")
        for node in root.all(tag)
    ]
    local = [link for link in links if link and not link.startswith("#")]

    assert index == tmp_path / "out" / "index.html"
    assert len(local) == 4 + 18  # two scripts, icon, style sheet; 2 runners x 3 cases x 3 toolchains
    assert [link for link in local if not (tmp_path / "out" / link).is_file()] == []


def test_the_data_beside_the_page_is_the_record(tmp_path: Path) -> None:
    record = make_record()
    site(tmp_path, [entry(record)])

    stored = tmp_path / "data" / "bench" / f"{record.id}.json"
    assert decode_record(stored.read_bytes(), "it") == record


def test_an_id_of_dots_stays_inside_the_site(tmp_path: Path) -> None:
    site(tmp_path / "out", hostile_history())

    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "data" / "bench" / "...json").is_file()


def test_the_same_entries_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    entries = sample_history()
    site(tmp_path / "one", entries)
    site(tmp_path / "two", entries[::-1])

    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert one == two
    assert str(tmp_path).encode() not in one["index.html"]


def test_building_where_the_assets_live_deletes_and_changes_nothing(tmp_path: Path) -> None:
    """The repository's own `site/` is a destination too."""
    assets = tmp_path / "assets"
    assets.mkdir()
    for path in ASSETS.iterdir():
        (assets / path.name).write_bytes(path.read_bytes())
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "kept.json").write_text("{}")
    before = contents(tmp_path)
    site(tmp_path, [entry()], assets=assets)
    site(tmp_path, [entry()], assets=assets)

    after = contents(tmp_path)
    assert {name: after.get(name) for name in before} == before
    assert len([name for name in after if "plotly" in name]) == 1


def test_an_old_copy_of_plotly_is_not_a_hand_written_asset(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "plotly-0.0.1.min.js").write_text("old")
    (tmp_path / "assets" / ".hidden").write_text("")
    (tmp_path / "assets" / "site.css").write_text("body {}")

    site(tmp_path / "out", [], assets=tmp_path / "assets")

    names = {path.name for path in (tmp_path / "out" / "assets").iterdir()}
    assert names == {"site.css", render._plotly_name()}


def test_a_failed_write_leaves_the_old_page_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = site(tmp_path, [entry()])
    before = contents(tmp_path)

    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(HistoryError, match="No space left on device"):
        site(tmp_path, [entry(), entry(later(1))])

    assert index.is_file()
    assert contents(tmp_path) == before


def test_a_destination_that_cannot_be_a_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(HistoryError, match=r"file.*: (Not a directory|File exists)"):
        site(tmp_path / "file", [entry()])


@pytest.mark.parametrize("missing", ["templates", "assets"])
def test_missing_templates_or_assets_are_one_line(tmp_path: Path, missing: str) -> None:
    folders = {"templates": TEMPLATES, "assets": ASSETS, missing: tmp_path / "nowhere"}

    with pytest.raises(HistoryError) as error:
        build([], tmp_path / "out", title="", **folders)

    assert error.value.exit_code == 7
    assert not (tmp_path / "out" / "index.html").exists()


def test_pages_are_readable_by_a_web_server(tmp_path: Path) -> None:
    """Not 0600, as temporary files are wont to be."""
    umask = os.umask(0o022)
    try:
        index = site(tmp_path, [entry()])
    finally:
        os.umask(umask)

    assert stat.S_IMODE(index.stat().st_mode) == 0o644


def test_a_hundred_records_take_less_than_a_second(tmp_path: Path) -> None:
    cases = tuple(make_case(f"model{number}/q4f16_1/llvm/p64+16") for number in range(5))
    records = [later(day, *cases, toolchain=f"tvm-{day}") for day in range(100)]
    entries = [Entry(record=new, report=make_report(new, old)) for old, new in pairwise(records)]
    started = time.process_time()

    site(tmp_path, [entry(records[0]), *entries])

    assert time.process_time() - started < 1.0


def test_plotly_is_not_imported_to_build() -> None:
    """Its import costs more than the whole site."""
    sources = [Path(module.__file__ or "").read_text() for module in (charts, pages, render, units)]

    assert [source for source in sources if re.search(r"^\s*(import|from) plotly", source, re.MULTILINE)] == []
    assert "regress.site.render" in sys.modules


def test_an_entry_is_a_value() -> None:
    one = entry()

    assert replace(one, report=None) == one
