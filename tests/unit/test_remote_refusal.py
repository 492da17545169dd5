"""What git's failures mean: begin again, take another mirror, or tell the user."""

from __future__ import annotations

import pytest

from regress.errors import HistoryError
from regress.git import Answer
from regress.remote.exchange import OutrunError, UnreachableError
from regress.remote.refusal import Damaged, no_branch, not_pushed, not_read

REF = "0123:refs/heads/regress-history"


def failed(stderr: str = "", printed: str = "", *, timed_out: bool = False) -> Answer:
    return Answer(ok=False, timed_out=timed_out, printed=printed.encode(), stderr=stderr, how="git push: exit status 1")


@pytest.mark.parametrize(
    "reason",
    [
        "[rejected] (fetch first)",
        "[rejected] (non-fast-forward)",
        "[remote rejected] (cannot lock ref 'refs/heads/x': is at 1 but expected 2)",
        "[remote rejected] (failed to update ref)",
        "[remote rejected] (incorrect old value provided)",
        "[remote rejected] (shallow update not allowed)",
        "[remote rejected] (missing necessary objects)",
    ],
)
def test_a_push_that_came_too_late_is_outrun(reason: str) -> None:
    error = not_pushed("there x", failed("error: failed to push some refs\n", f"To x\n!\t{REF}\t{reason}\nDone\n"))
    assert type(error) is OutrunError


@pytest.mark.parametrize(
    ("reason", "stderr", "cause"),
    [
        ("[remote rejected] (pre-receive hook declined)", "remote: error: GH006: no\n", "GH006: no"),
        ("[remote rejected] (pre-receive hook declined)", "", "[remote rejected] (pre-receive hook declined)"),
        ("[remote rejected] (unpacker error)", "error: failed to push\n", "[remote rejected] (unpacker error)"),
    ],
)
def test_a_push_that_is_declined_is_told_at_once(reason: str, stderr: str, cause: str) -> None:
    """In the remote's own words, where it has any."""
    error = not_pushed("there x", failed(stderr, f"!\t{REF}\t{reason}\n"))
    assert type(error) is HistoryError
    assert str(error) == "there x: the remote refused the push"
    assert error.cause == cause


@pytest.mark.parametrize(
    "stderr",
    [
        "fatal: unable to access 'https://x/': Could not resolve host: x",
        "fatal: unable to access 'https://x/': The requested URL returned error: 503",
        "fatal: unable to access 'https://x/': The requested URL returned error: 429",
        "error: RPC failed; HTTP 502 curl 22",
        "fatal: the remote end hung up unexpectedly",
        "fatal: early EOF",
        "ssh: connect to host x port 22: Connection timed out",
    ],
)
def test_what_may_pass_is_tried_again(stderr: str) -> None:
    assert type(not_read("there x", failed(stderr))) is UnreachableError
    assert type(not_pushed("there x", failed(stderr))) is UnreachableError


@pytest.mark.parametrize(
    "stderr",
    [
        "fatal: Authentication failed for 'https://x/'",
        "fatal: could not read Username for 'https://x': terminal prompts disabled",
        "git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.",
        "fatal: unable to access 'https://x/': The requested URL returned error: 403",
    ],
)
def test_who_has_no_right_is_told_at_once(stderr: str) -> None:
    error = not_pushed("there x", failed(stderr))
    assert type(error) is HistoryError
    assert error.hint is not None
    assert "no right to write there" in error.hint


def test_a_remote_that_hangs_is_not_waited_for_twice() -> None:
    assert type(not_read("there x", failed("early EOF", timed_out=True))) is HistoryError


def test_anything_else_may_be_the_mirror() -> None:
    error = not_read("there x", failed("fatal: Unable to create '/x/shallow.lock': File exists."))
    assert isinstance(error, Damaged)
    assert error.error.cause == "Unable to create '/x/shallow.lock': File exists."


def test_a_branch_that_is_not_there_is_no_failure() -> None:
    assert no_branch(failed("fatal: couldn't find remote ref refs/heads/regress-history\n"))
    assert not no_branch(failed("fatal: repository 'x' not found\n"))
