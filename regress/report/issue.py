"""One regression as an issue on GitHub: what it is called, what it says, and what it remembers of the last run."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from regress.metric import METRICS
from regress.redact import struck
from regress.report.finding import findings
from regress.report.markup import block, code, link, plain, prose
from regress.report.remedy import reproduce
from regress.stored import DAMAGED, Instant, Stored
from regress.verdict import SEVERITY, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.delivery import Delivery
    from regress.record import Record
    from regress.report.markdown import Links
    from regress.verdict import CheckReport, Outcome

_LONGEST_TITLE = 200
_LONGEST_LOG = 8000
_MARKER = re.compile(r"<!-- regress-issue ([0-9a-f]{64}) ([A-Za-z0-9_=-]+) -->")

Fate = Literal["bad", "good", "unknown"]


class Memory(Stored, frozen=True):
    """What an issue remembers.

    Attributes:
        first: The toolchain that it was seen with first.
        toolchain: The one that it was seen with last.
        outcome: What the verdict was.
        reference: The toolchain that it was compared with.
        recorded_at: When the record was measured that it was seen in last.
    """

    first: str
    toolchain: str
    outcome: str
    reference: str
    recorded_at: Instant


@dataclass(frozen=True, kw_only=True)
class Regression:
    """What an issue is about, and what the newest run says of it.

    Attributes:
        delivery: The runner, with a report.
        case: The case.
        aspect: A metric by name, or what else of the case was judged.
        verdicts: The verdicts about it.
    """

    delivery: Delivery
    case: str
    aspect: str
    verdicts: Sequence[Verdict]

    @property
    def key(self) -> str:
        """What tells it from all others, in hexadecimal."""
        return key_of(self.delivery.planned.runner, self.case, self.aspect)

    @property
    def outcome(self) -> Outcome:
        """The gravest of the verdicts."""
        return self._worst.outcome

    @property
    def fate(self) -> Fate:
        """Whether the run shows it, shows that it is gone, or shows neither."""
        if self.outcome in ("regressed", "broken"):
            return "bad"
        return "good" if self.outcome in ("pass", "improved") else "unknown"

    @property
    def text(self) -> str:
        """Why, as one sentence."""
        return self._worst.text

    @property
    def _worst(self) -> Verdict:
        return max(self.verdicts, key=lambda each: SEVERITY.index(each.outcome))

    def title(self) -> str:
        """The issue's title."""
        loss = self._worst.loss
        lost = f"lost {loss:.1%}" if loss is not None and self.outcome == "regressed" else self.outcome
        label = METRICS[self.aspect].label.lower() if self.aspect in METRICS else self.aspect
        return plain(struck(f"{self.delivery.planned.runner}: {self.case}: {label} {lost}"), _LONGEST_TITLE)

    def memory(self, before: Memory | None) -> Memory:
        """What the issue remembers from now on."""
        report, record = _judged(self.delivery)
        return Memory(
            first=before.first if before else report.toolchain,
            toolchain=report.toolchain,
            outcome=self.outcome,
            reference=report.reference_toolchain,
            recorded_at=record.recorded_at,
        )

    def body(self, before: Memory | None, links: Links) -> str:
        """The issue's text, which ends with a newline.

        Args:
            before: What it remembers; `None` for a new issue.
            links: Where a reader finds more.
        """
        report, record = _judged(self.delivery)
        memory = self.memory(before)
        failure = self._worst.failure
        log = block(failure.log[:_LONGEST_LOG], "text") if failure and failure.log else ""
        command = reproduce(self.delivery, self.case)
        more = " · ".join(link(label, to) for label, to in (("the run", links.run), ("its history", links.site)) if to)
        parts = [
            _marker(self.key, memory),
            f"**{self.outcome}** on {code(self.delivery.planned.runner)}: {code(self.case)}: {prose(self.text)}\n",
            f"- first seen with {code(memory.first)}, last with {code(report.toolchain)} (record {code(record.id)})\n"
            f"- compared with {code(report.reference_toolchain)}\n"
            + "".join(f"- {line}\n" for line in self._numbers()),
            block(command, "sh") if command else "",
            log,
            f"{more}\n" if more else "",
            "This text is kept up to date, and the issue is closed by the run that shows the loss to be gone.\n",
        ]
        return struck("\n".join(part for part in parts if part))

    def _numbers(self) -> list[str]:
        """What was measured, as Markdown."""
        own = [each for each in findings(self.delivery) if each.subject == self.case and each.measured]
        return [f"{prose(each.aspect)}: {prose(each.baseline)} → {prose(each.measured)}" for each in own]

    def changed(self, before: Memory) -> bool:
        """Whether there is something to say that was not said: another toolchain, or another outcome."""
        memory = self.memory(before)
        return (memory.toolchain, memory.outcome) != (before.toolchain, before.outcome)

    def comment(self, before: Memory) -> str:
        """What changed since it was seen last."""
        report, record = _judged(self.delivery)
        was = f"{before.outcome} with {code(before.toolchain)}"
        text = f"**{self.outcome}** with {code(report.toolchain)}, before it was {was}: {prose(self.text)}\n"
        return struck(f"{comment_marker(record)}\n{text}")

    def farewell(self, before: Memory | None) -> str:
        """Why the issue is closed."""
        report, record = _judged(self.delivery)
        accepted = before is not None and before.reference != report.reference_toolchain
        why = (
            f"A new reference, {code(report.reference_toolchain)}, accepted it; it was {code(before.reference)}"
            if accepted and before
            else f"{code(report.toolchain)} put it right"
        )
        return struck(f"{comment_marker(record)}\n{why}: {prose(self.text)}\n")


