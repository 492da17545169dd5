"""A folder with a model in it, as Hugging Face lays it out: is it complete, and what is its digest?"""

from __future__ import annotations

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from regress.device import cpu
from regress.errors import BuildError
from regress.record import digest
from regress.shape import parse_shape
from regress.stored import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from regress.shape import Shape

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"

DTYPES = frozenset({"F16", "BF16", "F32"})
"""How weights may be stored; anything else is quantized already."""

_WORTH_A_WORD_BYTES = 2**30


class _Index(msgspec.Struct, frozen=True, kw_only=True):
    weight_map: dict[str, str]


def check(folder: Path) -> list[Path]:
    """The configuration and the weight files of a model, once they are known to be complete.

    Only headers are read: truncated files, absent shards, and absent or misshapen tensors are found, wrong
    numbers are not.

    Raises:
        BuildError: The folder or a file is absent, broken or of a kind that cannot be built; the message
            names the file, and the key or tensor.
    """
    shape = read_shape(folder)
    try:
        files = weight_files(folder)
        stored = {name: found for file in files for name, found in _tensors_in(file).items()}
    except OSError as error:
        raise BuildError(f"{error.filename or folder}: cannot be read: {error.strerror or error}") from error
    for name, wanted in shape.tensors():
        if name not in stored:
            raise BuildError(f"{folder}: no tensor {name} in its safetensors files")
        if stored[name] != wanted:
            raise BuildError(f"{folder}: {name} is {stored[name]}, by {CONFIG} it should be {wanted}")
    return [folder / CONFIG, *files]


def read_shape(folder: Path) -> Shape:
    """The shape of the model in a folder, from its configuration alone.

    Raises:
        BuildError: The folder or the configuration is absent or broken, or no builder knows such a model.
    """
    if not folder.is_dir():
        raise BuildError(f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    config = folder / CONFIG
    if not config.exists():
        raise BuildError(f"{config}: missing")
    try:
        return parse_shape(config.read_bytes(), str(config))
    except OSError as error:
        raise BuildError(f"{config}: cannot be read: {error.strerror or error}") from error


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that make up a model: those its index names, else the single one.

    Raises:
        BuildError: There are none, one that the index names is absent, or the index is broken.
        OSError: The index cannot be read.
    """
    if (folder / INDEX).exists():
        return [_named_by_index(folder, name) for name in _names_in_index(folder / INDEX)]
    if (folder / SINGLE).exists():
        return [folder / SINGLE]
    if any(folder.glob("*.bin")) or any(folder.glob("*.pth")):
        raise BuildError(
            f"{folder}: PyTorch weights only, safetensors are needed",
            hint="convert them: AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(NEW_DIR)",
        )
    raise BuildError(f"{folder}: no weights: neither {INDEX} nor {SINGLE}")


def content_digest(files: Sequence[Path], home: Path, *, log: Callable[[str], None]) -> str:
    """The digest of the model in these files, read once and remembered for as long as they stay as they are.

    Args:
        files: Its configuration and weight files, all in one folder.
        home: Cache folder of `regress`.
        log: Receives a line when much has to be read.

    Raises:
        BuildError: A file cannot be read, changes meanwhile, or differs from the checksum that the hub gave.
    """
    try:
        before = _state(files)
        remembered = home / "models" / "digests" / f"{digest(before)}.json"
        if (known := _recall(remembered)) is not None:
            return known
        size_bytes = sum(file.stat().st_size for file in files)
        if size_bytes >= _WORTH_A_WORD_BYTES:
            log(f"reading {size_bytes / 1e9:.1f} GB of weights for their digest, once")
        with ThreadPoolExecutor(cpu.count()) as pool:
            sha256s = dict(zip((file.name for file in files), pool.map(_verified_sha256, files), strict=True))
        after = _state(files)
    except OSError as error:
        raise BuildError(f"{error.filename}: cannot be read: {error.strerror or error}") from error
    if after != before:
        raise BuildError(f"{files[0].parent}: its files change while they are read", hint="try again later")
    found = digest_of_files(sha256s)
    _remember(remembered, found)
    return found


def digest_of_files(sha256s: Mapping[str, str]) -> str:
    """The digest of a model: SHA-256 over the names and SHA-256s of its configuration and weight files."""
    return digest(dict(sha256s))


def _names_in_index(path: Path) -> list[str]:
    try:
        return sorted(set(msgspec.json.decode(path.read_bytes(), type=_Index).weight_map.values()))
    except DAMAGED as error:
        raise BuildError(f"{path}: {error}") from error


def _named_by_index(folder: Path, name: str) -> Path:
    if name != Path(name).name:  # an index comes from outside: it must not point out of its folder
        raise BuildError(f"{folder / INDEX}: weight_map: '{name}' is not the name of a file beside it")
    if not (folder / name).exists():
        raise BuildError(f"{folder / name}: missing, though {INDEX} names it")
    return folder / name


def _tensors_in(path: Path) -> dict[str, tuple[int, ...]]:
    """Name to shape of the tensors in a safetensors file."""
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415  # imports numpy

    shapes = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  # not a mapping
                tensor = file.get_slice(name)
                shapes[name] = tuple(tensor.get_shape())
                if tensor.get_dtype() not in DTYPES:
                    stored = f"stored as {tensor.get_dtype()}, not as {', '.join(sorted(DTYPES))}"
                    raise BuildError(f"{path}: {name}: {stored}: quantized already?")
    except SafetensorError as error:
        raise BuildError(
            f"{path}: truncated, or not a safetensors file",
            cause=str(error),
            hint=f"delete {path.resolve()} and get it again",
        ) from error
    return shapes


def _state(files: Sequence[Path]) -> list[tuple[str, int, int, int, int]]:
    """What changes when a file's content does, without reading it.

    The time its inode last changed is among it, because tools that copy set back the time of its content.
    """
    stats = [(file.name, file.stat()) for file in files]
    return [(name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for name, stat in stats]


def _verified_sha256(file: Path) -> str:
    """SHA-256 of a file; where it lies in the hub's cache, compared with what the hub said it is."""
    with file.open("rb") as opened:
        sha256 = hashlib.sha256()
        while data := opened.read(2**22):
            sha256.update(data)
    found = sha256.hexdigest()
    # The cache links `snapshots/<commit>/<file>` to `blobs/<etag>`; a large file's etag is its SHA-256.
    promised = os.path.basename(os.readlink(file)) if file.is_symlink() else ""  # noqa: PTH119, PTH115
    if re.fullmatch(r"[0-9a-f]{64}", promised) and promised != found:
        raise BuildError(
            f"{file}: differs from the checksum that the hub gave: damaged on the way or on this disk",
            hint=f"delete {file.resolve()} and run again",
        )
    return found


def _recall(path: Path) -> str | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=str)
    except (OSError, *DAMAGED):
        return None


def _remember(path: Path, found: str) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(msgspec.json.encode(found))
        partial.replace(path)
    except OSError:
        return  # a cache that cannot be written costs time, not the run
