"""Deterministic gates: what a build changed, without a device."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from factories import CASE, make_artifact, make_mlc_build, sha

from regress.artifact import BuildFacts, Finding, Kernel
from regress.gates import GATES, judge_build, judge_findings, kernel_changes

KERNELS = tuple(Kernel(name=name, sha256=sha(name)) for name in ("add", "decode", "matmul", "softmax"))
BEFORE = make_artifact(kernels=KERNELS).facts


def facts(**changes: Any) -> BuildFacts:  # noqa: ANN401
    return msgspec.structs.replace(BEFORE, **changes)


def test_the_same_build_is_said_to_be_the_same() -> None:
    """Byte for byte: one verdict, and it says how many kernels."""
    (verdict,) = judge_build(CASE, BEFORE, BEFORE, GATES)
    assert (verdict.outcome, verdict.reason) == ("pass", "same_build")
    assert "byte for byte (4 kernels)" in verdict.text


@pytest.mark.parametrize(
    ("change", "reason", "outcome"),
    [
        ({"bits_per_param": 4.51}, "more_bits_per_param", "regressed"),
        ({"bits_per_param": 4.504}, "build_changed", "pass"),
        ({"bits_per_param": 4.0}, "build_changed", "pass"),
        ({"planned_memory_bytes": {"prefill": 2**20 * 1.2}}, "more_planned_memory", "regressed"),
        ({"planned_memory_bytes": {"prefill": 2**20 * 1.09}}, "build_changed", "pass"),
        ({"planned_memory_bytes": {"prefill": 2**20, "new": 5}}, "more_planned_memory", "regressed"),
        ({"model_lib_bytes": 4 * 2**20}, "larger_library", "regressed"),
        ({"model_lib_bytes": 4 * 2**20, "resolved_target": "another"}, "build_changed", "pass"),
        ({"kv_cache": "create_flashinfer_paged_kv_cache"}, "kv_cache_changed", "improved"),
        ({"kv_cache": "create_rnn_state"}, "kv_cache_changed", "inconclusive"),
    ],
)
def test_each_gate_has_its_reason(change: dict[str, Any], reason: str, outcome: str) -> None:
    """Growth beyond the gate is red, less or inside is not."""
    (verdict,) = judge_build(CASE, BEFORE, facts(model_lib_sha256=sha("other"), **change), GATES)
    assert (verdict.reason, verdict.outcome) == (reason, outcome)


def test_a_lost_flashinfer_is_red() -> None:
    """It falls back to TVM's own kernels without a word, and nobody asked for that."""
    (verdict,) = judge_build(CASE, facts(kv_cache="create_flashinfer_paged_kv_cache"), BEFORE, GATES)
    assert (verdict.outcome, verdict.reason) == ("regressed", "kv_cache_changed")
    renamed = facts(kv_cache="create_flashinfer_paged_kv_cache_v2")
    (verdict,) = judge_build(CASE, facts(kv_cache="create_flashinfer_paged_kv_cache"), renamed, GATES)
    assert verdict.outcome == "inconclusive"


def test_a_small_function_is_not_hidden_by_a_large_one() -> None:
    """Decode plans twice as much, 10 kB; prefill plans 46 MB, as before."""
    before = facts(planned_memory_bytes={"decode": 10_000, "prefill": 46_000_000, "embed": 0})
    after = facts(planned_memory_bytes={"decode": 20_000, "prefill": 46_000_000, "embed": 0}, model_lib_sha256=sha("o"))
    (verdict,) = judge_build(CASE, before, after, GATES)
    assert verdict.text == "bytes of memory planned for decode 10,000 -> 20,000: +100.0%, 10.0% allowed"


def test_all_that_grew_is_named() -> None:
    """Not the first finding alone."""
    verdicts = judge_build(CASE, BEFORE, facts(bits_per_param=8.0, model_lib_bytes=2**30), GATES)
    assert [verdict.reason for verdict in verdicts] == ["more_bits_per_param", "larger_library"]


def test_a_gate_can_be_set() -> None:
    """A baseline that allows a larger library."""
    (verdict,) = judge_build(CASE, BEFORE, facts(model_lib_bytes=4 * 2**20), {**GATES, "model_lib_bytes": 0.5})
    assert verdict.outcome == "pass"


def test_kernels_are_compared_by_name_and_source() -> None:
    """New, gone, other, and how many there are."""
    kernels = {**BEFORE.kernels, "matmul": sha("another"), "fused": sha("fused")}
    del kernels["add"]
    assert (
        kernel_changes(BEFORE, facts(kernels=kernels)) == "of 4 kernels 1 changed (matmul), 1 new (fused), 1 gone (add)"
    )
    assert kernel_changes(BEFORE, BEFORE) == "all 4 kernels as in the reference"
    many = {**BEFORE.kernels, **{f"k{n}": sha(f"{n}") for n in range(5)}}
    assert kernel_changes(BEFORE, facts(kernels=many)) == "of 9 kernels 5 new"


def test_what_was_asked_for_and_not_built_is_red_whatever_the_reference_says() -> None:
    """Each finding by itself; a build of ours, or one as asked, has none."""
    findings = (Finding(code="fell_back", text="x was asked for"), Finding(code="unfused_dequantize", text="decode y"))
    verdicts = judge_findings(CASE, make_artifact(mlc=make_mlc_build(findings=findings)))
    assert [(verdict.outcome, verdict.reason, verdict.aspect) for verdict in verdicts] == [
        ("regressed", "fell_back", "build"),
        ("regressed", "unfused_dequantize", "build"),
    ]
    assert verdicts[0].text == "build: x was asked for"
    assert judge_findings(CASE, make_artifact()) == judge_findings(CASE, make_artifact(mlc=make_mlc_build())) == []
