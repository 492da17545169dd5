"""What is read of the files of a run: all that the pages over many runs show, and no more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from factories import (
    CASE,
    NOON,
    make_artifact,
    make_broken,
    make_case,
    make_record,
    make_replicate,
    make_report,
    sha,
)
from site_entries import OTHER, entry, facts, judged, later, slow

from regress.decision import Decision
from regress.errors import HistoryError
from regress.recipe import FLAGS
from regress.record import decode_record, encode
from regress.replicate import Discarded
from regress.site import sketch
from regress.site.facts import SHOWN, Case, Fault, Value
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


def test_a_metric_has_median_range_and_number_of_its_replicates() -> None:
    case = only_case(make_case(prefill=(1000.0, 990.0, 1030.0), decode=(50.0, 49.0, 50.5)))

    assert case.values["prefill_tokens_per_s"] == Value(median=1000.0, low=990.0, high=1030.0, count=3)
    assert case.values["decode_tokens_per_s"] == Value(median=50.0, low=49.0, high=50.5, count=3)


def test_a_value_is_the_median_of_the_timed_repeats() -> None:
    samples = {"decode_tokens_per_s": (50.0, 10.0, 49.0)}
    kept = msgspec.structs.replace(make_replicate(1, 1), samples=samples)

    value = Value(median=49.0, low=49.0, high=49.0, count=1)
    assert only_case(make_case(replicates=(kept,))).values == {"decode_tokens_per_s": value}


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


def test_a_vanished_case_comes_last_with_what_was_said_of_it() -> None:
    """A case that a record lacks is never silently absent: its verdict says so."""
    reference, record = make_record(make_case(OTHER), make_case(CASE)), later(1, make_case(CASE))

    found = facts(judged(record, reference))

    assert [case.key for case in found.cases] == [CASE, OTHER]
    assert [said.outcome for said in found.cases[1].said] == ["missing"]
    assert (found.cases[1].values, found.cases[1].fault, found.cases[1].artifact) == ({}, None, "")
    assert found.run.outcome == "missing"


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

    run = facts(judged(record, reference)).run

    assert (run.id, run.runner, run.recorded_at) == (record.id, "bench", record.recorded_at)
    assert (run.toolchain, run.fingerprint) == ("tvm-0.27.0", sha("tvm-0.27.0"))
    assert run.packages == (("apache-tvm", "0.27.0"), ("numpy", "2.3.1"))
    assert (run.environment, run.harness) == (record.environment, sha("harness"))
    assert (run.outcome, run.baseline, run.reference) == ("regressed", "bench", "tvm-0.26.0")
    assert run.reference_run == reference.id


def test_a_run_judged_by_stored_replicates_was_compared_with_no_run() -> None:
    run = facts(judged(later(1), against="stored")).run

    assert (run.reference, run.reference_run) == ("tvm-0.26.0", None)


def test_a_run_that_nobody_judged_says_so() -> None:
    run = facts(entry()).run

    assert (run.outcome, run.baseline, run.reference, run.reference_run) == (None, None, None, None)


def test_every_metric_that_pages_show_is_read() -> None:
    """And in no other order, which is that of the columns."""
    assert sketch._Samples.__struct_fields__ == SHOWN


def test_what_pages_over_many_runs_do_not_show_is_not_looked_at() -> None:
    """Which is what makes it fast; all of it is for `regress history verify` to read."""
    data = encode(make_record()).replace(b'"token_ids":[', b'"token_ids":["none",')

    assert sketch.sketch(data, None, "record.json", "").cases[0].values
    with pytest.raises(HistoryError):
        decode_record(data, "record.json")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"schema": 3', b'"schema": 99', "record.json: schema 99 is newer than this regress reads (3)"),
        (b'"decode_tokens_per_s":[', b'"decode_tokens_per_s":[-1,', "Expected `float` > 0.0"),
        (b'"runner": "bench"', b'"runner": "../.."', "record.json: Expected `str` matching regex"),
        (b"/p64+16", b"/p0+16", "record.json: Expected `str` matching regex"),
        # The name of a file, which cannot be of any length.
        (b'"key": "', b'"key": "' + b"t" * 200, "record.json: Expected `str` of length <= 160"),
        (b'"id": "', b'"id": "/', "record.json: Expected `str` matching regex"),
        (b'"harness": "', b'"harness": "\xff', "record.json: "),
        (b"]", b"", "record.json: JSON is malformed"),
    ],
)
def test_a_record_that_cannot_be_is_named_with_what_is_wrong(old: bytes, new: bytes, message: str) -> None:
    data = encode(make_record())
    assert old in data

    with pytest.raises(HistoryError) as error:
        sketch.sketch(data.replace(old, new, 1), None, "record.json", "record.check.json")

    assert message in str(error.value)
    assert str(error.value).startswith("record.json: ")


def test_a_case_that_stands_twice_is_named() -> None:
    with pytest.raises(HistoryError, match=f"record.json: cases: '{re.escape(CASE)}' stands twice"):
        facts(entry(make_record(make_case(), make_case())))


def test_a_report_that_cannot_be_is_named() -> None:
    record = make_record()
    report = encode(make_report(record, record)).replace(b'"outcome": "pass"', b'"outcome": "fine"')

    with pytest.raises(HistoryError, match=r"^record\.check\.json: Invalid enum value 'fine'"):
        sketch.sketch(encode(record), report, "record.json", "record.check.json")


def test_a_case_that_only_the_report_knows_has_the_name_of_one() -> None:
    """It becomes the name of a file."""
    record = make_record()
    verdict = Verdict(case="../../x", outcome="missing", reason="case_vanished", text="")
    report = encode(make_report(record, record, verdicts=[verdict]))

    with pytest.raises(HistoryError, match=r"^record\.check\.json: verdicts: Expected `str` matching regex"):
        sketch.sketch(encode(record), report, "record.json", "record.check.json")
