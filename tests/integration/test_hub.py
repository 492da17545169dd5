"""`hf:` sources through the real `huggingface_hub`, against a hub on this machine."""

from __future__ import annotations

import json
import logging
import os
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from integration.hub_server import LocalHub, Repository, serving
from safetensors.numpy import save

from regress import redact
from regress.errors import BuildError
from regress.model import resolve
from regress.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

REPO = "org/Tiny-Llama"
FIRST, SECOND = "1" * 40, "2" * 40
TOKEN = "hf_secretSECRETsecret"  # noqa: S105  # of no real hub
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")

CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 512,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 1024,
}


def files(value: float = 1.0) -> dict[str, bytes]:
    """A small model in two shards of some 200 kB, and what else lies in such a repository."""
    tensors = {name: np.full(shape, value, np.float16) for name, shape in msgspec.convert(CONFIG, Shape).tensors()}
    names = list(tensors)
    shards = {name: SHARDS[i >= len(names) // 2] for i, name in enumerate(names)}
    weights = {shard: save({name: tensors[name] for name in names if shards[name] == shard}) for shard in SHARDS}
    return {
        "config.json": json.dumps(CONFIG).encode(),
        "model.safetensors.index.json": json.dumps({"weight_map": shards}).encode(),
        "tokenizer.json": b"{}",
        **weights,
        "pytorch_model.bin": b"the same again",
        "original/consolidated.00.pth": b"and again",
    }


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """huggingface_hub waits a second before each new try, and may not use a token or Xet of this machine."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", True)


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with serving(LocalHub(tokens={TOKEN})) as hub:
        hub.repositories[REPO] = Repository(commits={FIRST: files()}, branches={"main": FIRST})
        yield hub


@pytest.fixture
def env(hub: LocalHub) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.endpoint}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def refusal(source: str, home: Path, env: dict[str, str]) -> BuildError:
    with pytest.raises(BuildError) as caught:
        resolve(source, home, env=env)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{source}: ")
    return caught.value


def left_partial(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if "incomplete" in path.name or "partial" in path.name]


def test_a_repository_is_downloaded_and_pinned(hub: LocalHub, env: dict[str, str], home: Path) -> None:
    said: list[str] = []
    model = resolve(f"hf:{REPO}", home, env=env, log=said.append)
    assert model.identity.source == f"hf:{REPO}@{FIRST}"
    assert model.identity.name == "tiny-llama"
    assert model.folder.is_relative_to(home / "models" / "hf")
    wanted = {name: content for name, content in files().items() if not name.endswith((".bin", ".pth"))}
    found = {path.name: path.read_bytes() for path in model.folder.rglob("*") if path.is_file()}
    assert found == wanted
    assert said == [f"downloading {REPO} at {FIRST[:12]} to {home / 'models' / 'hf'}, as far as it is not there"]
    assert hub.downloads("pytorch_model.bin") == []
    assert redact.publishable(model.identity.source) == model.identity.source


def test_a_branch_that_moved_is_another_model(hub: LocalHub, env: dict[str, str], home: Path) -> None:
    before = resolve(f"hf:{REPO}@main", home, env=env).identity
    hub.repositories[REPO].commits[SECOND] = files(value=2.0)
    hub.repositories[REPO].branches["main"] = SECOND
    after = resolve(f"hf:{REPO}@main", home, env=env).identity
    assert (before.source, after.source) == (f"hf:{REPO}@{FIRST}", f"hf:{REPO}@{SECOND}")
    assert before.digest != after.digest
    assert resolve(f"hf:{REPO}@{FIRST}", home, env=env).identity == before


def test_the_digest_does_not_depend_on_where_the_files_lie(env: dict[str, str], home: Path, tmp_path: Path) -> None:
    model = resolve(f"hf:{REPO}", home, env=env)
    for path in model.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert resolve(f"path:{tmp_path}", home).identity.digest == model.identity.digest


def test_a_pinned_commit_that_is_here_asks_nobody(hub: LocalHub, env: dict[str, str], home: Path) -> None:
    first = resolve(f"hf:{REPO}", home, env=env)
    hub.requests.clear()
    assert resolve(f"hf:{REPO}@{FIRST}", home, env=env).identity == first.identity
    assert hub.requests == []
    assert resolve(f"hf:{REPO}@{FIRST}", home, env={"HF_ENDPOINT": "http://127.0.0.1:9"}) == first


def test_a_pinned_commit_that_is_not_here_is_downloaded(hub: LocalHub, env: dict[str, str], home: Path) -> None:
    model = resolve(f"hf:{REPO}@{FIRST}", home, env=env)
    (model.folder / SHARDS[1]).unlink()
    hub.requests.clear()
    assert resolve(f"hf:{REPO}@{FIRST}", home, env=env) == model
    assert (model.folder / SHARDS[1]).read_bytes() == files()[SHARDS[1]]
    assert hub.downloads(SHARDS[0]) == []


@pytest.mark.parametrize("variable", ["HF_TOKEN", "HUGGINGFACE_TOKEN"])
def test_the_token_opens_a_gated_repository(
    hub: LocalHub, env: dict[str, str], home: Path, variable: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hub.repositories[REPO].gated = True
    hub.granted.add(TOKEN)
    said: list[str] = []
    model = resolve(f"hf:{REPO}", home, env={**env, variable: f"{TOKEN}\n"}, log=said.append)
    assert {headers.get("authorization") for _, _, headers in hub.requests} == {f"Bearer {TOKEN}"}
    assert TOKEN not in str(model)
    assert TOKEN not in "".join(said) + caplog.text
    assert not any(TOKEN.encode() in path.read_bytes() for path in home.rglob("*") if path.is_file())


def test_without_a_token_none_is_sent(hub: LocalHub, env: dict[str, str], home: Path) -> None:
    resolve(f"hf:{REPO}", home, env=env)
    assert all("authorization" not in headers for _, _, headers in hub.requests)


def test_a_gated_repository_says_how_to_open_it(hub: LocalHub, env: dict[str, str], home: Path) -> None:
    hub.repositories[REPO].gated = True
    error = refusal(f"hf:{REPO}", home, env)
    assert str(error) == f"hf:{REPO}: the repository is gated and not open to us"
    assert error.hint == (f"accept its licence at {hub.endpoint}/{REPO}, then set HF_TOKEN to a token of that account")


def test_a_token_without_access_is_told_from_no_token(hub: LocalHub, env: dict[str, str], home: Path) -> None:
    hub.repositories[REPO].gated = True
    error = refusal(f"hf:{REPO}@{FIRST}", home, {**env, "HF_TOKEN": TOKEN})
    assert str(error) == f"hf:{REPO}@{FIRST}: the repository is gated and not open to us"
    assert "with the account of the token" in (error.hint or "")
    assert TOKEN not in "\n".join(error.lines())


def test_a_token_that_the_hub_does_not_know_is_not_repeated(env: dict[str, str], home: Path) -> None:
    error = refusal(f"hf:{REPO}", home, {**env, "HF_TOKEN": "hf_expired"})
    assert str(error) == f"hf:{REPO}: the hub refuses the token"
    assert "hf_expired" not in "\n".join(error.lines())


def test_what_the_hub_says_is_passed_on_without_the_token(hub: LocalHub, env: dict[str, str], home: Path) -> None:
    hub.tokens.add("plainsecret")
    hub.refused[SHARDS[0]] = (403, "token plainsecret may not read this")
    error = refusal(f"hf:{REPO}", home, {**env, "HF_TOKEN": "plainsecret"})
    assert str(error) == f"hf:{REPO}: the hub answers with status 403"
    assert error.cause == "HfHubHTTPError: 403 Forbidden: token *** may not read this."
    assert "right to read" in (error.hint or "")


def test_a_hub_that_fails_is_one_line(hub: LocalHub, env: dict[str, str], home: Path) -> None:
    hub.refused[SHARDS[0]] = (503, "overloaded")
    error = refusal(f"hf:{REPO}", home, env)
    assert str(error) == f"hf:{REPO}: the hub answers with status 503"


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("revision", ["", f"@{FIRST}"])
def test_a_missing_repository_is_named(env: dict[str, str], home: Path, token: str | None, revision: str) -> None:
    error = refusal(f"hf:org/none{revision}", home, {**env, "HF_TOKEN": token or ""})
    assert str(error).endswith(": the hub has no repository 'org/none' that we may see")


@pytest.mark.parametrize("revision", ["v9", SECOND])
def test_a_missing_revision_is_named(env: dict[str, str], home: Path, revision: str) -> None:
    error = refusal(f"hf:{REPO}@{revision}", home, env)
    assert str(error) == f"hf:{REPO}@{revision}: the repository has no revision '{revision}'"


def test_a_part_of_a_commit_is_not_taken_for_all_of_it(
    env: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older versions of huggingface_hub keep no list of what belongs to a commit."""
    model = resolve(f"hf:{REPO}", home, env=env)
    monkeypatch.setattr("huggingface_hub._tree_cache._IN_MEMORY_TREE_CACHE", {}, raising=False)
    for listing in home.rglob("trees/*.json"):
        listing.unlink()
    (model.folder / SHARDS[1]).unlink()
    assert resolve(f"hf:{REPO}@{FIRST}", home, env=env) == model


def test_truncated_weights_say_what_to_delete(env: dict[str, str], home: Path) -> None:
    model = resolve(f"hf:{REPO}", home, env=env)
    os.truncate(model.folder / SHARDS[0], 1000)
    error = refusal(f"hf:{REPO}@{FIRST}", home, env)
    assert f"{SHARDS[0]}: truncated" in str(error)
    Path((error.hint or "").removeprefix("delete ").removesuffix(" and get it again")).unlink()
    assert resolve(f"hf:{REPO}@{FIRST}", home, env=env).identity == model.identity


def test_a_broken_transfer_goes_on_where_it_broke(
    hub: LocalHub, env: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)  # what may be lost: 10 MB
    hub.cut[SHARDS[0]] = [100_000, 20_000]
    model = resolve(f"hf:{REPO}", home, env=env)
    ranges = [headers.get("range") for headers in hub.downloads(SHARDS[0])]
    assert ranges == [None, "bytes=100000-", "bytes=120000-"]
    assert (model.folder / SHARDS[0]).read_bytes() == files()[SHARDS[0]]


def test_a_transfer_that_stays_broken_loses_no_finished_file(hub: LocalHub, env: dict[str, str], home: Path) -> None:
    hub.cut[SHARDS[1]] = [100_000] + [0] * 20
    error = refusal(f"hf:{REPO}", home, env)
    assert str(error) == f"hf:{REPO}: cannot be downloaded"
    assert error.cause is not None
    assert left_partial(home) == []
    assert not list(home.rglob(SHARDS[1]))
    hub.cut.clear()
    hub.requests.clear()
    model = resolve(f"hf:{REPO}", home, env=env)
    assert hub.downloads(SHARDS[0]) == []
    assert (model.folder / SHARDS[1]).read_bytes() == files()[SHARDS[1]]


def test_content_that_differs_from_its_checksum_is_refused(hub: LocalHub, env: dict[str, str], home: Path) -> None:
    good = files()[SHARDS[0]]
    hub.swapped[SHARDS[0]] = good[:-1] + bytes([good[-1] ^ 1])
    with pytest.raises(BuildError, match=r"\.safetensors: differs from the checksum that the hub gave") as caught:
        resolve(f"hf:{REPO}", home, env=env)
    hub.swapped.clear()
    blob = Path((caught.value.hint or "").removeprefix("delete ").removesuffix(" and run again"))
    blob.unlink()
    assert (resolve(f"hf:{REPO}@{FIRST}", home, env=env).folder / SHARDS[0]).read_bytes() == good


def test_without_a_network_the_commits_that_are_here_are_named(env: dict[str, str], home: Path) -> None:
    away = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    error = refusal(f"hf:{REPO}", home, away)
    assert str(error) == f"hf:{REPO}: cannot be downloaded"
    assert error.cause is not None
    assert "onnect" in error.cause
    resolve(f"hf:{REPO}", home, env=env)
    error = refusal(f"hf:{REPO}@main", home, away)
    assert error.hint == f"without a network, pin a commit that is here: {FIRST}"


def test_an_answer_of_no_hub_is_one_line(hub: LocalHub, home: Path) -> None:
    error = refusal(f"hf:{REPO}", home, {"HF_ENDPOINT": f"{hub.endpoint}/wrong"})
    assert str(error) == f"hf:{REPO}: the hub answers with status 404"


def test_a_model_that_cannot_be_built_is_refused_before_its_weights(
    hub: LocalHub, env: dict[str, str], home: Path
) -> None:
    hub.repositories[REPO].commits[FIRST]["config.json"] = json.dumps({**CONFIG, "model_type": "gpt2"}).encode()
    error = refusal(f"hf:{REPO}", home, env)
    assert "config.json: model_type: 'gpt2' cannot be built" in str(error)
    assert hub.downloads(SHARDS[0]) == []


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        ("config.json", f"hf:{REPO}: the repository has no config.json"),
        (SHARDS[0], f"{SHARDS[0]}: missing, though"),
    ],
)
def test_a_repository_without_a_model_is_one_line(
    hub: LocalHub, env: dict[str, str], home: Path, absent: str, message: str
) -> None:
    del hub.repositories[REPO].commits[FIRST][absent]
    assert message in str(refusal(f"hf:{REPO}", home, env))


def test_a_refused_write_is_one_line_and_leaves_nothing(env: dict[str, str], home: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))  # as on a full disk: larger files are refused
    try:
        error = refusal(f"hf:{REPO}", home, env)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(error).endswith(": File too large")
    assert "REGRESS_HOME" in (error.hint or "")
    assert left_partial(home) == []
    assert not list(home.rglob("*.safetensors"))
    assert resolve(f"hf:{REPO}", home, env=env).folder.is_dir()


def test_a_cache_that_cannot_be_written_is_one_line(env: dict[str, str], home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = refusal(f"hf:{REPO}", home, {**env, "HF_HOME": str(tmp_path / "file")})
    assert "cannot write to" in str(error)
    assert str(error).endswith(": Not a directory")


@pytest.mark.parametrize(("variable", "below"), [("HF_HOME", "hub"), ("HF_HUB_CACHE", "")])
def test_the_users_own_cache_is_used(
    env: dict[str, str], home: Path, tmp_path: Path, variable: str, below: str
) -> None:
    model = resolve(f"hf:{REPO}", home, env={**env, variable: str(tmp_path / "own")})
    assert model.folder.is_relative_to(tmp_path / "own" / below / "models--org--Tiny-Llama")
