"""The files of a history as git stores them: the tree of a tip, and a commit with some more in it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from regress.errors import HistoryError
from regress.layout import LARGEST_FILE_BYTES, check_size, place_of
from regress.remote.refusal import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from regress.git import Answer
    from regress.remote.folder import Folder
    from regress.remote.mirror import Mirror

_PLAIN = ("100644", "100755")
_READ_AT_ONCE_BYTES = 2 * LARGEST_FILE_BYTES


def blob_id(data: bytes) -> str:
    """The id that git gives a file's content."""
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()


def listing(mirror: Mirror) -> dict[str, str]:
    """Name to git's id of each file of the tip; empty where there is no branch yet.

    What is no plain file has a slash at its end: no file of a history is called so.
    """
    return _listing(mirror, mirror.tip) if mirror.tip else {}


def _listing(mirror: Mirror, tip: str) -> dict[str, str]:
    answer = _require(mirror.git("ls-tree", "-r", "-z", "--full-tree", tip))
    found: dict[str, str] = {}
    for entry in answer.printed.decode(errors="replace").split("\0")[:-1]:
        about, _, name = entry.partition("\t")
        mode, _, blob = about.split(" ")
        found[name if mode in _PLAIN else f"{name}/"] = blob
    return found


def store(mirror: Mirror, folder: Folder, names: Sequence[str]) -> dict[str, str]:
    """Name to git's id of files that now lie among the mirror's objects.

    Raises:
        HistoryError: One was changed since it was looked into.
    """
    stdin = "".join(f"{name}\n" for name in names).encode()
    hashing = ("hash-object", "-w", "--no-filters", "--stdin-paths")
    answer = _require(mirror.git(*hashing, stdin=stdin, cwd=folder.root))
    folder.require_unchanged(names)
    return dict(zip(names, answer.text.splitlines(), strict=True))


def commit(mirror: Mirror, work: Path, ids: Mapping[str, str]) -> str:
    """Id of a commit that is the tip with those files besides."""
    env = {"GIT_INDEX_FILE": str(work / "index")}
    if mirror.tip is not None:
        _require(mirror.git("read-tree", mirror.tip, env=env))
    lines = "".join(f"100644 {blob}\t{name}\n" for name, blob in ids.items())
    _require(mirror.git("update-index", "--index-info", stdin=lines.encode(), env=env))
    made = _require(mirror.git("write-tree", "--missing-ok", env=env)).text
    parent = ["-p", mirror.tip] if mirror.tip else []
    return _require(mirror.git("commit-tree", made, *parent, "-m", message(list(ids)))).text


def message(names: Sequence[str]) -> str:
    """What the log of the branch says of those files, in one line."""
    places = [place for place in map(place_of, names) if place]
    runners = ", ".join(sorted({place.runner for place in places}))
    imports = sum(place.is_import for place in places)
    records = [place for place in places if not (place.is_report or place.is_import)]
    if len(records) == 1 and not imports:
        return f"{runners}: {records[0].id}"
    reports = len(places) - len(records) - imports
    parts = [_counted(len(records), "record"), _counted(reports, "report")]
    return f"{runners}: {', '.join([*parts, *([_counted(imports, 'import')] if imports else [])])}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def contents(mirror: Mirror, work: Path, ids: Mapping[str, str], folder: Folder) -> Iterator[tuple[str, bytes]]:
    """Name and content of files that were fetched, in their order.

    Args:
        mirror: Where the objects of the branch lie.
        work: Where those of this exchange lie.
        ids: Name to git's id.
        folder: Told of each file that is too large to be a record.
    """
    env = mirror.apart(work / "objects")
    stdin = "".join(f"{blob}\n" for blob in ids.values()).encode()
    sizes = _require(mirror.git("cat-file", "--batch-check=%(objectsize)", stdin=stdin, env=env)).text.splitlines()
    chunk: list[str] = []
    total = 0
    for name, size in zip(ids, sizes, strict=True):
        try:
            check_size(name, _size(size))
        except HistoryError as error:
            folder.refuse(name, error)
            continue
        if total + _size(size) > _READ_AT_ONCE_BYTES:
            yield from _read(mirror, env, chunk, ids)
            chunk, total = [], 0
        chunk.append(name)
        total += _size(size)
    yield from _read(mirror, env, chunk, ids)


def _size(text: str) -> int:
    if not text.isdecimal():
        raise Damaged(HistoryError(f"git did not fetch what it should: {text}"))
    return int(text)


def _read(
    mirror: Mirror, env: Mapping[str, str], names: Sequence[str], ids: Mapping[str, str]
) -> Iterator[tuple[str, bytes]]:
    stdin = "".join(f"{ids[name]}\n" for name in names).encode()
    printed = _require(mirror.git("cat-file", "--batch=%(objectsize)", stdin=stdin, env=env)).printed
    start = 0
    for name in names:
        end_of_line = printed.index(b"\n", start)
        end = end_of_line + 1 + int(printed[start:end_of_line])
        yield name, printed[end_of_line + 1 : end]
        start = end + 1


def _require(answer: Answer) -> Answer:
    """The answer of a call that asked no other machine: where it fails, the mirror is no good."""
    if not answer.ok:
        raise Damaged(HistoryError(f"git failed: {answer.how}", cause=answer.cause))
    return answer
