"""Remotes: where the machines of a project share one history, each pushing what it measured.

A remote holds what the history folder holds, under the same names. Its files are only ever added.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from regress import git
from regress.errors import UsageError
from regress.remote.address import GitAddress, address_of
from regress.remote.branch import Branch
from regress.remote.folder import Folder
from regress.remote.seen import Seen
from regress.remote.store import Store

__all__ = ["Branch", "Sharing"]

if TYPE_CHECKING:
    from pathlib import Path

    from regress.remote.address import Address
    from regress.remote.exchange import Exchanged, Remote


class Sharing:
    """A history folder and the remote that it is shared on.

    Args:
        root: The folder.
        address: The remote's name, path or URL.
        branch: Branch that holds the history; of a git remote alone.
        home: Cache folder.
        timeout_s: Seconds after which no further attempt is begun.

    Raises:
        UsageError: There is no such remote, or its kind is unknown.
    """

    def __init__(self, root: Path, address: str, *, branch: str, home: Path, timeout_s: float) -> None:
        here = git.here()
        found = address_of(address, here)
        parts = [found.key, branch] if isinstance(found, GitAddress) else [found.key]
        cache = home / "remotes" / _digest(*parts)
        self.remote = _remote(found, branch, cache, here, timeout_s)
        self.folder = Folder(root, Seen(cache / f"seen-{_digest(str(root.resolve()))}.json"))

    def push(self) -> Exchanged:
        """Gives the remote what it lacks of the folder.

        Raises:
            HistoryError: It cannot be reached or refuses.
        """
        return self._remembered(self.remote.push(self.folder))

    def pull(self) -> Exchanged:
        """Takes from the remote what the folder lacks.

        Raises:
            HistoryError: It cannot be reached, or the folder cannot be written.
        """
        return self._remembered(self.remote.pull(self.folder))

    def _remembered(self, exchanged: Exchanged) -> Exchanged:
        self.folder.seen.save()
        return exchanged


def _digest(*parts: str) -> str:
    """16 digits that name those texts."""
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:16]


def _remote(address: Address, branch: str, cache: Path, here: git.Git, timeout_s: float) -> Remote:
    if not isinstance(address, GitAddress):
        return Store(address)
    if not here("check-ref-format", f"refs/heads/{branch}").ok or branch.startswith("-"):
        raise UsageError(f"--branch: '{branch}' is no name of a branch")
    env = git.environment((*git.reaching(here), *_reached(address)))
    return Branch(address=address, name=branch, env=env, cache=cache, timeout_s=timeout_s)


def _reached(address: GitAddress) -> git.Settings:
    """The settings that make a remote of an address."""
    where = (("url", address.url), ("pushurl", address.push_url))
    # Of a folder, git leaves out the files of a commit only where it is told that it may; a host decides for itself.
    program = (("uploadpack", "git -c uploadpack.allowFilter=true upload-pack"),) if address.path else ()
    return tuple((f"remote.{git.REMOTE}.{key}", value) for key, value in (*where, *program))
