"""The page of one run: what it holds, and the HTML of it."""

from __future__ import annotations

import shlex

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
    make_report,
    make_toolchain,
    sha,
)
from html_page import Node, read_html
from site_entries import OTHER, Entry, entry, judged, later, pages, run_page_of, slow

from regress.arguments import parser
from regress.artifact import Kernel
from regress.recipe import FLAGS
from regress.record import CaseResult, Package
from regress.replicate import Discarded, Replicate
from regress.telemetry import Range, Telemetry
from regress.verdict import Verdict


def page(shown: Entry, *others: Entry) -> Node:
    """The run's page, parsed; the other runs are known."""
    return read_html(pages().run(run_page_of(shown), linked=bool(others)))


def facts_of(root: Node) -> dict[str, str]:
    """Term to description, of all lists of facts."""
    return {pair.one("dt").text: pair.one("dd").text for facts in root.all("dl", "facts") for pair in facts.all("div")}


def table_of(root: Node) -> list[list[str]]:
    """The cells' texts of the first case's table, its head included."""
    (table, *_) = root.one("section", "case").all("table")
    return [[cell.text for cell in row.elements] for row in table.all("tr")]


def replicate(**changes: object) -> Replicate:
    return msgspec.structs.replace(make_replicate(1000.0, 50.0), **changes)


def read_by(**counters: object) -> Replicate:
    """A replicate during which those counters of the device were read."""
    telemetry = msgspec.structs.replace(Telemetry(device="nvidia", samples=9), **counters)
    return replicate(telemetry=telemetry)


def flagged(key: str = CASE, **flags: str) -> CaseResult:
    return make_case(key, artifact=make_artifact(key, flags={**FLAGS, **flags}))


def test_cases_are_in_the_records_order_those_that_vanished_last() -> None:
    reference = make_record(make_case("gone/q/t/p1+1"), make_case(CASE), make_case(OTHER))
    found = run_page_of(judged(later(1, make_case(OTHER), make_case(CASE)), reference))

    assert [case.key for case in found.cases] == [OTHER, CASE, "gone/q/t/p1+1"]
    gone = found.cases[-1]
    assert (gone.result, gone.columns, gone.flags, gone.discarded) == (None, (), {}, "")
    assert [verdict.reason for verdict in gone.verdicts] == ["case_vanished"]


def test_each_case_has_its_own_verdicts_in_the_reports_order() -> None:
    both = make_record(make_case(CASE), make_case(OTHER))
    shown = judged(later(1, make_case(CASE), make_case(OTHER)), both)
    assert shown.report is not None

    said = {case.key: list(case.verdicts) for case in run_page_of(shown).cases}

    assert {key: {verdict.case for verdict in own} for key, own in said.items()} == {CASE: {CASE}, OTHER: {OTHER}}
    assert [*said[CASE], *said[OTHER]] == sorted(shown.report.verdicts, key=lambda verdict: verdict.case != CASE)
    assert [list(case.verdicts) for case in run_page_of(entry(both)).cases] == [[], []]


def test_columns_are_the_metrics_measured_with_a_value_for_each_replicate() -> None:
    """In the order of the list of metrics; one that only some replicates have has holes."""
    one = replicate(samples={"time_to_first_token_s": (0.01,), "prefill_tokens_per_s": (900.0,)})
    two = replicate(samples={"prefill_tokens_per_s": (1000.0, 1200.0, 800.0)})

    prefill, first = run_page_of(entry(make_record(make_case(replicates=(one, two))))).cases[0].columns

    assert (prefill.label, prefill.unit) == ("Prefill rate", "tokens/s")
    assert (prefill.cells, prefill.median) == (("900.0", "1,000"), "950.0")
    assert (first.label, first.unit) == ("Time to first token", "")
    assert (first.cells, first.median) == (("10 ms", ""), "10 ms")


def test_what_the_build_is_told_by_is_no_column() -> None:
    samples = {"prefill_tokens_per_s": (900.0,), "model_lib_bytes": (4096.0,)}
    record = make_record(make_case(replicates=(replicate(samples=samples),)))

    assert [column.label for column in run_page_of(entry(record)).cases[0].columns] == ["Prefill rate"]


def test_each_row_of_the_table_is_a_replicate() -> None:
    head, median, first, second, third = table_of(
        page(entry(make_record(make_case(prefill=(990.0, 1000.0, 1030.0), decode=(49.0, 50.0, 50.5)))))
    )

    assert head == ["Replicate", "Prefill rate tokens/s", "Decode rate tokens/s", "Peak memory", "Answers"]
    assert median == ["Median", "1,000", "50.00", "1 GiB", ""]
    assert first == ["1 12:00:00", "990.0", "49.00", "1 GiB", sha("logits")[:10]]
    assert second == ["2 12:01:00", "1,000", "50.00", "1 GiB", "the same"]
    assert third == ["3 12:02:00", "1,030", "50.50", "1 GiB", "the same"]


