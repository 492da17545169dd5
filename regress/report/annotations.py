"""What there is to say of a case, at its place in the baseline file: for workflow commands and for GitHub's checks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from regress.baseline import parse_baseline
from regress.errors import ConfigError
from regress.redact import struck
from regress.report.finding import SYMBOLS, findings, in_gravity
from regress.report.markup import plain
from regress.workflow import command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from regress.delivery import Delivery, State
    from regress.workflow import Level

MOST_OF_A_LEVEL = 10
"""GitHub shows no more of a step."""

_LEVELS: dict[State, Level] = {
    "regressed": "error",
    "broken": "error",
    "damaged": "error",
    "no data": "error",
    "inconclusive": "warning",
    "missing": "warning",
    "improved": "notice",
}
_CASE = re.compile(r"^\s*\[\[\s*cases\s*\]\]", re.MULTILINE)
_LONGEST_TITLE = 200
_LONGEST_MESSAGE = 2000


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """A remark at a line of a file.

    Attributes:
        level: How grave it is.
        path: The file in the repository.
        line: Its line, from 1.
        title: What it is about, as one line of plain text.
        message: What is said of it, likewise.
    """

    level: Level
    path: str
    line: int
    title: str
    message: str


def remarks(delivery: Delivery, lines: Mapping[str, int]) -> list[Annotation]:
    """The remarks about a runner, the gravest first.

    Args:
        delivery: What it delivered.
        lines: Case to its line in the baseline file; what is not in there stands at the first line.
    """
    return [
        Annotation(
            level=_LEVELS[found.state],
            path=str(PurePosixPath(delivery.planned.baseline)),
            line=lines.get(found.subject, 1),
            title=plain(struck(f"{SYMBOLS[found.state]} {found.state}: {found.subject}"), _LONGEST_TITLE),
            message=plain(struck(f"{delivery.planned.runner}: {found.aspect}: {found.text}"), _LONGEST_MESSAGE),
        )
        for found in in_gravity(findings(delivery))
        if found.state in _LEVELS
    ]


def commands(found: Iterable[Annotation]) -> str:
    """Workflow commands that make the remarks: of each level as many as GitHub shows, the last one counts the rest."""
    by_level: dict[Level, list[Annotation]] = {"error": [], "warning": [], "notice": []}
    for each in found:
        by_level[each.level].append(each)
    return "".join(line for level in by_level.values() for line in _of_level(level))


def _of_level(found: list[Annotation]) -> Iterator[str]:
    more = len(found) - MOST_OF_A_LEVEL
    for number, each in enumerate(found[:MOST_OF_A_LEVEL], start=1):
        rest = f" (and {more} more, see the summary)" if more > 0 and number == MOST_OF_A_LEVEL else ""
        yield command(each.level, each.message + rest, file=each.path, line=each.line, title=each.title)


def case_lines(text: str) -> dict[str, int]:
    """Case to the line of a baseline file that begins it; empty for a text that is no baseline."""
    try:
        keys = [case.key for case in parse_baseline(text, "baseline").cases]
    except ConfigError:
        return {}
    begun = [text.count("\n", 0, text.index("[", match.start())) + 1 for match in _CASE.finditer(text)]
    # A text of several lines may hold what looks like a case: then nothing is known.
    return dict(zip(keys, begun, strict=True)) if len(keys) == len(begun) else {}
