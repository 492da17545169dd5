"""The first page's contents: each runner at a glance, and what changed since the last bump."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from factories import CASE, make_artifact, make_broken, make_case, make_environment, make_record, sha
from site_entries import OTHER, entry, judged, later, make_baseline, runner, slow, view

from regress.recipe import FLAGS
from regress.site.overview import NEWEST_RUNS, SPARK_POINTS, Glance

if TYPE_CHECKING:
    from site_entries import Entry

PREFILL, DECODE = "prefill_tokens_per_s", "decode_tokens_per_s"


def decode_of(*entries: Entry) -> Glance:
    """The decode rate of the only case at a glance."""
    (line,) = runner(*entries).lines
    _, decode = line.glances
    return decode


def measured(day: float, toolchain: str, *decode: float) -> Entry:
    return entry(later(day, make_case(decode=decode, prefill=[1000.0] * len(decode)), toolchain=toolchain))


def test_a_runner_tells_its_newest_run_first_and_its_cases_the_newest_runs_first() -> None:
    old, new = make_record(make_case("z/q/t/p1+1"), make_case(CASE)), later(1, make_case(OTHER), make_case(CASE))

    found = runner(entry(new), entry(old))

    assert (found.count, found.newest.id) == (2, new.id)
    assert [choice.id for choice in found.choices] == [new.id, old.id]
    assert [line.key for line in found.lines] == [OTHER, CASE, "z/q/t/p1+1"]


def test_runs_that_something_names_have_a_page_whatever_their_age() -> None:
    """Of a hundred runs: the newest, both sides of what went wrong, and what that was compared with."""
    reference = make_record(toolchain="reference")
    runs = [entry(reference)]
    runs += [
        judged(later(day, slow() if day in (30, 31, 32) else make_case(), toolchain="a"), reference)
        for day in range(1, 101)
    ]

    found = view(*runs)

    days = {number for number, each in enumerate(runs) if each.record.id in found.paged}
    newest = set(range(101 - NEWEST_RUNS, 101))
    # The last good run before, the first and the last bad one, the first good one after; the newest before the bump
    # to the only other toolchain is the reference itself.
    assert days == newest | {0, 29, 30, 32, 33}
    assert [choice.id for choice in found.runner.choices][:2] == [runs[100].record.id, runs[99].record.id]


def test_the_newest_run_of_a_case_is_the_newest_with_its_usual_flags() -> None:
    """An experiment with other flags is not what the case's line shows."""
    tried = make_case(decode=(90.0,), prefill=(1.0,), artifact=make_artifact(flags={**FLAGS, "cuda_graph": "1"}))
    runs = [measured(0, "a", 50.0), measured(1, "a", 51.0), entry(later(2, tried, toolchain="b"))]

    (line,) = runner(*runs).lines

    assert line.newest.label == "a"
    assert line.glances[1].value is not None
    assert line.glances[1].value.median == 51.0
    assert line.glances[1].history == (50.0, 51.0)


def test_a_glance_compares_with_the_median_of_the_toolchain_before() -> None:
    runs = [measured(0, "a", 30.0), measured(1, "b", 48.0), measured(2, "b", 52.0), measured(3, "c", 55.0)]

    assert decode_of(*runs).ratio == pytest.approx(1.1)  # 55 / 50, the median of 48 and 52; not of 30


def test_the_toolchain_before_is_the_one_that_came_before() -> None:
    """An older toolchain that is measured again, as references are, is neither newer nor the one before."""
    runs = [measured(0, "a", 40.0), measured(1, "b", 50.0), measured(2, "a", 44.0), measured(3, "c", 84.0)]

    assert decode_of(*runs).ratio == pytest.approx(1.68)  # 84 / 50
    assert decode_of(*runs[:3]).ratio is None  # nothing came before the first


def test_one_toolchain_has_nothing_to_compare_with() -> None:
    assert decode_of(measured(0, "a", 50.0), measured(1, "a", 51.0)).ratio is None


def test_another_machine_is_nothing_to_compare_with() -> None:
    there = entry(later(0, slow(50.0), toolchain="a", environment=make_environment(fingerprint=sha("there"))))

    here = decode_of(there, measured(1, "b", 40.0))

    assert (here.ratio, here.history) == (None, (40.0,))


def test_a_broken_newest_run_has_no_value_but_a_history() -> None:
    glance = decode_of(measured(0, "a", 50.0), measured(1, "b", 51.0), entry(later(2, make_broken(), toolchain="c")))

    assert (glance.value, glance.ratio, glance.history) == (None, None, (50.0, 51.0))


def test_a_sparkline_shows_so_many_runs_at_most_the_newest() -> None:
    runs = [entry(later(number, slow(100.0 + number))) for number in range(SPARK_POINTS + 3)]

    assert decode_of(*runs).history == tuple(100.0 + number for number in range(3, SPARK_POINTS + 3))


def test_a_verdict_outlives_a_later_run_that_was_not_judged() -> None:
    """A toolchain found regressed does not become clean because it later serves as somebody's reference."""
    bad = later(1, slow())

    (line,) = runner(entry(), judged(bad), entry(later(2, slow()))).lines

    assert line.judged is not None
    assert line.judged.run.id == bad.id
    assert line.newest is not line.judged
    assert line.outcome == "regressed"
    said = line.judged.case.verdict("decode_tokens_per_s")
    assert said is not None
    assert said.outcome == "regressed"
    assert said.loss == pytest.approx(0.2)  # 1 - 40/50


def test_a_case_that_does_not_build_now_is_broken_whatever_was_said_before() -> None:
    (line,) = runner(judged(later(1)), entry(later(2, make_broken()))).lines

    assert line.outcome == "broken"


def test_a_case_that_was_never_judged_has_no_verdict() -> None:
    (line,) = runner(entry()).lines

    assert (line.outcome, line.judged) == (None, None)


def test_the_last_good_run_is_the_newest_that_was_judged_and_in_order() -> None:
    good, better = later(1, toolchain="b"), later(2, slow(60.0), toolchain="c")
    runs = [entry(), judged(good), judged(better), judged(later(3, slow(), toolchain="d")), entry(later(4))]

    found = runner(*runs)

    assert found.good is not None
    assert (found.good.id, found.good.outcome) == (better.id, "improved")
    assert found.judged is not None
    assert (found.judged.toolchain, found.judged.outcome) == ("d", "regressed")
    assert found.newest.toolchain == "tvm-0.27.0"


def test_a_runner_that_nobody_judged_has_no_good_run() -> None:
    found = runner(entry(), entry(later(1)))

    assert (found.good, found.judged, found.open_events) == (None, None, ())


def test_open_is_what_is_neither_fixed_nor_accepted() -> None:
    record = later(1, slow(), toolchain="b")
    runs = [entry(make_record(toolchain="a")), judged(record)]

    assert len(runner(*runs).open_events) == 1
    assert runner(*runs, baseline=make_baseline(record)).open_events == ()
    assert runner(*runs, judged(later(2, toolchain="c"))).open_events == ()
    assert len(runner(*runs, judged(later(2, toolchain="c"))).events) == 1
