"""Releases for real: an index in JSON and in HTML, and a page of wheels, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import msgspec
import pytest

from regress import process
from regress.cli import main
from regress.config import ToolchainSpec, parse_config
from regress.errors import ToolchainError
from regress.toolchain import checkout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JSON = "application/vnd.pypi.simple.v1+json"
WHEEL = "fake_tvm-{}-py3-none-any.whl"
AUTHOR = {f"GIT_{who}_{what}": "t@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
CONFIG = """[run]
baseline = "baselines/cpu.toml"
toolchains = ["fake-1.0"]
[toolchains."fake-1.0"]
packages = ["fake-tvm==1.0"]
[bump.fake]
package = "Fake.TVM"
toolchain = "fake-{version}"
"""


class Web:
    """Pages by their paths: kind and content."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.url = ""

    def add_index(self, *files: dict[str, object]) -> None:
        listed = [{"url": f"/files/{each['filename']}", "hashes": {}, **each} for each in files]
        page = {"meta": {"api-version": "1.1"}, "name": "fake-tvm", "versions": [], "files": listed}
        self.pages["/simple/fake-tvm/"] = (JSON, json.dumps(page).encode())


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # as http.server calls it
            kind, body = web.pages.get(self.path, ("text/plain", b"none"))
            self.send_response(200 if self.path in web.pages else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield web
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def bump(folder: Path, more: str, *arguments: str) -> int:
    (folder / "regress.toml").write_text(CONFIG + more)
    return main(["bump", *arguments])


def test_a_release_of_the_index_comes_with_the_day_of_its_first_file(
    web: Web, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    web.add_index(
        {"filename": WHEEL.format("1.0"), "upload-time": "2026-01-10T12:00:00Z"},
        {"filename": WHEEL.format("2.0"), "upload-time": "2026-06-02T00:30:00Z"},
        {"filename": WHEEL.format("2.0").replace("any", "win_arm64"), "upload-time": "2026-06-01T23:30:00.5Z"},
        {"filename": WHEEL.format("3.0"), "upload-time": "2026-07-01T00:00:00Z", "yanked": "broken"},
        {"filename": "fake_tvm-4.0.tar.gz", "upload-time": "2026-08-01T00:00:00Z"},
    )

    assert bump(folder, f'index_url = "{web.url}/simple/"', "--json") == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["toolchain"], told["uploaded_on"]) == ("fake-2.0", "2026-06-01")
    config = parse_config((folder / "regress.toml").read_text(), "regress.toml")
    assert config.run.toolchains == ("fake-1.0", "fake-2.0")
    assert config.toolchain("fake-2.0").index_url == f"{web.url}/simple/"


def test_the_index_is_that_of_uv_where_none_is_named(
    web: Web, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    web.add_index({"filename": WHEEL.format("2.0")})
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{web.url}/simple/")

    assert bump(folder, "", "--check") == 9

    assert capsys.readouterr().out == "fake-2.0\n"


def test_a_page_of_wheels_has_them_by_their_addresses(
    web: Web, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The texts of its links may be cut; a `+` in a version is escaped in an address."""
    names = ("fake_tvm-2.0%2Bcu128-cp312-cp312-manylinux_2_28_x86_64.whl", "fake_tvm-9.0-cp312-cp312-win_amd64.whl")
    links = "".join(f'<a href="sub/{name}#sha256=00">fake..&gt;</a><br>' for name in names)
    web.pages["/wheels"] = ("text/html", f"<html><body>{links}<a href='../'>up</a></body></html>".encode())

    assert bump(folder, f'find_links = ["{web.url}/wheels"]\nplatform = "x86_64"', "--check") == 9

    assert capsys.readouterr().out == "fake-2.0+cu128\n"


def test_a_counterpart_is_pinned_to_its_own_newest_version(web: Web, folder: Path) -> None:
    """Of a pair of nightlies each has a counter of its own, and some nights lack a wheel for this platform."""
    names = (
        "fake_tvm-2.0.dev41-py3-none-manylinux_2_28_x86_64.whl",
        "fake_ai-2.0.dev907-py3-none-manylinux_2_28_x86_64.whl",
        "fake_ai-2.0.dev912-py3-none-manylinux_2_28_x86_64.whl",
        "fake_ai-2.0.dev915-py3-none-win_amd64.whl",
    )
    links = "".join(f'<a href="{name}">wheel</a>' for name in names)
    web.pages["/wheels"] = ("text/html", f"<html><body>{links}</body></html>".encode())
    keys = f'find_links = ["{web.url}/wheels"]\nplatform = "x86_64"\nprereleases = true\nown_version = ["fake-ai"]'

    assert bump(folder, keys) == 0

    spec = parse_config((folder / "regress.toml").read_text(), "regress.toml").toolchain("fake-2.0.dev41")
    assert "fake-ai==2.0.dev912" in spec.packages


def test_a_counterpart_that_is_not_there_declares_nothing(
    web: Web, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = b'<a href="fake_tvm-2.0-py3-none-any.whl">wheel</a>'
    web.pages["/wheels"] = ("text/html", b"<html><body>" + link + b"</body></html>")

    assert bump(folder, f'find_links = ["{web.url}/wheels"]\nown_version = ["fake-ai"]') == 4

    assert "no release of fake-ai fits" in capsys.readouterr().err
    assert "fake-2.0" not in (folder / "regress.toml").read_text()


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (None, b"", "no details about project"),
        (JSON, b"{", "bump: the releases of Fake.TVM cannot be read"),
        ("image/png", b"\x89PNG", "bump: the releases of Fake.TVM cannot be read"),
        (JSON, b'{"meta": {"api-version": "1.0"}, "name": "fake-tvm", "files": []}', "no release of Fake.TVM fits"),
    ],
)
def test_an_index_that_cannot_be_read_is_an_error(  # noqa: PLR0913, PLR0917  # a table of them
    web: Web, folder: Path, kind: str | None, body: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind:
        web.pages["/simple/fake-tvm/"] = (kind, body)

    assert bump(folder, f'index_url = "{web.url}/simple/"') == 4

    output, error = capsys.readouterr()
    assert output == ""
    assert said.lower() in error.lower()


def test_an_index_that_is_not_there_is_an_error_without_its_password(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bump(folder, 'index_url = "http://me:hunter2@127.0.0.1:9/simple/"') == 4

    error = capsys.readouterr().err
    assert "cannot be read" in error
    assert "hunter2" not in error


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a Python folder, two commits, and a branch at the first."""
    root = tmp_path / "upstream"
    git = partial(process.run, cwd=root, env={**os.environ, **AUTHOR})
    root.mkdir()
    assert git(["git", "init", "--quiet", "--initial-branch", "main"]).exit.ok
    for text in ("first", "second"):
        (root / "python").mkdir(exist_ok=True)
        (root / "python" / "thing.py").write_text(f"SAID = {text!r}\n")
        assert git(["git", "add", "."]).exit.ok
        assert git(["git", "commit", "--quiet", "-m", text]).exit.ok
    assert git(["git", "branch", "old", "HEAD~1"]).exit.ok
    return root


def commit_of(repository: Path, ref: str) -> str:
    return process.run(["git", "rev-parse", ref], cwd=repository).stdout.strip()


def test_a_branch_is_followed_and_its_commit_checked_out(
    repository: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (
        f'[bump.git]\nrepository = "file://{repository}"\nref = "old"\npath = "python"\ntoolchain = "git-{{version}}"'
    )

    assert bump(folder, more, "git") == 0

    old = commit_of(repository, "old")
    assert capsys.readouterr().out == f"git-{old[:12]}\n"
    config = parse_config((folder / "regress.toml").read_text(), "regress.toml")
    spec = config.toolchain(f"git-{old[:12]}")
    assert (spec.kind, spec.commit, spec.path) == ("source", old, "python")
    checked_out = checkout.fetch(spec, folder / "home")
    assert (checked_out / "thing.py").read_text() == "SAID = 'first'\n"
    shutil.rmtree(repository)
    assert checkout.fetch(spec, folder / "home") == checked_out
    assert main(["bump", "git", "--check"]) == 4  # it is gone
    assert "bump: no 'old' of …/upstream can be had" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"commit": "0" * 40}, f"commit {'0' * 40} of …/upstream cannot be had"),
        ({"path": "none"}, "path: no folder 'none'"),
        ({"repository": "file:///nowhere/at/all"}, "cannot be had"),
    ],
)
def test_what_cannot_be_checked_out_is_an_error(
    repository: Path, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    commit = commit_of(repository, "main")
    good = ToolchainSpec(name="git", kind="source", repository=f"file://{repository}", commit=commit, path="python")
    spec = msgspec.structs.replace(good, **change)

    with pytest.raises(ToolchainError, match="toolchain 'git'") as caught:
        checkout.fetch(spec, tmp_path / "home")

    assert said in str(caught.value)
    assert [path.name for path in (tmp_path / "home" / "sources").glob("*") if path.name != commit] == []


@pytest.fixture
def pinned(web: Web, folder: Path) -> Path:
    """A work tree with a configuration below its root, for which there is something newer, and a bare remote."""
    web.add_index({"filename": WHEEL.format("2.0")})
    below = folder / "work" / "bench"
    below.mkdir(parents=True)
    (below / "regress.toml").write_text(CONFIG + f'index_url = "{web.url}/simple/"')
    (below / "other").write_text("committed")
    git = partial(process.run, cwd=below, env={**os.environ, **AUTHOR})
    assert git(["git", "init", "--quiet", "--bare", "../../remote.git"]).exit.ok
    assert git(["git", "init", "--quiet", "--initial-branch", "main", ".."]).exit.ok
    assert git(["git", "add", "."]).exit.ok
    assert git(["git", "commit", "--quiet", "-m", "first"]).exit.ok
    assert git(["git", "remote", "add", "origin", "../remote.git"]).exit.ok
    return below


def test_a_bump_is_pushed_on_its_branch_and_leaves_the_work_tree_alone(
    pinned: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pinned)
    (pinned / "other").write_text("not committed")

    assert main(["bump", "--push", "origin"]) == 0

    name, commit = capsys.readouterr().out.split()
    remote = partial(process.run, cwd=pinned.parents[1] / "remote.git")
    assert name == "fake-2.0"
    assert remote(["git", "rev-parse", "bump/fake-2.0"]).stdout.strip() == commit
    changed = remote(["git", "show", "--name-only", "--format=%s", commit]).stdout.split("\n")
    assert [line for line in changed if line] == ["Bump to fake-2.0", "bench/regress.toml"]
    assert 'packages = ["Fake.TVM==2.0"]' in remote(["git", "show", f"{commit}:bench/regress.toml"]).stdout
    staged = process.run(["git", "diff", "--cached", "--name-only"], cwd=pinned)
    assert (staged.exit.code, staged.stdout) == (0, "")


def test_a_branch_that_is_there_is_measured_again_only_if_asked(
    pinned: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pinned)
    before = (pinned / "regress.toml").read_text()
    assert main(["bump", "--push", "origin"]) == 0
    first = capsys.readouterr().out

    (pinned / "regress.toml").write_text(before)  # another night's checkout
    assert main(["bump", "--push", "origin"]) == 0
    output, said = capsys.readouterr()
    assert output == ""
    assert "bump/fake-2.0 is there already" in said

    (pinned / "regress.toml").write_text(before)
    assert main(["bump", "--push", "origin", "--again"]) == 0
    assert capsys.readouterr().out == first  # the same commit: it holds nothing of the hour


@pytest.mark.parametrize(
    ("remote", "said"), [("nowhere", "the remote 'nowhere' cannot be reached"), ("--all", "cannot be reached")]
)
def test_a_remote_that_takes_nothing_is_an_error(
    pinned: Path, monkeypatch: pytest.MonkeyPatch, remote: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pinned)

    assert main(["bump", f"--push={remote}"]) == 7

    output, error = capsys.readouterr()
    assert output == ""
    assert said in error


def test_a_remote_that_refuses_the_branch_says_why(
    pinned: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pinned)
    hook = pinned.parents[1] / "remote.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'protected branch' >&2\nexit 1\n")
    hook.chmod(0o700)

    assert main(["bump", "--push", "origin"]) == 7

    error = capsys.readouterr().err
    assert "the remote 'origin' does not take it" in error
    assert "protected branch" in error
    assert "contents: write" in error
