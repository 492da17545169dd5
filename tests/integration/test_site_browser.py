"""The site in a real browser, opened from disk: it draws the right numbers, keeps its state, and fits a phone.

`REGRESS_SCREENSHOTS=<folder>` keeps the screenshots.
"""

from __future__ import annotations

import math
import os
import statistics
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

import msgspec
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from factories import CASE, NOON, make_artifact, make_case, make_import, make_record
from scipy.stats import ttest_ind
from site_entries import Entry, built, entry, later, store
from site_sample import LENGTHS, LLAMA_2, of_length, sample_history, wide_history

from regress.baseline import Baseline, parse_baseline
from regress.history import append_import
from regress.recipe import FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext
    from playwright.sync_api import Page as Tab

    from regress.record import Record

ROOT = Path(__file__).parents[2]
TITLE = "regress: MLC-LLM and TVM throughput"


class View(NamedTuple):
    """A screen, and what a visitor's system prefers."""

    name: str
    width: int
    height: int
    scheme: Literal["light", "dark"]
    mobile: bool = False


DESKTOP = View("desktop-light", 1280, 900, "light")
DARK = View("desktop-dark", 1280, 900, "dark")
PHONE = View("phone", 360, 780, "light", mobile=True)


SERIES = f"series/orin/{LLAMA_2.replace('/', '~')}.html"
LENGTHS_PAGE = "lengths/server/llama-2-7b~q4f16_1~cuda.html"


def sample_baseline() -> Baseline:
    """This repository's for an H200, as if it were about the sample's builds, with references of theirs."""
    baseline = parse_baseline((ROOT / "baselines" / "h200.toml").read_text(), "h200.toml")
    (run,) = (entry.record for entry in sample_history() if entry.record.toolchain.name == "mlc-2026-10")
    result = run.case(LLAMA_2)
    assert result is not None
    assert result.artifact is not None
    alike = {"harness": run.harness, "model_digest": result.artifact.model.digest}
    cases = [
        msgspec.structs.replace(case, flags={}, reference=msgspec.structs.replace(case.reference, **alike))
        for case in baseline.cases
        if case.reference
    ]
    return msgspec.structs.replace(baseline, runner="orin", environment=run.environment, cases=tuple(cases))


BASELINE = sample_baseline()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("site"), wide_history(), title=TITLE, baselines={"orin": BASELINE}).parent


DRAWN = ("index", "series", "lengths", "devices", "compare")
"""Pages that say when their scripts are done."""


class Visit(NamedTuple):
    """An opened page, what it asked for, and what it complained of."""

    tab: Tab
    requests: list[str]
    complaints: list[str]


@pytest.fixture(scope="module")
def opened(browser: Browser, site: Path) -> Callable[..., tuple[BrowserContext, Visit]]:
    def opened(
        page: str = "index.html",
        view: View = DESKTOP,
        state: str = "",
        *,
        javascript: bool = True,
        before: str = "",
    ) -> tuple[BrowserContext, Visit]:
        """A page in a browser of its own, and what ran in it before any script of the page."""
        context = browser.new_context(
            viewport={"width": view.width, "height": view.height},
            color_scheme=view.scheme,
            is_mobile=view.mobile,
            java_script_enabled=javascript,
        )
        context.add_init_script(before)
        seen = Visit(context.new_page(), [], [])
        seen.tab.on("request", lambda request: seen.requests.append(request.url))
        seen.tab.on("console", lambda message: seen.complaints.append(message.text))
        seen.tab.on("pageerror", lambda error: seen.complaints.append(str(error)))
        go(seen.tab, site, page, state, javascript=javascript)
        return context, seen

    return opened


def go(tab: Tab, site: Path, page: str, state: str = "", *, javascript: bool = True) -> None:
    """Opens a page, and waits until it is ready."""
    tab.goto((site / page).as_uri() + state)
    if javascript and page.startswith(DRAWN):
        tab.wait_for_selector("html.ready", state="attached")


