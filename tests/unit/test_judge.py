"""One case of a record against its reference."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from factories import CASE, NOON, make_artifact, make_case, make_record, make_reference, make_replicate, make_toolchain

from regress.judge import judge_speed, measured_roofline
from regress.rule import Parameters
from regress.stats import Prior

if TYPE_CHECKING:
    from regress.record import CaseResult
    from regress.verdict import Reference, Verdict

STEADY = (50.0, 50.1, 49.9, 50.05, 49.95, 50.02, 49.98, 50.07, 49.93, 50.03)
SLOW = tuple(value * 0.8 for value in STEADY[:6])
METRIC = "decode_tokens_per_s"


def case(decode: tuple[float, ...], **changes: Any) -> CaseResult:  # noqa: ANN401
    return make_case(prefill=[1000.0 + index for index in range(len(decode))], decode=decode, **changes)


def reference(**changes: Any) -> Reference:  # noqa: ANN401
    return make_reference(make_record(case(STEADY)), **changes)


def judge(
    result: CaseResult, against: Reference | None = None, toolchain: str = "tvm-0.27.0", bandwidth: float | None = None
) -> Verdict:
    parameters = {METRIC: Parameters(tolerance=0.05)}
    (verdict,) = judge_speed(against or reference(), result, make_toolchain(toolchain), parameters, bandwidth)
    return verdict


def test_the_rule_decides_and_its_numbers_are_kept() -> None:
    """Loss, tolerance, both sides' replicates and a sentence with all of it."""
    verdict = judge(case(SLOW))
    assert (verdict.outcome, verdict.reason) == ("regressed", "slower_than_tolerance")
    assert verdict.decision is not None
    assert verdict.loss == verdict.decision.loss == pytest.approx(0.2, abs=0.002)
    assert verdict.baseline is not None
    assert verdict.baseline.values == STEADY
    assert verdict.candidate is not None
    assert verdict.candidate.values == SLOW
    assert verdict.text.startswith("decode rate: confirmed slower than the tolerance: loss 20.0% [")
    assert ", tolerance 5.0%, 3 replicates and 3 to confirm against 10 stored, smallest visible loss " in verdict.text


def test_a_difference_of_identical_builds_is_noise() -> None:
    """The rule's own word stays in the decision: it is a free check of the rule."""
    verdict = judge(case(SLOW), toolchain="tvm-0.26.0")
    assert (verdict.outcome, verdict.reason, verdict.identical) == ("inconclusive", "identical_build", True)
    assert verdict.decision is not None
    assert verdict.decision.outcome == "regressed"
    assert "same byte for byte, so this is noise" in verdict.text
    same = judge(case(STEADY[:3]), toolchain="tvm-0.26.0")
    assert (same.outcome, same.identical) == ("pass", True)


@pytest.mark.parametrize("change", [{"model_lib_sha256": "0" * 64}, {"param_bytes": 1}])
def test_one_byte_more_is_another_build(change: dict[str, Any]) -> None:
    """Then a loss is a loss."""
    verdict = judge(case(SLOW, artifact=make_artifact(**change)), toolchain="tvm-0.26.0")
    assert (verdict.outcome, verdict.identical) == ("regressed", False)


def test_a_rate_beyond_the_memory_is_not_believed() -> None:
    """4,500 bytes of parameters at 50 steps/s move at least 202,500 bytes/s."""
    assert judge(case(STEADY), bandwidth=204_000).outcome == "pass"
    verdict = judge(case(STEADY), bandwidth=200_000)
    assert (verdict.outcome, verdict.reason) == ("inconclusive", "above_roofline")
    assert "50.1 tokens/s is beyond the 49.4 that the memory allows" in verdict.text


@pytest.mark.parametrize(
    ("target", "measured", "roofline"),
    [
        ("cuda", 200_000.0, 220_000.0),
        ("cuda-sm_90", 200_000.0, 220_000.0),
        ("llvm", 200_000.0, None),
        ("cuda", None, None),
    ],
)
def test_a_session_measures_the_roofline_of_a_gpu(target: str, measured: float | None, roofline: float | None) -> None:
    """A tenth above what a copy moves; a processor's memory is none, for a small model lies in its caches."""
    result = make_case(f"tiny/q4f16_1/{target}/p64+16")
    record = make_record(result, memory_bandwidth_bytes_per_s=measured)
    found = measured_roofline(record, result)
    assert found == (None if roofline is None else pytest.approx(roofline))


def test_a_metric_that_vanished_is_missing() -> None:
    """On either side, and never green."""
    parameters = {"energy_per_token_j": Parameters(tolerance=0.05)}
    (verdict,) = judge_speed(reference(), case(STEADY), make_toolchain(), parameters)
    assert (verdict.outcome, verdict.reason) == ("missing", "no_reference")
    known = reference(sessions=({"energy_per_token_j": STEADY},))
    (verdict,) = judge_speed(known, case(STEADY), make_toolchain(), parameters)
    assert (verdict.outcome, verdict.reason) == ("missing", "metric_vanished")


def test_a_clock_that_went_back_and_a_replicate_given_twice_are_not_judged() -> None:
    """What ran when is not known; what ran once does not count twice."""
    minutes = [NOON + timedelta(minutes=minute) for minute in (0, 2, 1)]
    back = tuple(
        make_replicate(1000 + index, rate, at=at) for index, (rate, at) in enumerate(zip(STEADY, minutes, strict=False))
    )
    assert judge(case(STEADY, replicates=back)).reason == "clock_went_back"
    twice = case(STEADY).replicates
    assert judge(case(STEADY, replicates=(*twice[:2], twice[1]))).reason == "duplicate_runs"


def test_published_and_side_by_side_references_are_judged_in_their_form() -> None:
    """The sentence says what was compared with."""
    published = judge(case(STEADY[:3]), reference(form="one_sample", sessions=({METRIC: (50.2,)},)))
    assert published.decision is not None
    assert published.decision.form == "one_sample"
    assert "against a published value whose spread is not known" in published.text
    paired = judge(case(STEADY[2:6]), reference(form="paired"))
    assert "4 blocks side by side" in paired.text


def test_an_earlier_spread_is_taken_into_account() -> None:
    """A key that was noisy before needs more to be believed."""
    calm, warned = (
        judge(case(STEADY[:3]), reference(earlier=earlier)).decision
        for earlier in ({}, {METRIC: Prior(sd=0.03, degrees=10)})
    )
    assert calm is not None
    assert warned is not None
    assert warned.visible_loss > calm.visible_loss  # type: ignore[operator]


def test_a_metric_that_only_some_replicates_have_is_missing() -> None:
    """Otherwise further replicates would be asked for without end."""
    replicates = [*case(STEADY[:4]).replicates]
    samples = {name: values for name, values in replicates[2].samples.items() if name != METRIC}
    replicates[2] = msgspec.structs.replace(replicates[2], samples=samples)
    verdict = judge(case(STEADY, replicates=tuple(replicates)))
    assert (verdict.outcome, verdict.reason) == ("missing", "metric_vanished")
    assert verdict.text == "3 of 4 replicates in the record have decode_tokens_per_s"


def test_the_numbers_beside_a_verdict_are_those_that_decided() -> None:
    """Replicates that came after the look do not stand beside its loss."""
    verdict = judge(case((*STEADY[:3], 90.0, 95.0)))
    assert verdict.candidate is not None
    assert verdict.candidate.values == STEADY[:3]


def test_the_case_is_named() -> None:
    """Verdicts of many cases stand in one report."""
    assert judge(case(STEADY)).case == CASE
