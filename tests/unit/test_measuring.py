"""What a command that measures says with its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from factories import NOON, make_broken, make_case, make_record

from regress import errors
from regress.commands.measuring import failure_code
from regress.replicate import Discarded

if TYPE_CHECKING:
    from regress.record import CaseResult

HOT = Discarded(started_at=NOON, reason="throttled", text="it was hot")
GIVEN_UP = make_case("tiny/q0f16/llvm/p64+16", discarded=(HOT,), gave_up="throttled")


@pytest.mark.parametrize(
    ("cases", "code"),
    [
        ([make_case()], errors.EXIT_PASS),
        ([make_case(discarded=(HOT,))], errors.EXIT_PASS),
        ([make_case(), GIVEN_UP], errors.EXIT_INCONCLUSIVE),
        ([GIVEN_UP, make_broken()], errors.EXIT_BUILD),
        ([GIVEN_UP, make_broken(stage="bench")], errors.EXIT_BENCH),
    ],
)
def test_a_record_is_whole_broken_or_incomplete(cases: list[CaseResult], code: int) -> None:
    """A case that could not be measured in peace is not done, though nothing of it failed."""
    assert failure_code(make_record(*cases)) == code
