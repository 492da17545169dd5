"""Model sources that need no network: synthetic ones, folders, and the texts that name them."""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import threading
from collections import namedtuple
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from regress.errors import BuildError, ConfigError, UsageError
from regress.model import folder as model_folder
from regress.model import resolve, synthetic, tensors
from regress.redact import publishable
from regress.shape import PRESETS, Shape
from regress.source import parse_source, peek_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    Array = npt.NDArray[np.float32]
    Weights = dict[str, Array]

TINY = {
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 10,
}
TINY_TENSORS = {
    "model.embed_tokens.weight": (10, 8),
    "model.layers.0.input_layernorm.weight": (8,),
    "model.layers.0.self_attn.q_proj.weight": (8, 8),
    "model.layers.0.self_attn.k_proj.weight": (4, 8),
    "model.layers.0.self_attn.v_proj.weight": (4, 8),
    "model.layers.0.self_attn.o_proj.weight": (8, 8),
    "model.layers.0.post_attention_layernorm.weight": (8,),
    "model.layers.0.mlp.gate_proj.weight": (16, 8),
    "model.layers.0.mlp.up_proj.weight": (16, 8),
    "model.layers.0.mlp.down_proj.weight": (8, 16),
    "model.norm.weight": (8,),
    "lm_head.weight": (10, 8),
}
Q_PROJ = "model.layers.0.self_attn.q_proj.weight"


def tiny_tensors() -> dict[str, npt.NDArray[np.float16]]:
    return {name: np.ones(shape, np.float16) for name, shape in TINY_TENSORS.items()}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder with the smallest Llama there is."""
    folder = tmp_path / "Tiny Llama"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(TINY))
    save_file(tiny_tensors(), folder / "model.safetensors")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def file_size_limit() -> Iterator[None]:
    """No file may grow over 64 KiB: the system refuses writes as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# The texts


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("synthetic:llama-2-7b", "llama-2-7b"),
        ("path:/models/Llama 2 (mine)", "llama-2-mine"),
        ("path:models/tiny/", "tiny"),
        ("hf:meta-llama/Llama-2-7b-hf", "llama-2-7b-hf"),
        ("hf:Qwen/Qwen2.5-7B@v1.0", "qwen2.5-7b"),
        ("hf:gpt2@refs/pr/1", "gpt2"),
    ],
)
def test_the_short_name_fits_into_a_key(text: str, name: str) -> None:
    assert peek_name(text) == name


