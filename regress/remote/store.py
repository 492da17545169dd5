"""A history in a folder of an object store, or of anything else that fsspec reaches.

There is no rename in an object store, and none is needed: one request puts a whole file there or nothing; elsewhere
a file gets its name once it is whole. Two writers never write the same path, and where the store can refuse to replace
a file, it is asked to. A report goes after its record, so that none ever stands alone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from regress.errors import HistoryError, RegressError, UsageError
from regress.layout import check_size, place_of
from regress.redact import struck
from regress.remote.exchange import Exchanged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from regress.remote.address import StoreAddress
    from regress.remote.folder import Folder

    Info = Mapping[str, Any]
    """What a file system says of one of its files."""

AT_ONCE = 16
"""Requests under way at a time, where the file system can have several."""
_TAKEN_AT_ONCE = 64
_OPTIONS: dict[str, dict[str, Any]] = {
    # The driver's own are a minute for a connection, five times over.
    "s3": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 60, "retries": {"max_attempts": 3}}},
}
_HIDDEN = re.compile(r"(^|/)\.[^/]*\.tmp$")
"""What a write that was interrupted leaves."""
_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "az", "hf"})
"""Kinds that write a file whole or not at all, and that have no folders."""
_DRIVERS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}


class Store:
    """A folder of an object store.

    Raises:
        UsageError: Its kind is unknown, or what it takes is not installed.
        HistoryError: It cannot be opened.
    """

    def __init__(self, address: StoreAddress) -> None:
        self.shown = address.shown
        self._scheme = address.scheme
        self._fs, self._root = _opened(address)
        self._infos: dict[str, Info] = {}

    def push(self, folder: Folder) -> Exchanged:
        """Gives the store what it lacks of a folder, records first.

        Listed are the months that have something new here, and one that has not: to see that the store still has it.

        Raises:
            HistoryError: It cannot be reached or refuses.
        """
        with self._telling("written"):
            months = folder.months([*folder.unseen(), *folder.known()[-1:]])
            marks = self._list_months(months)
            if folder.has_lost(marks, months):  # somebody emptied the store: what is known of it holds no more
                months = folder.months(folder.names)
                marks = self._list_months(months)
            lacking = folder.to_give(marks, self._is_same, folder.within(months))
            records = [name for name in lacking if not _is_report(name)]
            for part in (records, [name for name in lacking if _is_report(name)]):
                self._each(partial(self._put, folder), part)
        return Exchanged(moved=tuple(name for name in lacking if not folder.is_refused(name)))

    def pull(self, folder: Folder) -> Exchanged:
        """Takes from the store what a folder lacks.

        Raises:
            HistoryError: It cannot be reached, or the folder cannot be written.
        """
        with self._telling("read"):
            marks = self._list_all()
            names = folder.to_take(marks, self._is_same)
            for first in range(0, len(names), _TAKEN_AT_ONCE):
                fit = [name for name in names[first : first + _TAKEN_AT_ONCE] if self._is_small(folder, name)]
                for name, data in zip(fit, self._each(self._get, fit), strict=True):
                    folder.take(name, data, marks[name])
        return Exchanged(moved=tuple(folder.taken))

    def _list_months(self, months: Iterable[str]) -> dict[str, str]:
        """Name to mark of the files in those folders."""
        return self._marks(info for infos in self._each(self._ls, sorted(months)) for info in infos)

    def _ls(self, month: str) -> list[Info]:
        path = self._path(month)
        try:
            self._fs.invalidate_cache(path)
            found: list[Info] = self._fs.ls(path, detail=True)
        except FileNotFoundError:
            return []
        return found

    def _list_all(self) -> dict[str, str]:
        try:
            self._fs.invalidate_cache()
            return self._marks(self._fs.find(self._root, detail=True).values())
        except FileNotFoundError:
            return {}

    def _marks(self, infos: Iterable[Info]) -> dict[str, str]:
        for info in infos:
            name = self._name(info["name"])
            if info["type"] == "file" and name and not _HIDDEN.search(name):
                self._infos[name] = info
        return {name: _mark(info) for name, info in self._infos.items()}

    def _name(self, path: str) -> str:
        return path.strip("/").removeprefix(self._root.strip("/")).strip("/")

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _is_same(self, name: str, data: bytes) -> bool:
        """Whether the store has that content; it is read only where the listing does not tell."""
        info = self._infos[name]
        if info.get("size") != len(data):
            return False
        return _etag(info) == hashlib.md5(data, usedforsecurity=False).hexdigest() or self._get(name) == data

    def _is_small(self, folder: Folder, name: str) -> bool:
        try:
            check_size(name, self._infos[name].get("size") or 0)
        except HistoryError as error:
            folder.refuse(name, error)
            return False
        return True

    def _get(self, name: str) -> bytes:
        data: bytes = self._fs.cat_file(self._path(name))
        return data

    def _put(self, folder: Folder, name: str) -> None:
        """Writes a file that is not there; one that came in between is looked at."""
        data = folder.data(name)
        try:
            if self._scheme in _BUCKETS:
                self._fs.pipe_file(self._path(name), data, mode="create")
            else:
                self._put_and_rename(name, data)
        except OSError as error:
            if error.errno == errno.ENOSYS:  # such a store cannot refuse to replace a file; none was there just now
                self._fs.pipe_file(self._path(name), data)
            elif self._get_after(error, name) != data:
                folder.refuse_other(name)

    def _get_after(self, error: OSError, name: str) -> bytes:
        """What came in between and is why a file could not be written; the error itself where nothing did.

        Drivers say in several ways that a file is there.
        """
        try:
            return self._get(name)
        except FileNotFoundError:
            raise error from None

    def _put_and_rename(self, name: str, data: bytes) -> None:
        """Writes a file where a write that is interrupted leaves half of one, as in a folder over SFTP."""
        folder, _, last = self._path(name).rpartition("/")
        temporary = f"{folder}/.{last}.{secrets.token_hex(4)}.tmp"
        self._fs.makedirs(folder, exist_ok=True)
        self._fs.pipe_file(temporary, data)
        if self._fs.exists(self._path(name)):
            self._fs.rm_file(temporary)
            raise FileExistsError(name)
        self._fs.mv(temporary, self._path(name))

    def _each(self, function: Any, things: Sequence[Any]) -> list[Any]:  # noqa: ANN401
        """What a function gives for each of several things, several at a time where the file system can."""
        if not self._fs.async_impl or len(things) < 2:  # noqa: PLR2004  # one needs no thread
            return [function(thing) for thing in things]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(function, things))

    @contextlib.contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Turns what a driver raises, each its own kind, into one line."""
        try:
            yield
        except RegressError:
            raise
        except Exception as error:
            raise HistoryError(
                f"{self.shown}: cannot be {what}", cause=_cause(error), hint=_hint(error, what)
            ) from error


