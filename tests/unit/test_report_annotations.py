"""Remarks at the lines of a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivered import OTHER, deliver, gathered, judged, slow
from factories import BASELINE_KEYS, BASELINE_TEXT, CASE, make_case, make_record, make_report

from regress.delivery import Planned, gather
from regress.report.annotations import case_lines, commands, remarks
from regress.verdict import missing

if TYPE_CHECKING:
    from pathlib import Path


def test_a_case_is_found_at_the_line_that_begins_it() -> None:
    """As TOML allows to write it; the text is the factory's, whose lines are counted from 1."""
    assert case_lines(BASELINE_TEXT) == {BASELINE_KEYS[0]: 6, BASELINE_KEYS[1]: 14}
    spaced = BASELINE_TEXT.replace("[[cases]]", "  [[ cases ]]  # one")
    assert case_lines(spaced) == case_lines(BASELINE_TEXT)


def test_a_text_that_looks_like_a_case_is_not_taken_for_one() -> None:
    """Then no line is known, rather than a wrong one; nor is any of what is no baseline."""
    confusing = BASELINE_TEXT + "\n[[epochs]]\nsince = 2026-01-01T00:00:00Z\nreason = '''\n[[cases]]\n'''\n"
    assert case_lines(confusing) == {}
    assert case_lines("runner = ") == {}


def test_remarks_are_as_grave_as_what_they_say(tmp_path: Path) -> None:
    """Errors for what is red, warnings for what cannot be told, notices for gains, nothing for a pass."""
    fast = make_case(OTHER, decode=(60.0, 60.0, 60.0))
    judged(tmp_path, make_record(fast, slow(), runner="orin"))
    found = remarks(gathered(tmp_path, ["orin"]).runners[0], {CASE: 6})
    assert [(each.level, each.line, each.title) for each in found] == [
        ("error", 6, f"▼ regressed: {CASE}"),
        ("notice", 1, f"▲ improved: {OTHER}"),
    ]
    (away,) = remarks(gathered(tmp_path, ["away"]).runners[0], {})
    assert (away.level, away.path, away.line) == ("error", "baselines/away.toml", 1)
    record = make_record(runner="unlike")
    deliver(tmp_path, record, make_report(record, record, verdicts=[missing(CASE, "no_reference", "no reference")]))
    assert [each.level for each in remarks(gathered(tmp_path, ["unlike"]).runners[0], {})] == ["warning"]


def test_a_path_is_written_as_github_does(tmp_path: Path) -> None:
    """Without a `./` in front, with which it would be no file of the repository."""
    planned = Planned(runner="away", baseline="./baselines/away.toml")
    (delivery,) = gather(tmp_path, [planned]).runners
    assert remarks(delivery, {})[0].path == "baselines/away.toml"


def test_commands_are_the_runners(tmp_path: Path) -> None:
    """One line for each remark."""
    judged(tmp_path, make_record(slow(), runner="orin"))
    assert commands(remarks(gathered(tmp_path, ["orin"]).runners[0], {CASE: 6})) == (
        f"::error file=baselines/orin.toml,line=6,title=▼ regressed%3A {CASE}::"
        "orin: decode rate: decode rate: loss 20.0%25, tolerance 5.0%25\n"
    )
