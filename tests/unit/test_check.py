"""A record against a baseline."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from factories import (
    NOON,
    TWO_CASES,
    TWO_KEYS,
    make_artifact,
    make_broken,
    make_case,
    make_environment,
    make_mlc_build,
    make_record,
    make_replicate,
    make_toolchain,
    sha,
)

from regress.artifact import Finding, Model
from regress.baseline import Baseline, Published, parse_baseline
from regress.check import Beside, check, judge_builds
from regress.proposal import Why, with_references
from regress.record import Method
from regress.replicate import Discarded
from regress.verdict import Agreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.record import CaseResult, Record
    from regress.verdict import CheckReport

SPREAD = np.exp(np.array([-0.003, 0.002, 0.001, -0.001, 0.003, -0.002, 0.0015, -0.0025]))


def case(key: str, *, count: int = 6, prefill: float = 1000.0, decode: float = 50.0, **changes: Any) -> CaseResult:  # noqa: ANN401
    """A case measured at those rates, its replicates .2 % apart."""
    spread = SPREAD[:count]
    return make_case(key, prefill=(prefill * spread).tolist(), decode=(decode * spread[::-1]).tolist(), **changes)


def cases(**changes: Any) -> list[CaseResult]:  # noqa: ANN401
    return [case(key, **changes) for key in TWO_KEYS]


def baseline_of(records: Sequence[Record] | None = None) -> Baseline:
    """References from three days."""
    records = records or [
        make_record(*cases(count=4), at=NOON + timedelta(days=number), id=f"r{number}") for number in range(3)
    ]
    why = Why(written_on=date(2026, 10, 3), reason="first")
    return parse_baseline(with_references(TWO_CASES, "b.toml", records, why), "b.toml")


def outcomes(report: CheckReport) -> list[tuple[str, str]]:
    return [(verdict.outcome, verdict.reason) for verdict in report.verdicts]


def test_an_unchanged_record_passes() -> None:
    """All cases: the build, the answers, and all metrics against the stored reference."""
    report = check(make_record(*cases()), baseline_of(), "b.toml")
    one_case = [
        ("pass", "same_build"),
        ("pass", "same_answers"),
        ("pass", "within_tolerance"),
        ("pass", "within_tolerance"),
    ]
    assert outcomes(report) == one_case * 2
    assert (report.exit_code, report.against, report.reference_toolchain) == (0, "stored", "tvm-0.26.0")


def test_a_slower_record_fails() -> None:
    """Decode at 40 where 50 is stored, with another toolchain; prefill is as it was."""
    record = make_record(*cases(decode=40.0), toolchain="tvm-0.27.0")
    report = check(record, baseline_of(), "b.toml")
    assert (report.outcome, report.exit_code) == ("regressed", 1)
    assert [verdict.outcome for verdict in report.verdicts if verdict.metric] == ["pass", "regressed"] * 2
    assert report.verdicts[3].loss == pytest.approx(0.2, abs=0.005)


def test_what_is_not_decided_wants_more() -> None:
    """Three slow replicates: three more to confirm; the other case is decided."""
    record = make_record(case(TWO_KEYS[0], count=3, decode=40.0), case(TWO_KEYS[1], count=3), toolchain="tvm-0.27.0")
    report = check(record, baseline_of(), "b.toml")
    assert (report.wanted(TWO_KEYS[0]), report.wanted(TWO_KEYS[1])) == (3, 0)
    assert report.exit_code == 8


def test_another_machine_is_not_compared_but_its_build_is() -> None:
    """However fast or slow it is: missing, with the reason. What needs no device is judged all the same."""
    larger = make_artifact(TWO_KEYS[0], bits_per_param=8.0, model_lib_bytes=2**30, resolved_target="another processor")
    environment = make_environment(fingerprint=sha("another"), device="Orin")
    record = make_record(case(TWO_KEYS[0], artifact=larger), case(TWO_KEYS[1]), environment=environment)
    report = check(record, baseline_of(), "b.toml")
    assert outcomes(report) == [
        ("regressed", "more_bits_per_param"),
        ("missing", "other_environment"),
        ("pass", "same_build"),
        ("missing", "other_environment"),
    ]
    assert "Orin" in report.verdicts[1].text


def test_another_machine_is_compared_with_what_was_measured_beside_it() -> None:
    """The ratio on one machine holds on any machine."""
    environment = make_environment(fingerprint=sha("another"))
    reference = make_record(*cases(), environment=environment)
    candidate = make_record(*cases(), toolchain="tvm-0.27.0", environment=environment)
    report = check(candidate, baseline_of(), "b.toml", Beside(record=reference))
    assert (report.against, report.reference_record) == ("measured", reference.id)
    # Every block shows the very same ratio: that is no measurement.
    assert {verdict.reason for verdict in report.verdicts if verdict.metric} <= {"no_variance", "needs_more_replicates"}
    slow = _reversed(cases(decode=40.0, count=8))
    slower = make_record(*slow, toolchain="tvm-0.27.0", environment=environment)
    beside = Beside(record=make_record(*cases(count=8), environment=environment))
    report = check(slower, baseline_of(), "b.toml", beside)
    assert [verdict.outcome for verdict in report.verdicts if verdict.metric] == ["pass", "regressed"] * 2


def _reversed(results: Sequence[CaseResult]) -> list[CaseResult]:
    """The cases with their replicates' values in reversed order, at the moments as they were."""
    return [
        msgspec.structs.replace(
            result,
            replicates=tuple(
                msgspec.structs.replace(replicate, started_at=other.started_at)
                for replicate, other in zip(result.replicates[::-1], result.replicates, strict=True)
            ),
        )
        for result in results
    ]


