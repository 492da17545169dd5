"""The site in a real browser, opened from disk: it draws the right numbers, keeps its state, and fits a phone.

`REGRESS_SCREENSHOTS=<folder>` keeps the screenshots.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

import msgspec
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from factories import make_record
from scipy.stats import ttest_ind
from site_entries import built
from site_sample import LLAMA_2, sample_history

from regress.baseline import Baseline, parse_baseline
from regress.site import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

ROOT = Path(__file__).parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
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
PHONE = View("phone", 390, 844, "light", mobile=True)
VIEWS = (DESKTOP, DARK, PHONE)


def need(message: str) -> None:
    """Skips at home; fails where CI promised a browser."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        need("chromium is not installed: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415  # its absence is a skip with a reason
    except ModuleNotFoundError:
        need("playwright is not installed: pip install playwright")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield chromium
        chromium.close()


SERIES = f"series/orin/{LLAMA_2.replace('/', '~')}.html"


def sample_baseline() -> Baseline:
    """This repository's for an H200, as if its references were of the sample's machine, harness and weights."""
    baseline = parse_baseline((ROOT / "baselines" / "h200.toml").read_text(), "h200.toml")
    (run,) = (entry.record for entry in sample_history() if entry.record.toolchain.name == "mlc-2026-10")
    result = run.case(LLAMA_2)
    assert result is not None
    assert result.artifact is not None
    alike = {"harness": run.harness, "model_digest": result.artifact.model.digest}
    cases = [
        msgspec.structs.replace(case, reference=msgspec.structs.replace(case.reference, **alike))
        for case in baseline.cases
        if case.reference
    ]
    return msgspec.structs.replace(baseline, runner="orin", environment=run.environment, cases=tuple(cases))


BASELINE = sample_baseline()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("site"), sample_history(), title=TITLE, baselines={"orin": BASELINE}).parent


class Visit(NamedTuple):
    """An opened page, what it asked for, and what it complained of."""

    tab: Tab
    requests: list[str]
    complaints: list[str]


@pytest.fixture
def visit(browser: Browser, site: Path) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def opened(page: str = "index.html", view: View = DESKTOP, state: str = "", *, javascript: bool = True) -> Visit:
        context = browser.new_context(
            viewport={"width": view.width, "height": view.height},
            color_scheme=view.scheme,
            is_mobile=view.mobile,
            java_script_enabled=javascript,
        )
        contexts.append(context)
        seen = Visit(context.new_page(), [], [])
        seen.tab.on("request", lambda request: seen.requests.append(request.url))
        seen.tab.on("console", lambda message: seen.complaints.append(message.text))
        seen.tab.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.tab.goto((site / page).as_uri() + state)
        if javascript and page.startswith(("index", "series", "compare")):
            seen.tab.wait_for_selector("html.ready", state="attached")
        return seen

    yield opened
    for context in contexts:
        context.close()


