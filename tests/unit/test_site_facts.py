"""The facts of a run: what of its record and report the pages over many runs are made of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from factories import (
    CASE,
    NOON,
    TOLERANCES,
    make_artifact,
    make_broken,
    make_case,
    make_record,
    make_replicate,
    make_report,
    make_toolchain,
    sha,
)
from site_entries import OTHER, entry, judged, later, runs_of, slow

from regress.decision import Decision
from regress.recipe import FLAGS
from regress.replicate import Discarded
from regress.site import Entry
from regress.site import facts as module
from regress.site.facts import Case, Fault, Run, facts, in_order, labels
from regress.verdict import Verdict

if TYPE_CHECKING:
    from regress.record import CaseResult


def only_case(result: CaseResult) -> Case:
    """The facts of that case in a run that nobody judged."""
    (case,) = facts(entry(make_record(result))).cases
    return case


def said_of(*verdicts: Verdict) -> Case:
    """The facts of a measured case of which that was said."""
    record = make_record()
    return facts(entry(record, make_report(record, record, verdicts=verdicts))).cases[0]


def test_an_entry_is_a_value() -> None:
    one = entry()

    assert replace(one, report=None) == one


def test_an_entry_knows_the_verdicts_of_each_case() -> None:
    one = judged(make_record(make_case(CASE), make_case(OTHER)), make_record(make_case(CASE), make_case(OTHER)))

    assert [verdict.case for verdict in one.verdicts(OTHER)] == [OTHER, OTHER]
    assert one.verdicts("another/one/of/p1+1") == ()
    assert entry().verdicts(CASE) == ()


def test_a_metric_has_the_value_of_each_replicate_in_order_of_measurement() -> None:
    case = only_case(make_case(prefill=(1000.0, 990.0, 1030.0), decode=(50.0, 49.0, 50.5)))

    assert case.values["prefill_tokens_per_s"] == (1000.0, 990.0, 1030.0)
    assert case.values["decode_tokens_per_s"] == (50.0, 49.0, 50.5)


def test_a_value_is_the_median_of_the_timed_repeats() -> None:
    samples = {"decode_tokens_per_s": (50.0, 10.0, 49.0)}
    kept = msgspec.structs.replace(make_replicate(1, 1), samples=samples)

    assert only_case(make_case(replicates=(kept,))).values == {"decode_tokens_per_s": (49.0,)}


def test_metrics_that_no_page_of_many_runs_shows_are_left_out() -> None:
    """A history has millions of values; the page of one run reads its record."""
    samples: dict[str, tuple[float, ...]] = {
        "decode_tokens_per_s": (50.0,),
        "time_to_first_token_s": (0.01,),
        "energy_per_token_j": (0.5,),
        "roofline_fraction": (0.6,),
    }
    kept = msgspec.structs.replace(make_replicate(1, 1), samples=samples)

    assert set(only_case(make_case(replicates=(kept,))).values) == {
        "decode_tokens_per_s",
        "energy_per_token_j",
        "roofline_fraction",
    }


def test_only_flags_that_are_no_defaults_are_kept() -> None:
    artifact = make_artifact(flags={**FLAGS, "cuda_graph": "1", "schedule": "none"})

    assert only_case(make_case(artifact=artifact)).flags == {"cuda_graph": "1", "schedule": "none"}
    assert only_case(make_case()).flags == {}


def test_a_flag_of_another_day_is_no_default() -> None:
    """A record keeps the flags that its `regress` knew; one that has no default now decided something then."""
    artifact = make_artifact(flags={**FLAGS, "tile": "64"})

    assert only_case(make_case(artifact=artifact)).flags == {"tile": "64"}


def test_what_was_built_is_told_by_its_digests() -> None:
    case = only_case(make_case())

    assert (case.model_digest, case.artifact) == (sha("model"), sha(f"artifact {CASE}"))


def test_a_fault_says_stage_end_and_cause() -> None:
    case = only_case(make_broken(cause="no kernel", how="exit status 1"))

    assert case.fault == Fault(stage="build", how="exit status 1", cause="no kernel")
    assert (case.values, case.artifact, case.flags) == ({}, "", {})


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


def test_a_verdict_keeps_its_loss_its_tolerance_and_the_smallest_loss_that_shows() -> None:
    decision = Decision(
        form="two_sample", outcome="pass", reason="within_tolerance", tolerance=0.05, loss=0.01, visible_loss=0.032
    )
    decode = Verdict(
        case=CASE,
        outcome="pass",
        reason="within_tolerance",
        text="1% slower",
        metric="decode_tokens_per_s",
        loss=0.01,
        tolerance=0.05,
        decision=decision,
    )

    said = said_of(decode).verdict("decode_tokens_per_s")

    assert said is not None
    assert (said.outcome, said.reason, said.text) == ("pass", "within_tolerance", "1% slower")
    assert (said.loss, said.tolerance, said.visible_loss) == (0.01, 0.05, 0.032)


def test_a_metric_that_nobody_judged_has_no_verdict() -> None:
    record = make_record()
    case = facts(judged(record, record, tolerances={"decode_tokens_per_s": 0.05})).cases[0]

    assert case.verdict("prefill_tokens_per_s") is None
    assert case.verdict("decode_tokens_per_s") is not None


def test_a_vanished_case_comes_last_with_what_was_said_of_it() -> None:
    """A case that a record lacks is never silently absent: its verdict says so."""
    reference, record = make_record(make_case(OTHER), make_case(CASE)), later(1, make_case(CASE))

    run = facts(judged(record, reference))

    assert [case.key for case in run.cases] == [CASE, OTHER]
    assert [said.outcome for said in run.cases[1].said] == ["missing"]
    assert (run.cases[1].values, run.cases[1].fault, run.cases[1].artifact) == ({}, None, "")
    assert run.outcome == "missing"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "1 replicate discarded (throttled)"),
        ({"gave_up": "throttled", "replicates": ()}, "1 replicate discarded (throttled), the last because it was hot"),
        ({"discarded": ()}, ""),
    ],
)
def test_what_was_discarded_is_told(changes: dict[str, object], text: str) -> None:
    hot = Discarded(started_at=NOON, reason="throttled", text="it was hot")

    assert only_case(msgspec.structs.replace(make_case(discarded=(hot,)), **changes)).discarded == text


def test_a_run_is_what_was_measured_where_and_by_what_it_was_judged() -> None:
    reference, record = make_record(), later(1, slow())

    run = facts(judged(record, reference))

    assert (run.id, run.runner, run.recorded_at) == (record.id, "bench", record.recorded_at)
    assert (run.toolchain, run.fingerprint) == ("tvm-0.27.0", sha("tvm-0.27.0"))
    assert run.packages == (("apache-tvm", "0.27.0"), ("numpy", "2.3.1"))
    assert (run.environment, run.harness) == (record.environment, sha("harness"))
    assert (run.outcome, run.baseline, run.reference) == ("regressed", "bench", "tvm-0.26.0")
    assert run.reference_run == reference.id


def test_a_run_judged_by_stored_replicates_was_compared_with_no_run() -> None:
    run = facts(judged(later(1), against="stored"))

    assert (run.reference, run.reference_run) == ("tvm-0.26.0", None)


def test_a_run_that_nobody_judged_says_so() -> None:
    run = facts(entry())

    assert (run.outcome, run.baseline, run.reference, run.reference_run) == (None, None, None, None)
    assert run.case(CASE) is run.cases[0]
    assert run.case(OTHER) is None


def test_facts_can_be_stored_and_read_back() -> None:
    """Every kind of case at once: measured, broken, vanished."""
    reference = make_record(make_case(CASE), make_case(OTHER), make_case("gone/q/t/p1+1"))
    run = facts(judged(later(1, slow(), make_broken(OTHER)), reference))

    assert msgspec.json.decode(msgspec.json.encode(run), type=Run) == run


def test_a_toolchain_is_called_by_its_name() -> None:
    runs = runs_of(entry(make_record(toolchain="b")), entry(later(1, toolchain="a")), entry(later(2, toolchain="b")))

    assert list(labels(runs).items()) == [(("b", sha("b")), "b"), (("a", sha("a")), "a")]


def test_toolchains_of_one_name_are_told_apart_by_their_fingerprint() -> None:
    """A nightly keeps its name while the packages behind it change."""
    one, two = make_toolchain("nightly"), make_toolchain("nightly", fingerprint="f" * 64)

    found = labels(runs_of(entry(make_record(toolchain=one)), entry(later(1, toolchain=two)), entry(later(2))))

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

        assert [run.toolchain for run in in_order(runs)] == ["old", "new"]
        assert in_order(reversed(runs)) == in_order(runs)


def test_a_reference_of_long_ago_keeps_its_place() -> None:
    old, between, new = (make_record(toolchain=name, at=NOON + timedelta(days=day)) for day, name in enumerate("abc"))
    report = make_report(new, old)
    runs = [
        facts(Entry(record=new, report=report)),
        *(facts(Entry(record=each, report=None)) for each in (between, old)),
    ]

    assert [run.toolchain for run in in_order(runs)] == ["a", "b", "c"]


def test_toolchains_of_one_moment_are_ordered_by_their_numbers() -> None:
    """As several are in one `regress run`, the reference among them."""
    reference = make_record(toolchain="tvm-0.26.0")
    entries = [Entry(record=reference, report=None)]
    for name in ("tvm-0.100.0", "tvm-0.9.0"):
        record = make_record(toolchain=name)
        entries.append(Entry(record=record, report=make_report(record, reference)))

    assert list(labels(runs_of(*entries)).values()) == ["tvm-0.9.0", "tvm-0.26.0", "tvm-0.100.0"]
