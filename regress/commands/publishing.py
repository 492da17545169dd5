"""`site`: the command that writes the pages."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from regress import errors, site
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
    return site.build(
        workspace.history,
        workspace.site,
        title=workspace.config.title,
        templates=shared("templates"),
        assets=shared("site/assets"),
        cache=workspace.home / "site",
        baselines=_baselines(workspace, bad),
        on_bad=bad.append,
    )


def _baselines(workspace: Workspace, bad: list[RegressError]) -> dict[str, Baseline]:
    """Runner to its baseline: the one that the command is about, and those that lie beside it."""
    beside = [path for path in sorted(workspace.baseline_path.parent.glob("*.toml")) if path != workspace.baseline_path]
    found = [baseline for path in beside if (baseline := _baseline(path, []))]  # not all that ends so is a baseline
    own = _baseline(workspace.baseline_path, bad) if workspace.baseline_path.exists() else None
    return {baseline.runner: baseline for baseline in [*found, *([own] if own else [])]}


def _baseline(path: Path, bad: list[RegressError]) -> Baseline | None:
    try:
        return parse_baseline(read_text(path), shown(path))
    except errors.ConfigError as error:
        bad.append(error)
        return None
