"""One comment on a pull request, which every further run updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.redact import struck
from regress.report.markdown import BODY_BYTES, summary

if TYPE_CHECKING:
    from github.IssueComment import IssueComment

    from regress.delivery import Deliveries
    from regress.github import Session
    from regress.report.markdown import Links

MARKER = "<!-- regress -->"
"""What it begins with; nobody sees it."""


def publish_comment(session: Session, deliveries: Deliveries, number: int, links: Links) -> None:
    """Makes the comment what it shall be.

    Args:
        session: The repository.
        deliveries: What the runners delivered.
        number: The pull request's.
        links: Where a reader finds more.
    """
    body = struck(f"{MARKER}\n{summary(deliveries, links, BODY_BYTES - len(MARKER) - 1)}")
    request = session.repository.get_issue(number)
    login = session.login()
    own = next((each for each in request.get_comments() if _is_ours(each, login)), None)
    if own is not None and same_text(own.body, body):
        return
    session.before_write()
    if own is None:
        request.create_comment(body)
    else:
        own.edit(body)


def _is_ours(comment: IssueComment, login: str | None) -> bool:
    """Whether it has our marker and is ours: anybody can write a marker.

    A workflow's token is not told its own name; what it writes is by a bot.
    """
    if not comment.body.startswith(MARKER):
        return False
    return comment.user.login == login if login else comment.user.type == "Bot"


def same_text(there: str | None, wanted: str) -> bool:
    """Whether GitHub has that text, whatever it made of ends of lines."""
    return (there or "").replace("\r\n", "\n").strip() == wanted.strip()