def test_a_machine_that_moved_is_told_from_code_that_moved() -> None:
    """The reference's own build is 20 % off its stored runs: the verdict is about the runner."""
    reference = make_record(*cases(decode=40.0, count=8))
    candidate = make_record(*_reversed(cases(decode=40.0, count=8)), toolchain="tvm-0.27.0")
    report = check(candidate, baseline_of(), "b.toml", Beside(record=reference))
    speed = [(verdict.metric, verdict.outcome, verdict.reason) for verdict in report.verdicts if verdict.metric][:2]
    assert speed == [
        ("prefill_tokens_per_s", "pass", "within_tolerance"),
        ("decode_tokens_per_s", "inconclusive", "runner_drifted"),
    ]
    assert "the reference's own build is 20.1% off its stored runs" in report.verdicts[3].text
    asked = check(candidate, baseline_of(), "b.toml", Beside(record=reference, stands_in=False))
    assert "runner_drifted" not in {verdict.reason for verdict in asked.verdicts}


def test_a_reference_that_was_resolved_anew_does_not_stand_in() -> None:
    """20 % slower than stored, and so is the reference's toolchain, which is another one by now: red, not green."""
    candidate = make_record(*_reversed(cases(decode=40.0, count=8)), toolchain="tvm-0.27.0")
    anew = make_record(*cases(decode=40.0, count=8), toolchain=make_toolchain(fingerprint=sha("a newer tvm-ffi")))
    report = check(candidate, baseline_of(), "b.toml", Beside(record=anew))
    assert [verdict.outcome for verdict in report.verdicts if verdict.metric] == ["pass", "regressed"] * 2
    assert {verdict.decision.form for verdict in report.verdicts if verdict.decision} == {"two_sample"}


def test_a_case_that_was_not_measured_beside_keeps_its_verdict() -> None:
    """One case changed and was seen again; the reference does not build the other any more."""
    slow = [case(TWO_KEYS[0], count=8, decode=40.0), case(TWO_KEYS[1], count=3)]
    candidate = make_record(*_reversed(slow), toolchain="tvm-0.27.0")
    again = make_record(case(TWO_KEYS[0], count=4), make_broken(TWO_KEYS[1]))
    report = check(candidate, baseline_of(), "b.toml", Beside(record=again))
    forms = [(verdict.case, verdict.decision.form) for verdict in report.verdicts if verdict.decision]
    assert forms == [(TWO_KEYS[0], "paired")] * 2 + [(TWO_KEYS[1], "two_sample")] * 2
    first = report.verdicts[3].first
    assert first is not None
    assert first.form == "two_sample"
    assert first.loss == pytest.approx(0.2, abs=0.005)


def test_replicates_taken_otherwise_are_not_compared() -> None:
    """Other repeats, another seed or other prompts are another measurement."""
    record = make_record(*cases(), method=Method(warmups=1, repeats=1, seed=7))
    assert ("missing", "other_method") in outcomes(check(record, baseline_of(), "b.toml"))


