"""A history on a branch of a git remote.

A push puts its files onto the last tip known and offers that to the remote, which is one round trip where nobody else
wrote meanwhile. Where somebody did, the remote refuses it: then the new tip is fetched, and the same files are put onto
that one. Nothing is ever forced, so that what a push was accepted with is there for good.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from regress import git
from regress.errors import HistoryError, UsageError
from regress.layout import place_of
from regress.redact import printable
from regress.remote import tree
from regress.remote.exchange import Exchanged
from regress.remote.mirror import Mirror
from regress.remote.patience import patience
from regress.remote.refusal import Damaged, no_branch, not_pushed, not_read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from regress.remote.address import GitAddress
    from regress.remote.folder import Folder

FILES_AT_ONCE = 500
"""Files fetched in one exchange: what a pull that is interrupted has to fetch again at most."""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A branch of a git remote.

    Attributes:
        address: The remote.
        name: The branch.
        env: The environment in which git reaches it.
        cache: Where this machine keeps what it knows of it.
        timeout_s: Seconds after which no further attempt is begun.
    """

    address: GitAddress
    name: str
    env: Mapping[str, str]
    cache: Path
    timeout_s: float

    @property
    def shown(self) -> str:
        """Remote and branch, as messages call them."""
        return f"{self.address.shown} {self.name}"

    def push(self, folder: Folder) -> Exchanged:
        """Gives the remote what it lacks of a folder, in one commit.

        Raises:
            HistoryError: It cannot be reached or refuses; nothing was given then.
            UsageError: The branch is no history.
        """
        return self._patiently(lambda mirror, attempt: self._push(mirror, folder, known=attempt == 1))

    def pull(self, folder: Folder) -> Exchanged:
        """Takes from the remote what a folder lacks.

        Raises:
            HistoryError: It cannot be reached, or the folder cannot be written.
        """
        return self._patiently(lambda mirror, _: self._pull(mirror, folder))

    def _patiently(self, exchange: Callable[[Mirror, int], tuple[str, ...]]) -> Exchanged:
        """What an exchange moved that is begun again while others write first."""
        with self._held():
            mirror = Mirror(self.cache, self.env)
            for attempt in patience(self.timeout_s):
                number = attempt.retry_state.attempt_number
                with attempt:
                    moved = _cured(mirror, partial(exchange, mirror, number))
            return Exchanged(moved=moved, attempts=number)

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Keeps other processes of this machine waiting: in turn they need one round trip each, at once many."""
        import filelock  # noqa: PLC0415  # 20 ms that other remotes do not need

        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.cache / "lock", timeout=self.timeout_s):
                yield
        except filelock.Timeout as error:
            raise HistoryError(
                f"{self.shown}: another regress of this machine has been at it for {self.timeout_s:g} s",
                hint="try again later: nothing is lost",
            ) from error
        except OSError as error:
            raise HistoryError(
                f"{error.filename or self.cache}: {error.strerror or error}",
                hint="mend it, make room there, or name another cache folder with REGRESS_HOME",
            ) from error

    def _push(self, mirror: Mirror, folder: Folder, *, known: bool) -> tuple[str, ...]:
        """Offers what the remote lacks once; the names of what it took.

        Args:
            mirror: What is known of the branch.
            folder: What is to be given.
            known: Whether the tip that was known last may be trusted.
        """
        marks = tree.listing(mirror) if known else {}
        names = _to_give(folder, marks) if marks and not _strange(marks) else []
        if not names or folder.problems:
            self._fetch(mirror)  # that the remote has it all, or something else, is for the remote to say
            marks = tree.listing(mirror)
            self._require_history(mirror, marks)
            names = _to_give(folder, marks)
        if names:
            self._offer(mirror, folder, names)
        return tuple(names)

    def _fetch(self, mirror: Mirror) -> None:
        """Makes the mirror's tip the branch's."""
        answer = mirror.fetch(self.name)
        if no_branch(answer):
            mirror.moved(None)
        elif not answer.ok:
            raise not_read(self.shown, answer)

    def _require_history(self, mirror: Mirror, marks: Mapping[str, str]) -> None:
        """Refuses a branch that holds something else, such as the project's own."""
        hint = "name another with --branch: the first push makes it"
        if strange := _strange(marks):
            more = f" and {len(strange) - 1:,} more files" if len(strange) > 1 else ""
            raise UsageError(f"{self.shown} is no history: it has {printable(strange[0])}{more}", hint=hint)
        if mirror.tip and not marks and self._is_default(mirror):
            raise UsageError(f"{self.shown} is the repository's default branch, and no history", hint=hint)

    def _is_default(self, mirror: Mirror) -> bool:
        answer = mirror.git("ls-remote", "--symref", git.REMOTE, "HEAD", timeout_s=git.NETWORK_S)
        if not answer.ok:
            raise not_read(self.shown, answer)
        return f"ref: refs/heads/{self.name}\tHEAD" in answer.text.splitlines()

    def _offer(self, mirror: Mirror, folder: Folder, names: Sequence[str]) -> None:
        """Puts files onto the tip and offers that to the remote."""
        with mirror.work() as work:
            ids = tree.store(mirror, folder, names)
            commit = tree.commit(mirror, work, ids)
            answer = mirror.git(
                *("push", "--porcelain", "--quiet", "--no-verify", git.REMOTE, f"{commit}:refs/heads/{self.name}"),
                timeout_s=git.NETWORK_S,
            )
        if not answer.ok:
            raise not_pushed(self.shown, answer)
        mirror.moved(commit, uses=len(ids))
        for name, mark in ids.items():
            folder.given(name, mark)

    def _pull(self, mirror: Mirror, folder: Folder) -> tuple[str, ...]:
        """Takes what the folder lacks; its names."""
        self._fetch(mirror)
        marks = tree.listing(mirror)
        names = folder.to_take(marks, lambda name, data: tree.blob_id(data) == marks[name])
        for first in range(0, len(names), FILES_AT_ONCE):
            chunk = {name: marks[name] for name in names[first : first + FILES_AT_ONCE]}
            with mirror.work() as work:
                answer = mirror.fetch_files(sorted(set(chunk.values())), work / "objects")
                if not answer.ok:
                    raise not_read(self.shown, answer)
                for name, data in tree.contents(mirror, work, chunk, folder):
                    folder.take(name, data, marks[name])
        return tuple(folder.taken)


def _strange(marks: Mapping[str, str]) -> list[str]:
    """What the remote has that is no file of a history."""
    return [name for name in marks if place_of(name) is None]


def _to_give(folder: Folder, marks: Mapping[str, str]) -> list[str]:
    """Names of what the remote lacks."""
    return folder.to_give(marks, lambda name, data: tree.blob_id(data) == marks[name])


T = TypeVar("T")


def _cured(mirror: Mirror, exchange: Callable[[], T]) -> T:
    """What an exchange gives, begun again with a new mirror where the one of before did not do what it should."""
    for _ in range(2):
        try:
            return exchange()
        except Damaged as damaged:  # noqa: PERF203  # twice at most
            if mirror.is_new:
                raise damaged.error from damaged
            mirror.renew()
    raise AssertionError(mirror.path)
