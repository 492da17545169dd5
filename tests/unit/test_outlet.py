"""What goes through an outlet, in whatever pieces it comes."""

from __future__ import annotations

import io
import sys

import pytest

from regress import redact
from regress.outlet import Outlet, outlets, write_commands
from regress.workflow import harmless


def outlet(*, to_runner: bool = True) -> tuple[Outlet, io.StringIO]:
    behind = io.StringIO()
    return Outlet(behind, redact.struck, to_runner=to_runner), behind


@pytest.mark.parametrize("text", ["  ::add-mask::x\n##[group]a\nb", "x\n::\n:", "a##[b##[c\r::d"])
def test_a_text_that_comes_in_pieces_is_as_harmless(text: str) -> None:
    """However it is cut: a command must not be put together of two writes."""
    for cut in range(len(text) + 1):
        out, behind = outlet()
        out.write(text[:cut])
        out.write(text[cut:])
        assert behind.getvalue() == harmless(text)
    out, behind = outlet()
    out.writelines(text)
    assert behind.getvalue() == harmless(text)


def test_commands_that_are_meant_begin_a_line_of_their_own() -> None:
    """Whatever was written before them."""
    out, behind = outlet()
    out.write("half a line")
    out.command("::notice::a\n")
    out.write("::notice::b\n")
    assert behind.getvalue() == "half a line\n::notice::a\n: :notice::b\n"


def test_what_no_runner_reads_stays_as_it_is() -> None:
    """But for secrets."""
    out, behind = outlet(to_runner=False)
    assert out.write("::x::y ##[z] ghp_" + "a" * 36) == 53
    assert behind.getvalue() == "::x::y ##[z] ***"


def test_standard_streams_are_outlets_while_a_command_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a job nothing is a command but what is meant; afterwards they are what they were."""
    before = sys.stdout, sys.stderr
    monkeypatch.setattr(redact._Known, "values", frozenset())
    monkeypatch.setattr(redact._Known, "pattern", None)
    with outlets({"GITHUB_ACTIONS": "true", "A_TOKEN": "correct-horse"}):
        sys.stdout.write("::error::correct-horse\n")
        sys.stderr.write("##[group]correct-horse ghp_" + "a" * 36)
        write_commands("::notice::meant\n")
    assert (sys.stdout, sys.stderr) == before
    said = capsys.readouterr()
    assert said.out == ": :error::***\n::notice::meant\n"
    assert said.err == "## [group]*** ***"


def test_outside_of_a_job_text_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody obeys it there."""
    with outlets({}):
        sys.stdout.write("::error::x ##[group]\n")
    assert capsys.readouterr().out == "::error::x ##[group]\n"
