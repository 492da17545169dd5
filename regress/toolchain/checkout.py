"""Checkouts of commits, in the cache: the toolchains of the kind `source` that name a repository."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from regress import git
from regress.errors import HistoryError, ToolchainError
from regress.redact import publishable
from regress.toolchain.cache import writing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regress.config import ToolchainSpec


def folder(spec: ToolchainSpec, home: Path) -> Path:
    """Where a toolchain's Python folder lies once its commit is checked out."""
    return _root(spec, home) / (spec.path or ".")


def fetch(spec: ToolchainSpec, home: Path) -> Path:
    """The toolchain's Python folder, checked out where that is still to do.

    Args:
        spec: A toolchain with a repository and a commit.
        home: The cache folder.

    Raises:
        ToolchainError: The commit cannot be fetched, or has no such folder.
    """
    root = _root(spec, home)
    if not root.is_dir():
        with writing(f"toolchain '{spec.name}'", root.parent):
            root.parent.mkdir(parents=True, exist_ok=True)
            with _temporary(root) as partial:
                _check_out(spec, partial)
                # Another process may have been faster, with the very same commit.
                with contextlib.suppress(FileExistsError):
                    partial.rename(root)
    if not folder(spec, home).is_dir():
        raise ToolchainError(f"toolchain '{spec.name}': path: no folder '{spec.path}' in {spec.commit}")
    return folder(spec, home)


def _root(spec: ToolchainSpec, home: Path) -> Path:
    return home / "sources" / (spec.commit or "")


@contextlib.contextmanager
def _temporary(root: Path) -> Iterator[Path]:
    """A folder beside another one, that is gone afterwards unless it was renamed."""
    partial = Path(tempfile.mkdtemp(prefix=".", dir=root.parent))
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_out(spec: ToolchainSpec, target: Path) -> None:
    """Fetches the one commit with its submodules left out: a Python folder needs none."""
    caller = git.reaching(git.here())
    here = git.Git(folder=target, env=git.environment((("remote.source.url", spec.repository or ""), *caller)))
    steps = (
        ("init", "--quiet"),
        ("fetch", "--quiet", "--no-tags", "--depth", "1", "source", spec.commit or ""),
        ("checkout", "--quiet", "--detach", "FETCH_HEAD"),
    )
    for step in steps:
        try:
            answer = here(*step, timeout_s=git.NETWORK_S)
        except HistoryError as error:
            raise ToolchainError(f"toolchain '{spec.name}': {error}", hint=error.hint) from error
        if not answer.ok:
            where = publishable(spec.repository or "")
            raise ToolchainError(
                f"toolchain '{spec.name}': commit {spec.commit} of {where} cannot be had",
                cause=publishable(answer.cause),
            )
