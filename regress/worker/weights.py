"""Weights on disk: a Hugging Face checkpoint in, MLC-LLM's `tensor-cache.json` and `params_shard_N.bin` out.

The safetensors format is a little-endian header length, a JSON header and the raw tensors; a worker reads it by
itself because the toolchain's Python has no package for it. Source: the format's description in the safetensors
repository, and the files `mlc_llm convert_weight` writes.

Matrices are quantized by all cores, block by block, and shards are written and digested beside it. What is in memory at
a time: the result of one layer, 4 MiB for each thread, and `WAITING_BYTES` of shards that are not written yet.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from regress.worker.quantize import quantize_stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from numpy.typing import NDArray

    from regress.worker.quantize import Quantization

TENSOR_CACHE = "tensor-cache.json"
SHARD_BYTES = 32 * 2**20
"""Size at which a shard is closed, as MLC-LLM does; a larger tensor has a shard to itself."""

MOST_THREADS = 16
"""More do not help: memory and the disk are the limit by then."""

WRITERS = 4
WAITING_BYTES = 8 * SHARD_BYTES
"""Size of the shards that may wait to be written before quantizing waits for them."""

_SAFETENSORS_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}

_MERGED = {
    "self_attn.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attn.c_attn": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "mlp.gate_up_proj": ("mlp.gate_proj", "mlp.up_proj"),
}
"""Layers that stand in one matrix here and in several in the checkpoint, stacked along the output axis."""


class Checkpoint:
    """The tensors of a folder with `model.safetensors`, or with shards and their index."""

    def __init__(self, folder: Path) -> None:
        index = folder / "model.safetensors.index.json"
        if index.exists():
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        else:
            names = ["model.safetensors"]
        self._tensors = {
            tensor: (folder / name, *where) for name in names for tensor, where in _header(folder / name).items()
        }

    def tensor(self, name: str) -> NDArray[np.floating]:
        """One tensor, as float32 where it is stored as bfloat16.

        Raises:
            ValueError: The checkpoint has no tensor of that name.
        """
        if name not in self._tensors:
            raise ValueError(f"the checkpoint has no tensor '{name}'")
        path, dtype, shape, offset = self._tensors[name]
        stored, count = _SAFETENSORS_DTYPES[dtype], math.prod(shape)
        data: NDArray[Any] = np.memmap(path, stored, mode="r", offset=offset, shape=count)
        if dtype == "BF16":
            data = _widened(data)
        return data.reshape(shape)


def _widened(bfloat16: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 by its bits, which are the upper half of float32's."""
    return np.left_shift(bfloat16, 16, dtype=np.uint32).view(np.float32)


def _header(path: Path) -> dict[str, tuple[str, tuple[int, ...], int]]:
    """Name to dtype, shape and offset in the file of each tensor."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {
        name: (tensor["dtype"], tuple(tensor["shape"]), 8 + length + tensor["data_offsets"][0])
        for name, tensor in header.items()
    }


class Counter:
    """Counts the parameters of the original model as they are read."""

    def __init__(self) -> None:
        self.params = 0

    def originals(self, checkpoint: Checkpoint, name: str) -> list[NDArray[np.floating]]:
        """The original weights behind a name of the built model: several where the model merges layers."""
        layer = next((layer for layer in _MERGED if layer in name), None)
        parts = [name.replace(layer, part) for part in _MERGED[layer]] if layer else [name]
        tensors = [checkpoint.tensor(part) for part in parts]
        self.params += sum(tensor.size for tensor in tensors)
        return tensors

    def original(self, checkpoint: Checkpoint, name: str) -> NDArray[np.floating]:
        """The original weight behind a name of the built model, merged where the model merges layers."""
        tensors = self.originals(checkpoint, name)
        return tensors[0] if len(tensors) == 1 else np.concatenate(tensors)


def convert(
    checkpoint: Checkpoint, names: Sequence[str], quantization: Quantization, counter: Counter
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The built model's parameters in order, each converted when it is asked for.

    Args:
        checkpoint: The original weights.
        names: Parameter names of the built model; `x.q_weight` is followed by `x.q_scale`.
        quantization: How they are stored.
        counter: Counts the original parameters.
    """
    scale: NDArray[np.floating] | None = None
    with ThreadPoolExecutor(_threads()) as pool:
        for name in names:
            stem, _, leaf = name.rpartition(".")
            if leaf == "q_weight":
                parts = counter.originals(checkpoint, f"{stem}.weight")
                words, scale = quantize_stack(parts, quantization.dtype, pool.map)
                yield name, words
            elif leaf == "q_scale":
                assert scale is not None  # noqa: S101  # the model declares it after its q_weight
                yield name, scale
            else:
                yield name, counter.original(checkpoint, name).astype(quantization.dtype, copy=False)


