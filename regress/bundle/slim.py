"""Slim wheels: a wheel's files without those that no toolchain needs to build and run, in one xz-compressed tar.

    wheels/NAME.whl            a wheel as the index has it
    wheels/NAME.whl.tar.xz     the same one, slim

A wheel is a zip that compresses each file by itself. One stream over all of them, through a filter that makes the
addresses in x86 code repeat, takes about half the room, for minutes of one core; to unpack it takes seconds.

The wheel's own `RECORD` stays as it is and vouches for each file by SHA-256. A file it names may be absent only
where a rule of `LEFT_OUT` says so; the folder remains, because TVM looks for `3rdparty` to find its own.
"""

from __future__ import annotations

import base64
import csv
import fnmatch
import hashlib
import io
import lzma
import re
import tarfile
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from regress.errors import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

SUFFIX = ".tar.xz"

LEFT_OUT = {
    "tvm/3rdparty/cutlass/*": "headers for the CUTLASS code generator, which is off in published wheels",
    "numpy/*tests/*": "numpy's tests of itself",
}
"""Which paths of a wheel stay behind, and why. In a pattern `*` stands for any text, slashes included."""

LARGEST_WINDOW_BYTES = 2**28
"""How far back a repetition is found; unpacking takes as much memory, packing ten times as much."""

SMALLEST_WINDOW_BYTES = 2**16

CHUNK_BYTES = 2**20
RECORD_COLUMNS = 3
"""Path, digest, size."""


def squeeze(wheel: Path, packed: Path, machine: str) -> None:
    """Writes a wheel's slim form; the same wheel gives the same bytes.

    Args:
        wheel: The wheel.
        packed: The file to write.
        machine: Processor it is for, such as `x86_64`.

    Raises:
        ToolchainError: It is no wheel, or one that more than unpacking is needed to install.
    """
    try:
        with zipfile.ZipFile(wheel) as content:
            files = sorted(_kept(content, wheel.name), key=_order)
            size = sum(info.file_size for info in files)
            with lzma.open(packed, "wb", filters=_filters(size, machine)) as stream:
                _pack(content, files, stream)
    except zipfile.BadZipFile as error:
        raise ToolchainError(f"{wheel.name} is no wheel: {error}") from error


def _kept(content: zipfile.ZipFile, name: str) -> Iterator[zipfile.ZipInfo]:
    for info in content.infolist():
        if re.match(r"[^/]+\.data/", info.filename):
            raise ToolchainError(f"{name} cannot be made slim: it installs files outside site-packages")
        if not info.is_dir() and _rule(info.filename, LEFT_OUT) is None:
            yield info


def _rule(path: str, patterns: Iterable[str]) -> str | None:
    """The pattern that leaves a path out; `None` where it is kept."""
    return next((pattern for pattern in patterns if fnmatch.fnmatchcase(path, pattern)), None)


def _order(info: zipfile.ZipInfo) -> tuple[bool, bool, str]:
    """`RECORD` first, because the reader checks the rest by it; then programs, then texts, which compress alike."""
    path = info.filename
    return not _is_record(path), not re.search(r"\.so(\.|$)", path), path


def _is_record(path: str) -> bool:
    return re.fullmatch(r"[^/]+\.dist-info/RECORD", path) is not None


def _filters(size: int, machine: str) -> list[dict[str, int]]:
    """The steps of compression for so many bytes."""
    window = min(max(1 << size.bit_length(), SMALLEST_WINDOW_BYTES), LARGEST_WINDOW_BYTES)
    squeezing = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": window}
    return [{"id": lzma.FILTER_X86}, squeezing] if machine == "x86_64" else [squeezing]


def _pack(content: zipfile.ZipFile, files: list[zipfile.ZipInfo], stream: lzma.LZMAFile) -> None:
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for info in files:
            member = tarfile.TarInfo(info.filename)
            runs = (info.external_attr >> 16) & 0o111
            member.size, member.mode = info.file_size, 0o755 if runs else 0o644
            with content.open(info) as data:
                archive.addfile(member, data)


def left_out(wheels: Iterable[Path]) -> dict[str, str]:
    """The rules that leave anything out of these wheels, with their reasons."""
    paths = [path for wheel in wheels for path in zipfile.ZipFile(wheel).namelist()]
    return {pattern: why for pattern, why in LEFT_OUT.items() if any(_rule(path, [pattern]) for path in paths)}


def unpack(packed: Path, folder: Path, absent: Mapping[str, str]) -> None:
    """Lays a slim wheel's files into an empty folder, each after its SHA-256 proved to be the one in `RECORD`.

    Args:
        packed: The slim wheel.
        folder: Where they go; it must exist.
        absent: Patterns of the files that were left out.

    Raises:
        ToolchainError: A file differs from `RECORD`, is not in it, or is missing; or it is no slim wheel.
        OSError: `folder` cannot be written.
    """
    try:
        with lzma.open(packed) as stream, tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK_BYTES) as archive:
            recorded = _record(archive, folder, packed.name)
            found = {_laid(archive, member, recorded, folder, packed.name) for member in iter(archive.next, None)}
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise ToolchainError(f"{packed.name}: damaged: {error}") from error
    rules = {path: _rule(path, absent) for path in recorded.keys() - found}
    if missing := sorted(path for path, rule in rules.items() if rule is None):
        raise ToolchainError(f"{packed.name}: {missing[0]} is missing")
    for rule in rules.values():
        (folder / str(rule).split("*", maxsplit=1)[0]).mkdir(parents=True, exist_ok=True)


def _record(archive: tarfile.TarFile, folder: Path, name: str) -> dict[str, str]:
    """Path to SHA-256, as `RECORD` writes it, of each file of a wheel, once `RECORD` itself lies in `folder`."""
    member = archive.next()
    content = archive.extractfile(member) if member and member.isreg() and _is_record(member.name) else None
    if member is None or content is None:
        raise ToolchainError(f"{name}: not a slim wheel: it does not begin with RECORD")
    text = content.read()
    _write(folder / member.name, [text], member.mode)
    rows = csv.reader(io.StringIO(text.decode(errors="replace")))
    digests = {row[0]: row[1] for row in rows if len(row) == RECORD_COLUMNS}
    return {path: digest for path, digest in digests.items() if path != member.name}


def _laid(archive: tarfile.TarFile, member: tarfile.TarInfo, recorded: dict[str, str], folder: Path, name: str) -> str:
    """The name of one file of a wheel, once it lies in `folder`."""
    path = PurePosixPath(member.name)
    content = archive.extractfile(member) if member.isreg() else None
    if content is None or member.name not in recorded or path.is_absolute() or ".." in path.parts:
        raise ToolchainError(f"{name}: {member.name!r} does not belong in this wheel")
    sha256 = hashlib.sha256()
    _write(folder / path, _hashed(iter(lambda: content.read(CHUNK_BYTES), b""), sha256), member.mode)
    digest = base64.urlsafe_b64encode(sha256.digest()).rstrip(b"=").decode()
    if recorded[member.name] != f"sha256={digest}":
        raise ToolchainError(f"{name}: {member.name}: its SHA-256 is not the one in RECORD")
    return member.name


def _hashed(chunks: Iterable[bytes], sha256: hashlib._Hash) -> Iterator[bytes]:
    for chunk in chunks:
        sha256.update(chunk)
        yield chunk


def _write(path: Path, chunks: Iterable[bytes], mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.writelines(chunks)
    path.chmod(mode & 0o755)
