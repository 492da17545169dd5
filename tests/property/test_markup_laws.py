"""Laws of what texts of others become: whatever they hold, they stay text."""

from __future__ import annotations

import re
import shlex
from xml.etree import ElementTree as ET

from factories import CASE, make_record, make_report
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from regress.delivery import Deliveries, Delivery, Planned
from regress.history import Entry
from regress.redact import struck
from regress.report.annotations import Annotation, commands
from regress.report.junit import junit
from regress.report.markup import block, code, plain, prose, shell, table
from regress.verdict import Verdict
from regress.workflow import command, harmless

GITHUB = MarkdownIt("gfm-like", {"linkify": True, "html": True})
"""Markdown with GitHub's tables, strikethrough and links."""
_GAP = "\u200b"
_PIECES = [
    "|", "\\", "`", "```", "~~~~", "<", ">", "&", "&#124;", "&amp;", "<!--", "-->", "<img src=x onerror=a>", "</code>",
    "</details>", "@octocat", "@", "#12", "octo/kernels#12", "GH-12", "https://evil.example", "www.evil.example", "://",
    "mailto:", "xmpp:", "a@b.example", "[a](b)", "![", "](", "*", "__", "_", "~~", "$a$", "\n", "\r\n", "\r", "\n\n",
    "\u2028", "\u0085", "\u202e", "\ufeff", _GAP, "\0", "\x1b[31m",
    "::", "::add-mask::", "##[", "##[set-output name=a]",
    "%0A", "%", "%25", ",", "'", '"', "$(id)", ";", " ", "\t", "# ", "- ", "1. ", "---", "===", "é", "日本", "x", ":x:",
]  # fmt: skip
HOSTILE = st.lists(st.sampled_from(_PIECES) | st.characters(), max_size=12).map("".join)
_MENTION = re.compile(r"(?<![\w`])@[a-z0-9]", re.IGNORECASE)
_ISSUE = re.compile(r"#\d|\bGH-\d", re.IGNORECASE)


@given(HOSTILE)
@example("a\\|b")
@example("`|`")
@example("&#124;")
def test_a_cell_stays_one_cell_of_that_text(text: str) -> None:
    """No second cell or row, no link, no tag, no mention: the text itself, to the letter."""
    for cell in (prose(text), code(text)):
        tokens = GITHUB.parse(table(["a", "b"], [[cell, "end"]]))
        assert [token.type for token in tokens].count("td_open") == 2
        assert [token.type for token in tokens].count("tr_open") == 2
        inline = [token for token in tokens if token.type == "inline"][2]
        kinds = {child.type for child in inline.children or []}
        assert kinds <= {"text", "html_inline", "text_special"}
        tags = [child.content for child in inline.children or [] if child.type == "html_inline"]
        assert tags in ([], ["<code>", "</code>"])
        shown = "".join(child.content for child in inline.children or [] if child.type != "html_inline")
        assert " ".join(shown.replace(_GAP, "").split()) == plain(text)
        assert not _MENTION.search(shown)
        assert not _ISSUE.search(shown)
        assert "://" not in shown


@given(HOSTILE)
def test_a_sentence_stays_a_sentence(text: str) -> None:
    """Behind words of ours it makes no list, heading, quote, table or comment."""
    tokens = GITHUB.parse(f"Next: {prose(text)}\n\n{code(text)} ends\n")
    assert {token.type for token in tokens} == {"paragraph_open", "inline", "paragraph_close"}


@given(HOSTILE)
@example("a\n```\n<b>")
@example("````\n`````")
def test_nothing_leaves_its_block_of_code(text: str) -> None:
    """Whatever fences it has."""
    tokens = GITHUB.parse(block(text, "sh"))
    assert [(token.type, token.info) for token in tokens] == [("fence", "sh")]