def _threads() -> int:
    """How many threads have a processor of their own."""
    return min(len(os.sched_getaffinity(0)), MOST_THREADS)


class _Entry(NamedTuple):
    name: str
    data: memoryview
    shape: tuple[int, ...]
    dtype: str


def _entry(name: str, array: NDArray[Any]) -> _Entry:
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return _Entry(name, flat.data, array.shape, str(array.dtype))


def write_shards(params: Iterable[tuple[str, NDArray[Any]]], folder: Path, counter: Counter) -> int:
    """Writes `params_shard_N.bin` and `tensor-cache.json`; the size of all parameters in bytes.

    Args:
        params: Names and arrays, in order; they may not change afterwards, as some are still to be written.
        folder: Where to write.
        counter: How many original parameters `params` stand for, once it is exhausted.
    """
    records = list(_written(_shards(params), folder))
    size: int = sum(record["nbytes"] for record in records)
    metadata = {
        "ParamSize": sum(len(record["records"]) for record in records),
        "ParamBytes": size,
        "BitsPerParam": size * 8 / counter.params,
    }
    cache = json.dumps({"metadata": metadata, "records": records}, indent=2)
    (folder / TENSOR_CACHE).write_text(cache, encoding="utf-8")
    return size


def _shards(params: Iterable[tuple[str, NDArray[Any]]]) -> Iterator[list[_Entry]]:
    """The entries of each shard."""
    shard: list[_Entry] = []
    for name, array in params:
        entry = _entry(name, array)
        if shard and _size(shard) + len(entry.data) > SHARD_BYTES:
            yield shard
            shard = []
        shard.append(entry)
    yield shard


def _size(entries: list[_Entry]) -> int:
    return sum(len(entry.data) for entry in entries)


def _written(shards: Iterable[list[_Entry]], folder: Path) -> Iterator[dict[str, Any]]:
    """What `tensor-cache.json` says of each shard, in order, once it is written."""
    waiting: deque[tuple[int, Future[dict[str, Any]]]] = deque()
    with ThreadPoolExecutor(min(WRITERS, _threads())) as pool:
        for number, shard in enumerate(shards):
            while waiting and sum(size for size, _ in waiting) + _size(shard) > WAITING_BYTES:
                yield waiting.popleft()[1].result()
            waiting.append((_size(shard), pool.submit(_write_shard, shard, folder, number)))
        for _, future in waiting:
            yield future.result()


def _write_shard(entries: list[_Entry], folder: Path, number: int) -> dict[str, Any]:
    name = f"params_shard_{number}.bin"
    md5 = hashlib.md5()  # noqa: S324  # the field's name in MLC-LLM's files
    with (folder / name).open("wb") as file:
        for entry in entries:
            file.write(entry.data)
            md5.update(entry.data)
    return {
        "dataPath": name,
        "format": "raw-shard",
        "nbytes": _size(entries),
        "records": list(_shard_records(entries)),
        "md5sum": md5.hexdigest(),
    }


def _shard_records(entries: list[_Entry]) -> Iterator[dict[str, Any]]:
    offset = 0
    for entry in entries:
        yield {
            "name": entry.name,
            "shape": list(entry.shape),
            "dtype": entry.dtype,
            "format": "raw",
            "nbytes": len(entry.data),
            "byteOffset": offset,
        }
        offset += len(entry.data)


def read_shards(folder: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Every parameter of an artifact, by name, memory-mapped.

    Raises:
        OSError: A file is missing or cannot be read.
        ValueError: A shard is not as long as `tensor-cache.json` says.
    """
    cache = json.loads((folder / TENSOR_CACHE).read_text(encoding="utf-8"))
    for shard in cache["records"]:
        path = folder / shard["dataPath"]
        size = path.stat().st_size
        if size != shard["nbytes"]:
            raise ValueError(f"{path.name}: {size} bytes, {TENSOR_CACHE} says {shard['nbytes']}")
        data: NDArray[Any] = np.memmap(path, np.uint8, mode="r")
        for record in shard["records"]:
            raw = data[record["byteOffset"] : record["byteOffset"] + record["nbytes"]]
            yield record["name"], _decoded(raw, record).reshape(record["shape"])


def _decoded(raw: NDArray[np.uint8], record: dict[str, Any]) -> NDArray[Any]:
    if record["format"] == "f32-to-bf16" and record["dtype"] == "float32":
        return _widened(raw.view(np.uint16))
    return raw.view(record["dtype"])
