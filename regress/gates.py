"""Deterministic gates: what a build changed, known without a device and without noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from regress.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from regress.artifact import Artifact, BuildFacts
    from regress.verdict import Outcome, Reason

GATES: dict[str, float] = {"bits_per_param": 0.001, "planned_memory_bytes": 0.1, "model_lib_bytes": 0.25}
"""Gate to the largest growth that passes, as a fraction; `[gates]` of a baseline sets others."""
_MOST_NAMES = 3


def judge_build(case: str, before: BuildFacts, after: BuildFacts, gates: Mapping[str, float]) -> list[Verdict]:
    """The verdicts on a build: each thing that grew beyond its gate, or one that says what changed.

    Args:
        case: Key of the case.
        before: The reference's build.
        after: The candidate's.
        gates: Gate to the largest growth that passes, as a fraction.
    """
    grown = [
        verdict
        for quantity in _quantities(before, after)
        if (verdict := _judge_growth(case, quantity, gates)) is not None
    ]
    found = [*grown, *_kv_cache(case, before.kv_cache, after.kv_cache)]
    return found or [_unchanged(case, before, after)]


def judge_findings(case: str, artifact: Artifact) -> list[Verdict]:
    """The verdict on each thing that was asked of a build and is not in it: what was asked for is not what would run.

    No reference is needed for that, and none excuses it.
    """
    found = artifact.mlc.findings if artifact.mlc else ()
    return [Verdict(case=case, outcome="regressed", reason=each.code, text=f"build: {each.text}") for each in found]


@dataclass(frozen=True, kw_only=True)
class _Quantity:
    """Something that a gate keeps from growing."""

    gate: str
    reason: Reason
    label: str
    before: float
    after: float


def _quantities(before: BuildFacts, after: BuildFacts) -> Iterator[_Quantity]:
    """What the gates look at; code and plans of another target are not compared."""
    yield _Quantity(
        gate="bits_per_param",
        reason="more_bits_per_param",
        label="bits per parameter",
        before=before.bits_per_param,
        after=after.bits_per_param,
    )
    if before.resolved_target != after.resolved_target:
        return
    # By function: a decode step that plans twice as much is not hidden by a prefill that plans a thousand times more.
    for function, planned in sorted(after.planned_memory_bytes.items()):
        yield _Quantity(
            gate="planned_memory_bytes",
            reason="more_planned_memory",
            label=f"bytes of memory planned for {function}",
            before=before.planned_memory_bytes.get(function, 0),
            after=planned,
        )
    yield _Quantity(
        gate="model_lib_bytes",
        reason="larger_library",
        label="bytes of the model library",
        before=before.model_lib_bytes,
        after=after.model_lib_bytes,
    )


def _judge_growth(case: str, quantity: _Quantity, gates: Mapping[str, float]) -> Verdict | None:
    """The verdict that a quantity grew beyond its gate; `None` where it did not."""
    tolerance = gates[quantity.gate]
    if quantity.after <= quantity.before * (1 + tolerance):
        return None
    grown = quantity.after / quantity.before - 1 if quantity.before else None
    size = "from nothing" if grown is None else f"{grown:+.1%}"
    text = f"{quantity.label} {quantity.before:,g} -> {quantity.after:,g}: {size}, {tolerance:.1%} allowed"
    return Verdict(case=case, outcome="regressed", reason=quantity.reason, text=text, loss=grown, tolerance=tolerance)


def _kv_cache(case: str, before: str, after: str) -> list[Verdict]:
    """FlashInfer that fails to build falls back to TVM's own kernels without a word."""
    if before == after:
        return []
    had, has = "flashinfer" in before, "flashinfer" in after
    outcome: Outcome = "inconclusive" if had == has else "regressed" if had else "improved"
    text = f"the KV cache is made by {after}, in the reference by {before}"
    return [Verdict(case=case, outcome=outcome, reason="kv_cache_changed", text=text)]


def _unchanged(case: str, before: BuildFacts, after: BuildFacts) -> Verdict:
    """The verdict on a build inside all gates, with what is known to differ."""
    if before.model_lib_sha256 == after.model_lib_sha256 and before.param_bytes == after.param_bytes:
        text = f"build: the model library is the reference's, byte for byte ({len(after.kernels)} kernels)"
        return Verdict(case=case, outcome="pass", reason="same_build", text=text)
    size = after.model_lib_bytes / before.model_lib_bytes - 1
    if before.resolved_target != after.resolved_target:
        text = f"build: for another target than the reference's, {after.bits_per_param:.2f} bits per parameter"
        return Verdict(case=case, outcome="pass", reason="build_changed", text=text)
    text = f"build: {kernel_changes(before, after)}, library {size:+.2%}, {after.bits_per_param:.2f} bits per parameter"
    return Verdict(case=case, outcome="pass", reason="build_changed", text=text)


def kernel_changes(before: BuildFacts, after: BuildFacts) -> str:
    """Which kernels are new, gone or other than in the reference, as words."""
    new = sorted(after.kernels.keys() - before.kernels.keys())
    gone = sorted(before.kernels.keys() - after.kernels.keys())
    other = sorted(name for name in after.kernels.keys() & before.kernels.keys() if _differs(name, before, after))
    if not (new or gone or other):
        return f"all {len(after.kernels)} kernels as in the reference"
    parts = [
        f"{len(names)} {word}{_named(names)}"
        for names, word in ((other, "changed"), (new, "new"), (gone, "gone"))
        if names
    ]
    return f"of {len(after.kernels)} kernels " + ", ".join(parts)


def _differs(name: str, before: BuildFacts, after: BuildFacts) -> bool:
    return before.kernels[name] != after.kernels[name]


def _named(names: list[str]) -> str:
    """A few names in brackets; nothing of many, which the records hold."""
    return f" ({', '.join(names)})" if len(names) <= _MOST_NAMES else ""