def all_pages(site: Path) -> list[str]:
    """One page of each kind."""
    run = min((site / "runs" / "orin").iterdir())
    return [
        "index.html",
        SERIES,
        f"runs/orin/{run.name}",
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


@pytest.mark.parametrize("view", VIEWS, ids=[view.name for view in VIEWS])
def test_pages_open_without_a_complaint_or_a_request_out_of_the_site(
    visit: Callable[..., Visit], site: Path, view: View
) -> None:
    """A breach of the content security policy would be a complaint."""
    for page in all_pages(site):
        tab, requests, complaints = visit(page, view)
        assert complaints == []
        assert [url for url in requests if not url.startswith((site.as_uri(), "data:", "blob:"))] == []
        if folder := os.environ.get("REGRESS_SCREENSHOTS"):
            name = page.partition("/")[0].removesuffix(".html")
            tab.screenshot(path=Path(folder) / f"{name}-{view.name}.png", full_page=True)


def test_plotly_is_loaded_where_a_chart_is_drawn_and_nowhere_else(visit: Callable[..., Visit], site: Path) -> None:
    loading = [page for page in all_pages(site) if any("plotly" in url for url in visit(page).requests)]
    assert loading == [SERIES]


def test_the_chart_shows_the_medians_of_the_records(visit: Callable[..., Visit]) -> None:
    """Read back from the figure, and computed again from the history."""
    runs = sorted(
        (entry.record for entry in sample_history() if entry.record.runner == "orin"), key=lambda run: run.recorded_at
    )
    measured = [case for run in runs if (case := run.case(LLAMA_2)) and case.replicates]
    drawn = [trace for trace in figure(visit(SERIES).tab) if trace["name"] != "broken"]
    for metric, axis in (("prefill_tokens_per_s", "y"), ("decode_tokens_per_s", "y2")):
        expected = [statistics.median(case.values(metric)) for case in measured]
        found = [value for trace in drawn if trace["yaxis"] == axis for value in trace["y"]]
        assert sorted(found) == pytest.approx(sorted(expected), rel=1e-5)


def test_a_chart_can_be_over_toolchains_and_relative_to_its_reference(visit: Callable[..., Visit]) -> None:
    tab = visit(SERIES).tab
    tab.select_option("select[name=x]", "toolchain")
    tab.check("input[name=relative]")
    (first, *_) = figure(tab)
    assert set(first["x"]) <= {"mlc-2026-06", "mlc-2026-08", "mlc-2026-10"}
    (oldest,) = (case for run in [runs_of("mlc-2026-06")] if (case := run.case(LLAMA_2)))
    (held,) = (case for case in BASELINE.cases if case.key == LLAMA_2)
    assert held.reference is not None
    level = statistics.median(value for session in held.reference.values("prefill_tokens_per_s") for value in session)
    assert first["y"][0] == pytest.approx(statistics.median(oldest.values("prefill_tokens_per_s")) / level, rel=1e-5)


def test_what_is_chosen_stands_in_the_address_and_comes_back_from_it(visit: Callable[..., Visit]) -> None:
    tab = visit(SERIES).tab
    tab.select_option("select[name=x]", "run")
    tab.check("input[name=log]")
    address = tab.url
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
def test_a_chart_is_saved_as_data(visit: Callable[..., Visit], button: str, start: str) -> None:
    tab = visit(SERIES).tab
    with tab.expect_download() as download:
        tab.click(f"button[name={button}]")
    assert Path(download.value.path()).read_text().startswith(start)


def test_a_chart_is_saved_as_a_picture(visit: Callable[..., Visit]) -> None:
    tab = visit(SERIES).tab
    with tab.expect_download() as download:
        tab.click("button[name=png]")
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


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
    row = tab.locator("tr", has_text=LLAMA_2).nth(1).locator("td").all_inner_texts()

    before, after = (np.log(run.case(LLAMA_2).values("decode_tokens_per_s")) for run in (old, new))
    interval = ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
    value, low, high = (math.expm1(each) for each in (after.mean() - before.mean(), interval.low, interval.high))
    assert row[0] == "decode"
    assert [number(text) for text in (row[3], *row[4].split(" to "))] == pytest.approx([value, low, high], abs=6e-4)
    assert tab.locator(".forest.regressed").count() >= 1

    tab.click("button[name=swap]")
    tab.wait_for_function("() => location.hash.startsWith('#a=orin%2F" + new.id + "')")
    row = tab.locator("tr", has_text=LLAMA_2).nth(1).locator("td").all_inner_texts()
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


def test_the_chart_shows_markup_in_names_as_it_stands(browser: Browser, tmp_path: Path) -> None:
    """Plotly reads its labels as a small HTML: here `<b>` must not become bold, nor `&lt;` a bracket."""
    name = '<b>tvm</b> &lt; <a href="https://example.org">x</a>'
    entry = Entry(record=make_record(toolchain=name), report=None)
    index = built(tmp_path, [entry])
    (page,) = (index.parent / "series" / "bench").glob("*.html")
    tab = browser.new_page()
    tab.goto(f"file://{quote(str(page))}#x=toolchain")
    tab.wait_for_selector("html.ready", state="attached")

    assert tab.locator(".xtick text").all_text_contents() == [name]
    assert tab.locator(".chart a[href]").count() == 0
    tab.close()


def test_the_chart_has_no_button_that_uploads_it(visit: Callable[..., Visit]) -> None:
    """Plotly's default buttons include "Share chart..."."""
    tab = visit(SERIES).tab
    titles = tab.locator(".modebar-btn").evaluate_all("buttons => buttons.map(button => button.dataset.title)")

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


def test_the_chart_follows_the_system_from_light_to_dark(visit: Callable[..., Visit]) -> None:
    tab = visit(SERIES).tab
    colour = "() => document.querySelector('.chart .legendtext').style.fill"
    light = tab.evaluate(colour)

    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function(f"before => ({colour})() !== before", arg=light)

    assert light == "rgb(27, 35, 48)"  # --text of the light scheme, #1b2330
    assert tab.evaluate(colour) == "rgb(230, 234, 241)"  # and of the dark one, #e6eaf1


def test_a_phone_scrolls_tables_and_not_the_page(visit: Callable[..., Visit], site: Path) -> None:
    for page in all_pages(site):
        shown, screen = visit(page, PHONE).tab.locator("html").evaluate("page => [page.scrollWidth, page.clientWidth]")
        assert shown == screen == 390, page


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
    assert overview.locator("tbody th[scope=row]").count() == 6
    assert overview.locator("svg.spark").first.is_visible()
    assert not overview.locator(".filters").is_visible()

    series = visit(SERIES, javascript=False).tab
    assert series.locator("svg.plot").count() == 2
    assert series.locator("svg.plot").first.is_visible()
    assert not series.locator(".toolbar").is_visible()
    assert series.locator("tbody th[scope=row]").count() == 3


def test_axe_finds_nothing(visit: Callable[..., Visit], site: Path) -> None:
    """In light and dark: names, roles, contrast, structure."""
    for page in all_pages(site):
        for view in (DESKTOP, DARK):
            tab = visit(page, view).tab
            found = Axe().run(tab, options={"resultTypes": ["violations"]}).response["violations"]
            assert [(each["id"], each["nodes"][0]["html"][:120]) for each in found] == [], page


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


@pytest.mark.parametrize("view", [DESKTOP, DARK], ids=["light", "dark"])
def test_all_text_stands_out_from_its_background(visit: Callable[..., Visit], site: Path, view: View) -> None:
    """WCAG 2.2, success criterion 1.4.3: a contrast of at least 4.5 to 1."""
    for page in all_pages(site):
        found = visit(page, view).tab.evaluate(CONTRAST)
        assert found
        assert [pair for pair in found if pair[0] < 4.5] == [], page