@pytest.mark.parametrize(
    ("answers", "shown"),
    [
        (("logits", "logits", "logits"), [sha("logits")[:10], "the same", "the same"]),
        (("logits", "logits", "other"), [sha("logits")[:10], sha("logits")[:10], sha("other")[:10]]),
        (("logits", None), [sha("logits")[:10], "\N{EN DASH}"]),
        ((None, None), ["\N{EN DASH}", "\N{EN DASH}"]),
    ],
)
def test_answers_are_told_once_where_all_gave_the_same(answers: tuple[str | None, ...], shown: list[str]) -> None:
    replicates = tuple(msgspec.structs.replace(replicate(), logits_sha256=text and sha(text)) for text in answers)

    rows = table_of(page(entry(make_record(make_case(replicates=replicates)))))

    assert [row[-1] for row in rows[2:]] == shown


def test_a_value_that_was_not_measured_is_a_dash_with_words() -> None:
    one, two = replicate(), replicate(samples={"decode_tokens_per_s": (50.0,)})
    root = page(entry(make_record(make_case(replicates=(one, two)))))

    assert table_of(root)[3][1] == "\N{EN DASH}"
    (dash, _) = [node for node in root.one("section", "case").all("span") if "aria-label" in node.attributes]
    assert dash.get("aria-label") == "not measured"


@pytest.mark.parametrize(
    ("counters", "heads", "cells"),
    [
        ({}, [], []),
        ({"clock_hz": Range(min=1.0e9, median=1.98e9, max=2.0e9)}, ["Clock"], ["1,980 MHz"]),
        ({"power_w": 612.4}, ["Power"], ["612 W"]),
        ({"temperature_celsius": 67.0}, ["Hottest"], ["67 °C"]),
        ({"power_w": 612.4, "temperature_celsius": 67.0}, ["Power", "Hottest"], ["612 W", "67 °C"]),
    ],
)
def test_columns_of_telemetry_stand_only_where_it_was_read(
    counters: dict[str, object], heads: list[str], cells: list[str]
) -> None:
    """By any replicate: one whose device said nothing has a dash there."""
    rows = table_of(page(entry(make_record(make_case(replicates=(read_by(**counters), replicate()))))))

    assert rows[0][4:-1] == heads
    assert rows[1][4:-1] == [""] * len(heads)
    assert rows[2][4:-1] == cells
    assert rows[3][4:-1] == ["\N{EN DASH}"] * len(heads)


def test_a_replicate_says_what_held_the_clocks_down() -> None:
    held = read_by(reasons={"sw_power_cap": 0.25, "gpu_idle": 0.125})

    row = table_of(page(entry(make_record(make_case(replicates=(held,))))))[2]

    assert row[-1] == f"{sha('logits')[:10]} gpu idle 12.5%, sw power cap 25%"


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    held = read_by(clock_hz=Range(min=1.0, median=1.0, max=1.0), power_w=1.0, temperature_celsius=1.0)
    root = page(entry(make_record(make_case(replicates=(held, replicate())), make_broken(OTHER))))

    for table in root.all("table"):
        assert len({len(row.elements) for row in table.all("tr")}) == 1


def test_a_run_that_was_judged_says_against_what() -> None:
    reference, record = make_record(), later(1, slow())

    banner = page(judged(record, reference), entry(reference)).one("section", "banner")

    assert "regressed" in banner.classes
    assert banner.one("h2").text == "▼ regressed against tvm-0.26.0"
    assert "measured in turn with it" in banner.text
    assert {link.text: link.get("href") for link in banner.all("a")} == {
        reference.id: f"../../runs/bench/{reference.id}.html",
        "Compare with its reference": f"../../compare.html#a=bench%2F{reference.id}&b=bench%2F{record.id}",
    }


def test_a_run_compared_with_one_that_the_history_lacks_does_not_link_to_it() -> None:
    banner = page(judged(later(1))).one("section", "banner")

    assert banner.all("a") == []
    assert "measured in turn with it." in banner.text


def test_a_run_judged_by_stored_replicates_names_their_file() -> None:
    banner = page(judged(later(1), against="stored")).one("section", "banner")

    assert "Compared with the replicates stored in bench." in banner.text


def test_a_run_that_nobody_judged_says_so() -> None:
    banner = page(entry()).one("section", "banner")

    assert "unjudged" in banner.classes
    assert banner.one("h2").text == "Not judged"


