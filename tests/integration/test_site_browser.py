"""The site in a real browser, opened from disk: it draws, stays on this machine, and fits a phone.

`REGRESS_SCREENSHOTS=<folder>` keeps the screenshots.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import pytest
from factories import make_record
from site_sample import LLAMA_2, sample_history

from regress.site import Entry, build

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


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(
        sample_history(),
        tmp_path_factory.mktemp("site"),
        title=TITLE,
        templates=ROOT / "templates",
        assets=ROOT / "site" / "assets",
    )


class Visit(NamedTuple):
    """An opened page, what it asked for, and what it complained of."""

    tab: Tab
    requests: list[str]
    complaints: list[str]


@pytest.fixture
def visit(browser: Browser, index: Path) -> Iterator[Callable[[View], Visit]]:
    contexts = []

    def opened(view: View, *, javascript: bool = True) -> Visit:
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
        seen.tab.goto(index.as_uri())
        if javascript:
            seen.tab.wait_for_selector("html.drawn", state="attached")
        return seen

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("view", VIEWS, ids=[view.name for view in VIEWS])
def test_it_draws_without_a_complaint_or_a_request_off_this_machine(visit: Callable[[View], Visit], view: View) -> None:
    """A breach of the content security policy would be a complaint."""
    tab, requests, complaints = visit(view)

    assert tab.title() == TITLE
    assert tab.locator(".chart .main-svg").count() >= 2
    assert complaints == []
    assert len(requests) >= 4
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    if folder := os.environ.get("REGRESS_SCREENSHOTS"):
        tab.screenshot(path=Path(folder) / f"{view.name}.png", full_page=True)


def test_the_chart_shows_every_case_the_regression_and_the_broken_build(visit: Callable[[View], Visit]) -> None:
    chart = visit(DESKTOP).tab.locator("#runner-orin .chart")

    legend = chart.locator(".legendtext").all_text_contents()
    assert legend[0] == LLAMA_2
    assert legend[-1] == "broken"
    assert len(legend) == 4
    assert [text for text in chart.locator(".textpoint").all_text_contents() if text] == ["▼ 17.1% worse"]
    assert chart.locator(".xtick text").all_text_contents() == ["mlc-2026-06", "mlc-2026-08", "mlc-2026-10"]


def test_the_chart_shows_markup_in_names_as_it_stands(browser: Browser, tmp_path: Path) -> None:
    """Plotly reads its labels as a small HTML: here `<b>` must not become bold, nor `&lt;` a bracket."""
    name = '<b>tvm</b> &lt; <a href="https://example.org">x</a>'
    entry = Entry(record=make_record(toolchain=name), report=None)
    index = build([entry], tmp_path, title="", templates=ROOT / "templates", assets=ROOT / "site" / "assets")
    tab = browser.new_page()
    tab.goto(index.as_uri())
    tab.wait_for_selector("html.drawn", state="attached")

    assert tab.locator(".xtick text").all_text_contents() == [name]
    assert tab.locator(".chart a[href]").count() == 0
    tab.close()


def test_the_chart_has_no_button_that_uploads_it(visit: Callable[[View], Visit]) -> None:
    """Plotly's default buttons include "Share chart..."."""
    tab = visit(DESKTOP).tab
    titles = tab.locator(".modebar-btn").evaluate_all("buttons => buttons.map(button => button.dataset.title)")

    assert "Download plot as a PNG" in titles
    assert [title for title in titles if "hare" in title or "loud" in title] == []


def test_the_page_cannot_reach_out_even_if_something_tries(visit: Callable[[View], Visit]) -> None:
    """The policy holds from `file://` as well; without it the request would go out, and fail otherwise."""
    tab, _, complaints = visit(DESKTOP)
    failures: list[str | None] = []
    tab.on("requestfailed", lambda request: failures.append(request.failure))
    tab.evaluate("() => { const img = new Image(); img.src = 'http://192.0.2.1/x.png'; document.body.append(img); }")
    tab.wait_for_timeout(300)

    assert failures == ["csp"]
    assert any("Content Security Policy" in complaint for complaint in complaints)


def test_the_chart_follows_the_system_from_light_to_dark(visit: Callable[[View], Visit]) -> None:
    tab = visit(DESKTOP).tab
    colour = "() => document.querySelector('.chart .legendtext').style.fill"
    light = tab.evaluate(colour)

    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function(f"before => ({colour})() !== before", arg=light)

    assert light == "rgb(27, 35, 48)"  # --text of the light scheme, #1b2330
    assert tab.evaluate(colour) == "rgb(230, 234, 241)"  # and of the dark one, #e6eaf1


def test_a_phone_scrolls_the_table_and_not_the_page(visit: Callable[[View], Visit]) -> None:
    tab = visit(PHONE).tab
    widths = "element => [element.scrollWidth, element.clientWidth]"

    page, screen = tab.locator("html").evaluate(widths)
    assert page == screen == 390
    table, container = tab.locator("#runner-orin .scroll").evaluate(widths)
    assert table > container


def test_the_log_opens_by_keyboard(visit: Callable[[View], Visit]) -> None:
    tab = visit(DESKTOP).tab
    log = tab.locator("details pre")
    assert not log.is_visible()

    tab.locator("summary").focus()
    tab.keyboard.press("Enter")

    assert log.is_visible()
    assert "Segfault encountered" in log.inner_text()


def test_the_table_and_a_word_about_the_chart_remain_without_javascript(visit: Callable[..., Visit]) -> None:
    tab = visit(DESKTOP, javascript=False).tab

    assert tab.locator("tbody th[scope=row]").count() == 18
    assert tab.locator("noscript p").count() == 2
    assert tab.locator("noscript p").first.is_visible()
    assert not tab.locator(".chart").first.is_visible()


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
    .filter(e => own(e) && !e.closest('.chart, noscript'))
    .map(e => {
      const pair = [parsed(getComputedStyle(e).color), background(e)].map(luminance).sort((a, b) => b - a);
      return [(pair[0] + 0.05) / (pair[1] + 0.05), e.outerHTML.slice(0, 90)];
    })
    .sort((a, b) => a[0] - b[0]);
}"""


@pytest.mark.parametrize("view", [DESKTOP, DARK], ids=["light", "dark"])
def test_all_text_stands_out_from_its_background(visit: Callable[[View], Visit], view: View) -> None:
    """WCAG 2.2, success criterion 1.4.3: a contrast of at least 4.5 to 1."""
    found = visit(view).tab.evaluate(CONTRAST)

    assert len(found) > 200
    assert [pair for pair in found if pair[0] < 4.5] == []
