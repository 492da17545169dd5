"""The comparison of two runs in a real browser: what differs is named, all cases are there, and all leads on."""

from __future__ import annotations

import csv
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from factories import (
    CASE,
    NOON,
    make_artifact,
    make_broken,
    make_case,
    make_environment,
    make_import,
    make_record,
    make_toolchain,
    sha,
)
from site_entries import HOSTILE, OTHER, built, entry, later, store

from regress.artifact import Model
from regress.history import append_import
from regress.recipe import FLAGS
from regress.record import Method

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator
    from playwright.sync_api import Page as Tab

    from regress.record import Record

NOTHING = "\N{EN DASH}"
LONG = CASE.replace("p64", "p128")
ONE = make_record(make_case(CASE), make_case(OTHER))
SAME = later(1, make_case(CASE), toolchain="tvm-0.26.0")
FLAGGED = later(
    2,
    make_case(CASE, prefill=(190.0, 188.0, 192.0), artifact=make_artifact(flags={**FLAGS, "arch": "sm_90a"})),
    toolchain="tvm-0.26.0",
)
BROKEN = later(3, make_case(LONG), make_broken(CASE, cause=HOSTILE, how="exit status 1"))
REBUILT = later(4, make_case(CASE), toolchain=make_toolchain("tvm-0.26.0", fingerprint=sha("another wheel")))
ELSEWHERE = make_record(
    make_case(CASE, decode=(25.0, 24.8, 25.2)),
    runner="desk",
    at=NOON + timedelta(days=5),
    environment=make_environment(fingerprint=sha("desk"), settings={"TVM_NUM_THREADS": "8"}),
)
OTHERWISE: dict[str, Record] = {
    "another machine": later(6, environment=make_environment(fingerprint=sha("tuned"), settings={"OMP": "1"})),
    "another harness": later(7, harness=sha("another")),
    "another method": later(8, method=Method(warmups=1, repeats=1, seed=1)),
    "other weights": later(9, make_case(artifact=make_artifact(model=Model(source="x", name="x", digest=sha("else"))))),
}
WHERE = {
    "another machine": f"fingerprint {sha('environment')[:12]} → {sha('tuned')[:12]}",
    "another harness": f"harness {sha('harness')[:12]} → {sha('another')[:12]}",
    "another method": "seed 0 → 1",
    "other weights": "The same machine, harness and method.",
}


class Site(NamedTuple):
    """The site, and a browser's tab that stays on its comparison."""

    root: Path
    tab: Tab

    def open(self, state: str = "") -> Tab:
        """The comparison with that state in its address."""
        self.tab.goto("about:blank")
        self.tab.goto((self.root / "compare.html").as_uri() + state)
        self.tab.wait_for_selector("html.ready", state="attached")
        return self.tab

    def compare(self, a: Record, b: Record) -> Tab:
        """Two runs side by side."""
        return self.open(f"#a={a.runner}/{a.id}&b={b.runner}/{b.id}")


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("compared")
    records = [ONE, SAME, FLAGGED, BROKEN, REBUILT, ELSEWHERE, *OTHERWISE.values()]
    append_import(make_import(runner="imported"), store([entry(each) for each in records], folder / "site-history"))
    root = built(folder / "site", None).parent
    tab, complaints = browser.new_page(), list[str]()
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda message: complaints.append(message.text))
    yield Site(root, tab)
    tab.close()
    # The one script that is asked for and not there.
    assert all("ERR_FILE_NOT_FOUND" in each for each in complaints), complaints


def case(tab: Tab, key: str) -> Locator:
    return tab.locator("tbody", has_text=key)


def cells(tab: Tab, key: str) -> list[list[str]]:
    """Of each rate of a case its metric, both values, the ratio and its interval."""
    rows = case(tab, key).locator("tr").all()
    return [row.locator("td").all_inner_texts()[:5] for row in rows]


def notes(tab: Tab, key: str) -> list[str]:
    return case(tab, key).locator(".note").all_inner_texts()


def card(tab: Tab, name: str) -> str:
    return tab.locator(f"section[aria-labelledby={name}]").inner_text()


def test_flags_that_differ_are_named_beside_the_ratio(site: Site) -> None:
    """They are all that differs, and hinder no comparison."""
    tab = site.compare(SAME, FLAGGED)

    assert notes(tab, CASE) == ["B: arch=sm_90a"]
    assert cells(tab, CASE)[0][3] == "-81%"
    assert "The same machine, harness and method." in card(tab, "machine")
    assert "The same packages." in card(tab, "packages")
    assert tab.locator(".forest.regressed").count() == 1
    assert notes(site.compare(FLAGGED, SAME), CASE) == ["A: arch=sm_90a"]