@pytest.fixture
def visit(opened: Callable[..., tuple[BrowserContext, Visit]]) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def visited(*where: Any, **how: Any) -> Visit:  # noqa: ANN401  # what `opened` takes
        context, seen = opened(*where, **how)
        contexts.append(context)
        return seen

    yield visited
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def series_tab(opened: Callable[..., tuple[BrowserContext, Visit]]) -> Iterator[Tab]:
    context, seen = opened(SERIES)
    yield seen.tab
    context.close()


def test_imported_figures_are_rings_with_their_source(browser: Browser, tmp_path: Path) -> None:
    """A trace of their own without a line; the hover has one value, and where it comes from."""
    records = store([entry(), entry(later(1))], tmp_path / "site-history")
    append_import(make_import(at=NOON - timedelta(days=1)), records)
    root = built(tmp_path / "site", None).parent
    tab, complaints = browser.new_page(), list[str]()
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    go(tab, root, f"series/bench/{CASE.replace('/', '~')}.html")
    first, second, *_ = tab.evaluate(
        "document.querySelector('.chart').data.map(({name, mode, marker, text}) => [name, mode, marker.symbol, text])"
    )
    tab.close()
    assert first[:3] == ["imported, NVIDIA Jetson AGX Orin", "markers", "circle-open"]
    assert first[3][0].endswith(
        "900 tokens/s<br>imported from table.csv, row 1 (benchmark.py csv), average of 10 runs, not judged"
    )
    assert second[1] == "lines+markers"
    assert "replicates)" in second[3][0]
    assert complaints == []


@pytest.fixture(scope="module")
def lengths_tab(opened: Callable[..., tuple[BrowserContext, Visit]]) -> Iterator[Tab]:
    context, seen = opened(LENGTHS_PAGE)
    yield seen.tab
    context.close()


@pytest.fixture
def lengths(lengths_tab: Tab) -> Tab:
    """The page of a model over prompt lengths as it opens."""
    return cleared(lengths_tab)


@pytest.fixture
def chart(series_tab: Tab) -> Tab:
    """The page of a series as it opens; Plotly takes a second to load, so that one tab serves all that stay on it."""
    return cleared(series_tab)


def cleared(tab: Tab) -> Tab:
    """The page with nothing chosen."""
    tab.evaluate(
        """() => new Promise(done => {
          if (!location.hash) return done();
          addEventListener("hashchange", () => done(), { once: true });
          location.hash = "";
        })"""
    )
    return tab


def all_pages(site: Path) -> list[str]:
    """One page of each kind."""
    run = min((site / "runs" / "orin").iterdir())
    return [
        "index.html",
        SERIES,
        LENGTHS_PAGE,
        f"runs/orin/{run.name}",
        "devices.html",
        "compare.html",
        "regressions.html",
        "baselines.html",
        "method.html",
    ]


def figure(tab: Tab) -> list[dict[str, Any]]:
    """The traces that Plotly drew."""
    found: list[dict[str, Any]] = tab.evaluate(
        "() => document.querySelector('.chart').data.map(({name, x, y, yaxis}) => ({name, x, y, yaxis}))"
    )
    return found


CONTRAST = """() => {
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const parsed = text => text.match(/[\\d.]+/g).map(Number);
  const background = element => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parsed(getComputedStyle(each).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const own = element => [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  return [...document.querySelectorAll('main *, header *, footer')]
    .filter(e => own(e) && !e.closest('.chart, svg, [hidden], option'))
    .map(e => {
      const pair = [parsed(getComputedStyle(e).color), background(e)].map(luminance).sort((a, b) => b - a);
      return [(pair[0] + 0.05) / (pair[1] + 0.05), e.outerHTML.slice(0, 90)];
    })
    .sort((a, b) => a[0] - b[0]);
}"""


class Look(NamedTuple):
    """What was seen of one page on one screen.

    Attributes:
        page: The page.
        view: The screen.
        requests: What was asked for.
        complaints: What the browser complained of.
        width: Of the page and of the screen, in pixels.
        contrast: The contrast of every text with its background, and where it stands; the least first.
        violations: Rules of axe that are broken, and where.
    """

    page: str
    view: View
    requests: list[str]
    complaints: list[str]
    width: list[int]
    contrast: list[tuple[float, str]]
    violations: list[tuple[str, str]]


