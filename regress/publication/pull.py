"""The pull request of a bump: its new pin on a branch, and what the runners said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.publication.comment import same_text
from regress.redact import struck
from regress.report.markdown import BODY_BYTES, summary

if TYPE_CHECKING:
    from regress.delivery import Deliveries
    from regress.github import Session
    from regress.report.markdown import Links


def publish_pull(session: Session, deliveries: Deliveries, branch: str, title: str, links: Links) -> bool:
    """Opens the pull request of a branch, or makes the open one say what it shall; whether there is one.

    Of a regression there is none: that has its issues, and one that is open already says it.

    Args:
        session: The repository.
        deliveries: What the runners delivered.
        branch: The branch, of this repository.
        title: The pull request's title.
        links: Where a reader finds more.
    """
    repository = session.repository
    body = struck(summary(deliveries, links, BODY_BYTES))
    owner = session.place.repository.partition("/")[0]
    known = next(iter(repository.get_pulls(state="open", head=f"{owner}:{branch}")), None)
    if known is None:
        if deliveries.state == "regressed":
            return False
        session.before_write()
        repository.create_pull(base=repository.default_branch, head=branch, title=title, body=body)
    elif known.title != title or not same_text(known.body, body):
        session.before_write()
        known.edit(title=title, body=body)
    return True
