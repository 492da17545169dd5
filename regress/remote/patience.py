"""How often and how long an exchange is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.remote.exchange import OutrunError, UnreachableError

if TYPE_CHECKING:
    from tenacity import RetryCallState, Retrying

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0
MOST_UNREACHABLE = 4
"""Attempts to reach a remote that does not answer: whoever waits for it wants to know."""


def patience(timeout_s: float) -> Retrying:
    """Attempts until one is not outrun, with waits by chance between them, so that many writers spread out.

    Args:
        timeout_s: Seconds after which no further attempt is begun.
    """
    from tenacity import (  # noqa: PLC0415  # 0.1 s that no other command needs
        Retrying,
        retry_if_exception_type,
        stop_after_delay,
        wait_random_exponential,
    )

    return Retrying(
        retry=retry_if_exception_type((OutrunError, UnreachableError)),
        stop=lambda state: stop_after_delay(timeout_s)(state) or _gave_up(state),
        wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S),
        reraise=True,
    )


def _gave_up(state: RetryCallState) -> bool:
    """Whether the remote did not answer often enough."""
    error = state.outcome.exception() if state.outcome else None
    return isinstance(error, UnreachableError) and state.attempt_number >= MOST_UNREACHABLE