def regressions(delivery: Delivery) -> list[Regression]:
    """What the verdicts of a runner say of everything that an issue may be about; none without a report."""
    report = delivery.report
    if report is None:
        return []
    found: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in report.verdicts:
        found.setdefault((verdict.case, verdict.aspect), []).append(verdict)
    for case in _that_ran(report):
        good = Verdict(case=case, outcome="pass", reason="build_changed", text="it builds and runs")
        for aspect in ("build", "run"):
            found.setdefault((case, aspect), [good])
    return [
        Regression(delivery=delivery, case=case, aspect=aspect, verdicts=verdicts)
        for (case, aspect), verdicts in found.items()
    ]


def _that_ran(report: CheckReport) -> list[str]:
    """The cases of which a rate was judged, whatever was said of it."""
    judged = ("pass", "improved", "regressed")
    return list(dict.fromkeys(each.case for each in report.verdicts if each.metric and each.outcome in judged))


def key_of(runner: str, case: str, aspect: str) -> str:
    """What tells a regression from all others, in hexadecimal."""
    return hashlib.sha256(f"{runner} {case} {aspect}".encode()).hexdigest()


def comment_marker(record: Record) -> str:
    """What a comment begins with that was made for a record; the id of one holds nothing that could end it."""
    return f"<!-- regress-comment {record.id} -->"


def _marker(key: str, memory: Memory) -> str:
    state = base64.urlsafe_b64encode(msgspec.json.encode(memory)).decode()
    return f"<!-- regress-issue {key} {state} -->"


def remembered(body: str) -> tuple[str, Memory | None] | None:
    """Key and memory of an issue by its text; `None` where it is not one of ours, no memory where that is damaged."""
    match = _MARKER.match(body)
    if match is None:
        return None
    try:
        return match[1], msgspec.json.decode(base64.urlsafe_b64decode(match[2]), type=Memory)
    except (*DAMAGED, ValueError):
        return match[1], None


def _judged(delivery: Delivery) -> tuple[CheckReport, Record]:
    assert delivery.report is not None  # noqa: S101  # a regression is made of a report
    assert delivery.record is not None  # noqa: S101  # as above
    return delivery.report, delivery.record
