"""A record against a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from factories import make_artifact, make_broken, make_case, make_environment, make_record, sha

from regress.baseline import Baseline, parse_baseline, with_references
from regress.check import check
from regress.record import Model

if TYPE_CHECKING:
    from regress.record import CaseResult

KEYS = ("llama-mini/q4f32_1/llvm/p16+128", "llama-mini/q4f32_1/llvm/p64+16")
CASE = """
[[cases]]
model = "synthetic:llama-mini"
quantization = "q4f32_1"
target = "llvm"
prompt_tokens = {}
new_tokens = {}
"""
TEXT = 'runner = "cpu"\ntoolchain = "tvm-0.26.0"\n' + CASE.format(16, 128) + CASE.format(64, 16)


def cases(**changes: Any) -> list[CaseResult]:  # noqa: ANN401  # whatever a case can have
    return [make_case(key, **changes) for key in KEYS]


def baseline_of(*, stored: bool = True) -> Baseline:
    text = with_references(TEXT, "b.toml", [make_record(*cases())]) if stored else TEXT
    return parse_baseline(text, "b.toml")


def test_an_unchanged_record_passes() -> None:
    """All cases, all metrics, against the stored reference."""
    report = check(make_record(*cases()), baseline_of(), "b.toml")
    assert [verdict.outcome for verdict in report.verdicts] == ["pass"] * 4
    assert (report.exit_code, report.against, report.reference_toolchain) == (0, "stored", "tvm-0.26.0")


def test_a_slower_record_fails() -> None:
    """Decode at 40 where 50 is stored."""
    record = make_record(*cases(replicates=make_case(decode=(40.0,) * 3).replicates))
    report = check(record, baseline_of(), "b.toml")
    assert (report.outcome, report.exit_code) == ("regressed", 1)
    assert report.verdicts[1].loss == pytest.approx(0.2)


def test_another_machine_is_not_compared() -> None:
    """However fast or slow it is: missing, with the reason."""
    record = make_record(*cases(), environment=make_environment(fingerprint=sha("another"), device="Orin"))
    report = check(record, baseline_of(), "b.toml")
    assert {verdict.reason for verdict in report.verdicts} == {"other_environment"}
    assert report.exit_code == 8
    assert "Orin" in report.verdicts[0].text


def test_another_machine_is_compared_with_what_was_measured_beside_it() -> None:
    """The ratio on one machine holds on any machine."""
    environment = make_environment(fingerprint=sha("another"))
    reference = make_record(*cases(), environment=environment)
    candidate = make_record(*cases(), toolchain="tvm-0.27.0", environment=environment)
    report = check(candidate, baseline_of(), "b.toml", reference)
    assert (report.outcome, report.against, report.reference_record) == ("pass", "measured", reference.id)


def test_another_harness_is_not_compared() -> None:
    """Rates of two bench workers are not rates of two toolchains."""
    report = check(make_record(*cases(), harness=sha("another")), baseline_of(), "b.toml")
    assert {verdict.reason for verdict in report.verdicts} == {"other_harness"}


def test_a_baseline_without_references_judges_nothing() -> None:
    """No reference, no green."""
    report = check(make_record(*cases()), baseline_of(stored=False), "b.toml")
    assert {verdict.reason for verdict in report.verdicts} == {"no_reference"}


def test_a_vanished_case_and_a_broken_one_are_said() -> None:
    """On any machine: that it does not build needs no comparison."""
    record = make_record(make_broken(KEYS[0]), environment=make_environment(fingerprint=sha("another")))
    report = check(record, baseline_of(), "b.toml")
    assert [verdict.reason for verdict in report.verdicts] == ["does_not_build", "case_vanished"]
    assert report.exit_code == 5


def test_a_broken_reference_gives_no_verdict_on_speed() -> None:
    """Where the reference toolchain does not run, there is nothing to compare with."""
    reference = make_record(*(make_broken(key) for key in KEYS))
    report = check(make_record(*cases()), baseline_of(), "b.toml", reference)
    assert {verdict.reason for verdict in report.verdicts} == {"no_reference"}
    assert "the reference toolchain tvm-0.26.0 is broken here: tvm::s_tir::Tensorize" in report.verdicts[0].text


def test_other_weights_under_the_same_name_are_not_compared() -> None:
    """A folder whose content changed, or a repository and a preset of one name."""
    artifact = make_artifact(KEYS[0], model=Model(source="path:m", name="m", digest=sha("another")))
    record = make_record(make_case(KEYS[0], artifact=artifact), make_case(KEYS[1]))
    report = check(record, baseline_of(), "b.toml")
    assert [verdict.reason for verdict in report.verdicts][:1] == ["other_model"]
    assert report.exit_code == 8
