"""`site`: the command that writes the pages."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from regress import errors, site
from regress.baseline import parse_baseline
from regress.errors import UsageError
from regress.progress import say
from regress.resources import shared
from regress.site.index import PARQUET
from regress.site.plotly import bundle
from regress.workspace import open_workspace, read_text, shown

if TYPE_CHECKING:
    import argparse

    from regress.baseline import Baseline
    from regress.errors import RegressError
    from regress.progress import Reporter
    from regress.site.plotly import Script
    from regress.workspace import Workspace


def site_command(args: argparse.Namespace) -> int:
    """`regress site [build|serve|check]`."""
    serving = [option for option in ("host", "port") if getattr(args, option) is not None]
    if serving and args.action != "serve":
        raise UsageError(f"site: --{serving[0]} is for `regress site serve`")
    building = [option for option in ("history", "parquet", "plotly") if getattr(args, option)]
    if building and args.action == "check":
        raise UsageError(f"site: --{building[0]} is for building, `regress site check` looks at what was built")
    if args.parquet and importlib.util.find_spec("pyarrow") is None:
        raise UsageError("site: --parquet: pyarrow is not installed", hint="pip install 'regress[parquet]'")
    workspace = open_workspace(args)
    if args.action == "check":
        return _check(workspace.site)
    return _serve(workspace, args) if args.action == "serve" else _build(workspace, args)


def _build(workspace: Workspace, args: argparse.Namespace) -> int:
    """Writes the site from the history; what cannot be used is named, its first error the exit code."""
    if not workspace.history.is_dir() and (args.history or workspace.history.exists()):
        raise errors.HistoryError(f"{workspace.history}: no such folder of records")
    bad: list[RegressError] = []
    script = bundle(Path(args.plotly)) if args.plotly else None
    index = _write(workspace, bad, parquet=args.parquet, script=script)
    sys.stdout.write(f"{index}\n")
    for error in bad:
        say("\n".join(error.lines()))
    return bad[0].exit_code if bad else errors.EXIT_PASS


def _check(folder: Path) -> int:
    """Names what is wrong with a built site."""
    from regress.site.audit import Audit  # noqa: PLC0415  # only this reads pages

    audit = Audit(folder)
    problems = list(audit.problems())
    sys.stdout.write("".join(f"{problem}\n" for problem in problems))
    say(f"{folder}: {len(audit.pages)} pages, {len(problems)} problems")
    return errors.EXIT_HISTORY if problems else errors.EXIT_PASS


def _serve(workspace: Workspace, args: argparse.Namespace) -> int:
    """Builds the site and serves it until somebody ends it; the exit code is the build's.

    The address is taken first: that it cannot be had is not to be found out once all of a long history was read.
    """
    from regress.commands.serving import Server  # noqa: PLC0415  # only this serves

    with Server(workspace.site, args.host or "127.0.0.1", args.port) as server:
        code = _build(workspace, args)
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        if server.reaches_all:
            say("served at every address of this machine")
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return code


def publish(workspace: Workspace, reporter: Reporter) -> None:
    """Writes the site at the end of a run."""
    bad: list[RegressError] = []
    with reporter.step("site"):
        index = _write(workspace, bad)
    for error in bad:
        reporter.note("\n".join(error.lines()))
    reporter.note(f"  {index}")


def _write(
    workspace: Workspace, bad: list[RegressError], *, parquet: bool = False, script: Script | None = None
) -> Path:
    return site.build(
        workspace.history,
        workspace.site,
        title=workspace.config.title,
        templates=shared("templates"),
        assets=shared("site/assets"),
        cache=workspace.home / "site",
        baselines=_baselines(workspace, bad),
        parquet=parquet or _keeps_parquet(workspace.site),
        script=script,
        on_bad=bad.append,
    )


def _keeps_parquet(folder: Path) -> bool:
    """Whether the site has the table as Parquet already, which must not stay behind the others."""
    return (folder / PARQUET).exists() and importlib.util.find_spec("pyarrow") is not None


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
