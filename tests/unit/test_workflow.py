"""Workflow commands: those that are meant, and what must be none."""

from __future__ import annotations

import pytest

from regress.workflow import command, harmless


def test_a_command_is_escaped_as_the_runner_reads_it() -> None:
    """`%`, line ends, and in properties what would end one."""
    line = command("error", "50% lost\r\n::stop", file="a,b:c.toml", line=7, title="100%\nx")
    assert line == "::error file=a%2Cb%3Ac.toml,line=7,title=100%25%0Ax::50%25 lost%0D%0A::stop\n"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("::add-mask::x", ": :add-mask::x"),
        ("a\n  ::error::x\n", "a\n  : :error::x\n"),
        ("a\r::error::x", "a\r: :error::x"),
        ("\u00a0\u2028::error::x", "\u00a0\u2028: :error::x"),
        (":::error::x", ": ::error::x"),
        ("a ##[set-output name=b]c", "a ## [set-output name=b]c"),
        ("###[warning]x", "### [warning]x"),
        ("tvm::s_tir::Tensorize -> x", "tvm::s_tir::Tensorize -> x"),
        ("## A heading [with](links)", "## A heading [with](links)"),
        (": a colon", ": a colon"),
    ],
)
def test_what_the_runner_would_obey_is_kept_from_it(text: str, safe: str) -> None:
    """All else stays as it is."""
    assert harmless(text) == safe
