"""What GitHub is told: checks on a commit, a comment on a pull request, issues of regressions, pull requests of bumps.

Each looks at what is there and writes what is not yet so: publishing twice changes nothing, and what was published in
part is completed by the next one.
"""

from __future__ import annotations

from regress.publication.checks import publish_checks
from regress.publication.comment import publish_comment
from regress.publication.issues import publish_issues
from regress.publication.pull import publish_pull

__all__ = ["publish_checks", "publish_comment", "publish_issues", "publish_pull"]