@pytest.mark.parametrize("why", OTHERWISE)
def test_what_the_project_would_not_compare_is_called_so_and_has_its_ratio(site: Site, why: str) -> None:
    tab = site.compare(SAME, OTHERWISE[why])

    assert notes(tab, CASE) == [f"not comparable: {why}"]
    assert cells(tab, CASE)[1][3] == "±0%"
    assert tab.locator(".forest.apart").count() == 2
    assert WHERE[why] in card(tab, "machine")
    assert ("The same machine" in card(tab, "machine")) == (why == "other weights")


def test_a_toolchain_of_the_same_versions_and_another_fingerprint_is_not_the_same(site: Site) -> None:
    text = card(site.compare(SAME, REBUILT), "packages")

    assert f"fingerprint {sha('tvm-0.26.0')[:12]} → {sha('another wheel')[:12]}" in text
    assert "The same packages." not in text


def test_cases_that_only_one_run_measured_are_there(site: Site) -> None:
    """The cause of a broken build stands as it is, markup and all; those that both measured alone are drawn."""
    tab = site.compare(ONE, BROKEN)

    assert notes(tab, CASE) == [f"broken in B: build failed, exit status 1: {HOSTILE}"]
    assert cells(tab, CASE)[1] == ["decode", "50", NOTHING, NOTHING, NOTHING]
    assert notes(tab, OTHER) == ["only in A"]
    assert notes(tab, LONG) == ["only in B"]
    assert tab.locator("h2").first.inner_text() == "B against A: no case was measured in both"
    assert tab.locator("td .forest").count() == 0
    both = site.compare(BROKEN, BROKEN)
    assert notes(both, CASE) == [f"broken in both: build failed, exit status 1: {HOSTILE}"]
    assert cells(both, CASE) == [[NOTHING, NOTHING, NOTHING, NOTHING, NOTHING]]
    assert both.locator("td .forest").count() == 2


def test_all_leads_on(site: Site) -> None:
    """A case to its series, of two runners to both; each run to its page."""
    tab = site.compare(SAME, FLAGGED)
    flat = CASE.replace("/", "~")
    links = "links => links.map(link => decodeURIComponent(link.getAttribute('href')))"

    assert case(tab, CASE).locator("a").evaluate_all(links) == [f"series/bench/{flat}.html"]
    pages = tab.locator("form a").evaluate_all(links)
    assert pages == [f"runs/bench/{SAME.id}.html", f"runs/bench/{FLAGGED.id}.html"]
    across = case(site.compare(SAME, ELSEWHERE), CASE).locator("a").evaluate_all(links)
    assert across == [f"series/bench/{flat}.html", f"series/desk/{flat}.html"]
    assert all((site.root / page).is_file() for page in (*pages, *across))


def test_runs_are_chosen_by_toolchain_the_newest_first_and_runners_without_runs_not_at_all(site: Site) -> None:
    tab = site.open("#a=bench&b=bench")

    assert tab.locator("select[name=a-runner] option").all_inner_texts() == ["bench", "desk"]
    groups: list[Any] = tab.locator("select[name=b-run] optgroup").evaluate_all(
        "groups => groups.map(group => [group.label, [...group.children].map(option => option.value)])"
    )
    newest = [each.id for each in (*OTHERWISE.values(), BROKEN)]
    assert groups[0] == ["tvm-0.27.0", [*sorted(newest, reverse=True)]]
    # Two toolchains share the name: their labels have the fingerprints.
    assert [label for label, _ in groups[1:]] == [
        f"tvm-0.26.0 ({sha(text)[:8]})" for text in ("another wheel", "tvm-0.26.0")
    ]


@pytest.mark.parametrize(
    ("state", "chosen", "said"),
    [
        ("#a=desk&b=", ["desk", "desk"], []),
        ("#a=desk/", ["desk", "desk"], []),
        ("#a=nope/x", ["bench", "bench"], ["there is no run nope/x; the usual one is chosen"]),
        ("#a=imported/x&b=desk", ["desk", "desk"], ["there is no run imported/x; the usual one is chosen"]),
        ("#a=desk/%3Cb%3E&b=desk", ["desk", "desk"], ["there is no run desk/<b>; the usual one is chosen"]),
        ("#a=desk&b=desk/none", ["desk", "desk"], ["there is no run desk/none"]),
    ],
)
def test_an_address_that_names_no_run_gives_the_usual_ones_and_says_so(
    site: Site, state: str, chosen: list[str], said: list[str]
) -> None:
    tab = site.open(state)

    assert [tab.locator(f"select[name={side}-runner]").input_value() for side in "ab"] == chosen
    assert all(tab.locator(f"select[name={side}-run]").input_value() for side in "ab")
    assert tab.locator("#result > p").all_inner_texts() == said
    assert tab.locator("#result table").count() == (0 if "none" in state else 1)


