"""The first page's contents: each runner at a glance, and what changed since the last bump."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from factories import CASE, make_artifact, make_broken, make_case, make_environment, make_record, make_toolchain, sha
from site_entries import OTHER, entry, judged, later, make_baseline, runner, slow, view

from regress.recipe import FLAGS
from regress.record import Package, Toolchain
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


def packaged(name: str, **versions: str) -> Toolchain:
    return make_toolchain(
        name,
        packages=tuple(Package(name=each.replace("_", "-"), version=version) for each, version in versions.items()),
    )


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


def test_a_bump_names_the_packages_that_differ_the_compilers_first() -> None:
    old = packaged("a", zlib="1", numpy="2.3", mlc_llm="0.20", apache_tvm="0.25", gone="3", apache_tvm_ffi="0.1.12")
    new = packaged("b", zlib="2", numpy="2.3", mlc_llm="0.21", apache_tvm="0.26", more="1", apache_tvm_ffi="0.1.13")

    bump = runner(entry(make_record(toolchain=old)), entry(later(1, toolchain=new))).bump

    assert bump is not None
    assert (bump.before, bump.after) == ("a", "b")
    assert [(change.name, change.before, change.after) for change in bump.packages] == [
        ("mlc-llm", "0.20", "0.21"),
        ("apache-tvm", "0.25", "0.26"),
        ("apache-tvm-ffi", "0.1.12", "0.1.13"),
        ("gone", "3", None),
        ("more", None, "1"),
        ("zlib", "1", "2"),
    ]


def test_a_bump_is_between_the_two_newest_toolchains_though_an_older_one_ran_last() -> None:
    runs = [entry(later(day, toolchain=name)) for day, name in enumerate("abcab")]

    bump = runner(*runs).bump

    assert bump is not None
    assert (bump.before, bump.after) == ("b", "c")


def test_a_bump_says_what_came_of_it() -> None:
    """What got worse with it and what got better; not what the toolchain before had done."""
    reference = make_record(make_case(CASE), make_case(OTHER), toolchain="a")
    before = judged(later(1, slow(), make_case(OTHER), toolchain="b"), reference)
    after = judged(
        later(2, make_case(CASE), make_case(OTHER, decode=(60.0,), prefill=(500.0,)), toolchain="c"), reference
    )

    bump = runner(entry(reference), before, after).bump

    assert bump is not None
    assert [(event.case, event.metric, event.kind) for event in bump.events] == [(OTHER, PREFILL, "regressed")]
    ((case, said),) = bump.improved
    assert (case, said.metric) == (OTHER, DECODE)
    assert said.loss == pytest.approx(-0.2)  # 1 - 60/50


def test_one_toolchain_is_no_bump() -> None:
    assert runner(entry(), entry(later(1, toolchain="tvm-0.26.0"))).bump is None


def test_another_build_of_the_same_name_is_a_bump() -> None:
    nightly = make_toolchain("nightly", fingerprint="f" * 64)

    bump = runner(entry(make_record(toolchain="nightly")), entry(later(1, toolchain=nightly))).bump

    assert bump is not None
    assert (bump.before, bump.after) == (f"nightly ({sha('nightly')[:8]})", "nightly (ffffffff)")
    assert bump.packages == ()


def test_compilers_come_first_by_role_with_their_suffixes() -> None:
    names = ("numpy", "apache-tvm-ffi", "mlc-ai-nightly-cu128", "torch", "mlc-llm-nightly-cu128", "apache-tvm", "tvmx")
    old, new = (
        make_toolchain(name, packages=tuple(Package(name=each, version=version) for each in names))
        for name, version in (("a", "1"), ("b", "2"))
    )

    bump = runner(entry(make_record(toolchain=old)), entry(later(1, toolchain=new))).bump

    assert bump is not None
    assert [change.name for change in bump.packages] == [
        "mlc-llm-nightly-cu128",
        "mlc-ai-nightly-cu128",
        "apache-tvm",
        "apache-tvm-ffi",
        "numpy",
        "torch",
        "tvmx",
    ]