AXE: dict[View, dict[str, list[str]]] = {DESKTOP: {}, DARK: {"runOnly": ["color-contrast"]}}
"""Rules for each screen: all in light, and in dark those of colours, because nothing else is other."""


def look(page: str, view: View, seen: Visit) -> Look:
    """What there is to see of a page that is open, and a screenshot where one was asked for."""
    tab = seen.tab
    if folder := os.environ.get("REGRESS_SCREENSHOTS"):
        name = page.partition("/")[0].removesuffix(".html")
        tab.screenshot(path=Path(folder) / f"{name}-{view.name}.png", full_page=True)
    # It would fetch the style sheets, which the policy forbids.
    options = {"resultTypes": ["violations"], "preload": False, **AXE.get(view, {})}
    found = Axe().run(tab, options=options).response["violations"] if view in AXE else []
    return Look(
        page=page,
        view=view,
        requests=list(seen.requests),
        complaints=list(seen.complaints),
        width=tab.locator("html").evaluate("page => [page.scrollWidth, page.clientWidth]"),
        contrast=tab.evaluate(CONTRAST),
        violations=[(each["id"], each["nodes"][0]["html"][:120]) for each in found],
    )


@pytest.fixture(scope="module")
def looks(opened: Callable[..., tuple[BrowserContext, Visit]], site: Path) -> list[Look]:
    """Every kind of page on every screen: each is opened on a desktop and on a phone, and its desktop becomes dark."""
    found = []
    for view, then in ((DESKTOP, [DARK]), (PHONE, [])):
        context, seen = opened("method.html", view)
        for page in all_pages(site):
            seen.requests.clear()
            seen.tab.emulate_media(color_scheme=view.scheme)
            go(seen.tab, site, page)
            found.append(look(page, view, seen))
            for other in then:
                seen.tab.emulate_media(color_scheme=other.scheme)
                found.append(look(page, other, seen))
        context.close()
    return found


@pytest.mark.parametrize(
    ("hours", "words"), [(72, "3 days ago"), (-48, "in 2 days"), (5, "5 hours ago"), (0, "this minute")]
)
def test_moments_of_the_overview_are_told_from_now(visit: Callable[..., Visit], hours: int, words: str) -> None:
    """Also where a machine's clock was ahead of the visitor's."""
    newest = "Date.parse(document.querySelector('.banner time').dateTime)"
    tab = visit(before=f"Date.now = () => {newest} + {hours} * 3600000").tab
    assert tab.locator(".banner time").first.text_content() == words


def test_pages_open_without_a_complaint_or_a_request_out_of_the_site(looks: list[Look], site: Path) -> None:
    """A breach of the content security policy would be a complaint."""
    assert [(each.page, each.view.name, each.complaints) for each in looks if each.complaints] == []
    requests = [url for each in looks for url in each.requests]
    assert [url for url in requests if not url.startswith((site.as_uri(), "data:", "blob:"))] == []


def test_plotly_is_loaded_where_a_chart_is_drawn_and_nowhere_else(looks: list[Look]) -> None:
    assert {each.page for each in looks if any("plotly" in url for url in each.requests)} == {SERIES, LENGTHS_PAGE}


def test_tables_are_scrolled_and_not_the_page(looks: list[Look]) -> None:
    """On a phone of 360 pixels, too."""
    assert {each.width[1] for each in looks} == {DESKTOP.width, PHONE.width}
    assert [(each.page, each.view.name, each.width) for each in looks if each.width[0] > each.width[1]] == []


def test_axe_finds_nothing(looks: list[Look]) -> None:
    """In light and dark: names, roles, contrast, structure."""
    assert [(each.page, each.view.name, each.violations) for each in looks if each.violations] == []


def test_all_text_stands_out_from_its_background(looks: list[Look]) -> None:
    """WCAG 2.2, success criterion 1.4.3: a contrast of at least 4.5 to 1."""
    assert all(each.contrast for each in looks)
    assert [(each.page, each.view.name, pair) for each in looks for pair in each.contrast if pair[0] < 4.5] == []