def test_every_verdict_is_a_sentence_with_its_sign() -> None:
    text = [item.text for item in page(judged(later(1, slow()))).one("ul", "verdicts").all("li")]

    assert text == [
        "✓ pass prefill rate: loss 0.0%, tolerance 5.0%",
        "▼ regressed decode rate: loss 20.0%, tolerance 5.0%",
    ]


def test_a_broken_build_shows_cause_end_and_log() -> None:
    record = make_record(make_broken(log="first line\nlast <line>"))

    case = page(entry(record)).one("section", "case")

    assert case.one("p", "cause").text == "build failed, killed by SIGSEGV"
    assert "tvm::s_tir::Tensorize -> tvm::ffi::ToJSONGraph" in case.text
    details = case.one("details")
    assert details.one("summary").text == "Last 2 lines of the log"
    assert details.one("pre").children == ["first line\nlast <line>"]
    assert case.all("table") == []


def test_a_broken_build_without_a_log_has_none_to_unfold() -> None:
    assert page(entry(make_record(make_broken(log="")))).one("section", "case").all("details") == []


def test_a_case_that_was_given_up_says_why() -> None:
    """Also where no check was made: its table would be one of dashes."""
    hot = Discarded(started_at=NOON, reason="throttled", text="it was hot")
    record = make_record(make_case(replicates=(), discarded=(hot, hot), gave_up="throttled"))

    case = page(entry(record)).one("section", "case")

    assert "2 replicates discarded (throttled 2 times), the last because it was hot" in case.text


def test_the_machine_is_described() -> None:
    environment = make_environment(
        device="Orin", driver="540.4.0", power_mode="MAXN", mig=True, settings={"TVM_NUM_THREADS": "8"}
    )

    facts = facts_of(page(entry(make_record(environment=environment, memory_bandwidth_bytes_per_s=1.9e11))))

    expected = {
        "Device": "Orin",
        "Power mode": "MAXN",
        "Driver": "540.4.0",
        "MIG": "split into instances",
        "Processor": "AMD EPYC 9654, 16 logical, x86_64",
        "Memory": "64 GiB; the device's moves 0.19 TB/s",
        "System": "Debian GNU/Linux 12, kernel 6.1.0-26-amd64, Python 3.11",
        "TVM_NUM_THREADS": "8",
        "Passes": "1 to warm up, 1 timed, in each fresh process; seed 0",
        "Fingerprints": f"machine {sha('environment')[:10]}, harness {sha('harness')[:10]}, regress 0.1.0",
    }
    assert {name: facts[name] for name in expected} == expected


def test_what_a_machine_does_not_tell_is_left_out() -> None:
    facts = facts_of(page(entry()))

    assert {"Power mode", "Driver", "MIG", "Flags"}.isdisjoint(facts)
    assert facts["Memory"] == "64 GiB"


def test_the_build_is_described() -> None:
    artifact = make_artifact(
        flags={**FLAGS, "cuda_graph": "1"},
        kernels=(Kernel(name="matmul", sha256=sha("matmul")),),
        planned_memory_bytes={"prefill": 2**20, "decode": 2**10},
        model_lib_bytes=3_612_880,
        param_count=8_000_000,
        bits_per_param=4.504,
    )
    root = page(entry(make_record(make_case(artifact=artifact))))
    facts = facts_of(root)

    assert facts["Model"] == (
        f"synthetic:tiny {sha('model')[:10]}, 8,000,000 parameters, 4.50 bits each, 4.39 KiB"  # 4500 / 1024
    )
    assert facts["Built"] == (
        f"q4f16_1 for llvm in 42.5 s, library of 3.45 MiB {sha(f'lib {CASE}')[:10]}"  # 3612880 / 1048576 = 3.4455
    )
    assert facts["Flags"] == "cuda_graph=1"
    assert facts["Planned memory"] == "decode 1 KiB, prefill 1 MiB"
    assert [item.text for item in root.one("ul", "kernels").all("li")] == [f"matmul {sha('matmul')[:10]}"]


def test_a_build_of_several_cases_is_described_once() -> None:
    """Cases that differ in their lengths alone are measured with one artifact; the others link to where it stands."""
    artifact = make_artifact(kernels=(Kernel(name="decode", sha256=sha("decode")),))
    record = make_record(
        make_case(CASE, artifact=artifact), make_case(OTHER), make_case("x/q/t/p1+1", artifact=artifact)
    )

    root = page(entry(record))

    cases = root.all("section", "case")
    assert [len(case.all("ul", "kernels")) for case in cases] == [1, 1, 0]
    _, link = cases[2].all("a")
    assert (link.attributes["href"], link.text) == (f"#{cases[0].attributes['id']}", CASE)


