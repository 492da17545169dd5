"""The page of the baselines: what each case is held against, and what could be seen."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from factories import BASELINE_TEXT, CASE, make_case
from html_page import read_html
from site_entries import OTHER, built, entry, later, make_baseline, pages, whole

from regress.baseline import parse_baseline
from regress.decision import known_spread, visible_side_by_side
from regress.site.baselines import BaselinePage, baseline_pages, held_by_runner

if TYPE_CHECKING:
    from regress.baseline import Baseline

ROOT = Path(__file__).parents[2]


def page_of(baseline: Baseline) -> BaselinePage:
    (page,) = baseline_pages({"it.toml": baseline})
    return page


def test_a_case_is_held_against_the_median_of_its_stored_replicates() -> None:
    """Of this repository's own baseline for an H200: all its runs count, and the loss is that of a check in turn."""
    baseline = parse_baseline((ROOT / "baselines" / "h200.toml").read_text(), "h200.toml")
    page = page_of(baseline)
    assert (page.runner, page.toolchain, page.device) == ("h200", "tvm-0.26.0", "NVIDIA H200")
    assert page.in_turn
    for shown, case in zip(page.cases, baseline.cases, strict=True):
        assert case.reference is not None
        assert (shown.key, shown.toolchain, shown.reason) == (case.key, case.reference.toolchain, case.reference.reason)
        for held in shown.held:
            sessions = case.reference.values(held.metric)
            assert held.level == statistics.median(value for session in sessions for value in session)
            assert (held.replicates, held.sessions) == (sum(map(len, sessions)), len(sessions))
            known = known_spread(sessions, higher_is_better=True)
            assert held.visible_loss == visible_side_by_side(known, baseline.parameters(case)[held.metric])
            assert held.tolerance == baseline.tolerances(case)[held.metric]


def test_a_case_without_reference_has_a_tolerance_alone() -> None:
    page = page_of(parse_baseline(BASELINE_TEXT, "cpu.toml"))
    assert page.device is None
    for case in page.cases:
        assert (case.toolchain, case.written_on, case.reason) == (None, None, "")
        for held in case.held:
            assert (held.level, held.sd, held.visible_loss, held.replicates) == (None, None, None, 0)
    assert {held.metric: held.tolerance for held in page.cases[0].held} == {
        "decode_tokens_per_s": 0.05,
        "prefill_tokens_per_s": 0.15,
    }


def test_a_case_leads_to_its_series_where_there_is_one() -> None:
    files = {"a.toml": make_baseline(), "b.toml": make_baseline(key=OTHER)}

    found = read_html(pages().baselines(baseline_pages(files), whole(entry()))).all("th")

    links = {head.text: [link.get("href") for link in head.all("a")] for head in found}
    assert (links[CASE], links[OTHER]) == (["series/bench/tiny~q4f16_1~llvm~p64%2B16.html"], [])


def test_the_page_is_made_again_when_a_case_gets_its_series(tmp_path: Path) -> None:
    """Though neither the baselines nor the runners' names have changed."""
    files = {"a.toml": make_baseline(key=OTHER)}
    page = built(tmp_path / "site", [entry()], baselines=files).with_name("baselines.html")
    assert "series/bench/" not in page.read_text()

    built(tmp_path / "site", [entry(), entry(later(1, make_case(OTHER)))], baselines=files)

    assert 'href="series/bench/tiny~q0f16~llvm~p64%2B16.html"' in page.read_text()


def test_of_two_baselines_of_a_runner_the_last_one_is_held_and_both_are_shown() -> None:
    """That of the command comes last; the page says of each which one it is."""
    old, new = make_baseline(), msgspec.structs.replace(make_baseline(), toolchain="tvm-0.27.0")
    other = msgspec.structs.replace(make_baseline(), runner="another")
    files = {"a.toml": old, "z.toml": other, "b.toml": new}

    assert held_by_runner(files) == {"bench": new, "another": other}
    shown = [(page.runner, page.file, page.held, page.rivals) for page in baseline_pages(files)]
    assert shown == [
        ("another", "z.toml", "z.toml", 0),
        ("bench", "b.toml", "b.toml", 1),
        ("bench", "a.toml", "b.toml", 1),
    ]
    alone, first, second = read_html(pages().baselines(baseline_pages(files), whole(entry()))).all("p", "more")
    assert alone.text.startswith("z.toml. What is judged")
    assert first.text.startswith("b.toml: the pages of bench are held against this one.")
    assert second.text.startswith("a.toml: nothing is held against it, the pages of bench are against b.toml.")