@given(st.lists(HOSTILE, min_size=1, max_size=4))
def test_a_command_that_is_shown_is_the_one_that_was_meant(argv: list[str]) -> None:
    """A shell takes it apart into the same words; one that cannot be seen whole is not shown."""
    shown = shell(argv)
    if shown is None:
        assert not all(each.isprintable() for each in argv)
    else:
        assert shlex.split(shown) == argv
        assert "\n" not in shown


def obeyed(line: str) -> bool:
    """Whether GitHub's runner takes a line for a command, as its source does."""
    return line.lstrip().startswith("::") or "##[" in line


def lines(text: str) -> list[str]:
    """The lines of an output as the runner reads them."""
    return re.split(r"\r\n|\r|\n", text)


@given(HOSTILE)
@example("\u2028::x::")
def test_no_line_of_a_harmless_text_is_obeyed(text: str) -> None:
    """And what was harmless stays as it is."""
    safe = harmless(text)
    assert not any(obeyed(line) for line in lines(safe))
    assert harmless(safe) == safe
    assert safe.replace(" ", "") == text.replace(" ", "")


@given(HOSTILE, HOSTILE, HOSTILE)
def test_a_command_says_what_was_meant_and_is_one(message: str, title: str, path: str) -> None:
    """Taken apart as the runner does, it is that level, those properties and that message."""
    line = command("error", message, file=path, line=3, title=title)
    assert len(lines(line)) == 2
    told = line[:-1].split("::", 2)
    name, _, given_properties = told[1].partition(" ")
    properties = dict(each.split("=", 1) for each in given_properties.split(","))
    undone = {name: unescaped(value, property_of=True) for name, value in properties.items()}
    assert (name, undone) == ("error", {"file": path, "line": "3", "title": title})
    assert unescaped(told[2], property_of=False) == message


def unescaped(text: str, *, property_of: bool) -> str:
    """What the runner reads: its replacements, in its order."""
    pairs = [("%0D", "\r"), ("%0A", "\n"), *([("%3A", ":"), ("%2C", ",")] if property_of else []), ("%25", "%")]
    for escaped, meant in pairs:
        text = text.replace(escaped, meant)
    return text


@given(st.integers(0, 40), st.integers(0, 40), HOSTILE)
def test_no_more_annotations_than_github_shows(errors: int, warnings: int, text: str) -> None:
    """Ten of a level; the last one counts the rest, so that none is lost without a word."""
    found = [Annotation(level="error", path="b.toml", line=1, title=plain(text), message=plain(text))] * errors
    found += [Annotation(level="warning", path="b.toml", line=1, title="x", message="y")] * warnings
    printed = commands(found).splitlines()
    counts = [sum(line.startswith(f"::{level} ") for line in printed) for level in ("error", "warning")]
    assert counts == [min(errors, 10), min(warnings, 10)]
    told = [re.search(r"\(and (\d+) more, see the summary\)$", line) for line in printed]
    assert [int(match[1]) for match in told if match] == [each - 10 for each in (errors, warnings) if each > 10]


@given(HOSTILE)
def test_junit_is_xml_whatever_a_text_holds(text: str) -> None:
    """It is read back, and says what can be said in XML."""
    record = make_record(runner="orin")
    verdict = Verdict(case=CASE, outcome="regressed", reason="slower_than_tolerance", text=text)
    entry = Entry(path=None, record=record, report=make_report(record, record, verdicts=[verdict]))  # type: ignore[arg-type]
    delivery = Delivery(planned=Planned(runner="orin", baseline="b.toml"), entry=entry, note=None)
    read = ET.fromstring(junit(Deliveries(runners=(delivery,))))  # noqa: S314  # our own
    failure = read.find("./testsuite/testcase/failure")
    assert failure is not None
    said, meant = failure.text or "", struck(text).replace("\r\n", "\n")
    assert len(said) == len(meant)
    assert all(one in (other, "\ufffd", "\n") for one, other in zip(said, meant, strict=True))