def test_a_scale_shows_small_and_large_ratios_side_by_side(site: Site) -> None:
    """A loss of 81 % and one of half a percent: both apart from zero, in the scale's order and within the drawing."""
    tab = site.open()
    found: dict[str, Any] = tab.evaluate(
        """() => {
          const shared = scale([{ value: 0.19, low: 0.18, high: 0.2 }, { value: 0.995 }]);
          return {
            at: [0.19, 0.995, 1, 1.05].map(shared.place),
            ticks: shared.ticks.map(({ at, label }) => [at, label]).sort((a, b) => a[0] - b[0]),
            straight: scale([{ value: 0.997 }]).ticks.map(({ label }) => label),
          };
        }"""
    )
    far, near, zero, more = found["at"]
    assert 0 < far < near - 50 < near < zero - 5 < zero < more
    assert [label for _, label in found["ticks"]] == ["-80%", "-10%", "0", "+10%", "+400%"]
    assert sorted(found["straight"]) == ["+0.5%", "-0.5%", "0"]
    assert all(right[0] - left[0] >= 40 for left, right in zip(found["ticks"], found["ticks"][1:], strict=False))


def test_the_scale_stands_above_the_ratios(site: Site) -> None:
    axis = site.compare(SAME, FLAGGED).locator("thead .forest.axis")

    assert axis.get_attribute("aria-hidden") == "true"
    assert {"0", "-80%"} <= set(axis.locator("text").all_text_contents())


def test_no_change_has_no_sign(site: Site) -> None:
    """As on the other pages; a whole percent has no decimals."""
    tab = site.compare(SAME, SAME)

    assert [row[3] for row in cells(tab, CASE)] == ["±0%", "±0%"]
    assert tab.locator("h2").first.inner_text() == "B against A: prefill ±0%, decode ±0% in the mean"


def test_the_table_is_saved_as_csv(site: Site) -> None:
    """With both runs, flags and notes in each line; a cause that begins like a formula is text."""
    tab = site.compare(ONE, FLAGGED)
    with tab.expect_download() as download:
        tab.click("button[name=csv]")
    lines = list(csv.DictReader(download.value.path().read_text().splitlines()))

    assert download.value.suggested_filename == f"{ONE.id}-to-{FLAGGED.id}.csv"
    assert [(line["case"], line["metric"], line["note"]) for line in lines] == [
        (CASE, "prefill_tokens_per_s", "B: arch=sm_90a"),
        (CASE, "decode_tokens_per_s", "B: arch=sm_90a"),
        (OTHER, "prefill_tokens_per_s", "only in A"),
        (OTHER, "decode_tokens_per_s", "only in A"),
    ]
    assert {(line["a"], line["b"]) for line in lines} == {(f"bench/{ONE.id}", f"bench/{FLAGGED.id}")}
    assert (lines[0]["a_flags"], lines[0]["b_flags"]) == ("", "arch=sm_90a")
    assert float(lines[0]["ratio_low"]) < float(lines[0]["ratio"]) == pytest.approx(0.19, abs=1e-4)
    assert (lines[2]["b_tokens_per_s"], lines[2]["ratio"]) == ("", "")


@pytest.fixture
def quiet(browser: Browser) -> Iterator[Callable[[Path], Tab]]:
    """Opens a page without JavaScript."""
    context = browser.new_context(java_script_enabled=False)

    def opened(path: Path) -> Tab:
        tab = context.new_page()
        tab.goto(path.as_uri())
        return tab

    yield opened
    context.close()


def test_a_site_without_runs_says_so_without_javascript(quiet: Callable[[Path], Tab], tmp_path: Path) -> None:
    """Imports are no runs; with the first run the page has its form."""
    records = store([], tmp_path / "site-history")
    append_import(make_import(), records)
    root = built(tmp_path / "site", None).parent
    assert "no runs to compare yet" in quiet(root / "compare.html").locator("main").inner_text()

    built(tmp_path / "site", [entry()])
    assert "by a script" in quiet(root / "compare.html").locator("main").inner_text()


def test_a_run_leads_to_its_series_and_to_its_runner(site: Site) -> None:
    """The name of the runner to the overview of it alone."""
    tab = site.tab
    tab.goto((site.root / "runs" / "desk" / f"{ELSEWHERE.id}.html").as_uri())
    tab.click("section.case h2 a")
    assert CASE.split("/")[0] in tab.locator("h1").inner_text()
    tab.go_back()
    tab.click("h1 a")
    tab.wait_for_selector("html.ready", state="attached")
    assert tab.locator("section.runner:visible").count() == 1
