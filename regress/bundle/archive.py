"""The archive of a bundle: what is in it, how it is cut into parts, and how a damaged one is told.

An uncompressed tar (wheels are compressed already): first `bundle.json`, which says what it is and gives the
SHA-256 of every other file, then a lock for each toolchain, then the wheels. The same wheels give the same bytes.
Where a carrier limits the size of a file, it is cut into `NAME.tar.001`, `NAME.tar.002` ...
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from typing import TYPE_CHECKING, Any

from regress import record
from regress.bundle.manifest import CHUNK_BYTES, Manifest, decoded
from regress.errors import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

LONGEST_MANIFEST_BYTES = 2**24

_MEMBER = re.compile(r"locks/[0-9A-Za-z][\w.+-]*\.lock|wheels/[A-Za-z0-9][\w.+!-]*\.whl(?:\.tar\.xz)?", re.ASCII)
_PART = re.compile(r"(?P<stem>.+\.tar)\.(?P<number>\d{3,})")


def pack(manifest: Manifest, folder: Path, out: Parts | IO[bytes]) -> None:
    """Writes the archive: `bundle.json`, then each file it names, without dates and owners.

    Args:
        manifest: What is in it.
        folder: Where its files lie.
        out: Takes the bytes.
    """
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as archive:  # type: ignore[call-overload]
        head = record.encode(manifest)
        archive.addfile(_member("bundle.json", len(head)), io.BytesIO(head))
        for name, file in manifest.files.items():
            with (folder / name).open("rb") as content:
                archive.addfile(_member(name, file.size), content)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member


class Parts:
    """A file to write to that goes on in the next file whenever one is full."""

    def __init__(self, path: Path, split_size: int | None) -> None:
        """Starts the first file.

        Args:
            path: Its name, and the stem of the others' names.
            split_size: Most bytes in one file; no limit, and no number in the name, where `None`.
        """
        self.paths: list[Path] = []
        self._path, self._split_size = path, split_size
        self._file = self._next()

    def _next(self) -> IO[bytes]:
        numbered = f"{self._path.name}.{len(self.paths) + 1:03}"
        path = self._path if self._split_size is None else self._path.with_name(numbered)
        self.paths.append(path)
        return path.open("wb")

    def write(self, data: bytes) -> int:
        """Writes all of `data`; returns its length."""
        view = memoryview(data)
        while view:
            room = len(view) if self._split_size is None else self._split_size - self._file.tell()
            if room == 0:
                self.close()
                self._file = self._next()
                continue
            view = view[self._file.write(view[:room]) :]
        return len(data)

    def close(self) -> None:
        """Ends the file that is being written, once it is on the disk."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


def parts_of(first: Path) -> list[Path]:
    """The files of a bundle, in order, from the name of its only or any of its files.

    Raises:
        ToolchainError: There is no such file, or a part is missing before the last one.
    """
    if not first.exists() and (numbered := first.with_name(f"{first.name}.001")).exists():
        first = numbered
    match = _PART.fullmatch(first.name)
    if match is None:
        if not first.is_file():
            raise ToolchainError(f"no bundle {first}")
        return [first]
    siblings = [_PART.fullmatch(path.name) for path in first.parent.glob("*.tar.*")]
    numbers = [int(part["number"]) for part in siblings if part and part["stem"] == match["stem"]]
    paths = [first.with_name(f"{match['stem']}.{number + 1:03}") for number in range(max([*numbers, 1]))]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise ToolchainError(f"bundle {match['stem']}: {', '.join(missing)} is missing")
    _require_full(paths)
    return paths


def _require_full(paths: list[Path]) -> None:
    """Raises where a part before the last one is shorter than the others, or the last one is longer."""
    sizes = [path.stat().st_size for path in paths]
    full = max(sizes)
    cut = [path.name for path, size in zip(paths[:-1], sizes, strict=False) if size < full]
    if cut:
        raise ToolchainError(f"bundle {paths[0].stem}: {', '.join(cut)} is cut short", hint="copy it again")