def test_the_toolchain_is_listed_with_the_digests_of_its_wheels() -> None:
    packages = (Package(name="apache-tvm", version="0.27.0", sha256=(sha("one"), sha("two"))),)
    toolchain = make_toolchain(packages=(*packages, Package(name="numpy", version="2.3.1")))

    root = page(entry(make_record(toolchain=toolchain)))

    table, _ = root.all("table")
    assert [[cell.text for cell in row.elements] for row in table.one("tbody").all("tr")] == [
        ["apache-tvm", "0.27.0", f"{sha('one')[:10]} {sha('two')[:10]}"],
        ["numpy", "2.3.1", "\N{EN DASH}"],
    ]
    assert table.all("code")[0].get("title") == sha("one")


def test_the_image_of_a_container_is_named() -> None:
    """By its digest: a tag may be another image tomorrow."""
    image = f"dustynv/mlc:r36.4.0@sha256:{sha('image')}"

    contained = page(entry(make_record(toolchain=make_toolchain(kind="container", image=image))))

    assert image in {code.text for code in contained.all("code")}
    assert "container" not in page(entry()).text


def measured_again(*cases: CaseResult, report: str | None = None, toolchain: str = "tvm-0.27.0") -> list[str]:
    """The words of the command that the page gives."""
    record = later(1, *cases, toolchain=toolchain)
    verdict = Verdict(case=CASE, outcome="pass", reason="same_build", text="")
    said = make_report(record, record, verdicts=[verdict]) if report else None
    shown = Entry(record=record, report=msgspec.structs.replace(said, baseline=report) if said else None)
    return shlex.split(run_page_of(shown).command)


def test_a_run_that_was_judged_is_checked_again_by_its_baseline() -> None:
    assert measured_again(report="h200.toml") == [
        "regress",
        "check",
        "--baseline",
        "baselines/h200.toml",
        "--toolchain",
        "tvm-0.27.0",
    ]


def test_a_run_that_nobody_judged_is_measured_again_by_its_runners_baseline() -> None:
    assert measured_again()[:4] == ["regress", "bench", "--baseline", "baselines/bench.toml"]


def test_only_flags_that_all_builds_have_are_given() -> None:
    """The command line gives a flag to all cases; one of a single case stands in the baseline."""
    cases = (flagged(CASE, cuda_graph="1", schedule="none"), flagged(OTHER, cuda_graph="1"), make_broken("a/b/c/p1+1"))

    assert measured_again(*cases)[6:] == ["--flag", "cuda_graph=1"]
    assert measured_again(make_broken())[6:] == []


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({}, []),
        ({"bench.toml": [CASE]}, []),
        ({"bench.toml": [CASE, OTHER]}, ["--case", CASE]),
        # The command fails then, and measures nothing that was not asked for.
        ({"bench.toml": [OTHER]}, ["--case", CASE]),
        ({"bench.toml": [CASE], "stricter.toml": [CASE, OTHER]}, []),
        ({"stricter.toml": [CASE, OTHER]}, []),
    ],
)
def test_a_run_of_some_cases_is_measured_again_with_these(asked: dict[str, list[str]], named: list[str]) -> None:
    shown = run_page_of(entry(make_record(make_case())), asked)

    assert shlex.split(shown.command)[6:] == named


@pytest.mark.parametrize("report", ["h200.toml", None])
def test_the_command_is_one_that_the_command_line_takes(report: str | None) -> None:
    words = measured_again(flagged(cuda_graph="1"), report=report)

    args = parser().parse_args(words[1:])

    assert (args.toolchain, args.baseline) == ("tvm-0.27.0", words[3])
    assert args.flag == ["cuda_graph=1"]


def test_a_toolchain_with_a_strange_name_is_one_word_of_the_command() -> None:
    assert measured_again(toolchain="a b; rm -r *")[5] == "a b; rm -r *"
    assert page(entry(make_record(toolchain="a b"))).one("pre", "command").text.endswith("--toolchain 'a b'")


def test_the_record_itself_is_linked() -> None:
    record = make_record()

    links = {link.text: link.get("href") for link in page(entry(record)).one("header").all("a")}

    assert links == {
        "bench": "../../index.html#?runner=bench",
        "the record as JSON": f"../../data/bench/{record.id}.json",
    }


def test_each_case_leads_to_its_series_also_one_that_vanished() -> None:
    reference = make_record(make_case("gone/q/t/p1+1"), make_case(CASE))
    root = page(judged(later(1, make_case(CASE)), reference))

    assert [case.one("h2").one("a").get("href") for case in root.all("section", "case")] == [
        "../../series/bench/tiny~q4f16_1~llvm~p64%2B16.html",
        "../../series/bench/gone~q~t~p1%2B1.html",
    ]
