"""Weights on disk: a Hugging Face checkpoint in, MLC-LLM's `tensor-cache.json` and `params_shard_N.bin` out.

The safetensors format is a little-endian header length, a JSON header and the raw tensors; a worker reads it by
itself because the toolchain's Python has no package for it. Source: the format's description in the safetensors
repository, and the files `mlc_llm convert_weight` writes.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from regress.worker.quantize import quantize

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from regress.worker.quantize import Quantization

TENSOR_CACHE = "tensor-cache.json"
SHARD_BYTES = 32 * 2**20
"""Size at which a shard is closed, as MLC-LLM does; a larger tensor has a shard to itself."""

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
            data = (data.astype(np.uint32) << 16).view(np.float32)
        return data.reshape(shape)


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

    def original(self, checkpoint: Checkpoint, name: str) -> NDArray[np.floating]:
        """The original weight behind a name of the built model, merged where the model merges layers."""
        for merged, parts in _MERGED.items():
            if merged in name:
                tensors = [checkpoint.tensor(name.replace(merged, part)) for part in parts]
                break
        else:
            tensors = [checkpoint.tensor(name)]
        self.params += sum(tensor.size for tensor in tensors)
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
    for name in names:
        stem, _, leaf = name.rpartition(".")
        if leaf == "q_weight":
            words, scale = quantize(counter.original(checkpoint, f"{stem}.weight"), quantization.dtype)
            yield name, words
        elif leaf == "q_scale":
            assert scale is not None  # noqa: S101  # the model declares it after its q_weight
            yield name, scale
        else:
            yield name, counter.original(checkpoint, name).astype(quantization.dtype)


class _Entry(NamedTuple):
    name: str
    data: bytes
    shape: tuple[int, ...]
    dtype: str


def write_shards(params: Iterable[tuple[str, NDArray[Any]]], folder: Path, counter: Counter) -> int:
    """Writes `params_shard_N.bin` and `tensor-cache.json`; the size of all parameters in bytes.

    Args:
        params: Names and arrays, in order; only one shard's worth is held in memory.
        folder: Where to write.
        counter: How many original parameters `params` stand for, once it is exhausted.
    """
    records: list[dict[str, Any]] = []
    shard: list[_Entry] = []
    for name, array in params:
        entry = _Entry(name, np.ascontiguousarray(array).tobytes(), array.shape, str(array.dtype))
        if shard and sum(len(e.data) for e in shard) + len(entry.data) > SHARD_BYTES:
            records.append(_write_shard(shard, folder, len(records)))
            shard = []
        shard.append(entry)
    records.append(_write_shard(shard, folder, len(records)))
    size: int = sum(record["nbytes"] for record in records)
    metadata = {
        "ParamSize": sum(len(record["records"]) for record in records),
        "ParamBytes": size,
        "BitsPerParam": size * 8 / counter.params,
    }
    cache = json.dumps({"metadata": metadata, "records": records}, indent=2)
    (folder / TENSOR_CACHE).write_text(cache, encoding="utf-8")
    return size


def _write_shard(entries: list[_Entry], folder: Path, number: int) -> dict[str, Any]:
    data = b"".join(entry.data for entry in entries)
    name = f"params_shard_{number}.bin"
    (folder / name).write_bytes(data)
    return {
        "dataPath": name,
        "format": "raw-shard",
        "nbytes": len(data),
        "records": list(_shard_records(entries)),
        "md5sum": hashlib.md5(data).hexdigest(),  # noqa: S324  # the field's name in MLC-LLM's files
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
        return (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return raw.view(record["dtype"])
