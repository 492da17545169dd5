"""The facts of a run: what of its record and report the pages over many runs are made of."""

from __future__ import annotations

import statistics
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from factories import (
    CASE,
    NOON,
    TOLERANCES,
    make_broken,
    make_case,
    make_record,
    make_report,
    make_toolchain,
    sha,
)
from numpy.random import default_rng
from site_entries import OTHER, Entry, entry, facts, judged, later, runs_of, slow

from regress.site import facts as module
from regress.site.facts import Case, Facts, in_order, labels
from regress.verdict import Verdict

if TYPE_CHECKING:
    from regress.record import CaseResult


def labels_of(found: list[Facts]) -> dict[tuple[str, str], str]:
    return labels([each.run for each in found])


def only_case(result: CaseResult) -> Case:
    """The facts of that case in a run that nobody judged."""
    (case,) = facts(entry(make_record(result))).cases
    return case


def said_of(*verdicts: Verdict) -> Case:
    """The facts of a measured case of which that was said."""
    record = make_record()
    return facts(entry(record, make_report(record, record, verdicts=verdicts))).cases[0]


@pytest.mark.parametrize("counts", [(0, 0), (1, 1, 1), (2, 2), (3, 3), (10, 10), (5, 5, 5), (0, 1, 4), (3, 2), ()])
def test_medians_of_lists_of_any_length(counts: tuple[int, ...]) -> None:
    drawn = default_rng(0)
    samples = [tuple(drawn.random(count).tolist()) for count in counts]

    assert module.medians(samples) == [statistics.median(values) if values else None for values in samples]


def test_a_case_without_numbers_is_broken_though_nobody_judged_it() -> None:
    assert only_case(make_broken()).outcome == "broken"
    assert only_case(make_case()).outcome is None


def test_a_case_is_as_bad_as_its_gravest_verdict() -> None:
    case = said_of(
        Verdict(case=CASE, outcome="pass", reason="same_build", text="build: the same"),
        Verdict(case=CASE, outcome="regressed", reason="other_answers", text="answers: other"),
        Verdict(case=CASE, outcome="inconclusive", reason="throttled", text="hot", metric="decode_tokens_per_s"),
    )

    assert case.outcome == "regressed"
    assert [said.text for said in case.said] == ["build: the same", "answers: other", "hot"]


def test_a_metric_that_nobody_judged_has_no_verdict() -> None:
    record = make_record()
    case = facts(judged(record, record, tolerances={"decode_tokens_per_s": 0.05})).cases[0]

    assert case.verdict("prefill_tokens_per_s") is None
    assert case.verdict("decode_tokens_per_s") is not None


def test_facts_can_be_stored_and_read_back() -> None:
    """Every kind of case at once: measured, broken, vanished."""
    reference = make_record(make_case(CASE), make_case(OTHER), make_case("gone/q/t/p1+1"))
    found = facts(judged(later(1, slow(), make_broken(OTHER)), reference))

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Facts) == found


def test_a_toolchain_is_called_by_its_name() -> None:
    runs = runs_of(entry(make_record(toolchain="b")), entry(later(1, toolchain="a")), entry(later(2, toolchain="b")))

    assert list(labels_of(runs).items()) == [(("b", sha("b")), "b"), (("a", sha("a")), "a")]


def test_toolchains_of_one_name_are_told_apart_by_their_fingerprint() -> None:
    """A nightly keeps its name while the packages behind it change."""
    one, two = make_toolchain("nightly"), make_toolchain("nightly", fingerprint="f" * 64)

    found = labels_of(runs_of(entry(make_record(toolchain=one)), entry(later(1, toolchain=two)), entry(later(2))))

    assert found == {
        ("nightly", sha("nightly")): f"nightly ({sha('nightly')[:8]})",
        ("nightly", "f" * 64): "nightly (ffffffff)",
        ("tvm-0.27.0", sha("tvm-0.27.0")): "tvm-0.27.0",
    }


def test_the_metrics_judged_by_default_are_the_rates_of_the_pages() -> None:
    assert set(module.RATES) == set(TOLERANCES)


def test_a_reference_measured_in_turn_never_stands_behind_what_it_judged() -> None:
    """It starts a moment later or at the same time, and is what was before all the same."""
    for seconds in (0, 30):
        candidate = make_record(toolchain="new")
        reference = make_record(toolchain="old", at=NOON + timedelta(seconds=seconds))
        report = make_report(candidate, reference)
        runs = [facts(Entry(record=candidate, report=report)), facts(Entry(record=reference, report=None))]

        assert [each.run.toolchain for each in in_order(runs)] == ["old", "new"]
        assert in_order(reversed(runs)) == in_order(runs)


def test_a_reference_of_long_ago_keeps_its_place() -> None:
    old, between, new = (make_record(toolchain=name, at=NOON + timedelta(days=day)) for day, name in enumerate("abc"))
    report = make_report(new, old)
    runs = [
        facts(Entry(record=new, report=report)),
        *(facts(Entry(record=each, report=None)) for each in (between, old)),
    ]

    assert [each.run.toolchain for each in in_order(runs)] == ["a", "b", "c"]


def test_toolchains_of_one_moment_are_ordered_by_their_numbers() -> None:
    """As several are in one `regress run`, the reference among them."""
    reference = make_record(toolchain="tvm-0.26.0")
    entries = [Entry(record=reference, report=None)]
    for name in ("tvm-0.100.0", "tvm-0.9.0"):
        record = make_record(toolchain=name)
        entries.append(Entry(record=record, report=make_report(record, reference)))

    assert list(labels_of(runs_of(*entries)).values()) == ["tvm-0.9.0", "tvm-0.26.0", "tvm-0.100.0"]
