"""`site`: the command that writes the pages."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from regress import errors, history, site
from regress.progress import say
from regress.resources import shared
from regress.workspace import open_workspace

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from regress.errors import HistoryError
    from regress.progress import Reporter
    from regress.workspace import Workspace


def build_site(args: argparse.Namespace) -> int:
    """`regress site`: writes the site from the history; records that cannot be used are named, and make it exit 7."""
    workspace = open_workspace(args)
    if not workspace.history.is_dir() and (args.history or workspace.history.exists()):
        raise errors.HistoryError(f"{workspace.history}: no such folder of records")
    bad: list[HistoryError] = []
    index = _write(workspace, bad)
    sys.stdout.write(f"{index}\n")
    for error in bad:
        say("\n".join(error.lines()))
    return errors.EXIT_HISTORY if bad else errors.EXIT_PASS


def publish(workspace: Workspace, reporter: Reporter) -> None:
    """Writes the site at the end of a run."""
    bad: list[HistoryError] = []
    with reporter.step("site"):
        index = _write(workspace, bad)
    for error in bad:
        reporter.note("\n".join(error.lines()))
    reporter.note(f"  {index}")


def _write(workspace: Workspace, bad: list[HistoryError]) -> Path:
    found = history.entries(workspace.history, on_bad=bad.append)
    return site.build(
        [site.Entry(record=entry.record, report=entry.report) for entry in found],
        workspace.site,
        title=workspace.config.title,
        templates=shared("templates"),
        assets=shared("site/assets"),
    )
