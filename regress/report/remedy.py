"""What to do next about a runner's outcome: the command that shows it again, and the one that narrows it down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.report.finding import findings, in_gravity
from regress.report.markup import block, code, link, prose, shell
from regress.report.text import failure_hint

if TYPE_CHECKING:
    from regress.delivery import Delivery, State
    from regress.report.finding import Finding
    from regress.verdict import CheckReport

_MOST_CASES = 5
_UNREMARKABLE: tuple[State, ...] = ("pass", "improved")


def remedy(delivery: Delivery, run: str) -> str:
    """What to do next, as Markdown that ends with a newline; empty where all is well.

    Args:
        delivery: The runner.
        run: Address of the workflow run; empty where it is not known.
    """
    found = [each for each in in_gravity(findings(delivery)) if each.state not in _UNREMARKABLE]
    if not found:
        return ""
    parts = [_about_files(delivery, run), _commands(delivery, found), *_hints(delivery)]
    return "**Next**\n\n" + "\n".join(part for part in parts if part)


def reproduce(delivery: Delivery, case: str) -> str | None:
    """The command that shows a case's verdict again; `None` where a name in it cannot be shown."""
    return _on(delivery, "check", "--toolchain", delivery.report.toolchain, case=case) if delivery.report else None


def _about_files(delivery: Delivery, run: str) -> str:
    """What to do where nothing arrived, or what arrived says nothing."""
    lines = []
    if delivery.report is None:
        job = f"its job in {link('this run', run)}" if run else "its job's log"
        lines.append(
            f"- Look at {job}, and whether the runner {code(delivery.planned.runner)} is online"
            " (Settings, Actions, Runners); then run the job again."
        )
    if delivery.damaged:
        lines.append("- A damaged file says nothing of the code: run the job again; if it stays so, look at the disk.")
    return "".join(f"{line}\n" for line in lines)


def _commands(delivery: Delivery, found: list[Finding]) -> str:
    """The commands about the gravest cases, each of which is named once."""
    if delivery.report is None:
        return ""
    by_case = {each.subject: each for each in reversed(found) if each.aspect != "delivery"}
    gravest = in_gravity(list(by_case.values()))
    lines = [line for each in gravest[:_MOST_CASES] for line in _of_case(delivery, delivery.report, each)]
    more = len(gravest) - _MOST_CASES
    note = f"\nand likewise for {more} more of its cases.\n" if more > 0 else ""
    return f"{block(chr(10).join(lines), 'sh')}{note}" if lines else ""


def _of_case(delivery: Delivery, report: CheckReport, found: Finding) -> list[str]:
    """Both commands for one case, with what they are for."""
    case, new, old = found.subject, report.toolchain, report.reference_toolchain
    again = reproduce(delivery, case)
    if found.state == "missing":
        again = _on(delivery, "run", "--toolchain", new, case=case)
        narrower, why = _on(delivery, "doctor"), "is the machine the one that the references are of?"
    elif found.state == "inconclusive":
        narrower, why = _on(delivery, "doctor"), "what disturbs the machine?"
    elif found.state == "broken":
        narrower, why = _on(delivery, "build", "--toolchain", old, case=case), "does the reference still build?"
    elif old == new:
        narrower, why = _on(delivery, "doctor"), "both are the same toolchain: what became of the machine?"
    else:
        narrower, why = _on(delivery, "compare", old, new, case=case), "is it the toolchain, or the machine?"
    if again is None or narrower is None:
        return []
    return [again, f"{narrower}   # {why}"]


def _on(delivery: Delivery, command: str, *arguments: str, case: str | None = None) -> str | None:
    chosen = ["--case", case] if case else []
    return shell(["regress", command, *arguments, "--baseline", delivery.planned.baseline, *chosen])


def _hints(delivery: Delivery) -> list[str]:
    """What helps against the failures of a report, each once."""
    verdicts = delivery.report.verdicts if delivery.report else ()
    said = [failure_hint(verdict.failure) for verdict in verdicts if verdict.failure]
    return [f"- {prose(hint)}\n" for hint in dict.fromkeys(said) if hint]
