"""The model's folder as MLC-LLM wants it, and the list of the weights that it writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from regress.worker.mlc_model import Weights, has_safetensors, place, read_weights

if TYPE_CHECKING:
    from pathlib import Path

LLAVA = {"model_type": "llava", "hidden_size": 4096}


def checkpoint(folder: Path, config: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def cache(folder: Path, name: str, metadata: dict[str, Any], **changes: Any) -> Path:  # noqa: ANN401
    """A list of two shards: 2 x 4 words of 4 bytes, and 6 float32 values stored in 2 bytes each."""
    words = {"name": "q_weight", "shape": [2, 4], "dtype": "uint32", "format": "raw", "nbytes": 32, "byteOffset": 0}
    scale = {"name": "scale", "shape": [6], "dtype": "float32", "format": "f32-to-bf16", "nbytes": 12, "byteOffset": 0}
    records = [
        {"dataPath": "params_shard_0.bin", "nbytes": 32, "records": [{**words, **changes}]},
        {"dataPath": "params_shard_1.bin", "nbytes": 12, "records": [scale]},
    ]
    (folder / name).write_text(json.dumps({"metadata": metadata, "records": records}))
    (folder / "params_shard_0.bin").write_bytes(bytes(32))
    (folder / "params_shard_1.bin").write_bytes(bytes(12))
    return folder


def test_a_model_is_linked_and_left_as_it_is(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "source", {"model_type": "llama"})
    assert place(source, tmp_path / "dist" / "models" / "llama") == {}
    assert (tmp_path / "dist" / "models" / "llama" / "model.safetensors").resolve() == source / "model.safetensors"
    assert json.loads((tmp_path / "dist" / "models" / "llama" / "config.json").read_text()) == {"model_type": "llama"}


def test_llava_is_built_as_the_llama_it_is_and_that_is_said(tmp_path: Path) -> None:
    """In a copy: the checkpoint is not ours."""
    source = checkpoint(tmp_path / "source", LLAVA)
    assert place(source, tmp_path / "placed") == {"config.json: model_type": "llava -> llama"}
    assert json.loads((tmp_path / "placed" / "config.json").read_text()) == {**LLAVA, "model_type": "llama"}
    assert json.loads((source / "config.json").read_text()) == LLAVA


def test_llava_with_a_configuration_of_its_language_model_is_mlcs_own(tmp_path: Path) -> None:
    config = {**LLAVA, "text_config": {"hidden_size": 4096}}
    assert place(checkpoint(tmp_path / "source", config), tmp_path / "placed") == {}
    assert json.loads((tmp_path / "placed" / "config.json").read_text()) == config


def test_safetensors_are_told_from_pytorchs_files(tmp_path: Path) -> None:
    assert has_safetensors(checkpoint(tmp_path / "a", {}))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "pytorch_model.bin").touch()
    assert not has_safetensors(tmp_path / "b")


@pytest.mark.parametrize("name", ["tensor-cache.json", "ndarray-cache.json"])
def test_the_list_is_read_under_either_name_and_left_under_todays(tmp_path: Path, name: str) -> None:
    """32 + 12 bytes in files; 8 words of 4 bytes and 6 values of 4 in memory, 56 bytes."""
    cache(tmp_path, name, {"BitsPerParam": 4.5})
    assert read_weights(tmp_path) == Weights(stored_bytes=44, loaded_bytes=56, bits_per_param=4.5)
    assert [path.name for path in tmp_path.glob("*.json")] == ["tensor-cache.json"]


def test_bits_per_parameter_may_not_have_been_counted(tmp_path: Path) -> None:
    assert read_weights(cache(tmp_path, "ndarray-cache.json", {"ParamSize": 2})).bits_per_param is None


def test_a_build_without_its_list_or_with_a_cut_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"neither tensor-cache.json nor ndarray-cache.json"):
        read_weights(tmp_path)
    shard = cache(tmp_path, "tensor-cache.json", {}) / "params_shard_1.bin"
    shard.write_bytes(bytes(11))
    with pytest.raises(RuntimeError, match=r"params_shard_1.bin has 11 bytes, tensor-cache.json says 12"):
        read_weights(tmp_path)
    shard.unlink()
    with pytest.raises(RuntimeError, match=r"params_shard_1.bin is not there, tensor-cache.json says 12"):
        read_weights(tmp_path)


def test_a_dtype_without_a_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="q_weight: no size in its dtype 'handle'"):
        read_weights(cache(tmp_path, "tensor-cache.json", {}, dtype="handle"))
