"""The charts of the site in a real browser: scales and zoom, what is saved of them, and how they fit long labels."""

from __future__ import annotations

import base64
import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from factories import CASE, make_artifact, make_broken, make_case, make_environment, sha
from site_entries import built, entry, later, make_baseline

from regress.recipe import FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

    from regress.record import Record

LONGER = CASE.replace("p64", "p256")
PAGE = f"{CASE.replace('/', '~')}.html"
SERIES, LENGTHS = f"series/bench/{PAGE}", "lengths/bench/tiny~q4f16_1~llvm.html"
NEW = make_environment(fingerprint=sha("after the new driver"))
TOOLCHAINS = 40


def run(day: float, prefill: float, decode: float, toolchain: str = "tvm-0.26.0", **changes: Any) -> Record:  # noqa: ANN401
    """Two lengths of one model, the longer one half as fast."""
    cases = [
        make_case(key, prefill=(prefill / by,) * 3, decode=(decode / by,) * 3) for key, by in ((CASE, 1), (LONGER, 2))
    ]
    return later(day, *cases, toolchain=toolchain, **changes)


def history() -> list[Record]:
    """Other flags first, then one machine with a build that breaks, then another machine."""
    flagged = make_artifact(flags={**FLAGS, "cuda_graph": "1"})
    return [
        later(0, make_case(artifact=flagged, prefill=(3000.0,) * 3, decode=(90.0,) * 3), toolchain="tvm-0.26.0"),
        run(1, 1000, 50),
        later(2, make_broken(), toolchain="tvm-0.27.0"),
        run(3, 1010, 51),
        run(4, 800, 40, "tvm-0.28.0", environment=NEW),
        run(5, 880, 44, "tvm-0.28.0", environment=NEW),
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("charts") / "site", [entry(each) for each in history()]).parent


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of toolchains with long names, a commit at the end of each, on two machines."""
    names = [f"mlc-nightly-0.20.dev{number}+g{sha(str(number))[:7]}" for number in range(TOOLCHAINS)]
    records = [run(number, 1000, 50, name) for number, name in enumerate(names)]
    moved = run(TOOLCHAINS, 1000, 50, names[-1], environment=NEW)
    return built(tmp_path_factory.mktemp("crowded") / "site", [entry(each) for each in (*records, moved)]).parent


@pytest.fixture
def visit(browser: Browser, site: Path) -> Iterator[Callable[..., Tab]]:
    tabs = []

    def visited(page: str = SERIES, state: str = "", *, root: Path = site, width: int = 1280, **how: Any) -> Tab:  # noqa: ANN401
        tab = browser.new_page(viewport={"width": width, "height": 900}, **how)
        tabs.append(tab)
        tab.goto((root / page).as_uri() + state)
        tab.wait_for_selector("html.ready", state="attached")
        return tab

    yield visited
    for tab in tabs:
        tab.close()


def layout(tab: Tab, path: str) -> Any:  # noqa: ANN401
    """A part of the layout that Plotly drew."""
    return tab.evaluate(f"() => document.querySelector('.chart').layout.{path}")


def traces(tab: Tab) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tab.evaluate(
        "() => document.querySelector('.chart').data.map(({name, y, yaxis, visible}) => ({name, y, yaxis, visible}))"
    )
    return found


def ranges(tab: Tab) -> dict[str, list[float]]:
    """The axes that were zoomed into, and from where to where."""
    found: dict[str, list[float]] = tab.evaluate(
        """() => Object.fromEntries(["xaxis", "yaxis", "yaxis2"].flatMap(name => {
          const { autorange, range } = document.querySelector(".chart").layout[name] ?? { autorange: true };
          return autorange ? [] : [[name, range]];
        }))"""
    )
    return found


def zoom_in(tab: Tab) -> None:
    tab.hover(".nsewdrag >> nth=0")
    tab.click(".modebar-btn[data-title='Zoom in']")
    tab.wait_for_function("() => location.hash.includes('yrange=')")


def saved(tab: Tab, button: str) -> bytes:
    with tab.expect_download() as download:
        tab.click(f"button[name={button}]")
    return Path(download.value.path()).read_bytes()


def rows(tab: Tab) -> list[dict[str, str]]:
    return list(csv.DictReader(saved(tab, "csv").decode().splitlines()))


@pytest.mark.parametrize("page", [SERIES, LENGTHS])
@pytest.mark.parametrize("scale", ["log", "relative", "zero"])
def test_another_scale_shows_all_values_after_a_zoom(visit: Callable[..., Tab], page: str, scale: str) -> None:
    tab = visit(page)
    zoom_in(tab)

    tab.check(f"input[name={scale}]")

    tab.wait_for_function("() => document.querySelector('.chart').layout.yaxis.autorange === true")
    assert "yrange" not in tab.url
    assert set(ranges(tab)) == {"xaxis"}
    assert "NaN" not in "".join(tab.locator(".ytick text").all_text_contents())


def test_another_metric_shows_all_values_after_a_zoom(visit: Callable[..., Tab]) -> None:
    tab = visit()
    zoom_in(tab)

    tab.select_option("select[name=show]", "peak_memory_bytes")

    tab.wait_for_function("() => !document.querySelector('.chart').layout.yaxis2")
    assert set(ranges(tab)) == {"xaxis"}


@pytest.mark.parametrize("page", [SERIES, LENGTHS])
def test_all_that_was_zoomed_into_stands_in_the_address(visit: Callable[..., Tab], page: str) -> None:
    tab = visit(page)
    zoom_in(tab)

    again = visit(page, state=f"#{tab.url.partition('#')[2]}")

    assert set(ranges(again)) == {"xaxis", "yaxis", "yaxis2"}
    assert [float(end) for end in ranges(again)["yaxis2"]] == pytest.approx(ranges(tab)["yaxis2"], rel=1e-6)
    for _ in range(2):  # the first shows all, and the second brings nothing back
        again.dblclick(".nsewdrag >> nth=0")
        again.wait_for_timeout(500)
        assert set(ranges(again)) == {"yaxis2"}  # of the other half, which was not clicked on
        assert "range=" not in again.url.replace("y2range=", "")


def test_a_hidden_trace_stands_in_the_address(visit: Callable[..., Tab]) -> None:
    tab = visit()
    tab.locator(".legendtoggle").last.click()
    tab.wait_for_function("() => location.hash === '#hidden=broken'")

    again = visit(state="#hidden=broken")

    assert {trace["name"]: trace["visible"] for trace in traces(again)}["broken"] == "legendonly"
    again.check("input[name=zero]")
    assert again.url.endswith("#zero=1&hidden=broken")


def test_without_a_reference_values_are_relative_to_the_first_run_of_the_newest_machine(
    visit: Callable[..., Tab],
) -> None:
    """By hand: 800 and 40 are the first of the new machine, so that the other flags' 3000 is 3.75 times as fast."""
    tab = visit(state="#relative=1")

    prefill = {trace["name"]: trace["y"] for trace in traces(tab)[:4] if trace["name"] != "broken"}
    assert prefill["other build flags"] == [3.75]
    assert [values for values in prefill.values() if values[0] == 1] == [[1, 1.1]]
    assert layout(tab, "yaxis.title.text") == "Prefill, of the first run"
    assert tab.locator("label:has(input[name=relative])").inner_text().strip() == "relative to the first run"


