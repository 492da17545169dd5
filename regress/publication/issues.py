"""An issue per regression: opened by the run that shows it, kept up to date, closed by the one that shows it gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from github.GithubException import UnknownObjectException

from regress.publication.comment import same_text
from regress.report.issue import comment_marker, regressions, remembered

if TYPE_CHECKING:
    from github.Issue import Issue

    from regress.delivery import Deliveries
    from regress.github import Session
    from regress.report.issue import Memory, Regression
    from regress.report.markdown import Links

LABEL = "regress"
"""Only who may triage can set it: an issue of a stranger is never taken for one of ours."""


def publish_issues(session: Session, deliveries: Deliveries, links: Links) -> None:
    """Opens, updates and closes issues; those of what no runner judged stay as they are.

    Args:
        session: The repository.
        deliveries: What the runners delivered.
        links: Where a reader finds more.
    """
    found = [each for delivery in deliveries.runners for each in regressions(delivery)]
    there = _open_issues(session)
    new = [each for each in found if each.fate == "bad" and each.key not in there]
    if new:
        _require_label(session)
    for each in new:
        _open(session, each, links)
    for each in found:
        known = there.get(each.key, [])
        if each.fate == "bad" and known:
            _update(session, each, known[0], links)
        elif each.fate == "good":
            for issue in known:
                _close(session, each, issue)


def _open_issues(session: Session) -> dict[str, list[Issue]]:
    """Key to the open issues about it, the oldest first: two publishing at once may have opened one each."""
    found: dict[str, list[Issue]] = {}
    for issue in session.repository.get_issues(state="open", labels=[LABEL], sort="created", direction="asc"):
        if known := remembered(issue.body or ""):
            found.setdefault(known[0], []).append(issue)
    return found


def _open(session: Session, regression: Regression, links: Links) -> None:
    session.before_write()
    session.repository.create_issue(regression.title(), body=regression.body(None, links), labels=[LABEL])


def _require_label(session: Session) -> None:
    try:
        # An attribute has it asked for: an object alone is not.
        _ = session.repository.get_label(LABEL).color
    except UnknownObjectException:
        session.before_write()
        session.repository.create_label(LABEL, "b60205", "A loss that regress found and watches")


def _update(session: Session, regression: Regression, issue: Issue, links: Links) -> None:
    """The comment before the text: where the second is not done, the next run finds the first."""
    before = _memory(issue)
    if _is_older(regression, before):
        return
    if before is not None and regression.changed(before):
        _comment_once(session, regression, issue, regression.comment(before))
    title, body = regression.title(), regression.body(before, links)
    if issue.title != title or not same_text(issue.body, body):
        session.before_write()
        issue.edit(title=title, body=body)


def _close(session: Session, regression: Regression, issue: Issue) -> None:
    before = _memory(issue)
    if _is_older(regression, before):
        return
    _comment_once(session, regression, issue, regression.farewell(before))
    session.before_write()
    issue.edit(state="closed", state_reason="completed")


def _comment_once(session: Session, regression: Regression, issue: Issue, text: str) -> None:
    """Makes a comment that no run before made for the same record."""
    record = regression.delivery.record
    marker = comment_marker(record) if record else ""
    if not any(each.body.startswith(marker) for each in issue.get_comments()):
        session.before_write()
        issue.create_comment(text)


def _memory(issue: Issue) -> Memory | None:
    known = remembered(issue.body or "")
    return known[1] if known else None


def _is_older(regression: Regression, before: Memory | None) -> bool:
    """Whether the issue knows a later run already, as where an old workflow is run again."""
    record = regression.delivery.record
    return before is not None and record is not None and before.recorded_at > record.recorded_at
