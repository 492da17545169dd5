"""Why git did not fetch or push: what may pass, what another mirror cures, and what the user has to mend."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from regress.errors import HistoryError
from regress.remote.exchange import OutrunError, UnreachableError

if TYPE_CHECKING:
    from regress.git import Answer

_NO_BRANCH = re.compile(r"couldn't find remote ref", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"could(n't| not) (resolve|connect)|failed to connect|connection (reset|refused|timed out|closed)|timed out"
    r"|hung up|early eof|rpc failed|returned error: (429|5\d\d)|unexpected disconnect|temporary failure|broken pipe"
    r"|network is unreachable|kex_exchange_identification|\[remote failure\]|internal server error",
    re.IGNORECASE,
)
_OUTRUN = re.compile(
    r"^\[rejected\]|cannot lock ref|failed to (update|lock) ref|incorrect old value|reference already exists"
    r"|shallow update not allowed|missing necessary objects",
    re.IGNORECASE,
)
_NO_RIGHT = re.compile(
    r"authentication failed|could not read (username|password)|permission.* denied|returned error: 40[13]"
    r"|invalid username or|terminal prompts disabled|access denied",
    re.IGNORECASE,
)
KEPT = "nothing is lost: the records stay in the history folder, for the next push"


class Damaged(Exception):  # noqa: N818  # no failure yet: another mirror may cure it
    """git did not do what it should, for a reason that may be the mirror."""

    def __init__(self, error: HistoryError) -> None:
        super().__init__(str(error))
        self.error = error


def no_branch(answer: Answer) -> bool:
    """Whether the remote answered that it has no such branch."""
    return not answer.ok and _NO_BRANCH.search(answer.stderr) is not None


def not_read(shown: str, answer: Answer) -> Exception:
    """What to raise where fetching failed.

    Args:
        shown: What messages call the remote.
        answer: How it failed.
    """
    return _failed(f"{shown}: cannot be read", answer, hint=_hint(answer, "read"))


def not_pushed(shown: str, answer: Answer) -> Exception:
    """What to raise where a push failed.

    Args:
        shown: What messages call the remote.
        answer: How it failed.
    """
    reasons = [line.split("\t")[-1] for line in answer.text.splitlines() if line.startswith("!")]
    if any(_OUTRUN.search(reason) for reason in reasons):
        return OutrunError(f"{shown}: others kept writing first", cause=reasons[0], hint=KEPT)
    if reasons and not _UNREACHABLE.search(reasons[0]):
        # A hook's or the host's own words, where there are any, say more than git's summary of them.
        cause = answer.cause if "remote:" in answer.stderr else reasons[0]
        return HistoryError(f"{shown}: the remote refused the push", cause=cause, hint=KEPT)
    return _failed(f"{shown}: cannot be written", answer, hint=_hint(answer, "write"))


def _failed(message: str, answer: Answer, hint: str) -> Exception:
    error = HistoryError(message, cause=answer.cause, hint=hint)
    if answer.timed_out or _NO_RIGHT.search(answer.stderr):
        return error
    if _UNREACHABLE.search(answer.stderr + answer.text):
        return UnreachableError(message, cause=answer.cause, hint=hint)
    return Damaged(error)


def _hint(answer: Answer, what: str) -> str:
    if _NO_RIGHT.search(answer.stderr):
        return f"git here has no right to {what} there: look at its credential helper, ssh key or token"
    return KEPT if what == "write" else "git's own words stand above; the same address must work for `git ls-remote`"
