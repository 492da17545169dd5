"""A check run per runner, in a state that keeps "fails" apart from "broke" and from "cannot tell"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from github.GithubObject import NotSet

from regress.record import digest
from regress.redact import struck
from regress.report.finding import title
from regress.report.markdown import section
from regress.report.markup import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from github.CheckRun import CheckRun

    from regress.delivery import Deliveries, Delivery, State
    from regress.github import Session
    from regress.report.annotations import Annotation
    from regress.report.markdown import Links

ANNOTATIONS_A_REQUEST = 50
"""GitHub takes no more at once."""

CONCLUSIONS: dict[State, str] = {
    "pass": "success",
    "improved": "success",
    "regressed": "failure",
    "broken": "action_required",
    "no data": "action_required",
    "damaged": "action_required",
    "inconclusive": "neutral",
    "missing": "neutral",
}
_LEVELS = {"error": "failure", "warning": "warning", "notice": "notice"}


@dataclass(frozen=True, kw_only=True)
class _Check:
    """What a check run shall be.

    Attributes:
        name: What it is called.
        conclusion: What it says.
        title: Why, in one line.
        summary: Why, in Markdown.
        annotations: Remarks at lines of files.
    """

    name: str
    conclusion: str
    title: str
    summary: str
    annotations: Sequence[Mapping[str, Any]]

    @property
    def id(self) -> str:
        """What tells it from a check run of other content."""
        return digest([self.name, self.conclusion, self.title, self.summary, self.annotations])

    def output(self, first: int) -> dict[str, Any]:
        """What a request says, with as many annotations from `first` as it may have."""
        taken = list(self.annotations[first : first + ANNOTATIONS_A_REQUEST])
        return {"title": self.title, "summary": self.summary, "annotations": taken}

    def is_told_by(self, count: int) -> bool:
        """Whether all is told once GitHub has that many annotations."""
        return count >= len(self.annotations)


def publish_checks(
    session: Session, deliveries: Deliveries, remarks: Mapping[str, Sequence[Annotation]], links: Links
) -> None:
    """Makes the check runs of a commit what they shall be.

    Args:
        session: The repository.
        deliveries: What the runners delivered.
        remarks: Runner to what is remarked at lines of files.
        links: Where a reader finds more.
    """
    commit = session.repository.get_commit(session.place.sha)
    there = {run.external_id: run for run in commit.get_check_runs(filter="latest")}
    for each in deliveries.runners:
        check = _check(each, remarks.get(each.planned.runner, ()), links)
        run = there.get(check.id)
        if run is None or run.status != "completed":
            _complete(session, check, run)


def _check(delivery: Delivery, remarks: Sequence[Annotation], links: Links) -> _Check:
    return _Check(
        name=f"regress / {delivery.planned.runner}",
        conclusion=CONCLUSIONS[delivery.state],
        title=plain(struck(title(delivery)), 200),
        summary=struck(section(delivery, links)),
        annotations=[
            {
                "path": each.path,
                "start_line": each.line,
                "end_line": each.line,
                "annotation_level": _LEVELS[each.level],
                "title": each.title,
                "message": each.message,
            }
            for each in remarks
        ],
    )


def _complete(session: Session, check: _Check, run: CheckRun | None) -> None:
    """Makes a check run, or goes on with one that was begun: GitHub adds annotations to those that are there."""
    count = run.output.annotations_count if run else 0
    for first in _batches(count, len(check.annotations), begun=run is not None):
        last = check.is_told_by(first + ANNOTATIONS_A_REQUEST)
        status, conclusion = ("completed", check.conclusion) if last else ("in_progress", NotSet)
        session.before_write()
        if run is not None:
            run.edit(output=check.output(first), status=status, conclusion=conclusion)
            continue
        run = session.repository.create_check_run(
            name=check.name,
            head_sha=session.place.sha,
            external_id=check.id,
            details_url=session.place.run or NotSet,
            output=check.output(first),
            status=status,
            conclusion=conclusion,
        )


def _batches(count: int, total: int, *, begun: bool) -> Iterator[int]:
    """Where each request begins; at least one request, which says how it ends."""
    yield from range(count, total, ANNOTATIONS_A_REQUEST)
    if count >= total and (begun or total == 0):
        yield total
