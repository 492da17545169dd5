"""`install-workflows`: the command that gives a repository the workflows."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from regress import errors, handout, process
from regress.errors import ConfigError, UsageError
from regress.history import write
from regress.progress import say
from regress.resources import shared
from regress.workspace import read_text

if TYPE_CHECKING:
    import argparse

_NEXT = """next: declare each machine in regress.toml ([runners.NAME]), give it a baseline (baselines/NAME.toml),
register it with those labels, and make the environment `device` (docs/runner.md)"""


def install_workflows(args: argparse.Namespace) -> int:
    """`regress install-workflows`: writes them, or shows what would change; prints the paths that were written."""
    root = Path(args.folder)
    if not root.is_dir():
        raise UsageError(f"install-workflows: {root}: no such folder")
    own = {path: read_text(shared(path)) for path in (*handout.FILES, handout.LOCK)}
    texts = handout.handed_out(own, args.source or _requirement())
    before = {path: read_text(root / path) if (root / path).exists() else "" for path in texts}
    if args.diff:
        sys.stdout.write("".join(handout.diff(path, before[path], text) for path, text in texts.items()))
        return errors.EXIT_PASS
    _refuse_others(root, before)
    for path, text in texts.items():
        if before[path] != text:
            write(root / path, text.encode())
            sys.stdout.write(f"{path}\n")
    say(_NEXT)
    return errors.EXIT_PASS


def _refuse_others(root: Path, before: dict[str, str]) -> None:
    """Refuses to write over what somebody else wrote; then nothing is written."""
    for path, text in before.items():
        if text and not handout.is_ours(text):
            raise ConfigError(
                f"{root / path}: is there already, and was not written by regress",
                hint="rename it, or look at `regress install-workflows --diff`",
            )


def _requirement() -> str:
    """What installs this very `regress` elsewhere.

    Raises:
        UsageError: Nobody else can have it.
    """
    try:
        written = distribution("regress").read_text("direct_url.json")
    except PackageNotFoundError:
        written = None
    found = handout.pinned(written) or _checkout()
    if found is None:
        raise UsageError(
            "install-workflows: this regress was installed from where others cannot",
            hint="name what installs it: --source 'regress @ git+https://HOST/OWNER/regress.git@COMMIT'",
        )
    return found


def _checkout() -> str | None:
    """The commit that this package is checked out at, where its repository has an address; `None` else."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    address, commit = (
        process.run(["git", *arguments], cwd=folder, timeout_s=60.0)
        for arguments in (("remote", "get-url", "origin"), ("rev-parse", "HEAD"))
    )
    if not (address.exit.ok and commit.exit.ok) or Path(address.stdout.strip()).exists():
        return None
    return handout.at_commit(address.stdout.strip(), commit.stdout.strip())
