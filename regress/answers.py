"""The correctness gate: a build that answers otherwise is not green, however fast it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regress.record import Failure
from regress.verdict import Agreement, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regress.record import CaseResult
    from regress.replicate import Replicate
    from regress.verdict import Outcome, Reason, Reference


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What answers may differ by where both builds are at hand.

    Attributes:
        top1: Smallest share of positions at which both find the same token the likeliest.
        kl_nats: Largest mean Kullback-Leibler divergence, in nats.
    """

    top1: float = 0.95
    kl_nats: float = 0.01


def judge_answers(
    reference: Reference, result: CaseResult, agreement: Agreement | Failure | None, limits: Limits
) -> list[Verdict]:
    """The verdict on the first prompt's greedy tokens and logits; empty where the reference's are not known.

    Args:
        reference: With the tokens and the digest to compare with.
        result: What was measured: at least one replicate.
        agreement: How alike both builds answer, or why that could not be found out; `None` where nobody compared them.
        limits: What they may differ by.
    """
    case, candidate = result.key, result.replicates[0]
    # Logits alone may differ in their last bits from run to run on a GPU that adds in any order.
    if len({_told(replicate) for replicate in result.replicates}) > 1:
        what = "greedy tokens differ" if candidate.token_ids else "text differs"
        return [_verdict(case, "inconclusive", "unsteady_answers", f"the {what} from process to process")]
    if _told(reference) == ((), None):
        return []
    if reference.logits_sha256 is not None and reference.logits_sha256 == candidate.logits_sha256:
        return [_verdict(case, "pass", "same_answers", "the logits are the reference's, bit for bit")]
    if agreement is not None:
        return [_judge_agreement(case, agreement, limits)]
    if _told(reference) == _told(candidate):
        return [_verdict(case, "pass", "same_tokens", _sameness(candidate))]
    return [_verdict(case, "inconclusive", "other_answers", _difference(reference, candidate))]


def _told(by: Reference | Replicate) -> tuple[tuple[int, ...], str | None]:
    """What was generated, as finely as the harness tells it: the tokens, or else a digest of the text."""
    return by.token_ids, by.text_sha256 or None


def _sameness(candidate: Replicate) -> str:
    if not candidate.token_ids:
        return "the same text; the harness tells neither tokens nor logits"
    source = "from other logits" if candidate.logits_sha256 else "of which the harness tells no logits"
    return f"the same {len(candidate.token_ids)} greedy tokens, {source}"


def _difference(reference: Reference, candidate: Replicate) -> str:
    if not candidate.token_ids:
        return "the text differs from the reference's; the harness tells neither tokens nor logits"
    at = first_difference(reference.token_ids, candidate.token_ids)
    return f"the greedy tokens differ from the reference's from token {at} on; `regress compare` says by how much"


def _judge_agreement(case: str, agreement: Agreement | Failure, limits: Limits) -> Verdict:
    if isinstance(agreement, Failure):
        text = f"the logits differ from the reference's, and could not be compared: {agreement.cause}"
        return _verdict(case, "inconclusive", "other_answers", text)
    alike = agreement.top1 >= limits.top1 and agreement.kl_nats <= limits.kl_nats
    outcome: Outcome = "pass" if alike else "regressed"
    reason: Reason = "agreeing_answers" if alike else "other_answers"
    text = (
        f"top-1 agreement {agreement.top1:.1%} ({limits.top1:.1%} required), KL divergence {agreement.kl_nats:.2g} "
        f"nats ({limits.kl_nats:g} allowed), over {agreement.positions} tokens"
    )
    return _verdict(case, outcome, reason, text, agreement)


def _verdict(case: str, outcome: Outcome, reason: Reason, text: str, agreement: Agreement | None = None) -> Verdict:
    return Verdict(case=case, outcome=outcome, reason=reason, text=f"answers: {text}", agreement=agreement)


def first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    """Index of the first token that differs; the length of the shorter where it begins the other."""
    shorter = min(len(one), len(other))
    return next((index for index in range(shorter) if one[index] != other[index]), shorter)


def agreement_of(reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> Agreement:
    """How alike two builds answer.

    Args:
        reference: Logits after each of the same tokens, shape `(tokens, vocab_size)`.
        candidate: The other build's, of the same shape.

    Raises:
        ValueError: The shapes differ, or a logit is no finite number.
    """
    if reference.shape != candidate.shape:
        raise ValueError(f"logits of shape {candidate.shape} cannot be compared with {reference.shape}")
    if not (np.isfinite(reference).all() and np.isfinite(candidate).all()):
        raise ValueError("a logit is not finite")
    ours, theirs = _log_probabilities(candidate), _log_probabilities(reference)
    divergence = (np.exp(theirs) * (theirs - ours)).sum(axis=1)
    return Agreement(
        positions=len(reference),
        top1=float((reference.argmax(axis=1) == candidate.argmax(axis=1)).mean()),
        kl_nats=max(float(divergence.mean()), 0.0),
    )


def _log_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    probabilities: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return probabilities
