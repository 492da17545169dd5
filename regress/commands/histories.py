"""`history push|pull|verify`: the records, shared with other machines and checked."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from regress import errors
from regress.crew import crew
from regress.errors import HistoryError, UsageError
from regress.inspection import contents, inspect
from regress.progress import say
from regress.workspace import open_workspace

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from regress.remote import Sharing
    from regress.remote.exchange import Exchanged
    from regress.workspace import Workspace


def push(args: argparse.Namespace) -> int:
    """`history push`: exits 7 where a file could not go; all others went."""
    workspace = open_workspace(args)
    _require_folder(workspace.history)
    sharing = _sharing(workspace, args)
    return _tell(args, sharing, sharing.push(), f"pushed {{}} to {sharing.remote.shown}")


def pull(args: argparse.Namespace) -> int:
    """`history pull`: exits 7 where a file could not be taken; all others were."""
    workspace = open_workspace(args)
    sharing = _sharing(workspace, args)
    return _tell(args, sharing, sharing.pull(), f"pulled {{}} from {sharing.remote.shown}")


def verify(args: argparse.Namespace) -> int:
    """`history verify`: names each thing that is wrong; exits 7 where there is one."""
    root = open_workspace(args).history
    _require_folder(root)
    found = contents(root)
    with crew(sum(stamp.size_bytes for stamp in found.stamps.values())) as run:
        inspection = inspect(root, found, run)
    if args.json:
        _print_json(msgspec.structs.asdict(inspection))
    else:
        sys.stdout.write("".join(f"{problem}\n" for problem in inspection.problems))
    counts = f"records {inspection.records:,}, reports {inspection.reports:,}"
    counts += f", imports {inspection.imports:,}" if inspection.imports else ""
    counts += f", problems {len(inspection.problems):,}"
    say(f"{root}: {counts}")
    return errors.EXIT_HISTORY if inspection.problems else errors.EXIT_PASS


def _require_folder(root: Path) -> None:
    if not root.is_dir():
        raise HistoryError(f"{root}: no such folder of records")


def _sharing(workspace: Workspace, args: argparse.Namespace) -> Sharing:
    """The history and the remote that a command line names."""
    from regress.remote import Branch, Sharing  # noqa: PLC0415  # not needed to verify

    declared = workspace.config.remote
    address = args.remote or declared.url
    if address is None:
        raise UsageError(
            "history: no remote is named", hint="name one with --remote, or as url in [remote] of regress.toml"
        )
    sharing = Sharing(
        workspace.history,
        address,
        branch=args.branch or declared.branch,
        home=workspace.home,
        timeout_s=args.timeout_s,
    )
    if args.branch and not isinstance(sharing.remote, Branch):
        raise UsageError(f"history: --branch is for git remotes, which {sharing.remote.shown} is not")
    return sharing


def _tell(args: argparse.Namespace, sharing: Sharing, exchanged: Exchanged, sentence: str) -> int:
    """Prints what was moved, and says what was not."""
    problems = sharing.folder.problems
    if args.json:
        told = [{"message": str(error), "hint": error.hint} for error in problems]
        _print_json({"remote": sharing.remote.shown, "moved": exchanged.moved, "problems": told})
    else:
        sys.stdout.write("".join(f"{name}\n" for name in exchanged.moved))
    for error in problems:
        say("\n".join(error.lines()))
    count = len(exchanged.moved)
    attempts = f", at the attempt no. {exchanged.attempts}" if exchanged.attempts > 1 else ""
    say(sentence.format(f"{count:,} file{'' if count == 1 else 's'}") + attempts)
    return problems[0].exit_code if problems else errors.EXIT_PASS


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n")
