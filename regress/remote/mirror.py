"""What this machine keeps of a branch on a git remote: commits and trees of the tips it has seen, and what it pushed.

    <cache>/remotes/<key>/lock             held by the process that exchanges with the branch
    <cache>/remotes/<key>/state.json       which mirror is in use, and the last tip known
    <cache>/remotes/<key>/<random>.git/    a mirror

Whatever goes wrong in a mirror, such as the lock of a git that was killed, is cured by a new one, whose name is new
each time: a git that outlived its killed parent may still be writing into the old one.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from regress import git, history
from regress.errors import HistoryError
from regress.record import encode
from regress.stored import DAMAGED, Stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from regress.git import Answer, Git

MOST_USES = 500
"""Exchanges, and files pushed, after which a mirror is made anew: it keeps what each of them left."""
OLD_S = 86_400.0
"""A mirror that nothing has changed in for so long, in seconds, is used by no process any more."""

_PROMISED = ((f"remote.{git.REMOTE}.promisor", "true"), (f"remote.{git.REMOTE}.partialclonefilter", "blob:none"))
"""What makes git leave out the files of a commit; set only while it fetches, so that no other command fetches them."""


class State(Stored, frozen=True):
    """`state.json`.

    Attributes:
        mirror: Name of the folder in use.
        tip: The last commit known to be the branch's tip; `None` where none is.
        uses: Exchanges, and files pushed, that it was used for.
    """

    mirror: str
    tip: str | None = None
    uses: int = 0


class Mirror:
    """What is kept of one branch."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = env
        self._state = _read(folder)
        self.is_new = False
        self._clear()
        if self._state is None or self._state.uses >= MOST_USES:
            self.renew()

    @property
    def tip(self) -> str | None:
        """The last commit known to be the branch's tip; `None` where none is."""
        return self._current.tip

    @property
    def _current(self) -> State:
        assert self._state is not None  # noqa: S101  # the constructor makes one
        return self._state

    @property
    def path(self) -> Path:
        """The mirror in use."""
        return self._folder / self._current.mirror

    @property
    def git(self) -> Git:
        """The mirror's git."""
        return git.Git(folder=self.path, env=self._env, repository=self.path)

    def renew(self) -> None:
        """Makes an empty mirror and uses it from now on.

        Raises:
            HistoryError: git or the cache refuses.
        """
        path = self._folder / f"{secrets.token_hex(4)}.git"
        path.mkdir(parents=True)
        there = git.Git(folder=path, env=self._env, repository=path)
        git.require_version(there)
        made = there("init", "--quiet", "--bare", "--template=")
        if not made.ok:
            raise HistoryError(f"{path}: git cannot make a repository there", cause=made.cause)
        self.is_new = True
        self._keep(State(mirror=path.name))

    def _clear(self) -> None:
        """Removes the mirrors of before that no process uses."""
        used = self._state.mirror if self._state else None
        for path in self._folder.glob("*.git"):
            with contextlib.suppress(OSError):
                if path.name != used and time.time() - path.stat().st_mtime > OLD_S:
                    shutil.rmtree(path, ignore_errors=True)

    def _keep(self, state: State) -> None:
        self._state = state
        history.write(self._folder / "state.json", encode(state))

    def moved(self, tip: str | None, uses: int = 1) -> None:
        """Remembers the branch's tip, and how much came to the mirror with it."""
        self._keep(State(mirror=self._current.mirror, tip=tip, uses=self._current.uses + uses))

    def fetch(self, branch: str) -> Answer:
        """How fetching the branch's tip ended; it is `tip` then.

        One commit and its trees come, as far as they are not here; no file, where the remote can leave them out.
        """
        ref = f"refs/tips/{secrets.token_hex(8)}"
        known = [f"--negotiation-tip={self.tip}"] if self.tip else []
        answer = self._fetch(self._env, "--depth=1", *known, git.REMOTE, f"+refs/heads/{branch}:{ref}")
        if answer.ok:
            self.moved(self.git("rev-parse", "--verify", ref).text)
        return answer

    def fetch_files(self, ids: Sequence[str], objects: Path) -> Answer:
        """How fetching files by their ids ended; they lie in a folder of their own then.

        Args:
            ids: git's ids of their contents.
            objects: Where to put them.
        """
        stdin = "".join(f"{each}\n" for each in ids).encode()
        # The remote would take files for known whose commit is here, were it told of that.
        env = git.with_settings({**self._env, **self.apart(objects)}, (("fetch.negotiationAlgorithm", "noop"),))
        return self._fetch(env, "--stdin", git.REMOTE, stdin=stdin)

    def _fetch(self, env: Mapping[str, str], *arguments: str, stdin: bytes | None = None) -> Answer:
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        promised = git.with_settings(env, _PROMISED)
        return self.git("fetch", *options, *arguments, stdin=stdin, env=promised, timeout_s=git.NETWORK_S)

    def apart(self, objects: Path) -> dict[str, str]:
        """The environment in which new objects lie in a folder of their own, and not in the mirror."""
        return {"GIT_OBJECT_DIRECTORY": str(objects), "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.path / "objects")}

    @contextlib.contextmanager
    def work(self) -> Iterator[Path]:
        """A folder for what one exchange needs: an index, and the files on their way."""
        with tempfile.TemporaryDirectory(prefix="work-", dir=self.path, ignore_cleanup_errors=True) as folder:
            (Path(folder) / "objects").mkdir()
            yield Path(folder)


def _read(folder: Path) -> State | None:
    """What is kept in a folder; `None` where nothing is, or it is damaged."""
    try:
        state = msgspec.json.decode(history.read(folder / "state.json"), type=State)
    except (HistoryError, *DAMAGED):
        return None
    return state if (folder / state.mirror / "objects").is_dir() else None
