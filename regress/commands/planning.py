"""`plan`: the command that says which runners measure what."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from regress import errors, plan
from regress.baseline import parse_baseline
from regress.errors import ConfigError, UsageError, did_you_mean
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
    if args.toolchain:
        workspace.config.toolchain(args.toolchain)
    wanted = args.runner or _all_for(workspace, args.toolchain)
    if runners and not wanted:
        raise ConfigError(
            f"plan: every declared runner has a toolchain of its own, and none has '{args.toolchain}'",
            hint="name the runner that shall measure it: --runner NAME",
        )
    entries = [_entry(workspace, name, args.toolchain) for name in runners if name in wanted]
    matrix = plan.matrix_json(entries)
    sys.stdout.write(matrix if args.json else plan.text(entries))
    return errors.EXIT_PASS


def _all_for(workspace: Workspace, toolchain: str | None) -> list[str]:
    """The declared runners that a toolchain is for: one that has its own is asked for another by its name alone."""
    runners = workspace.config.runners
    return [name for name, spec in runners.items() if toolchain is None or spec.toolchain in (None, toolchain)]


def _entry(workspace: Workspace, name: str, toolchain: str | None) -> Entry:
    spec = workspace.config.runners[name]
    path = workspace.config_path.parent / (spec.baseline or f"baselines/{name}.toml")
    judged = toolchain or workspace.config.measured(name)[-1]
    return plan.entry(name, spec, parse_baseline(read_text(path), shown(path)), shown(path), judged)