class Joined(io.RawIOBase):
    """The files of a bundle, read as one."""

    def __init__(self, paths: list[Path]) -> None:
        """Starts at the beginning of the first file."""
        self._chunks = _chunks(paths)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It is, and nothing else."""
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401  # any writable buffer, as in the base class
        """Fills the buffer as far as one chunk goes; returns the bytes read, 0 at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _chunks(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


def read_manifest(first: Path) -> Manifest:
    """What a bundle says it is.

    Args:
        first: Its only file, or its first part.

    Raises:
        ToolchainError: It is no bundle, or one of a newer schema.
    """
    paths = parts_of(first)
    try:
        with _opened(paths) as archive:
            return _read_manifest(archive, paths[0].name)
    except (tarfile.TarError, OSError) as error:
        raise ToolchainError(f"bundle {paths[0].name}: cannot be read: {error}") from error


def _opened(paths: list[Path]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BufferedReader(Joined(paths), CHUNK_BYTES), mode="r|")


def _read_manifest(archive: tarfile.TarFile, name: str) -> Manifest:
    member = archive.next()
    head = member if member and member.name == "bundle.json" and member.isreg() else None
    content = archive.extractfile(head) if head and head.size <= LONGEST_MANIFEST_BYTES else None
    if content is None:
        raise ToolchainError(f"bundle {name}: not a bundle of regress: it does not begin with bundle.json")
    return decoded(content.read(), name)


def extract(first: Path, folder: Path) -> None:
    """Lays the files of a bundle into `folder`, after each has proved to be what `bundle.json` says.

    Args:
        first: The bundle's only file, or its first part.
        folder: Where they go; it must exist.

    Raises:
        ToolchainError: A file is not named in `bundle.json`, is missing, or has another SHA-256.
        OSError: `folder` cannot be written.
    """
    paths = parts_of(first)
    name = paths[0].name
    for kind in ("locks", "wheels"):
        (folder / kind).mkdir()
    try:
        with _opened(paths) as archive:
            manifest = _read_manifest(archive, name)
            found = {_extracted(archive, member, manifest, folder, paths) for member in iter(archive.next, None)}
    except tarfile.TarError as error:
        raise ToolchainError(f"bundle {name}: cut short or damaged: {error}", hint=_rest_hint(paths)) from error
    if missing := [file for file in manifest.files if file not in found]:
        raise ToolchainError(f"bundle {name}: cut short: {missing[0]} is missing", hint=_rest_hint(paths))


def _rest_hint(paths: list[Path]) -> str:
    match = _PART.fullmatch(paths[-1].name)
    after = f"{match['stem']}.{int(match['number']) + 1:03}" if match else None
    return f"was {after} left behind?" if after else "copy it again"


def _extracted(
    archive: tarfile.TarFile, member: tarfile.TarInfo, manifest: Manifest, folder: Path, paths: list[Path]
) -> str:
    """The name of one file of the archive, once it lies in `folder`."""
    name = paths[0].name
    expected = manifest.files.get(member.name)
    content = archive.extractfile(member) if member.isreg() else None
    if expected is None or content is None or not _MEMBER.fullmatch(member.name):
        raise ToolchainError(f"bundle {name}: {member.name!r} does not belong in a bundle")
    digest = hashlib.sha256()
    with (folder / member.name).open("xb") as file:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != expected.sha256:
        raise ToolchainError(
            f"bundle {name}: {member.name}: its SHA-256 is not the one in bundle.json",
            hint=f"copy {' and '.join(_holding(paths, member))} again",
        )
    return member.name


def _holding(paths: list[Path], member: tarfile.TarInfo) -> Iterator[str]:
    """The names of the parts over which a file of the archive extends."""
    start = 0
    for path in paths:
        end = start + path.stat().st_size
        if start < member.offset_data + member.size and member.offset_data < end:
            yield path.name
        start = end
