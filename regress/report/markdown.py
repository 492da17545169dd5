"""What all runners delivered, in GitHub's Markdown: the verdict first, then what to do next; within a limit of size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from regress.report.finding import SYMBOLS, counted, findings, headline, in_gravity, title
from regress.report.markup import code, link, prose, table
from regress.report.remedy import remedy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from regress.delivery import Deliveries, Delivery
    from regress.report.finding import Finding

SUMMARY_BYTES = 2**20
"""The most that GitHub takes as the summary of a step."""
BODY_BYTES = 65_535
"""The most that it takes as a comment, an issue or the summary of a check; it counts characters, which are fewer."""

_HEADER = ("verdict", "case", "metric", "baseline", "measured", "change")
_MOST_FILES = 20
_LONGEST_NAME = 100


@dataclass(frozen=True, kw_only=True)
class Links:
    """Where a reader finds more; empty where it is not known.

    Attributes:
        run: Address of the workflow run.
        site: Address of the trend site.
    """

    run: str = ""
    site: str = ""


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A row of a table; `rank` is its place among all rows, the gravest first."""

    text: Sequence[str]
    rank: int
    folded: bool


@dataclass(frozen=True, kw_only=True)
class _Section:
    """A runner: what stands above its table, the rows, and what stands below."""

    above: str
    rows: Sequence[_Row]
    below: str


def summary(deliveries: Deliveries, links: Links, limit: int = SUMMARY_BYTES) -> str:
    """All runners, the worst off first; ends with a newline.

    Args:
        deliveries: What they delivered.
        links: Where a reader finds more.
        limit: Bytes that it may take: what is least important is left out, and counted.
    """
    state = deliveries.state
    head = f"# {SYMBOLS[state]} {prose(headline(deliveries))}\n\n{_counts(deliveries)}{_files(deliveries)}"
    ordered = sorted(deliveries.runners, key=lambda each: -each.gravity)
    return _fitted(head, ordered, links, limit)


def section(delivery: Delivery, links: Links, limit: int = BODY_BYTES) -> str:
    """One runner; ends with a newline.

    Args:
        delivery: What it delivered.
        links: Where a reader finds more.
        limit: Bytes that it may take.
    """
    return _fitted("", [delivery], links, limit)


def _fitted(head: str, ordered: Sequence[Delivery], links: Links, limit: int) -> str:
    """The document with as many sections, and then rows, as there is room for."""
    ranked = in_gravity([found for each in ordered for found in findings(each)])
    sections = [_section(each, ranked, links.run) for each in ordered]
    foot = _foot(links)

    def document(kept: int) -> str:
        shown, rows = sections[:kept], max(0, kept - len(sections))
        left_out = _left_out(len(sections) - len(shown), len(ranked) - rows)
        return head + "".join(_shown(each, rows) for each in shown) + left_out + foot

    return document(_most(lambda kept: len(document(kept).encode()) <= limit, len(sections) + len(ranked)))


def _most(fits: Callable[[int], bool], all_of_it: int) -> int:
    """The largest number that fits, 0 where none does."""
    if fits(all_of_it):
        return all_of_it
    low, high = 0, all_of_it
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _section(delivery: Delivery, ranked: Sequence[Finding], run: str) -> _Section:
    return _Section(
        above=f"## {SYMBOLS[delivery.state]} {code(delivery.planned.runner)}: {prose(title(delivery))}\n\n"
        + _facts(delivery),
        rows=[
            _Row(text=_cells(each), rank=rank, folded=each.state == "pass")
            for rank, each in enumerate(ranked)
            if each.planned is delivery.planned
        ],
        below=remedy(delivery, run),
    )


def _shown(part: _Section, rows: int) -> str:
    kept = [row for row in part.rows if row.rank < rows]
    open_rows, folded = [row.text for row in kept if not row.folded], [row.text for row in kept if row.folded]
    text = part.above
    if open_rows:
        text += f"{table(_HEADER, open_rows)}\n"
    if folded:
        label = f"{counted(len(folded), 'unremarkable row')}"
        text += f"<details><summary>{label}</summary>\n\n{table(_HEADER, folded)}\n</details>\n\n"
    return f"{text}{part.below}\n" if part.below else text


def _cells(found: Finding) -> Sequence[str]:
    verdict = f"{SYMBOLS[found.state]} **{found.state}**"
    numbers = (prose(found.baseline), prose(found.measured), prose(found.change))
    return verdict, code(found.subject), prose(found.aspect), *numbers


def _facts(delivery: Delivery) -> str:
    """Toolchain and machine in one line; empty where nothing was judged."""
    report, record = delivery.report, delivery.record
    if report is None or record is None:
        return ""
    how = "measured beside it" if report.against == "measured" else f"as stored in {code(delivery.planned.baseline)}"
    machine = record.environment
    driver = f", driver {prose(machine.driver)}" if machine.driver else ""
    return (
        f"{code(report.toolchain)} against {code(report.reference_toolchain)} {how}, on {code(machine.device)}{driver},"
        f" {prose(machine.system)}, Python {prose(machine.python)}; record {code(record.id)}\n\n"
    )


def _counts(deliveries: Deliveries) -> str:
    states = [each.state for each in sorted(deliveries.runners, key=lambda each: -each.gravity)]
    told = ", ".join(f"{states.count(state)} {SYMBOLS[state]} {state}" for state in dict.fromkeys(states))
    return f"{counted(len(states), 'runner')}: {told}.\n\n" if states else ""


def _files(deliveries: Deliveries) -> str:
    """Files that belong to no runner of the plan."""
    lines = [
        f"- damaged: {code(each.name, _LONGEST_NAME)}: {prose(each.problem, _LONGEST_NAME)}"
        for each in deliveries.strays
    ]
    lines += [f"- of a runner that was not planned: {code(name, _LONGEST_NAME)}" for name in deliveries.unplanned]
    more = [f"- and {len(lines) - _MOST_FILES} more files"] if len(lines) > _MOST_FILES else []
    return "".join(f"{line}\n" for line in [*lines[:_MOST_FILES], *more]) + ("\n" if lines else "")


def _left_out(runners: int, rows: int) -> str:
    """That something is not shown; empty where all is."""
    if not rows:
        return ""
    parts = [*([counted(runners, "runner")] if runners else []), counted(rows, "row")]
    return f"{' and '.join(parts)} had no room here; the least grave are left out. The records have all.\n\n"


def _foot(links: Links) -> str:
    named = (("this run", links.run), ("the history of all runs", links.site))
    found = [link(label, address) for label, address in named if address]
    return f"{' · '.join(found)}\n" if found else ""