def test_another_harness_is_not_compared() -> None:
    """Rates of two bench workers are not rates of two toolchains."""
    report = check(make_record(*cases(), harness=sha("another")), baseline_of(), "b.toml")
    assert [verdict.reason for verdict in report.verdicts] == ["same_build", "other_harness"] * 2


def test_a_baseline_without_references_judges_nothing() -> None:
    """No reference, no green."""
    report = check(make_record(*cases()), parse_baseline(TWO_CASES, "b.toml"), "b.toml")
    assert {verdict.reason for verdict in report.verdicts} == {"no_reference"}
    assert report.exit_code == 8


def test_a_vanished_case_and_a_broken_one_are_said() -> None:
    """On any machine: that it does not build needs no comparison."""
    record = make_record(make_broken(TWO_KEYS[0]), environment=make_environment(fingerprint=sha("another")))
    report = check(record, baseline_of(), "b.toml")
    assert [verdict.reason for verdict in report.verdicts] == ["does_not_build", "case_vanished"]
    assert report.exit_code == 5


def test_a_broken_reference_gives_no_verdict_on_speed() -> None:
    """Where the reference toolchain does not run, there is nothing to compare with."""
    reference = make_record(*(make_broken(key) for key in TWO_KEYS))
    elsewhere = make_environment(fingerprint=sha("another"))
    report = check(make_record(*cases(), environment=elsewhere), baseline_of(), "b.toml", Beside(record=reference))
    assert {verdict.reason for verdict in report.verdicts} == {"no_reference"}
    assert "the reference toolchain tvm-0.26.0 is broken here: tvm::s_tir::Tensorize" in report.verdicts[0].text


def test_other_weights_under_the_same_name_are_not_compared() -> None:
    """A folder whose content changed, or a repository and a preset of one name."""
    artifact = make_artifact(TWO_KEYS[0], model=Model(source="path:m", name="m", digest=sha("another")))
    record = make_record(case(TWO_KEYS[0], artifact=artifact), case(TWO_KEYS[1]))
    report = check(record, baseline_of(), "b.toml")
    assert report.verdicts[0].reason == "other_model"
    assert report.exit_code == 8


def test_faster_with_other_answers_is_not_green() -> None:
    """A build that skips work is fast: its tokens tell."""
    other = [
        msgspec.structs.replace(each, token_ids=(1, 2, 9), logits_sha256=sha("other"))
        for each in case(TWO_KEYS[0], decode=80.0).replicates
    ]
    record = make_record(case(TWO_KEYS[0], replicates=tuple(other)), case(TWO_KEYS[1]), toolchain="tvm-0.27.0")
    report = check(record, baseline_of(), "b.toml")
    assert ("inconclusive", "other_answers") in outcomes(report)
    assert ("improved", "faster_than_tolerance") in outcomes(report)
    assert report.exit_code == 8
    beside = make_record(*cases())
    apart = {TWO_KEYS[0]: Agreement(positions=129, top1=0.4, kl_nats=1.5)}
    compared = check(record, baseline_of(), "b.toml", Beside(record=beside, stands_in=False, agreements=apart))
    assert ("regressed", "other_answers") in outcomes(compared)


def test_a_published_rate_is_compared_on_its_device_alone() -> None:
    """By the name of the device; nothing else of the machine is known."""
    baseline = parse_baseline(TWO_CASES, "b.toml")
    published = Published(
        source="a forum post", device="EPYC", values={"decode_tokens_per_s": 50.2, "prefill_tokens_per_s": 1000.0}
    )
    baseline = msgspec.structs.replace(
        baseline, cases=tuple(msgspec.structs.replace(each, published=published) for each in baseline.cases)
    )
    report = check(make_record(*cases(count=3)), baseline, "b.toml")
    assert outcomes(report) == [("pass", "within_tolerance")] * 4
    elsewhere = make_environment(device="Orin", fingerprint=sha("another"))
    report = check(make_record(*cases(count=3), environment=elsewhere), baseline, "b.toml")
    assert {verdict.reason for verdict in report.verdicts} == {"other_environment"}


def test_builds_are_judged_without_a_device() -> None:
    """Artifacts alone; broken ones, vanished ones and ones that the baseline does not know are said."""
    record = make_record(case(TWO_KEYS[0], replicates=()), make_broken(TWO_KEYS[1]))
    report = judge_builds(record, baseline_of(), "b.toml")
    assert outcomes(report) == [("pass", "same_build"), ("broken", "does_not_build")]
    report = judge_builds(make_record(case(TWO_KEYS[0])), parse_baseline(TWO_CASES, "b.toml"), "b.toml")
    assert outcomes(report) == [("missing", "no_reference"), ("missing", "case_vanished")]


