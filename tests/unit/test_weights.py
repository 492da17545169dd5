"""Checkpoints in, shards out: files are written by other means than those that read them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from regress.worker.quantize import QUANTIZATIONS, quantize
from regress.worker.weights import SHARD_BYTES, Checkpoint, Counter, convert, read_shards, write_shards

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LAYER = "model.layers.0"


def values(*shape: int, seed: int = 0, dtype: str = "float32") -> NDArray[Any]:
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(dtype)


def counted(params: int) -> Counter:
    counter = Counter()
    counter.params = params
    return counter


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_tensors_are_read_as_they_were_written(tmp_path: Path, dtype: str) -> None:
    tensors = {"a": values(3, 5, dtype=dtype), "b": values(7, seed=1, dtype=dtype)}
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    checkpoint = Checkpoint(tmp_path)
    for name, expected in tensors.items():
        found = checkpoint.tensor(name)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    """0x3f80 is 1, 0xc049 is -3.140625, 0x0001 the smallest subnormal: 2 ** -133."""
    data = np.array([0x3F80, 0xC049, 0x0001, 0x8000], "<u2").tobytes()
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
    found = Checkpoint(tmp_path).tensor("w")
    assert found.tolist() == [[1.0, -3.140625], [2.0**-133, -0.0]]
    assert found.dtype == np.float32


def test_tensors_are_found_in_the_shard_that_has_them(tmp_path: Path) -> None:
    shards = {"one.safetensors": {"a": values(2, 2)}, "two.safetensors": {"b": values(3, seed=1)}}
    for file, tensors in shards.items():
        save_file(tensors, tmp_path / file)
    weight_map = {name: file for file, tensors in shards.items() for name in tensors}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    checkpoint = Checkpoint(tmp_path)
    np.testing.assert_array_equal(checkpoint.tensor("a"), values(2, 2))
    np.testing.assert_array_equal(checkpoint.tensor("b"), values(3, seed=1))


def test_a_tensor_that_is_not_there_is_named(tmp_path: Path) -> None:
    save_file({"a": values(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="no tensor 'b'"):
        Checkpoint(tmp_path).tensor("b")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """One layer's projections, each filled with a number of its own so that a stack shows its order."""
    rows = {"q": 4, "k": 2, "v": 2}
    tensors: dict[str, NDArray[Any]] = {
        f"{LAYER}.self_attn.{name}_proj.weight": np.full((count, 32), index, "float32")
        for index, (name, count) in enumerate(rows.items(), 1)
    }
    tensors |= {
        f"{LAYER}.self_attn.{name}_proj.bias": np.full(count, index, "float32")
        for index, (name, count) in enumerate(rows.items(), 1)
    }
    tensors[f"{LAYER}.mlp.gate_proj.weight"] = np.full((3, 32), 5, "float32")
    tensors[f"{LAYER}.mlp.up_proj.weight"] = np.full((3, 32), 6, "float32")
    tensors["model.norm.weight"] = values(32)
    save_file(tensors, tmp_path / "model.safetensors")
    return Checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("self_attn.qkv_proj.weight", [1, 1, 1, 1, 2, 2, 3, 3]),
        ("self_attn.c_attn.weight", [1, 1, 1, 1, 2, 2, 3, 3]),
        ("self_attn.c_attn.bias", [1, 1, 1, 1, 2, 2, 3, 3]),
        ("mlp.gate_up_proj.weight", [5, 5, 5, 6, 6, 6]),
    ],
)
def test_merged_layers_are_stacked_in_mlcs_order(checkpoint: Checkpoint, name: str, rows: list[int]) -> None:
    counter = Counter()
    merged = counter.original(checkpoint, f"{LAYER}.{name}")
    assert merged.reshape(len(rows), -1)[:, 0].tolist() == rows
    assert counter.params == merged.size


def test_parameters_are_quantized_in_pairs_or_cast(checkpoint: Checkpoint) -> None:
    counter = Counter()
    gate_up = f"{LAYER}.mlp.gate_up_proj"
    names = [f"{gate_up}.q_weight", f"{gate_up}.q_scale", "model.norm.weight"]
    converted = list(convert(checkpoint, names, QUANTIZATIONS["q4f16_1"], counter))
    assert [name for name, _ in converted] == names
    words, scale = quantize(np.repeat([5.0, 6.0], 3)[:, None] * np.ones((6, 32)), "float16")
    np.testing.assert_array_equal(converted[0][1], words)
    np.testing.assert_array_equal(converted[1][1], scale)
    np.testing.assert_array_equal(converted[2][1], values(32).astype("float16"))
    assert converted[2][1].dtype == np.float16
    assert counter.params == 6 * 32 + 32  # of the original model: not words and scales