def test_the_chart_shows_the_medians_of_the_records(chart: Tab) -> None:
    """Read back from the figure, and computed again from the history."""
    runs = sorted(
        (entry.record for entry in sample_history() if entry.record.runner == "orin"), key=lambda run: run.recorded_at
    )
    measured = [case for run in runs if (case := run.case(LLAMA_2)) and case.replicates]
    drawn = [trace for trace in figure(chart) if trace["name"] != "broken"]
    for metric, axis in (("prefill_tokens_per_s", "y"), ("decode_tokens_per_s", "y2")):
        expected = [statistics.median(case.values(metric)) for case in measured]
        found = [value for trace in drawn if trace["yaxis"] == axis for value in trace["y"] if value is not None]
        assert sorted(found) == pytest.approx(sorted(expected), rel=1e-5)


def test_a_chart_can_be_over_toolchains_and_relative_to_its_reference(chart: Tab) -> None:
    chart.select_option("select[name=x]", "toolchain")
    chart.check("input[name=relative]")
    (first, *_) = figure(chart)
    assert set(first["x"]) <= {"mlc-2026-06", "mlc-2026-08", "mlc-2026-10"}
    (oldest,) = (case for run in [runs_of("mlc-2026-06")] if (case := run.case(LLAMA_2)))
    (held,) = (case for case in BASELINE.cases if case.key == LLAMA_2)
    assert held.reference is not None
    level = statistics.median(value for session in held.reference.values("prefill_tokens_per_s") for value in session)
    assert first["y"][0] == pytest.approx(statistics.median(oldest.values("prefill_tokens_per_s")) / level, rel=1e-5)


def test_what_is_chosen_stands_in_the_address_and_comes_back_from_it(chart: Tab, visit: Callable[..., Visit]) -> None:
    chart.select_option("select[name=x]", "run")
    chart.check("input[name=log]")
    address = chart.url
    assert address.endswith("#x=run&log=1")

    again = visit(SERIES, state="#x=run&log=1").tab
    assert again.input_value("select[name=x]") == "run"
    assert again.is_checked("input[name=log]")
    assert again.evaluate("() => document.querySelector('.chart').layout.yaxis.type") == "log"


def test_a_range_in_the_address_is_the_range_that_is_shown(visit: Callable[..., Visit]) -> None:
    tab = visit(SERIES, state="#x=run&range=0.5..1.5").tab
    assert tab.evaluate("() => document.querySelector('.chart').layout.xaxis.range.map(Number)") == [0.5, 1.5]


def test_a_click_on_a_point_opens_its_run(visit: Callable[..., Visit]) -> None:
    tab = visit(SERIES).tab
    tab.evaluate("() => document.querySelector('.chart').emit('plotly_click', {points: [{customdata: 0}]})")
    tab.wait_for_url("**/runs/orin/**")
    assert tab.locator("h1").inner_text().startswith("mlc-2026-")


@pytest.mark.parametrize(("button", "start"), [("csv", "run,recorded_at,toolchain"), ("json", '{"runner":"orin"')])
def test_a_chart_is_saved_as_data(chart: Tab, button: str, start: str) -> None:
    with chart.expect_download() as download:
        chart.click(f"button[name={button}]")
    assert Path(download.value.path()).read_text().startswith(start)


def test_a_chart_is_saved_as_a_picture(chart: Tab) -> None:
    with chart.expect_download() as download:
        chart.click("button[name=png]")
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def medians(runner: str, toolchain: str, metric: str, build: str = "q4f16_1/cuda") -> list[float]:
    """Of Llama 2, the shortest prompt first, from the records."""
    (run,) = (
        entry.record
        for entry in wide_history()
        if (entry.record.runner, entry.record.toolchain.name) == (runner, toolchain)
    )
    cases = [case for tokens in LENGTHS if (case := run.case(of_length(tokens, build)))]
    return [statistics.median(case.values(metric)) for case in cases]


def test_the_chart_over_lengths_shows_the_medians_of_the_records(lengths: Tab) -> None:
    """Each toolchain a line, over the tokens of the prompt."""
    drawn = figure(lengths)
    assert [(trace["name"], trace["yaxis"]) for trace in drawn] == [
        ("mlc-2026-08", "y"),
        ("mlc-2026-10", "y"),
        ("mlc-2026-08", "y2"),
        ("mlc-2026-10", "y2"),
    ]
    for trace in drawn:
        metric = "prefill_tokens_per_s" if trace["yaxis"] == "y" else "decode_tokens_per_s"
        assert trace["x"] == list(LENGTHS)
        assert trace["y"] == pytest.approx(medians("server", trace["name"], metric), rel=1e-5)
    axis = lengths.evaluate(
        "() => (({type, ticktext}) => [type, ticktext])(document.querySelector('.chart').layout.xaxis)"
    )
    assert axis == ["log", ["16", "64", "256", "1,024", "4,096"]]