def test_a_revision_is_told_from_the_repository() -> None:
    source = parse_source("hf:Qwen/Qwen2.5-7B@main")
    assert (source.scheme, source.subject, source.revision) == ("hf", "Qwen/Qwen2.5-7B", "main")
    assert str(source) == "hf:Qwen/Qwen2.5-7B@main"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("llama-mini", "model 'llama-mini': no source in front; did you mean 'synthetic:llama-mini'?"),
        ("org/repo", "model 'org/repo': no source in front; did you mean 'hf:org/repo'?"),
        ("./folder", "model './folder': no source in front; did you mean 'path:./folder'?"),
        ("nothing", "model 'nothing': no source in front"),
        ("sythetic:x", "model 'sythetic:x': no source is called 'sythetic:'; did you mean 'synthetic'?"),
        ("synthetic:", "model 'synthetic:': nothing after 'synthetic:'"),
        ("path: ", "model 'path: ': nothing after 'path:'"),
        (
            "synthetic:llama-2-7B",
            "model 'synthetic:llama-2-7B': no preset 'llama-2-7B'; did you mean 'llama-2-7b'?",
        ),
        ("hf:a/b/c", "model 'hf:a/b/c': 'a/b/c' cannot be the name of a repository"),
        ("hf:../etc", "model 'hf:../etc': '../etc' cannot be the name of a repository"),
        ("hf:a/b@", "model 'hf:a/b@': '' cannot be a revision"),
        ("hf:a/b@../x", "model 'hf:a/b@../x': '../x' cannot be a revision"),
    ],
)
def test_a_text_that_names_no_source_is_one_line_about_it(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_source(text)
    assert str(caught.value) == message
    assert caught.value.hint is not None


def test_the_caller_chooses_the_error() -> None:
    with pytest.raises(UsageError):
        parse_source("nothing", UsageError)
    with pytest.raises(UsageError):
        peek_name("nothing", UsageError)


# The shapes


@pytest.mark.parametrize(
    ("preset", "parameters"),
    [  # as their authors publish them
        ("tinyllama-1.1b", 1_100_048_384),
        ("llama-3.2-1b", 1_235_814_400),
        ("llama-2-7b", 6_738_415_616),
        ("qwen2.5-7b", 7_615_616_512),
    ],
)
def test_a_preset_has_as_many_parameters_as_its_model(preset: str, parameters: int) -> None:
    assert sum(tensor.count for tensor in tensors.planned(preset)) == parameters


def test_the_tensors_follow_from_the_configuration() -> None:
    assert dict(msgspec.convert(TINY, Shape).tensors()) == TINY_TENSORS


def test_qwen2_has_biases_and_a_tied_model_no_head() -> None:
    names = {name for name, _ in msgspec.convert({**TINY, "model_type": "qwen2"}, Shape).tensors()}
    biases = {f"model.layers.0.self_attn.{projection}_proj.bias" for projection in "qkv"}
    assert names == set(TINY_TENSORS) | biases
    tied = {name for name, _ in msgspec.convert({**TINY, "tie_word_embeddings": True}, Shape).tensors()}
    assert tied == set(TINY_TENSORS) - {"lm_head.weight"}


# Synthetic models


def test_a_synthetic_model_is_what_its_configuration_says(home: Path) -> None:
    model = resolve("synthetic:llama-mini", home)
    config = json.loads((model.folder / "config.json").read_text())
    assert config == PRESETS["llama-mini"]
    weights = load_file(model.folder / "model.safetensors")
    assert {name: tensor.shape for name, tensor in weights.items()} == dict(msgspec.convert(config, Shape).tensors())
    assert {str(tensor.dtype) for tensor in weights.values()} == {"float16"}
    up, norm = (weights[f"model.layers.3.{name}.weight"] for name in ("mlp.up_proj", "input_layernorm"))
    assert up.astype(np.float64).std() == pytest.approx(1 / math.sqrt(256), rel=0.01)
    assert up.astype(np.float64).mean() == pytest.approx(0, abs=1e-3)
    assert norm.astype(np.float64).mean() == pytest.approx(1, abs=0.02)
    assert len(np.unique(up)) > 1000


def test_its_bytes_are_the_same_on_every_machine(home: Path) -> None:
    """The digest is the program's own: whatever changes it makes rates before and after two series."""
    model = resolve("synthetic:llama-mini", home)
    assert model.identity.digest == "2c4a1a234c67f0a2e1268bd7151a5350fcf0b5d23bd08248b62aa87ad4b1efc1"
    assert model.identity.source == "synthetic:llama-mini"


def test_order_and_sharding_change_no_tensor(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_file(resolve("synthetic:qwen-mini", home / "whole").folder / "model.safetensors")
    monkeypatch.setattr(synthetic, "LARGEST_SHARD_BYTES", 2**20)
    monkeypatch.setattr(tensors, "_CHUNK", 4096)
    monkeypatch.setattr(synthetic, "FLUSH_BYTES", 2**19)
    folder = resolve("synthetic:qwen-mini", home / "sharded").folder
    files = sorted(folder.glob("*.safetensors"))
    assert files[0].name == f"model-00001-of-{len(files):05}.safetensors"
    assert len(files) > 5
    # 448 x 2048 float16 is 1.8 MB: only a tensor that is alone in its file may be larger than a shard
    assert all(len(load_file(file)) == 1 for file in files if file.stat().st_size > 2**20 + 4096)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in whole.values())
    for name, tensor in whole.items():
        np.testing.assert_array_equal(load_file(folder / index["weight_map"][name])[name], tensor)
    assert model_folder.check(folder) == [folder / "config.json", *files]


def test_it_is_written_once(home: Path) -> None:
    said: list[str] = []
    first = resolve("synthetic:llama-mini", home, log=said.append)
    inode = (first.folder / "model.safetensors").stat().st_ino
    assert resolve("synthetic:llama-mini", home, log=said.append) == first
    assert (first.folder / "model.safetensors").stat().st_ino == inode
    assert said == ["writing synthetic:llama-mini, 0.01 GB, once"]


def test_of_several_at_once_one_writes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    write = synthetic._write_files

    def counted(preset: str, *arguments: object) -> synthetic.Marker:
        written.append(preset)
        return write(preset, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(synthetic, "_write_files", counted)
    digests: list[str] = []
    threads = [
        threading.Thread(target=lambda: digests.append(resolve("synthetic:llama-mini", home).identity.digest))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written == ["llama-mini"]
    assert len(digests) == 4
    assert len(set(digests)) == 1


def test_a_model_that_is_there_needs_no_right_to_write(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = resolve("synthetic:llama-mini", home)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(synthetic, "_locked", refuse)
    assert resolve("synthetic:llama-mini", home) == model


def left_in(home: Path) -> list[str]:
    return [path.name for path in (home / "models").iterdir() if path.suffix != ".lock"]


def test_an_interrupted_write_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            resolve("synthetic:llama-mini", home)
    assert left_in(home) == []
    assert resolve("synthetic:llama-mini", home).folder.is_dir()


def test_what_a_killed_process_left_is_not_taken_for_a_model(home: Path) -> None:
    done = resolve("synthetic:llama-mini", home).folder
    partial = done.with_name(f"{done.name}.partial")
    done.rename(partial)
    (partial / "regress-model.json").unlink()
    (partial / "stray").touch()
    assert resolve("synthetic:llama-mini", home).folder == done
    assert not (done / "stray").exists()
    assert left_in(home) == [done.name]


@pytest.mark.parametrize("damage", ["truncated", "deleted", "no marker", "broken marker", "flipped marker"])
def test_a_damaged_model_is_written_again(home: Path, damage: str) -> None:
    model = resolve("synthetic:llama-mini", home)
    weights, marker = model.folder / "model.safetensors", model.folder / "regress-model.json"
    if damage == "truncated":
        os.truncate(weights, 1000)
    elif damage == "broken marker":
        marker.write_text("{")
    elif damage == "flipped marker":
        marker.write_bytes(marker.read_bytes().replace(b'"digest":"', b'"digest":"\xff'))
    else:
        (weights if damage == "deleted" else marker).unlink()
    assert resolve("synthetic:llama-mini", home) == model
    assert weights.stat().st_size > 2**20


@pytest.mark.usefixtures("file_size_limit")
def test_a_refused_write_is_one_line_and_leaves_nothing(home: Path) -> None:
    with pytest.raises(BuildError) as caught:
        resolve("synthetic:llama-mini", home)
    assert str(caught.value) == f"cannot write synthetic:llama-mini to {home / 'models'}: File too large"
    assert "REGRESS_HOME" in (caught.value.hint or "")
    assert left_in(home) == []


def test_too_small_a_disk_is_known_before_writing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")  # noqa: PYI024  # as shutil has it
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 99, 2_000_000_000))
    with pytest.raises(BuildError, match=r"synthetic:llama-2-7b .*: needs 13\.48 GB, 2\.00 GB are free$"):
        resolve("synthetic:llama-2-7b", home)
    assert left_in(home) == []


def test_a_home_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match=r"^cannot write synthetic:llama-mini to .*: Not a directory$"):
        resolve("synthetic:llama-mini", tmp_path / "file" / "home")


# A Llama in numpy, to see what the weights make it say


def normed(x: Array, weight: Array) -> Array:
    return np.asarray(x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight, np.float32)


def rotated(x: Array, theta: float) -> Array:
    half = x.shape[-1] // 2
    angle = np.arange(x.shape[0])[:, None] * theta ** (-np.arange(half) / half)
    cos, sin = (np.concatenate([part, part], -1)[:, None] for part in (np.cos(angle), np.sin(angle)))
    return np.asarray(x * cos + np.concatenate([-x[..., half:], x[..., :half]], -1) * sin, np.float32)


def attention(config: dict[str, int], weights: Weights, at: str, x: Array) -> Array:
    def heads(name: str) -> Array:
        bias = weights.get(f"{at}{name}_proj.bias", np.float32(0))
        split = (x @ weights[f"{at}{name}_proj.weight"].T + bias).reshape(len(x), -1, 32)
        return np.repeat(split, config["num_attention_heads"] // split.shape[1], 1)

    query, key = (rotated(heads(name), config["rope_theta"]) for name in "qk")
    scores = np.einsum("ihd,jhd->hij", query, key) / np.sqrt(32)
    scores = np.exp(np.where(np.tri(len(x), dtype=bool), scores, -np.inf))
    mixed = np.einsum("hij,jhd->ihd", scores / scores.sum(-1, keepdims=True), heads("v"))
    return np.asarray(mixed.reshape(len(x), -1) @ weights[f"{at}o_proj.weight"].T, np.float32)


def mlp(weights: Weights, at: str, x: Array) -> Array:
    gate, up = (x @ weights[f"{at}{name}_proj.weight"].T for name in ("gate", "up"))
    return np.asarray((gate / (1 + np.exp(-gate)) * up) @ weights[f"{at}down_proj.weight"].T)


def logits(config: dict[str, int], weights: Weights, tokens: list[int]) -> tuple[Array, float]:
    """The logits after the last token, and the largest activation between the layers."""
    x = weights["model.embed_tokens.weight"][tokens]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        x = x + attention(config, weights, f"{at}self_attn.", normed(x, weights[f"{at}input_layernorm.weight"]))
        x = x + mlp(weights, f"{at}mlp.", normed(x, weights[f"{at}post_attention_layernorm.weight"]))
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    return np.asarray(normed(x[-1], weights["model.norm.weight"]) @ head.T), float(abs(x).max())


@pytest.mark.parametrize("preset", ["llama-mini", "llama-mini-gqa", "qwen-mini"])
def test_greedy_decoding_runs_into_no_short_loop_and_nothing_overflows(home: Path, preset: str) -> None:
    folder = resolve(f"synthetic:{preset}", home).folder
    config = json.loads((folder / "config.json").read_text())
    weights = {k: v.astype(np.float32) for k, v in load_file(folder / "model.safetensors").items()}
    tokens = list(range(1, 17))
    for _ in range(32):
        found, largest = logits(config, weights, tokens)
        assert 1 < found.std() < 5
        assert largest < 100  # float16 ends at 65,504
        tokens.append(int(found.argmax()))
    assert len(set(tokens[16:])) > 12


# Folders


def test_a_folder_is_recorded_by_its_name_alone(tiny: Path, home: Path) -> None:
    model = resolve(f"path:{tiny}", home)
    assert model.folder == tiny
    assert model.identity.source == "path:Tiny Llama"
    assert model.identity.name == "tiny-llama"
    assert publishable(model.identity.source) == model.identity.source


def test_a_copy_has_the_digest_of_the_original(home: Path, tmp_path: Path) -> None:
    original = resolve("synthetic:llama-mini", home)
    shutil.copytree(original.folder, tmp_path / "copy")
    assert resolve(f"path:{tmp_path / 'copy'}", home).identity.digest == original.identity.digest


def test_a_folder_is_read_once(tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = resolve(f"path:{tiny}", home)

    def unread(_: Path) -> str:
        raise AssertionError("read again")

    monkeypatch.setattr(model_folder, "_verified_sha256", unread)
    assert resolve(f"path:{tiny}", home) == first


@pytest.mark.parametrize("changed", ["weights", "config"])
def test_another_content_is_another_digest(tiny: Path, home: Path, changed: str) -> None:
    before = resolve(f"path:{tiny}", home).identity.digest
    path = tiny / ("model.safetensors" if changed == "weights" else "config.json")
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1 if changed == "weights" else 0
    path.write_bytes(data if changed == "weights" else data.replace(b'"llama"', b'"qwen2"'))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as rsync leaves it
    assert path.stat().st_size == stat.st_size
    if changed == "config":
        save_file(
            tiny_tensors()
            | {
                f"model.layers.0.self_attn.{name}_proj.bias": np.ones(width, np.float16)
                for name, width in (("q", 8), ("k", 4), ("v", 4))
            },
            tiny / "model.safetensors",
        )
    assert resolve(f"path:{tiny}", home).identity.digest != before


@pytest.mark.parametrize("damaged", [b'"12', b'"\xff"'])
def test_a_broken_memory_of_digests_is_made_anew(tiny: Path, home: Path, damaged: bytes) -> None:
    first = resolve(f"path:{tiny}", home)
    (remembered,) = (home / "models" / "digests").iterdir()
    remembered.write_bytes(damaged)
    assert resolve(f"path:{tiny}", home) == first
    assert remembered.read_text() == f'"{first.identity.digest}"'


def test_a_folder_needs_no_home_that_can_be_written(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert resolve(f"path:{tiny}", tmp_path / "file").folder == tiny


def test_files_that_change_while_they_are_read_have_no_digest(
    tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = model_folder._verified_sha256

    def changing(file: Path) -> str:
        file.write_bytes(file.read_bytes() + b"\n")
        return sha256(file)

    monkeypatch.setattr(model_folder, "_verified_sha256", changing)
    with pytest.raises(BuildError, match="change while they are read"):
        resolve(f"path:{tiny}", home)
    assert not (home / "models").exists()


def refusal(folder: Path, home: Path) -> str:
    with pytest.raises(BuildError) as caught:
        resolve(f"path:{folder}", home)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message.replace(f"{folder}", "DIR")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_attention_heads": None}, "DIR/config.json: num_attention_heads: Expected `int`, got `null`"),
        ({"vocab_size": 0}, "DIR/config.json: vocab_size: Expected `int` >= 1"),
        ({"hidden_size": "8"}, "DIR/config.json: hidden_size: Expected `int`, got `str`"),
        (
            {"model_type": "lama"},
            ("DIR/config.json: model_type: 'lama' cannot be built, only llama and qwen2 can; did you mean 'llama'?"),
        ),
        (
            {"model_type": "llava", "attention_bias": True},  # the llama in it, as any other
            "DIR/config.json: attention_bias: a model with these biases cannot be built",
        ),
        (
            {"model_type": "mistral"},
            "DIR/config.json: model_type: 'mistral' cannot be built, only llama and qwen2 can",
        ),
        (
            {"attention_bias": True},
            "DIR/config.json: attention_bias: a model with these biases cannot be built",
        ),
        (
            {"hidden_act": "gelu"},
            "DIR/config.json: hidden_act: 'gelu' cannot be built, only silu can",
        ),
        (
            {"use_sliding_window": True},
            "DIR/config.json: use_sliding_window: a model with a sliding window cannot be built",
        ),
        (
            {"quantization_config": {"bits": 4}},
            ("DIR/config.json: quantization_config: these weights are quantized already; give the original ones"),
        ),
        (
            {"num_attention_heads": 3},
            "DIR/config.json: num_attention_heads: 3 does not divide the hidden size 8",
        ),
        (
            {"num_attention_heads": 4, "num_key_value_heads": 3},
            "DIR/config.json: num_key_value_heads: 3 does not divide the 4 query heads",
        ),
        (
            {"num_hidden_layers": 2},
            "DIR: no tensor model.layers.1.input_layernorm.weight in its safetensors files",
        ),
        ({"head_dim": 8}, f"DIR: {Q_PROJ} is (8, 8), by config.json it should be (16, 8)"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named_by_its_key(
    tiny: Path, home: Path, change: dict[str, object], message: str
) -> None:
    (tiny / "config.json").write_text(json.dumps(TINY | change))
    assert refusal(tiny, home) == message


def test_a_missing_key_is_named(tiny: Path, home: Path) -> None:
    config = {key: value for key, value in TINY.items() if key != "num_attention_heads"}
    (tiny / "config.json").write_text(json.dumps(config))
    assert refusal(tiny, home) == "DIR/config.json: num_attention_heads: missing"


def test_a_missing_file_is_named(tiny: Path, home: Path) -> None:
    weights = (tiny / "model.safetensors").rename(tiny / "pytorch_model.bin")
    assert refusal(tiny, home) == "DIR: PyTorch weights only, safetensors are needed"
    weights.unlink()
    assert refusal(tiny, home) == ("DIR: no weights: neither model.safetensors.index.json nor model.safetensors")
    (tiny / "config.json").write_text("{")
    assert refusal(tiny, home).startswith("DIR/config.json: not valid JSON: ")
    (tiny / "config.json").unlink()
    assert refusal(tiny, home) == "DIR/config.json: missing"
    tiny.rmdir()
    assert refusal(tiny, home) == "DIR: no such folder"
    tiny.touch()
    assert refusal(tiny, home) == "DIR: not a folder"


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        (
            {"x": "model-2.safetensors"},
            "DIR/model-2.safetensors: missing, though model.safetensors.index.json names it",
        ),
        (
            {"x": "../model.safetensors"},
            (
                "DIR/model.safetensors.index.json: weight_map: '../model.safetensors' "
                "is not the name of a file beside it"
            ),
        ),
    ],
)
def test_an_index_names_files_beside_it(tiny: Path, home: Path, weight_map: dict[str, str], message: str) -> None:
    (tiny / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert refusal(tiny, home) == message


@pytest.mark.parametrize("content", [b"{}", b'{"weight_map": {"\xff": "x"}}'])
def test_a_broken_index_is_named(tiny: Path, home: Path, content: bytes) -> None:
    (tiny / "model.safetensors.index.json").write_bytes(content)
    assert refusal(tiny, home).startswith("DIR/model.safetensors.index.json: ")


def test_truncated_weights_are_found(tiny: Path, home: Path) -> None:
    path = tiny / "model.safetensors"
    os.truncate(path, path.stat().st_size - 1)
    assert refusal(tiny, home) == "DIR/model.safetensors: truncated, or not a safetensors file"


def test_weights_that_are_integers_are_refused(tiny: Path, home: Path) -> None:
    packed = {Q_PROJ: np.ones((8, 8), np.int8)}
    save_file({**tiny_tensors(), **packed}, tiny / "model.safetensors")
    assert refusal(tiny, home) == (
        f"DIR/model.safetensors: {Q_PROJ}: stored as I8, not as BF16, F16, F32: quantized already?"
    )
