"""`report` and `publish`: what the runners of a plan delivered, for a workflow's page, and for GitHub itself."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from regress import errors, history
from regress.actions import place_from, run_address
from regress.delivery import gather, parse_plan
from regress.errors import ConfigError, HistoryError, PublishError, UsageError
from regress.outlet import write_commands
from regress.progress import say
from regress.redact import struck
from regress.report.annotations import case_lines, commands, remarks
from regress.report.finding import headline
from regress.report.junit import junit
from regress.report.machine import deliveries_json
from regress.report.markdown import SUMMARY_BYTES, Links, summary
from regress.workspace import read_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from regress.delivery import Deliveries
    from regress.github import Session
    from regress.report.annotations import Annotation


def report(args: argparse.Namespace) -> int:
    """`regress report`: says what was delivered, and exits as the gravest of it does."""
    if args.json and args.annotations:
        raise UsageError("report: --json and --annotations both go to standard output: call it twice")
    deliveries = _deliveries(args)
    if args.annotations:
        write_commands(commands(remark for each in _remarks(deliveries).values() for remark in each))
    if args.junit:
        history.write(Path(args.junit), junit(deliveries).encode())
    _summarize(deliveries, Links(run=run_address(os.environ), site=args.site_url or ""), args)
    say(f"regress: {struck(headline(deliveries))}")
    return deliveries.exit_code


def _summarize(deliveries: Deliveries, links: Links, args: argparse.Namespace) -> None:
    """Writes the summary to its file, else what was asked for to standard output."""
    if args.summary:
        _append(Path(args.summary), deliveries, links)
    if args.json:
        sys.stdout.write(struck(deliveries_json(deliveries)))
    elif not args.summary:
        sys.stdout.write(struck(summary(deliveries, links)))


def _append(path: Path, deliveries: Deliveries, links: Links) -> None:
    """Appends the summary to a file that other commands of the same step may have written to."""
    try:
        with path.open("ab") as file:
            room = SUMMARY_BYTES - file.tell()
            file.write(struck(summary(deliveries, links, room)).encode())
    except OSError as error:
        raise HistoryError(f"{path}: cannot be written: {error.strerror or error}") from error


def publish(args: argparse.Namespace) -> int:
    """`regress publish`: checks, a comment and issues; each is tried, whatever became of the others."""
    if not (args.checks or args.comment or args.issues or args.pull_request_of):
        kinds = "--checks, --comment PULL_REQUEST, --issues or --pull-request-of BRANCH"
        raise UsageError("publish: nothing to publish", hint=f"name {kinds}")
    if (args.title is None) != (args.pull_request_of is None):
        raise UsageError("publish: --pull-request-of and --title go together")
    place = place_from(os.environ, args.repository, args.sha)
    if args.checks and not place.sha:
        raise UsageError("publish: --checks: on which commit? GITHUB_SHA is not set", hint="--sha COMMIT")
    deliveries = _deliveries(args)
    from regress import publication  # noqa: PLC0415  # half a second that only this needs
    from regress.github import Patience, Session  # noqa: PLC0415  # as above

    links = Links(run=place.run, site=args.site_url or "")
    session = Session(place, Patience(say))
    checks = partial(publication.publish_checks, session, deliveries, _remarks(deliveries), links)
    comment = partial(publication.publish_comment, session, deliveries, args.comment, links)
    issues = partial(publication.publish_issues, session, deliveries, links)
    pull = partial(_publish_pull, session, deliveries, args, links)
    steps: list[tuple[bool, Callable[[], None], str, str]] = [
        (args.checks, checks, "checks", "checks: write"),
        (args.comment is not None, comment, f"comment on #{args.comment}", "pull-requests: write"),
        (args.issues, issues, "issues", "issues: write"),
        (args.pull_request_of is not None, pull, "pull request", "pull-requests: write"),
    ]
    told = [_told(partial(session.completed, step, what, right), what) for asked, step, what, right in steps if asked]
    return errors.EXIT_PASS if all(told) else errors.EXIT_HISTORY


def _publish_pull(session: Session, deliveries: Deliveries, args: argparse.Namespace, links: Links) -> None:
    from regress.publication import publish_pull  # noqa: PLC0415  # as above

    if not publish_pull(session, deliveries, args.pull_request_of, args.title, links):
        say(f"no pull request of {args.pull_request_of}: it is slower, see the issues")


def _told(publishing: Callable[[], None], what: str) -> bool:
    """Whether it could be published; why not is said."""
    try:
        publishing()
    except PublishError as error:
        say("\n".join(error.lines()))
        return False
    say(f"published: {what}")
    return True


def _deliveries(args: argparse.Namespace) -> Deliveries:
    incoming = Path(args.incoming)
    if not incoming.is_dir() and (args.plan is None or incoming.exists()):
        raise HistoryError(f"{incoming}: no such folder of records")
    planned = None if args.plan is None else parse_plan(read_text(Path(args.plan)).encode(), args.plan)
    return gather(incoming, planned)


def _remarks(deliveries: Deliveries) -> dict[str, list[Annotation]]:
    """Runner to its remarks, at the lines of the baselines that are here."""
    return {each.planned.runner: remarks(each, _case_lines(Path(each.planned.baseline))) for each in deliveries.runners}


def _case_lines(baseline: Path) -> dict[str, int]:
    """Case to line; empty where the file is not here."""
    try:
        return case_lines(read_text(baseline))
    except ConfigError:
        return {}
