"""What changed since the last bump: packages, what got worse, what was mended, and what became better."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from factories import CASE, make_broken, make_case, make_record, make_toolchain, sha
from site_entries import OTHER, entry, judged, later, runner, slow

from regress.record import Package, Toolchain

PREFILL, DECODE = "prefill_tokens_per_s", "decode_tokens_per_s"


def packaged(name: str, **versions: str) -> Toolchain:
    return make_toolchain(
        name,
        packages=tuple(Package(name=each.replace("_", "-"), version=version) for each, version in versions.items()),
    )


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
    assert [(event.key, event.metric, event.kind) for event in bump.events] == [(OTHER, PREFILL, "regressed")]
    (better,) = bump.improved
    assert (better.key, better.said.metric, better.reference) == (OTHER, DECODE, "a")
    assert better.said.loss == pytest.approx(-0.2)  # 1 - 60/50


def test_what_was_improved_with_the_toolchain_before_is_no_news() -> None:
    """Verdicts are against one reference for months: each later toolchain is better than that, too."""
    reference, fast = make_record(toolchain="a"), make_case(decode=(60.0,), prefill=(1000.0,))
    once, again = (judged(later(day, fast, toolchain=name), reference) for day, name in ((1, "b"), (2, "c")))

    first, second = runner(entry(reference), once).bump, runner(entry(reference), once, again).bump

    assert first is not None
    assert second is not None
    assert [each.key for each in first.improved] == [CASE]
    assert second.improved == ()


def test_what_became_better_by_no_known_size_is_left_to_its_series() -> None:
    """A report may lack the numbers of a verdict."""
    reference = make_record(toolchain="a")
    told = judged(later(1, make_case(decode=(60.0,), prefill=(1000.0,)), toolchain="b"), reference)
    assert told.report is not None
    bare = tuple(msgspec.structs.replace(each, loss=None) for each in told.report.verdicts)
    untold = replace(told, report=msgspec.structs.replace(told.report, verdicts=bare))

    full, without = runner(entry(reference), told).bump, runner(entry(reference), untold).bump

    assert full is not None
    assert without is not None
    assert (len(full.improved), without.improved) == (1, ())


def test_a_bump_that_mends_what_was_bad_says_so() -> None:
    broken, mended = judged(later(1, make_broken(), toolchain="b")), judged(later(2, toolchain="c"))

    bump = runner(entry(make_record(toolchain="a")), broken, mended).bump

    assert bump is not None
    assert bump.events == ()
    (fixed,) = bump.fixed
    assert (fixed.kind, fixed.first.label, fixed.state) == ("broken", "b", "fixed")


def test_the_runs_of_a_bump_are_those_that_can_be_compared() -> None:
    """The newest runs of two toolchains may be of other models, other flags, or broken."""
    same = make_record(make_case(CASE), toolchain="a"), later(3, make_case(CASE), toolchain="b")
    others = later(1, make_case(OTHER), toolchain="a"), later(4, make_broken(CASE), toolchain="b")

    bump = runner(*(entry(record) for record in (*same, *others))).bump

    assert bump is not None
    assert [run.id for run in bump.runs] == [record.id for record in same]


def test_a_bump_that_breaks_a_case_has_a_run_that_measured_it_before() -> None:
    runs = [make_record(make_case(CASE), toolchain="a"), later(1, make_case(OTHER), toolchain="a")]
    runs += [later(2, make_broken(CASE), toolchain="b")]

    bump = runner(*map(entry, runs)).bump

    assert bump is not None
    assert [run.id for run in bump.runs] == [runs[0].id, runs[2].id]


def test_a_bump_without_a_case_in_common_has_the_newest_runs() -> None:
    runs = [make_record(make_case(CASE), toolchain="a"), later(1, make_case(CASE), toolchain="a")]
    runs += [later(2, make_case(OTHER), toolchain="b"), later(3, make_broken(OTHER), toolchain="b")]

    bump = runner(*map(entry, runs)).bump

    assert bump is not None
    assert [run.id for run in bump.runs] == [runs[1].id, runs[3].id]


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
