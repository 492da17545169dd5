"""The correctness gate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from factories import make_case, make_record, make_reference, make_replicate, sha

from regress.answers import Limits, agreement_of, first_difference, judge_answers
from regress.record import Failure
from regress.verdict import Agreement

if TYPE_CHECKING:
    from regress.replicate import Replicate
    from regress.verdict import Reference

REFERENCE = make_reference(make_record())
REPLICATE = make_replicate(1000, 50)


def judged(agreement: Agreement | Failure | None = None, **changes: object) -> tuple[str, str]:
    result = make_case(replicates=(msgspec.structs.replace(REPLICATE, **changes),))
    (verdict,) = judge_answers(REFERENCE, result, agreement, Limits(top1=0.95, kl_nats=0.01))
    return verdict.outcome, verdict.reason


def test_equal_logits_are_the_same_answers() -> None:
    """Bit for bit: nothing more needs to be asked."""
    assert judged() == ("pass", "same_answers")


def test_equal_tokens_from_other_logits_pass() -> None:
    """Rounding differs from compiler to compiler."""
    assert judged(logits_sha256=sha("rounded")) == ("pass", "same_tokens")


def test_other_tokens_are_not_green() -> None:
    """However fast they come: without both builds at hand nobody can say by how much they differ."""
    assert judged(logits_sha256=sha("other"), token_ids=(1, 9, 3)) == ("inconclusive", "other_answers")


@pytest.mark.parametrize(
    ("top1", "kl_nats", "expected"),
    [
        (0.96, 0.009, ("pass", "agreeing_answers")),
        (0.94, 0.001, ("regressed", "other_answers")),
        (1.0, 0.02, ("regressed", "other_answers")),
    ],
)
def test_where_both_are_at_hand_their_agreement_decides(top1: float, kl_nats: float, expected: tuple[str, str]) -> None:
    """Over the tokens, whichever were greedy; both limits hold."""
    agreement = Agreement(positions=100, top1=top1, kl_nats=kl_nats)
    assert judged(agreement, logits_sha256=sha("other"), token_ids=(1, 9, 3)) == expected


def test_a_reference_without_tokens_judges_none() -> None:
    """A published rate says nothing of answers."""
    published = msgspec.structs.replace(REFERENCE, token_ids=(), logits_sha256=None)
    assert judge_answers(published, make_case(), None, Limits()) == []


def test_logits_that_could_not_be_compared_are_not_green() -> None:
    """Both builds are here, and nobody knows how they differ: even equal tokens do not tell."""
    failure = Failure(stage="bench", cause="MemoryError", how="exit status 1")
    assert judged(failure, logits_sha256=sha("rounded")) == ("inconclusive", "other_answers")


def test_what_a_harness_does_not_tell_is_not_taken_for_equal() -> None:
    """Of an engine the tokens are known and no logits; of a chat module the text alone."""
    untold = msgspec.structs.replace(REFERENCE, logits_sha256=None)
    engine = msgspec.structs.replace(REPLICATE, logits_sha256=None)
    assert answers(untold, engine) == "answers: the same 3 greedy tokens, of which the harness tells no logits"
    other = msgspec.structs.replace(engine, token_ids=(1, 9, 3))
    assert answers(untold, other).startswith("answers: the greedy tokens differ from the reference's from token 1 on")
    text = msgspec.structs.replace(untold, token_ids=(), text_sha256=sha("a text"))
    chat = msgspec.structs.replace(engine, token_ids=(), text_sha256=sha("a text"))
    assert answers(text, chat) == "answers: the same text; the harness tells neither tokens nor logits"
    changed = msgspec.structs.replace(chat, text_sha256=sha("another"))
    assert answers(text, changed).startswith("answers: the text differs from the reference's")
    assert answers(text, chat, changed) == "answers: the text differs from process to process"


def answers(reference: Reference, *replicates: Replicate) -> str:
    (verdict,) = judge_answers(reference, make_case(replicates=replicates), None, Limits())
    assert verdict.outcome == ("pass" if "same" in verdict.text else "inconclusive")
    return verdict.text


def test_answers_that_change_from_process_to_process_are_not_green() -> None:
    """The first replicate alone would pass."""
    rounded = msgspec.structs.replace(REPLICATE, logits_sha256=sha("another"))
    (verdict,) = judge_answers(REFERENCE, make_case(replicates=(REPLICATE, rounded)), None, Limits())
    assert (verdict.outcome, verdict.reason) == ("pass", "same_answers")
    other = msgspec.structs.replace(rounded, token_ids=(1, 2, 9))
    (verdict,) = judge_answers(REFERENCE, make_case(replicates=(REPLICATE, other)), None, Limits())
    assert (verdict.outcome, verdict.reason) == ("inconclusive", "unsteady_answers")


def test_agreement_is_top1_and_divergence() -> None:
    """Two positions: one alike, one turned round. KL of (.5, .25, .25) from itself is 0; of (.8, .2) from (.2, .8)
    .8 ln 4 + .2 ln 1/4.
    """
    reference = np.log(np.array([[0.5, 0.25, 0.25], [0.8, 0.2, 1e-30]])).astype(np.float32)
    candidate = np.log(np.array([[0.5, 0.25, 0.25], [0.2, 0.8, 1e-30]])).astype(np.float32) + 3  # a shift is no change
    agreement = agreement_of(reference, candidate)
    assert (agreement.positions, agreement.top1) == (2, 0.5)
    assert agreement.kl_nats == pytest.approx((0.8 * math.log(4) + 0.2 * math.log(0.25)) / 2, rel=1e-5)


def test_logits_of_other_models_are_not_compared() -> None:
    """Another vocabulary is another question."""
    with pytest.raises(ValueError, match=r"shape \(2, 3\) cannot be compared with \(2, 4\)"):
        agreement_of(np.zeros((2, 4), np.float32), np.zeros((2, 3), np.float32))


def test_a_nan_is_no_answer() -> None:
    """It would make the divergence neither large nor small."""
    with pytest.raises(ValueError, match="a logit is not finite"):
        agreement_of(np.zeros((2, 4), np.float32), np.full((2, 4), np.nan, np.float32))


@pytest.mark.parametrize(("one", "other", "at"), [((1, 2, 3), (1, 5, 3), 1), ((1, 2), (1, 2, 3), 2), ((), (1,), 0)])
def test_the_first_other_token_is_found(one: tuple[int, ...], other: tuple[int, ...], at: int) -> None:
    """Also where one is the beginning of the other."""
    assert first_difference(one, other) == at
