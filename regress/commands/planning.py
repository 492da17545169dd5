"""`plan`: the command that says which runners measure what."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from regress import errors, plan
from regress.baseline import parse_baseline
from regress.errors import UsageError, did_you_mean
from regress.workspace import open_workspace, read_text, shown

if TYPE_CHECKING:
    import argparse

    from regress.plan import Entry
    from regress.workspace import Workspace


def plan_command(args: argparse.Namespace) -> int:
    """`regress plan`: the jobs of all declared runners, or of those that are named."""
    workspace = open_workspace(args)
    runners = workspace.config.runners
    for name in args.runner:
        if name not in runners:
            raise UsageError(
                f"plan: no runner '{name}' in {workspace.config_path.name}{did_you_mean(name, runners)}",
                hint=f"declared: {', '.join(runners) or 'none'}",
            )
    toolchain = workspace.config.toolchain(args.toolchain or workspace.config.run.toolchains[-1]).name
    entries = [_entry(workspace, name, toolchain) for name in runners if not args.runner or name in args.runner]
    matrix = plan.matrix_json(entries)
    sys.stdout.write(matrix if args.json else plan.text(entries))
    return errors.EXIT_PASS


def _entry(workspace: Workspace, name: str, toolchain: str) -> Entry:
    spec = workspace.config.runners[name]
    path = workspace.config_path.parent / (spec.baseline or f"baselines/{name}.toml")
    return plan.entry(name, spec, parse_baseline(read_text(path), shown(path)), shown(path), toolchain)