def test_a_line_ends_before_a_broken_build(visit: Callable[..., Tab]) -> None:
    old = next(trace for trace in traces(visit()) if trace["y"][0] == 1000)

    assert old["y"] == [1000, None, 1010]


@pytest.mark.parametrize(("width", "share"), [(1280, 0.8), (390, 0.5)])
def test_the_legend_is_over_no_label_and_the_plot_keeps_its_place(
    visit: Callable[..., Tab], crowded: Path, width: int, share: float
) -> None:
    tab = visit(state="#x=toolchain", root=crowded, width=width)

    boxes: dict[str, list[dict[str, float]]] = tab.evaluate(
        """() => {
          const box = each => each.getBoundingClientRect().toJSON();
          const boxes = name => [...document.querySelectorAll(`.chart .${name}`)].map(box);
          return Object.fromEntries(["legend", "xtick", "plot-container", "nsewdrag"].map(name => [name, boxes(name)]));
        }"""
    )
    (legend,), ticks, (whole,), plots = boxes["legend"], boxes["xtick"], boxes["plot-container"], boxes["nsewdrag"]
    assert legend["bottom"] <= min(plot["top"] for plot in plots) < min(tick["top"] for tick in ticks)
    assert min(plot["width"] for plot in plots) > share * whole["width"]
    assert sum(plot["height"] for plot in plots) > 0.5 * whole["height"]
    assert 2 <= len(ticks) <= width / 70
    assert max(len(text) for text in tab.locator(".xtick text").all_text_contents()) <= 24
    assert tab.evaluate("() => document.querySelector('.chart').data[0].text[0]").startswith(
        "<b>mlc-nightly-0.20.dev0+g5feceb6</b>"  # the first digits of the SHA-256 of "0"
    )


def test_a_level_of_memory_is_drawn_in_gib_and_not_as_noise(visit: Callable[..., Tab]) -> None:
    """The sample's replicates take 1 GiB each: the axis reaches 1 % to both sides, and a little more."""
    tab = visit(state="#show=peak_memory_bytes")

    assert layout(tab, "yaxis.title.text") == "Peak memory, GiB"
    values = [value for trace in traces(tab) for value in trace["y"] if value is not None]
    assert values == pytest.approx([1] * len(values), rel=1e-5)
    assert layout(tab, "yaxis.range") == pytest.approx([0.99, 1.01], abs=0.005)
    assert "1.00 GiB" in tab.evaluate("() => document.querySelector('.chart').data[0].text[0]")