def test_toolchains_and_runners_are_chosen_and_stand_in_the_address(lengths: Tab, visit: Callable[..., Visit]) -> None:
    lengths.get_by_label("mlc-2026-08").uncheck()
    lengths.get_by_label("processor").check()
    lengths.check("input[name=log]")
    lengths.wait_for_function("() => document.querySelector('.chart').data.length === 4")
    state = "#toolchain=mlc-2026-10&beside=processor%2Fllama-2-7b%2Fq4f32_1%2Fllvm&log=1"
    assert lengths.url.endswith(state)

    again = visit(LENGTHS_PAGE, state=state).tab
    again.wait_for_function("() => document.querySelector('.chart').data.length === 4")
    own, other, *_ = figure(again)
    assert own["name"] == "mlc-2026-10"
    assert other["name"] == "processor/llama-2-7b/q4f32_1/llvm, tvm-0.26.0"
    assert other["x"] == [16, 1024]
    assert other["y"] == pytest.approx(medians("processor", "tvm-0.26.0", "prefill_tokens_per_s", "q4f32_1/llvm"))
    assert again.evaluate("() => document.querySelector('.chart').layout.yaxis.type") == "log"


def test_rates_over_lengths_can_be_relative_to_the_first_toolchain(lengths: Tab) -> None:
    """The sample's newer toolchain is 2 % faster at every length."""
    lengths.check("input[name=relative]")

    values = [trace["y"] for trace in figure(lengths)]

    assert values[0] == values[2] == [1, 1, 1, 1]
    assert values[1] == pytest.approx([1.02] * 4, rel=1e-4)


def test_a_chart_over_lengths_without_toolchains_says_so_in_the_address(lengths: Tab) -> None:
    for name in ("mlc-2026-08", "mlc-2026-10"):
        lengths.get_by_label(name).uncheck()

    assert lengths.url.endswith("#toolchain=")
    assert figure(lengths) == []


def test_a_chart_over_lengths_is_saved_as_data(lengths: Tab) -> None:
    with lengths.expect_download() as download:
        lengths.click("button[name=csv]")
    head, first, *_ = Path(download.value.path()).read_text().splitlines()

    assert head.startswith("runner,build,prompt_tokens,new_tokens,flags,toolchain,recorded_at,prefill_tokens_per_s,")
    assert first.startswith("server,llama-2-7b/q4f16_1/cuda,16,128,,mlc-2026-08,2026-08-15T03:15:00.000Z,890,")


def test_a_point_over_lengths_names_the_flags_that_are_not_the_defaults(browser: Browser, tmp_path: Path) -> None:
    """Two runners of one toolchain differ by build flags alone; a flag's value is text, whatever it looks like."""

    def record(runner: str, **flags: str) -> Record:
        keys = [CASE.replace("p64", f"p{tokens}") for tokens in (16, 64)]
        plain, changed = (
            make_artifact(key, flags={**FLAGS, **own}) for key, own in zip(keys, ({}, flags), strict=True)
        )
        cases = [make_case(key, artifact=each) for key, each in zip(keys, (plain, changed), strict=True)]
        return make_record(*cases, runner=runner, id=f"of-{runner}")

    records = [record("bench", cuda_graph="1"), record("other", schedule="<b>none</b>")]
    root = built(tmp_path / "site", [entry(each) for each in records]).parent
    tab = browser.new_page()
    go(tab, root, "lengths/bench/tiny~q4f16_1~llvm.html")
    tab.check("input[name=beside]")
    tab.wait_for_function("() => document.querySelector('.chart').data.length === 4")
    own, other, *_ = tab.evaluate("document.querySelector('.chart').data.map(({text}) => text)")
    tab.close()
    assert [text.split("<br>")[1] for text in own][1:] == ["built with cuda_graph=1"]
    assert [text.split("<br>")[1] for text in other][1:] == ["built with schedule=&lt;b&gt;none&lt;/b&gt;"]
    assert not any("built with" in text for text in (own[0], other[0]))