def test_shards_are_cut_at_32_mib_and_the_table_says_where_everything_lies(tmp_path: Path) -> None:
    """15 + 15 MiB fit into one shard, the next 15 do not; 40 MiB stand alone, whatever comes before or after."""
    mib = 2**20 // 4
    params = {
        "a": values(15 * mib),
        "b": values(5, 3 * mib, seed=1),
        "c": values(15 * mib, seed=2),
        "huge": values(40 * mib, seed=3),
        "small": values(3, 7, seed=4, dtype="float16"),
    }
    size = write_shards(params.items(), tmp_path, counted(1000))
    table = json.loads((tmp_path / "tensor-cache.json").read_text())
    shards = table["records"]
    assert [[record["name"] for record in shard["records"]] for shard in shards] == [
        ["a", "b"],
        ["c"],
        ["huge"],
        ["small"],
    ]
    assert [shard["dataPath"] for shard in shards] == [f"params_shard_{n}.bin" for n in range(4)]
    assert [shard["nbytes"] <= SHARD_BYTES for shard in shards] == [True, True, False, True]
    for shard in shards:
        data = (tmp_path / shard["dataPath"]).read_bytes()
        assert shard["nbytes"] == len(data)
        assert shard["md5sum"] == hashlib.md5(data).hexdigest()  # noqa: S324
        assert shard["format"] == "raw-shard"
        for record in shard["records"]:
            expected = params[record["name"]]
            lies = data[record["byteOffset"] : record["byteOffset"] + record["nbytes"]]
            assert lies == expected.tobytes()
            assert (record["shape"], record["dtype"]) == (list(expected.shape), str(expected.dtype))
            assert record["format"] == "raw"
    assert size == sum(array.nbytes for array in params.values())
    assert table["metadata"] == {"ParamSize": 5, "ParamBytes": size, "BitsPerParam": size * 8 / 1000}


def test_shards_that_must_wait_for_the_disk_stay_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regress.worker.weights.SHARD_BYTES", 100)
    params = {f"p{index}": values(20, seed=index) for index in range(30)}  # 80 bytes each: a shard to itself
    monkeypatch.setattr("regress.worker.weights.WAITING_BYTES", 1)
    write_shards(params.items(), tmp_path, counted(1))
    found = dict(read_shards(tmp_path))
    assert list(found) == list(params)
    assert all((found[name] == params[name]).all() for name in params)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    params = {
        "words": np.arange(12, dtype="uint32").reshape(3, 4),
        "scale": values(3, 1, dtype="float16"),  # 6 bytes: what follows is not aligned to its own size
        "norm": values(5),
    }
    write_shards(params.items(), tmp_path, counted(1))
    found = dict(read_shards(tmp_path))
    assert list(found) == list(params)
    for name, expected in params.items():
        np.testing.assert_array_equal(found[name], expected)
        assert found[name].dtype == expected.dtype


def test_float32_that_mlc_llm_stored_as_bfloat16_is_read(tmp_path: Path) -> None:
    (tmp_path / "params_shard_0.bin").write_bytes(np.array([0x3F80, 0xC049], "<u2").tobytes())
    record = {"name": "w", "shape": [2], "dtype": "float32", "format": "f32-to-bf16"}
    shard = {
        "dataPath": "params_shard_0.bin",
        "format": "raw-shard",
        "nbytes": 4,
        "records": [{**record, "nbytes": 4, "byteOffset": 0}],
    }
    (tmp_path / "tensor-cache.json").write_text(json.dumps({"metadata": {}, "records": [shard]}))
    [(name, found)] = read_shards(tmp_path)
    assert (name, found.tolist()) == ("w", [1.0, -3.140625])


@pytest.mark.parametrize("kept", [0, 5, 47])
def test_a_shard_that_lost_its_end_is_named(tmp_path: Path, kept: int) -> None:
    write_shards([("words", np.arange(12, dtype="uint32"))], tmp_path, counted(1))
    shard = tmp_path / "params_shard_0.bin"
    shard.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(ValueError, match=f"params_shard_0.bin: {kept} bytes, tensor-cache.json says 48"):
        list(read_shards(tmp_path))