def test_saved_values_have_the_columns_of_the_table_of_all_values(visit: Callable[..., Tab], site: Path) -> None:
    found = rows(visit())

    head = (site / SERIES).with_suffix(".csv").read_text().splitlines()[0].split(",")
    assert list(found[0]) == [name for name in head if name != "loss"]
    assert [(row["flags"], row["metric"], row["median"]) for row in found[:2]] == [
        ("cuda_graph=1", "prefill_tokens_per_s", "3000"),
        ("cuda_graph=1", "decode_tokens_per_s", "90"),
    ]
    (broken,) = (row for row in found if row["failure"])
    assert (broken["toolchain"], broken["verdict"], broken["median"]) == ("tvm-0.27.0", "broken", "")
    assert broken["failure"].startswith("build failed, killed by SIGSEGV")
    assert found[-1]["machine"] == NEW.fingerprint[:8] != found[0]["machine"]


def test_saved_values_are_those_that_are_shown(visit: Callable[..., Tab]) -> None:
    tab = visit(state="#x=run&show=peak_memory_bytes&range=2.5..4.5")
    assert [(row["metric"], row["toolchain"]) for row in rows(tab)] == [
        ("peak_memory_bytes", "tvm-0.26.0"),
        ("peak_memory_bytes", "tvm-0.28.0"),
    ]
    days = rows(visit(state="#range=2026-10-04..2026-10-05 11:00"))
    assert {row["recorded_at"][:10] for row in days} == {"2026-10-04"}
    longer = rows(visit(LENGTHS, state="#range=2..3"))  # powers of ten: from 100 to 1000 tokens
    assert {row["prompt_tokens"] for row in longer} == {"256"}


@pytest.mark.parametrize("page", [SERIES, LENGTHS])
def test_saved_json_is_the_rows_with_what_they_are_of(visit: Callable[..., Tab], page: str) -> None:
    tab = visit(page)

    found = json.loads(saved(tab, "json"))

    assert list(found) == ["runner", "case" if page == SERIES else "build", "values"]
    assert found["values"][0].keys() == rows(tab)[0].keys()
    value = "median" if page == SERIES else "prefill_tokens_per_s"
    assert all(row[value] is None or isinstance(row[value], (int, float)) for row in found["values"])


def test_an_address_that_names_no_choice_of_metrics_has_the_usual_one(visit: Callable[..., Tab]) -> None:
    tab = visit(state="#show=prefill_tokens_per_s")

    assert tab.input_value("select[name=show]") == "rates"
    assert len(traces(tab)) > 1


def test_a_case_without_a_run_of_its_own_flags_is_relative_to_its_first_run(
    visit: Callable[..., Tab], tmp_path: Path
) -> None:
    """As when its baseline has just been given other flags."""
    asked = {"bench": make_baseline(flags={"cuda_graph": "1"})}
    root = built(tmp_path / "site", [entry(run(1, 1000, 50)), entry(run(2, 1010, 55))], baselines=asked).parent

    tab = visit(root=root, state="#relative=1")

    (decode,) = [trace["y"] for trace in traces(tab) if trace["yaxis"] == "y2"]
    assert decode == pytest.approx([1, 1.1])


@pytest.mark.parametrize(
    ("page", "state", "name"),
    [
        (SERIES, "", f"{CASE} · bench"),
        (SERIES, "#show=peak_memory_bytes", f"{CASE} · bench · Peak memory"),
        (LENGTHS, "", "tiny/q4f16_1/llvm over prompt lengths · bench"),
    ],
)
def test_a_saved_picture_has_a_ground_and_a_name_in_the_dark_theme_too(
    visit: Callable[..., Tab], page: str, state: str, name: str
) -> None:
    tab = visit(page, state=state, color_scheme="dark")
    picture = base64.b64encode(saved(tab, "png")).decode()

    corner = tab.evaluate(
        """async bytes => {
          const image = new Image();
          image.src = `data:image/png;base64,${bytes}`;
          await image.decode();
          const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
          pen.drawImage(image, 0, 0);
          return [...pen.getImageData(0, 0, 1, 1).data];
        }""",
        picture,
    )
    assert corner == [255, 255, 255, 255]
    text, colour = tab.evaluate(
        """() => new Promise(done => {
          Plotly.downloadImage = async (figure, options) => {
            const made = await Plotly.toImage(figure, { ...options, format: "svg" });
            const page = new DOMParser().parseFromString(decodeURIComponent(made.split(",")[1]), "image/svg+xml");
            const title = page.querySelector(".legendtitletext");
            done([title.textContent, title.style.fill]);
          };
          document.querySelector("button[name=png]").click();
        })"""
    )
    assert text == name
    assert colour == "rgb(27, 35, 48)"  # --text of the light theme, #1b2330