def test_a_click_on_a_length_opens_its_series(visit: Callable[..., Visit]) -> None:
    tab = visit(LENGTHS_PAGE).tab
    tab.evaluate(
        "() => { const chart = document.querySelector('.chart');"
        " chart.emit('plotly_click', {points: [{customdata: chart.data[0].customdata[2]}]}); }"
    )
    tab.wait_for_url("**/series/server/**p1024*")


def test_cases_are_found_by_words_and_by_model(visit: Callable[..., Visit]) -> None:
    """The address has what was asked, and asks it again."""
    tab = visit().tab
    rows = tab.locator("tbody tr:visible")
    everything = rows.count()
    tab.fill("input[name=q]", "tinyllama q0f16")
    assert rows.count() == 1
    assert tab.locator("output").inner_text() == f"1 of {everything} cases"
    assert tab.url.endswith("#?q=tinyllama+q0f16")

    again = visit(state="#?q=tinyllama+q0f16").tab
    assert again.input_value("input[name=q]") == "tinyllama q0f16"
    assert again.locator("tbody tr:visible").count() == 1
    again.fill("input[name=q]", "")
    again.select_option("select[name=runner]", "orin")
    assert again.locator("section.runner:visible").count() == 1


def test_devices_of_a_case_are_compared_and_sorted(visit: Callable[..., Visit]) -> None:
    """What is chosen stands in the address; the roofline is where the sample's memory would be, at 1,200 tokens/s."""
    tab = visit("devices.html").tab
    tab.select_option("select[name=model]", "llama-2-7b")
    tab.select_option("select[name=workload]", "p1024+128")
    rows = tab.locator("tbody tr:visible")
    assert [row.split()[0] for row in rows.locator("th").all_inner_texts()] == ["server", "orin", "processor"]
    cells = rows.nth(0).locator("td").all_inner_texts()
    (decode,) = {values[2] for values in [medians("server", "mlc-2026-10", "decode_tokens_per_s")]}
    assert (float(cells[3]), cells[5]) == (round(decode, 1), f"{decode / 12:.1f}%")

    tab.select_option("select[name=sort]", "memory")
    assert tab.url.endswith("devices.html#?model=llama-2-7b&workload=p1024%2B128&sort=memory")
    assert tab.locator("th[aria-sort=ascending]:visible").inner_text().startswith("Peak")

    again = visit("devices.html", state="#?model=llama-2-7b&workload=p16%2B128&sort=energy").tab
    found = again.locator("tbody tr:visible th").all_inner_texts()
    assert [row.split()[0] for row in found] == ["server", "processor"]  # the processor does not tell
    assert again.locator("output").inner_text() == "2 of 12 results"


def test_a_series_leads_to_its_case_on_other_devices(chart: Tab, visit: Callable[..., Visit]) -> None:
    target = chart.get_by_text("other devices").get_attribute("href")
    assert target is not None

    page, _, state = target.removeprefix("../../").partition("#")

    assert visit(page, state=f"#{state}").tab.locator("section:visible h2").all_inner_texts() == [
        "llama-2-7b p1024+128"
    ]


def runs_of(toolchain: str) -> Any:  # noqa: ANN401
    (found,) = (
        entry.record
        for entry in sample_history()
        if entry.record.runner == "orin" and entry.record.toolchain.name == toolchain
    )
    return found


