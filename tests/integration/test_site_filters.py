"""What a visitor chooses and sees first, in a real browser: filters and their addresses, moments, a phone's screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from factories import CASE, make_broken, make_case, make_record
from site_entries import OTHER, built, entry, judged, later, slow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

DESKTOP, PHONE = (1280, 900), (390, 780)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runners: one with a loss and a broken case that are mended, one whose clock went wrong."""
    reference = make_record(make_case(CASE), make_case(OTHER))
    entries = [
        entry(reference),
        judged(later(1, slow(), make_broken(OTHER)), reference),
        judged(later(2, make_case(CASE), make_case(OTHER), toolchain="c"), reference),
        entry(later(40_000, runner="skewed")),
    ]
    return built(tmp_path_factory.mktemp("filters") / "site", entries).parent


@pytest.fixture
def opened(browser: Browser, site: Path) -> Iterator[Callable[..., Tab]]:
    contexts = []

    def opened(page: str, size: tuple[int, int] = DESKTOP) -> Tab:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, is_mobile=size == PHONE)
        contexts.append(context)
        tab = context.new_page()
        tab.goto(f"{site.as_uri()}/{page}")
        return tab

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize(("page", "noun"), [("index.html", "cases"), ("regressions.html", "events")])
def test_an_address_that_asks_for_what_is_not_there_shows_nothing(
    opened: Callable[..., Tab], page: str, noun: str
) -> None:
    """A bookmark of what is regressed must not list everything exactly when all is well."""
    tab = opened(f"{page}#?runner=gone")

    shown = tab.locator(".filtered [data-model]:visible")
    assert (shown.count(), tab.input_value("select[name=runner]")) == (0, "gone")
    assert tab.locator("output").inner_text().startswith("none of ")
    assert tab.url.endswith("#?runner=gone")

    tab.click("button[type=reset]")
    tab.wait_for_function("!location.hash")
    assert tab.locator("output").inner_text() == f"{shown.count()} {noun}"
    assert shown.count() > 1
    assert not tab.locator("button[type=reset]").is_visible()


def test_cases_can_be_asked_for_by_a_verdict_that_none_has(opened: Callable[..., Tab]) -> None:
    tab = opened("index.html#?outcome=regressed")

    assert tab.locator("output").inner_text() == "none of 3 cases"
    assert tab.locator("section.runner:visible").count() == 0


def test_one_metric_can_be_shown_alone(opened: Callable[..., Tab]) -> None:
    tab = opened("index.html#?metric=decode")

    heads = tab.locator("section.runner").first.locator("thead th:visible").all_inner_texts()
    assert [head.split()[0] for head in heads] == ["Case", "Verdict", "Decode", "Newest"]
    tab.select_option("select[name=metric]", "")
    assert tab.locator("section.runner").first.locator("thead th:visible").count() == 5


def test_regressions_are_found_by_metric_verdict_and_words(opened: Callable[..., Tab]) -> None:
    tab = opened("regressions.html#?kind=broken")
    shown = tab.locator("ol.events li:visible")

    assert (shown.count(), tab.locator("section:visible h2").all_inner_texts()) == (1, ["Fixed 2"])
    assert "q0f16" in shown.inner_text()
    tab.select_option("select[name=kind]", "")
    tab.select_option("select[name=metric]", "decode")
    tab.fill("input[name=q]", "20% WORSE")
    assert shown.count() == 1
    assert tab.url.endswith("regressions.html#?q=20%25+WORSE&metric=decode")


def test_devices_are_found_by_their_runner(opened: Callable[..., Tab]) -> None:
    tab = opened("devices.html#?runner=skewed")

    assert tab.locator("tbody tr:visible").count() == 1
    assert tab.locator("output").inner_text() == "1 of 3 results"


def test_an_order_that_there_is_not_is_the_usual_one(opened: Callable[..., Tab]) -> None:
    """An address may ask for rows that there are not, but not for another page."""
    tab = opened("devices.html#?sort=gone")

    assert tab.input_value("select[name=sort]") == ""
    tab.select_option("select[name=sort]", "prefill")
    assert tab.locator("th[aria-sort=descending]:visible").first.inner_text().startswith("Prefill")


def test_a_moment_that_has_not_come_is_marked(opened: Callable[..., Tab]) -> None:
    tab = opened("index.html")

    for runner, marked in (("bench", 0), ("skewed", 1)):
        assert tab.locator(f"#runner-{runner} tbody .skewed").count() == marked
    (told,) = tab.locator("header .skewed").all_inner_texts()
    assert told.strip() == "(in the future: a clock went wrong)"


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("index.html", ["Case", "Verdict", "Prefill", "Decode"]),
        (f"series/bench/{CASE.replace('/', '~')}.html", ["Run", "Prefill", "Decode"]),
        ("devices.html", ["Runner", "Toolchain", "Prefill", "Decode"]),
    ],
)
def test_a_phone_shows_both_rates_without_scrolling(opened: Callable[..., Tab], page: str, names: list[str]) -> None:
    tab = opened(page, PHONE)

    table = tab.locator("table").first
    columns = table.locator("thead th:visible").all()[: len(names)]
    assert [column.inner_text().split()[0] for column in columns] == names
    cells = table.locator("tbody tr").first.locator("th:visible, td:visible").all()[: len(names)]
    ends = [box["x"] + box["width"] for cell in cells if (box := cell.bounding_box())]
    assert len(ends) == len(names)
    assert max(ends) <= PHONE[0]
