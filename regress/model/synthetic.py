"""Synthetic models: random weights of a real shape, the same bytes on every machine.

Speed does not depend on what the weights are, so a shape is enough to measure it: no download, no licence.

`tensors` says what the weights are. Files are made side by side, each by one thread, which makes, digests and
writes it chunk by chunk: memory is a few megabytes for each thread.

A model is written into a folder of another name and renamed when it is complete: what was interrupted is
never taken for a model.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from regress.device import cpu
from regress.errors import BuildError
from regress.model.folder import CONFIG, INDEX, digest_of_files
from regress.model.tensors import GENERATOR, Tensor, planned, weights
from regress.record import digest
from regress.shape import PRESETS
from regress.stored import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

LARGEST_SHARD_BYTES = 2**30
"""A file holds at most this much, unless one tensor alone is larger."""

FLUSH_BYTES = 2**27
"""Written at most before the disk is waited for: other files go on meanwhile, and little is left for the end."""

_MARKER = "regress-model.json"


class Marker(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lies beside a complete synthetic model.

    Attributes:
        digest: SHA-256 over the configuration and the weights.
        sizes: Every file's name to its size in bytes.
    """

    digest: str
    sizes: dict[str, int]


def ensure(preset: str, home: Path, *, log: Callable[[str], None]) -> tuple[Path, str]:
    """Folder and digest of a preset's model, written now unless it was before.

    Args:
        preset: A key of `PRESETS`.
        home: Cache folder of `regress`.
        log: Receives a line when something takes time.

    Raises:
        BuildError: It cannot be written: no room, no permission. Nothing is left behind.
    """
    plan = [(tensor.name, tensor.shape, tensor.mean, tensor.std) for tensor in planned(preset)]
    recipe = digest({"generator": GENERATOR, "preset": preset, "config": PRESETS[preset], "tensors": plan})
    folder = home / "models" / f"{preset}-{recipe[:12]}"
    if marker := _complete(folder):
        return folder, marker.digest
    with _explained(preset, folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f"{folder.name}.lock"), preset, log):
            marker = _complete(folder) or _write(preset, folder, log)
    return folder, marker.digest


def _complete(folder: Path) -> Marker | None:
    """The marker of a model all of whose files are there; `None` where it has to be written."""
    try:
        marker = msgspec.json.decode((folder / _MARKER).read_bytes(), type=Marker)
        sizes = {name: (folder / name).stat().st_size for name in marker.sizes}
    except (OSError, *DAMAGED):
        return None
    return marker if sizes == marker.sizes else None


@contextmanager
def _explained(preset: str, folder: Path) -> Iterator[None]:
    """Turns what the system says about writing into `folder` into an error of ours."""
    try:
        yield
    except OSError as error:
        raise BuildError(
            f"cannot write synthetic:{preset} to {folder}: {error.strerror or error}",
            hint="set REGRESS_HOME to a folder that can be written and has room",
        ) from error


@contextmanager
def _locked(path: Path, preset: str, log: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of a model, so that of several processes one writes it and the others wait."""
    from filelock import FileLock, Timeout  # noqa: PLC0415  # not needed where the model is there

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log(f"waiting for another process that writes synthetic:{preset}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _write(preset: str, folder: Path, log: Callable[[str], None]) -> Marker:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
    shards = _shards(planned(preset))
    size_bytes = sum(tensor.size_bytes for shard in shards.values() for tensor in shard)
    _require_room(folder.parent, size_bytes)
    log(f"writing synthetic:{preset}, {size_bytes / 1e9:.2f} GB, once")
    partial.mkdir()
    try:
        marker = _write_files(preset, shards, partial)
        shutil.rmtree(folder, ignore_errors=True)  # there, but damaged
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _flush_folder(folder.parent)
    return marker


def _require_room(folder: Path, size_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < size_bytes:
        wanted, free = f"{size_bytes / 1e9:.2f} GB", f"{free_bytes / 1e9:.2f} GB"
        raise OSError(errno.ENOSPC, f"needs {wanted}, {free} are free")


def _shards(tensors: list[Tensor]) -> dict[str, list[Tensor]]:
    """File name to the tensors in it, no file larger than `LARGEST_SHARD_BYTES` unless by one tensor."""
    groups: list[list[Tensor]] = [[]]
    for tensor in tensors:
        if groups[-1] and sum(one.size_bytes for one in (*groups[-1], tensor)) > LARGEST_SHARD_BYTES:
            groups.append([])
        groups[-1].append(tensor)
    if len(groups) == 1:
        return {"model.safetensors": groups[0]}
    return {f"model-{i:05}-of-{len(groups):05}.safetensors": group for i, group in enumerate(groups, 1)}


def _write_files(preset: str, shards: Mapping[str, list[Tensor]], folder: Path) -> Marker:
    config = msgspec.json.format(msgspec.json.encode(PRESETS[preset]), indent=2) + b"\n"
    _write_text(folder / CONFIG, config)
    digests = {CONFIG: hashlib.sha256(config).hexdigest()}
    with ThreadPoolExecutor(cpu.count()) as pool:
        sha256s = pool.map(lambda name: _write_shard(folder / name, shards[name], preset), shards)
        digests |= dict(zip(shards, sha256s, strict=True))
    if len(shards) > 1:
        _write_text(folder / INDEX, _index(shards))
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    marker = Marker(digest=digest_of_files(digests), sizes=sizes)
    _write_text(folder / _MARKER, msgspec.json.encode(marker))
    return marker


def _index(shards: Mapping[str, list[Tensor]]) -> bytes:
    weight_map = {tensor.name: name for name, tensors in shards.items() for tensor in tensors}
    size_bytes = sum(tensor.size_bytes for tensors in shards.values() for tensor in tensors)
    return msgspec.json.encode({"metadata": {"total_size": size_bytes}, "weight_map": weight_map})


def _write_shard(path: Path, tensors: list[Tensor], preset: str) -> str:
    """SHA-256 of the safetensors file written there, never more than a chunk of it in memory."""
    sha256 = hashlib.sha256()
    unflushed_bytes = 0
    with path.open("wb") as file:
        for data in _shard(tensors, preset):
            sha256.update(data)
            unflushed_bytes += file.write(data)
            if unflushed_bytes >= FLUSH_BYTES:
                _flush(file)
                unflushed_bytes = 0
        _flush(file)
    return sha256.hexdigest()


def _shard(tensors: list[Tensor], preset: str) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file, piece by piece: the header's length, the header, the data.

    The safetensors package writes a file only from memory, twice its size: too much for a Jetson.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in tensors:
        offsets = [offset, offset + tensor.size_bytes]
        header[tensor.name] = {"dtype": "F16", "shape": tensor.shape, "data_offsets": offsets}
        offset += tensor.size_bytes
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % 8)  # the format aligns the data to eight bytes
    yield len(text).to_bytes(8, "little") + text
    for tensor in tensors:
        for values in weights(tensor, preset):
            yield values.data.cast("B")


def _write_text(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        _flush(file)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Makes a rename inside a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