def test_two_runs_are_compared_with_welchs_interval(visit: Callable[..., Visit]) -> None:
    """By scipy on the logarithms of the records' replicates; both runs stand in the address."""
    old, new = runs_of("mlc-2026-06"), runs_of("mlc-2026-10")
    state = f"#a=orin%2F{old.id}&b=orin%2F{new.id}"
    tab = visit("compare.html", state=state).tab
    row = tab.locator("tbody", has_text=LLAMA_2).locator("tr").nth(1).locator("td").all_inner_texts()

    before, after = (np.log(run.case(LLAMA_2).values("decode_tokens_per_s")) for run in (old, new))
    interval = ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
    value, low, high = (math.expm1(each) for each in (after.mean() - before.mean(), interval.low, interval.high))
    assert row[0] == "decode"
    assert [number(text) for text in (row[3], *row[4].split(" to "))] == pytest.approx([value, low, high], abs=6e-4)
    assert tab.locator(".forest.regressed").count() >= 1

    tab.click("button[name=swap]")
    tab.wait_for_function("() => location.hash.startsWith('#a=orin%2F" + new.id + "')")
    row = tab.locator("tbody", has_text=LLAMA_2).locator("tr").nth(1).locator("td").all_inner_texts()
    assert number(row[3]) == pytest.approx(1 / (1 + value) - 1, abs=6e-4)


def number(text: str) -> float:
    """A change such as `-17.1%` as a fraction."""
    return float(text.removesuffix("%")) / 100


def test_packages_that_differ_are_listed(visit: Callable[..., Visit]) -> None:
    state = "&".join(f"{side}=orin%2F{runs_of(name).id}" for side, name in (("a", "mlc-2026-08"), ("b", "mlc-2026-10")))
    tab = visit("compare.html", state=f"#{state}").tab
    assert "apache-tvm 0.26.0 → 0.27.0.post1" in tab.locator("section[aria-labelledby=packages]").inner_text()
    assert "The same machine" in tab.locator("section[aria-labelledby=machine]").inner_text()


def test_a_run_that_is_not_there_is_named(visit: Callable[..., Visit]) -> None:
    tab = visit("compare.html", state="#a=orin%2Fnone&b=orin%2Fnone").tab
    assert "there is no run orin/" in tab.locator("#result").inner_text()


def test_charts_show_markup_in_names_as_it_stands(browser: Browser, tmp_path: Path) -> None:
    """Plotly reads its labels as a small HTML: here `<b>` must not become bold, nor `&lt;` a bracket."""
    name = '<b>&lt;</b> <a href="#">'  # as long as a label is before its middle is left out
    record = make_record(make_case(CASE), make_case(CASE.replace("p64", "p128")), toolchain=name)
    entry = Entry(record=record, report=None)
    index = built(tmp_path, [entry])
    page = index.parent / "series" / "bench" / f"{CASE.replace('/', '~')}.html"
    (lengths,) = (index.parent / "lengths" / "bench").glob("*.html")
    tab = browser.new_page()
    for address, labels in ((f"{quote(str(page))}#x=toolchain", ".xtick text"), (quote(str(lengths)), ".legendtext")):
        tab.goto(f"file://{address}")
        tab.wait_for_selector("html.ready", state="attached")
        assert tab.locator(labels).all_text_contents() == [name]
        assert tab.locator(".chart a[href]").count() == 0
    tab.close()


def test_the_chart_has_no_button_that_uploads_it(chart: Tab) -> None:
    """Plotly's default buttons include "Share chart..."."""
    titles = chart.locator(".modebar-btn").evaluate_all("buttons => buttons.map(button => button.dataset.title)")

    assert "Autoscale" in titles
    assert [title for title in titles if "hare" in title or "loud" in title] == []


def test_a_page_cannot_reach_out_even_if_something_tries(visit: Callable[..., Visit]) -> None:
    """The policy holds from `file://` as well; without it the request would go out, and fail otherwise."""
    tab, _, complaints = visit(SERIES)
    failures: list[str | None] = []
    tab.on("requestfailed", lambda request: failures.append(request.failure))
    tab.evaluate("() => { const img = new Image(); img.src = 'http://192.0.2.1/x.png'; document.body.append(img); }")
    tab.wait_for_timeout(300)

    assert failures == ["csp"]
    assert any("Content Security Policy" in complaint for complaint in complaints)


def test_the_chart_follows_the_system_from_light_to_dark(chart: Tab) -> None:
    light = chart.evaluate(LEGEND)

    chart.emulate_media(color_scheme="dark")
    chart.wait_for_function(f"before => ({LEGEND})() !== before", arg=light)
    dark = chart.evaluate(LEGEND)
    chart.emulate_media(color_scheme="light")

    assert light == "rgb(27, 35, 48)"  # --text of the light scheme, #1b2330
    assert dark == "rgb(230, 234, 241)"  # and of the dark one, #e6eaf1


