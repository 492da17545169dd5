"""`site`: the command that writes the pages."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from regress import errors, history, site
from regress.baseline import parse_baseline
from regress.progress import say
from regress.resources import shared
from regress.workspace import open_workspace, read_text, shown

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from regress.baseline import Baseline
    from regress.errors import RegressError
    from regress.progress import Reporter
    from regress.workspace import Workspace


def build_site(args: argparse.Namespace) -> int:
    """`regress site`: writes the site from the history; what cannot be used is named, its first error the exit code."""
    workspace = open_workspace(args)
    if not workspace.history.is_dir() and (args.history or workspace.history.exists()):
        raise errors.HistoryError(f"{workspace.history}: no such folder of records")
    bad: list[RegressError] = []
    index = _write(workspace, bad)
    sys.stdout.write(f"{index}\n")
    for error in bad:
        say("\n".join(error.lines()))
    return bad[0].exit_code if bad else errors.EXIT_PASS


def publish(workspace: Workspace, reporter: Reporter) -> None:
    """Writes the site at the end of a run."""
    bad: list[RegressError] = []
    with reporter.step("site"):
        index = _write(workspace, bad)
    for error in bad:
        reporter.note("\n".join(error.lines()))
    reporter.note(f"  {index}")


def _write(workspace: Workspace, bad: list[RegressError]) -> Path:
    found = history.entries(workspace.history, on_bad=bad.append)
    return site.build(
        [site.Entry(record=entry.record, report=entry.report) for entry in found],
        workspace.site,
        title=workspace.config.title,
        templates=shared("templates"),
        assets=shared("site/assets"),
        baselines=_baselines(workspace, bad),
    )


def _baselines(workspace: Workspace, bad: list[RegressError]) -> dict[str, Baseline]:
    """File name to baseline: those that lie beside the one that the command is about, and last that one."""
    own = workspace.baseline_path
    beside = [path for path in sorted(own.parent.glob("*.toml")) if path != own]
    found = {path.name: _baseline(path, []) for path in beside}  # not all that ends so is a baseline
    found[own.name] = _baseline(own, bad) if own.exists() else None
    return {name: baseline for name, baseline in found.items() if baseline}


def _baseline(path: Path, bad: list[RegressError]) -> Baseline | None:
    try:
        return parse_baseline(read_text(path), shown(path))
    except errors.ConfigError as error:
        bad.append(error)
        return None
