"""What a remote is called: a git repository, by its URL, path or name, or the URL of an object store."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regress.errors import UsageError
from regress.redact import struck

if TYPE_CHECKING:
    from collections.abc import Callable

    from regress.git import Answer

    Here = Callable[..., Answer]
    """A call of git in the working folder."""

GIT_SCHEMES = frozenset({"file", "git", "git+ssh", "http", "https", "ssh", "ssh+git"})
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://.+", re.DOTALL)
_LIKE_SCP = re.compile(r"[^/:\s-][^/:\s]*:(?!:|//).+")
_NAME = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_./-]*")


@dataclass(frozen=True, kw_only=True)
class GitAddress:
    """A git repository.

    Attributes:
        shown: What a message calls it: as it was given, without secrets.
        url: Where it is read from; may hold a token.
        push_url: Where it is written to; may hold a token.
        path: The folder that it is; `None` where it is elsewhere.
    """

    shown: str
    url: str
    push_url: str
    path: Path | None = None

    @property
    def key(self) -> str:
        """16 digits that tell it from others, whatever token is used for it."""
        return _key("git", struck(self.url), struck(self.push_url))


@dataclass(frozen=True, kw_only=True)
class StoreAddress:
    """A folder of an object store.

    Attributes:
        shown: What a message calls it: its URL without secrets.
        url: The URL; may hold a password.
        scheme: Such as `s3`.
    """

    shown: str
    url: str
    scheme: str

    @property
    def key(self) -> str:
        """16 digits that tell it from others."""
        return _key("store", self.shown)


Address = GitAddress | StoreAddress


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def address_of(text: str, here: Here) -> Address:
    """What a remote's name, path or URL means.

    Args:
        text: As it was given.
        here: git in the working folder, whose repository knows remotes by name.

    Raises:
        UsageError: It is none of them.
    """
    shown = struck(text)
    if not text or text.startswith("-") or not text.isprintable():
        raise UsageError(f"remote '{shown}' is no name, path or URL of a remote")
    if match := _SCHEME.fullmatch(text):
        return _by_scheme(text, match["scheme"].lower())
    named = _named(text, here)
    if named is not None:
        return named
    path = Path(text).expanduser()
    if path.is_dir():
        return _at(str(path.absolute()), shown, path.absolute())
    if _LIKE_SCP.fullmatch(text):
        return _at(text, shown)
    raise UsageError(
        f"remote '{shown}': neither a URL, nor a folder, nor a remote of the repository in this folder",
        hint="such as https://github.com/ORGANISATION/REPOSITORY, origin or s3://BUCKET/FOLDER",
    )


def _by_scheme(text: str, scheme: str) -> Address:
    shown = struck(text)
    if scheme not in GIT_SCHEMES:
        return StoreAddress(shown=shown, url=text, scheme=scheme)
    return _at(text, shown, Path(text.removeprefix("file://")) if scheme == "file" else None)


def _at(url: str, shown: str, path: Path | None = None) -> GitAddress:
    return GitAddress(shown=shown, url=url, push_url=url, path=path)


def _named(text: str, here: Here) -> GitAddress | None:
    """The remote of that name of the repository in the working folder; `None` where it has none."""
    if not _NAME.fullmatch(text):
        return None
    known = here("remote")
    if not known.ok or text not in known.text.splitlines():
        return None
    url, push_url = (here("remote", "get-url", *which, text).text.partition("\n")[0] for which in ((), ("--push",)))
    path = Path(url).absolute() if Path(url).is_dir() else None
    if path is not None:
        url, push_url = (str(Path(each).absolute()) if Path(each).is_dir() else each for each in (url, push_url))
    return GitAddress(shown=text, url=url, push_url=push_url, path=path)