LEGEND = "() => document.querySelector('.chart .legendtext').style.fill"
LIGHT_PAGE, DARK_PAGE = "rgb(245, 246, 248)", "rgb(16, 20, 27)"  # --page: #f5f6f8 and #10141b


def background(tab: Tab) -> str:
    found: str = tab.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    return found


def test_a_chosen_theme_holds_for_all_pages_from_their_first_frame_on(visit: Callable[..., Visit], site: Path) -> None:
    """The choice is made by keyboard; a page in the system's colours for a moment would be a flash."""
    first = """requestAnimationFrame(function look() {
      if (!document.body) return requestAnimationFrame(look);
      globalThis.first = getComputedStyle(document.body).backgroundColor;
    })"""
    tab, _, complaints = visit(before=first)
    field = tab.get_by_label("Theme")
    assert (background(tab), field.input_value()) == (LIGHT_PAGE, "")
    field.focus()
    tab.keyboard.press("End")
    assert (background(tab), field.input_value()) == (DARK_PAGE, "dark")
    assert field.evaluate("field => getComputedStyle(field).outline").endswith("solid 3px")  # where the focus is

    go(tab, site, SERIES)
    assert tab.evaluate("() => globalThis.first") == DARK_PAGE
    assert tab.evaluate(LEGEND) == "rgb(230, 234, 241)"
    assert field.input_value() == "dark"
    field.select_option("light")
    tab.wait_for_function(f"() => ({LEGEND})() === 'rgb(27, 35, 48)'")
    field.select_option("auto")
    assert background(tab) == LIGHT_PAGE
    assert complaints == []


def test_a_browser_that_keeps_nothing_still_has_themes(visit: Callable[..., Visit]) -> None:
    denied = (
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    tab, _, complaints = visit("method.html", before=denied)
    tab.get_by_label("Theme").select_option("dark")

    assert background(tab) == DARK_PAGE
    assert complaints == []


def test_without_javascript_the_page_follows_the_system(visit: Callable[..., Visit]) -> None:
    tab = visit("method.html", DARK, javascript=False).tab

    assert background(tab) == DARK_PAGE
    assert not tab.locator(".theme").is_visible()


def test_print_is_light_with_the_drawing_of_the_page_itself(chart: Tab) -> None:
    """Whatever was chosen: a chart in dark colours could not be read on paper."""
    chart.get_by_label("Theme").select_option("dark")
    chart.emulate_media(media="print")

    assert background(chart) == "rgb(255, 255, 255)"
    assert [chart.locator(each).first.is_visible() for each in (".static svg", ".chart", "nav")] == [True, False, False]
    chart.emulate_media(media="screen")
    chart.get_by_label("Theme").select_option("auto")


def test_a_log_opens_by_keyboard(visit: Callable[..., Visit], site: Path) -> None:
    (page,) = (path for path in (site / "runs" / "orin").iterdir() if 'class="log"' in path.read_text())
    tab = visit(f"runs/orin/{page.name}").tab
    log = tab.locator("details.log pre")
    assert not log.is_visible()

    tab.locator("details.log summary").focus()
    tab.keyboard.press("Enter")

    assert log.is_visible()
    assert "Segfault encountered" in log.inner_text()


def test_tables_and_drawings_remain_without_javascript(visit: Callable[..., Visit]) -> None:
    overview = visit(javascript=False).tab
    assert overview.locator("tbody th[scope=row]").count() == 12
    assert overview.locator("svg.spark").first.is_visible()
    assert not overview.locator(".filters").is_visible()

    series = visit(SERIES, javascript=False).tab
    assert series.locator("svg.plot").count() == 2
    assert series.locator("svg.plot").first.is_visible()
    assert not series.locator(".toolbar").is_visible()
    lengths = visit(LENGTHS_PAGE, javascript=False).tab
    assert [lengths.locator(each).first.is_visible() for each in ("svg.plot", ".legend", ".toolbar")] == [
        True,
        True,
        False,
    ]
    assert series.locator("tbody th[scope=row]").count() == 3