def _opened(address: StoreAddress) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    import fsspec  # noqa: PLC0415  # 0.1 s, and much more with a driver, that git remotes do not need

    if address.scheme not in fsspec.available_protocols():
        raise UsageError(
            f"remote '{address.shown}': unknown kind '{address.scheme}'",
            hint="a git remote, or one of fsspec's, such as s3, gs, abfs, hf, sftp",
        )
    try:
        fs, path = fsspec.url_to_fs(address.url, **_OPTIONS.get(address.scheme, {}))
    except ImportError as error:
        driver = _DRIVERS.get(address.scheme)
        hint = f"pip install {driver}" if driver else struck(str(error))
        raise UsageError(f"remote '{address.shown}': its driver is not installed", hint=hint) from error
    except Exception as error:
        raise HistoryError(f"{address.shown}: cannot be opened", cause=_cause(error)) from error
    return fs, path


def _is_report(name: str) -> bool:
    place = place_of(name)
    return place is not None and place.is_report


def _etag(info: Info) -> str:
    return str(info.get("ETag") or info.get("etag") or info.get("blob_id") or "").strip('"')


def _mark(info: Info) -> str:
    """What the listing says of a file's content: its size, and its digest where the store has one."""
    return f"{info.get('size')} {_etag(info)}".strip()


def _cause(error: Exception) -> str:
    text = struck(" ".join(str(error).split()))
    return text[:300] or type(error).__name__


def _hint(error: Exception, what: str) -> str:
    if isinstance(error, PermissionError) or "credential" in str(error).lower():
        return "give its driver credentials, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or others with rights"
    if isinstance(error, FileNotFoundError):
        return "make the bucket first, or mend its name"
    return "nothing is lost: try again later" if what == "written" else "try again later"