def test_a_build_that_fell_back_is_red_with_a_reference_and_without() -> None:
    """And in a check of its rates, too: they are rates of something else than was asked for."""
    finding = Finding(code="fell_back", text="flashinfer was asked for")
    fallen = make_artifact(TWO_KEYS[0], mlc=make_mlc_build(findings=(finding,)))
    record = make_record(case(TWO_KEYS[0], artifact=fallen), case(TWO_KEYS[1]))
    report = judge_builds(record, baseline_of(), "b.toml")
    assert outcomes(report) == [("regressed", "fell_back"), ("pass", "same_build"), ("pass", "same_build")]
    assert report.exit_code == 1
    without = parse_baseline(TWO_CASES, "b.toml")
    assert outcomes(judge_builds(record, without, "b.toml"))[:2] == [
        ("regressed", "fell_back"),
        ("missing", "no_reference"),
    ]
    assert outcomes(check(record, baseline_of(), "b.toml"))[:2] == [("regressed", "fell_back"), ("pass", "same_build")]
    assert outcomes(check(record, without, "b.toml"))[0] == ("regressed", "fell_back")


def test_replicates_of_the_same_moment_are_not_judged() -> None:
    """One run given twice would look like two that agree."""
    twice = tuple(make_replicate(1000, rate) for rate in (50.0, 50.1, 49.9))
    report = check(make_record(case(TWO_KEYS[0], replicates=twice), case(TWO_KEYS[1])), baseline_of(), "b.toml")
    assert ("inconclusive", "duplicate_runs") in outcomes(report)


HOT = Discarded(started_at=NOON, reason="throttled", text="the device was throttled: hw_thermal_slowdown")


@pytest.mark.parametrize("decode", [30.0, 50.0, 70.0])
def test_a_case_that_could_not_be_measured_in_peace_is_neither_green_nor_red(decode: float) -> None:
    """Whatever the replicates say that were kept: the device was in no state to be measured on."""
    given_up = [case(TWO_KEYS[0], decode=decode, discarded=(HOT,) * 3, gave_up="throttled")]
    record = make_record(*given_up, case(TWO_KEYS[1]), toolchain="tvm-0.27.0")
    report = check(record, baseline_of(), "b.toml")
    build, verdict = (each for each in report.verdicts if each.case == TWO_KEYS[0])
    assert build.reason == "same_build"  # known without a device
    assert (verdict.outcome, verdict.reason) == ("inconclusive", "throttled")
    assert verdict.text == (
        "3 replicates discarded (throttled 3 times), the last because the device was throttled: hw_thermal_slowdown"
    )
    assert verdict.more == 0
    assert {each.outcome for each in report.verdicts if each.case == TWO_KEYS[1]} == {"pass"}


@pytest.mark.parametrize("kept", [0, 6])
def test_a_reference_that_could_not_be_measured_in_peace_judges_nothing(kept: int) -> None:
    """Side by side, whether some of its replicates were kept or none."""
    environment = make_environment(fingerprint=sha("another"))
    beside = [case(key, count=kept, discarded=(HOT,), gave_up="throttled") for key in TWO_KEYS]
    candidate = make_record(*cases(decode=30.0), toolchain="tvm-0.27.0", environment=environment)
    report = check(candidate, baseline_of(), "b.toml", Beside(record=make_record(*beside, environment=environment)))
    assert set(outcomes(report)) <= {("inconclusive", "throttled"), ("pass", "same_build")}
    assert {verdict.text.partition("1")[0] for verdict in report.verdicts if verdict.reason == "throttled"} == {
        "of the reference, "
    }


def test_what_was_discarded_on_the_way_is_said() -> None:
    """The verdict is one, and says how it was come by."""
    record = make_record(case(TWO_KEYS[0], discarded=(HOT,)), case(TWO_KEYS[1]), toolchain="tvm-0.27.0")
    verdicts = [each for each in check(record, baseline_of(), "b.toml").verdicts if each.metric]
    said = {each.case for each in verdicts if each.text.endswith("; 1 replicate discarded (throttled)")}
    assert {each.outcome for each in verdicts} == {"pass"}
    assert said == {TWO_KEYS[0]}
