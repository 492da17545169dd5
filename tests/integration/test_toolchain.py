"""Toolchains for real: uv and pip install from an index on this machine, and one real TVM from the real one.

The index serves two stand-ins with the story of the real packages: `fake-tvm` names only a floor for
`fake-ffi`, and dies at import with the one that was uploaded after it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from wheels import recorded

from regress import bundle, process, toolchain
from regress.config import ToolchainSpec, parse_config
from regress.errors import ToolchainError
from regress.toolchain import cache

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]

FAKE_TVM = """\
import fake_ffi
__version__ = "1.0"
if fake_ffi.ABI != 1:
    raise OSError("/home/ann/site-packages/tvm/lib/libtvm_runtime.so: undefined symbol: Stringify")
"""

CHECK = """\
import json, platform
hello = {"protocol": 1, "python": platform.python_version(), "platform": "linux-x86_64", "packages": {}}
print(json.dumps({"event": "hello", **hello}), flush=True)
import tvm
print(json.dumps({"event": "result", "libraries": {}}))
"""

INSTALL = """\
import sys
from pathlib import Path
import msgspec
from regress import toolchain
from regress.config import ToolchainSpec
spec = msgspec.json.decode(sys.argv[1], type=ToolchainSpec)
installed = toolchain.install(spec, Path(sys.argv[2]), log=print, check=Path(sys.argv[3]))
print(f"cached={installed.cached} failure={installed.failure}")
"""


def wheel(name: str, version: str, module: str, source: str, requires: tuple[str, ...] = ()) -> bytes:
    """A wheel with one module."""
    info = f"{name}-{version}.dist-info"
    lines = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    files = {
        f"{module}/__init__.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{lines}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        whole = recorded({path: text.encode() for path, text in files.items()}, f"{info}/RECORD")
        for path, data in whole.items():
            archive.writestr(zipfile.ZipInfo(path), data)
    return out.getvalue()


@dataclass
class Index:
    """A package index with upload times (PEP 691, PEP 700), as far as uv and pip ask."""

    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def add(self, uploaded: str, name: str, version: str, *rest: Any) -> None:  # noqa: ANN401
        self.files[f"{name}-{version}-py3-none-any.whl"] = (uploaded, wheel(name, version, *rest))

    def page(self, project: str) -> bytes:
        files = [
            {
                "filename": name,
                "url": f"{self.url}/files/{name}",
                "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
                "size": len(data),
                "upload-time": uploaded,
            }
            for name, (uploaded, data) in self.files.items()
            if name.startswith(project.replace("-", "_") + "-")
        ]
        versions = [file["filename"].split("-")[1] for file in files]  # type: ignore[attr-defined]
        meta = {"api-version": "1.1"}
        return json.dumps({"meta": meta, "name": project, "versions": versions, "files": files}).encode()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The index, with caches of its own and without the settings of this machine."""
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    index = Index()
    index.add("2026-01-10T12:00:00Z", "fake_ffi", "1.0", "fake_ffi", "ABI = 1\n")
    index.add("2026-01-10T23:30:00Z", "fake_tvm", "1.0", "tvm", FAKE_TVM, ("fake-ffi>=1.0",))
    index.add("2026-06-01T00:30:00Z", "fake_ffi", "2.0", "fake_ffi", "ABI = 2\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(index))
    index.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield index
    server.shutdown()
    server.server_close()
    thread.join()


def handler(index: Index) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.requests.append(self.path)
            _, kind, name, *_ = self.path.split("/")
            body = index.page(name) if kind == "simple" else index.files[name][1]
            json_type = "application/vnd.pypi.simple.v1+json"
            self.send_response(200)
            self.send_header("Content-Type", json_type if kind == "simple" else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815  # uv asks whether it may read a part of a wheel; it may not

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    return Handler


@pytest.fixture
def check(tmp_path: Path) -> Path:
    """A check as quick as the stand-ins."""
    path = tmp_path / "check.py"
    path.write_text(CHECK)
    return path


@pytest.fixture
def spec(index: Index) -> ToolchainSpec:
    return ToolchainSpec(name="fake", packages=("fake-tvm",), as_of=date(2026, 1, 10), index_url=f"{index.url}/simple")


def versions(installed: toolchain.InstalledToolchain) -> list[tuple[str, str]]:
    return [(package.name, package.version) for package in installed.identity.packages]


def environments(home: Path) -> list[str]:
    return sorted(path.name for path in home.glob("toolchains/*/*/venv-*"))


def test_a_toolchain_is_what_the_index_held_at_the_end_of_its_day(
    spec: ToolchainSpec, tmp_path: Path, check: Path
) -> None:
    """`as_of` takes in what was uploaded at 23:30 of that day, and leaves out what came later."""
    installed = toolchain.install(spec, tmp_path / "home", check=check)
    assert versions(installed) == [("fake-ffi", "1.0"), ("fake-tvm", "1.0")]
    assert installed.failure is None
    assert not installed.cached


def test_the_last_day_before_a_release_does_not_see_it(spec: ToolchainSpec, tmp_path: Path, check: Path) -> None:
    """fake-ffi 2.0 came half an hour after midnight of 1 June."""
    may, june = (msgspec.structs.replace(spec, as_of=day) for day in (date(2026, 5, 31), date(2026, 6, 1)))
    assert ("fake-ffi", "1.0") in versions(toolchain.install(may, tmp_path / "home", check=check))
    assert ("fake-ffi", "2.0") in versions(toolchain.install(june, tmp_path / "home", check=check))


def test_a_day_before_the_release_is_an_error_with_the_hint(spec: ToolchainSpec, tmp_path: Path, check: Path) -> None:
    early = msgspec.structs.replace(spec, as_of=date(2026, 1, 9), packages=("fake-tvm==1.0",))
    with pytest.raises(ToolchainError, match="toolchain 'fake' cannot be resolved") as error:
        toolchain.install(early, tmp_path / "home", check=check)
    assert "as_of = 2026-01-09 hides what was uploaded after that day" in str(error.value.hint)
    assert "\n" not in str(error.value.cause)
    assert not list((tmp_path / "home").glob("toolchains/fake/*/"))


def test_a_set_that_installs_but_does_not_import_is_a_fact_with_its_cause(
    spec: ToolchainSpec, tmp_path: Path, check: Path
) -> None:
    today = msgspec.structs.replace(spec, as_of=None)
    installed = toolchain.install(today, tmp_path / "home", check=check)
    assert ("fake-ffi", "2.0") in versions(installed)
    assert installed.failure is not None
    assert installed.failure.cause == "OSError: …/lib/libtvm_runtime.so: undefined symbol: Stringify"
    assert installed.failure.how == "exit status 1"
    assert toolchain.install(today, tmp_path / "home", check=check).cached


def test_the_second_time_asks_nobody_and_the_files_name_no_address(
    spec: ToolchainSpec, tmp_path: Path, check: Path, index: Index
) -> None:
    first = toolchain.install(spec, tmp_path / "home", check=check)
    index.requests.clear()
    again = toolchain.install(spec, tmp_path / "home", check=tmp_path / "not-there.py")
    assert (again.cached, again.identity, again.python) == (True, first.identity, first.python)
    assert not index.requests
    assert first.folder is not None
    for name in ("toolchain.json", "requirements.lock"):
        assert "127.0.0.1" not in (first.folder / name).read_text()


def test_the_fingerprint_is_the_same_in_another_cache(spec: ToolchainSpec, tmp_path: Path, check: Path) -> None:
    one, two = (toolchain.install(spec, tmp_path / name, check=check) for name in ("one", "two"))
    assert one.identity == two.identity


def test_users_packages_stay_out(
    spec: ToolchainSpec, tmp_path: Path, check: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module on the user's PYTHONPATH does not hide the toolchain's."""
    (tmp_path / "mine" / "fake_ffi").mkdir(parents=True)
    (tmp_path / "mine" / "fake_ffi" / "__init__.py").write_text("ABI = 9\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "mine"))
    assert toolchain.install(spec, tmp_path / "home", check=check).failure is None


def test_no_network_is_an_error_that_names_the_bundle(spec: ToolchainSpec, tmp_path: Path, check: Path) -> None:
    nowhere = msgspec.structs.replace(spec, index_url="http://127.0.0.1:9/simple")
    with pytest.raises(ToolchainError, match="toolchain 'fake' cannot be resolved") as error:
        toolchain.install(nowhere, tmp_path / "home", check=check)
    assert "regress toolchain bundle" in str(error.value.hint)


def test_a_python_that_is_not_there_is_an_error(spec: ToolchainSpec, tmp_path: Path, check: Path) -> None:
    with pytest.raises(ToolchainError, match="toolchain 'fake' has no Python") as error:
        toolchain.install(msgspec.structs.replace(spec, python="/no/such/python"), tmp_path / "home", check=check)
    assert error.value.cause


def test_a_wheel_that_changed_since_the_lock_is_refused(
    spec: ToolchainSpec, tmp_path: Path, check: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index serves other bytes than its page promises."""
    page = index.page
    pages = {name: page(name) for name in ("fake-tvm", "fake-ffi")}
    monkeypatch.setattr(index, "page", pages.__getitem__)
    index.add("2026-01-10T23:30:00Z", "fake_tvm", "1.0", "tvm", "import os  # evil\n", ("fake-ffi>=1.0",))
    with pytest.raises(ToolchainError, match="toolchain 'fake' cannot be") as error:
        toolchain.install(spec, tmp_path / "home", check=check)
    assert "ash" in str(error.value.cause)  # "Hash mismatch"
    assert not environments(tmp_path / "home")


def driver(spec: ToolchainSpec, home: Path, check: Path) -> list[str | Path]:
    return [sys.executable, "-c", INSTALL, msgspec.json.encode(spec).decode(), home, check]


def test_two_processes_that_want_the_same_toolchain_build_it_once(
    spec: ToolchainSpec, tmp_path: Path, check: Path
) -> None:
    check.write_text(CHECK.replace("import tvm", "import time; time.sleep(2); import tvm"))
    command = driver(spec, tmp_path / "home", check)
    with ThreadPoolExecutor() as pool:
        outputs = list(pool.map(lambda _: process.run(command, cwd=REPOSITORY, timeout_s=60), range(2)))
    said = sorted(output.stdout.splitlines()[-1] for output in outputs)
    assert said == ["cached=False failure=None", "cached=True failure=None"], outputs
    assert sum("waiting for the process" in output.stdout for output in outputs) == 1
    assert len(environments(tmp_path / "home")) == 1


def test_an_install_that_was_killed_is_made_again(spec: ToolchainSpec, tmp_path: Path, check: Path) -> None:
    """Killed in the check, when all but the last file is there, and its child lives on."""
    marker = tmp_path / "checking"
    slow = tmp_path / "slow.py"
    say = f"pathlib.Path({str(marker)!r}).write_text(str(os.getpid()))"
    wait = f"import os, pathlib, time; {say}; time.sleep(60)"
    slow.write_text(CHECK.replace("import tvm", wait))
    argv = [os.fspath(part) for part in driver(spec, tmp_path / "home", slow)]
    pid = os.posix_spawn(sys.executable, argv, {**os.environ, "PYTHONPATH": str(REPOSITORY)})
    until(lambda: marker.exists() and marker.read_text() != "")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.kill(int(marker.read_text()), signal.SIGKILL)
    left = environments(tmp_path / "home")
    assert len(left) == 1
    assert toolchain.installed(spec, tmp_path / "home") is None
    installed = toolchain.install(spec, tmp_path / "home", check=check)
    assert (installed.cached, installed.failure) == (False, None)
    assert len(environments(tmp_path / "home")) == 1
    assert environments(tmp_path / "home") != left


def until(condition: Any, seconds: float = 30.0) -> None:  # noqa: ANN401
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_removed_toolchain_is_gone_and_can_come_back(spec: ToolchainSpec, tmp_path: Path, check: Path) -> None:
    toolchain.install(spec, tmp_path / "home", check=check)
    toolchain.remove(spec, tmp_path / "home")
    assert not environments(tmp_path / "home")
    assert not toolchain.install(spec, tmp_path / "home", check=check).cached


def test_a_bundle_installs_without_network_where_install_finds_it(
    spec: ToolchainSpec, tmp_path: Path, check: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = toolchain.install(spec, tmp_path / "online", check=check)
    monkeypatch.chdir(tmp_path)
    parts = bundle.bundle([spec], Path("out"), split_size=4096)  # relative, as a person gives it
    assert len(parts) > 1
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [path.name for path in parts]
    assert not any(b"127.0.0.1" in path.read_bytes() for path in parts)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty-cache"))
    index.requests.clear()
    [carried] = bundle.unbundle(parts[0], tmp_path / "home", specs={"fake": spec}, check=check)
    assert (carried.cached, carried.failure) == (False, None)
    assert carried.identity == online.identity
    found = toolchain.install(spec, tmp_path / "home", check=check)
    assert (found.cached, found.python) == (True, carried.python)
    assert not index.requests
    assert carried.folder is not None
    assert not (carried.folder / "wheels").exists()


def test_a_slim_bundle_of_two_toolchains_installs_without_uv_and_without_network(
    spec: ToolchainSpec, tmp_path: Path, check: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its toolchains are those of a full one, and share the wheels that both need."""
    other = msgspec.structs.replace(spec, name="other", packages=(*spec.packages, "fake-ffi"))
    full = [toolchain.install(one, tmp_path / "online", check=check) for one in (spec, other)]
    parts = bundle.bundle([spec, other], tmp_path / "out", slim=True, split_size=4096)
    assert [path.name.partition("-py")[0] for path in parts] == ["fake-and-1-more"] * len(parts)
    files = bundle.read_manifest(parts[0]).files
    assert [name.partition("/")[0] for name in files] == ["locks", "locks", "wheels", "wheels"]
    monkeypatch.setattr("regress.toolchain.uv.run", lambda *_, **__: pytest.fail("uv was started"))
    index.requests.clear()
    carried = bundle.unbundle(parts[0], tmp_path / "home", specs={"fake": spec}, check=check)
    assert [one.identity for one in carried] == [one.identity for one in full]
    assert [one.failure for one in carried] == [None, None]
    assert [one.cached for one in bundle.unbundle(parts[-1], tmp_path / "home", check=check)] == [True, True]
    assert toolchain.install(spec, tmp_path / "home", check=check).cached
    assert not index.requests
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["toolchains"]


def test_a_wheel_declared_by_its_address_can_be_installed_and_carried(
    spec: ToolchainSpec, tmp_path: Path, check: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As MLC-LLM's nightly wheels are: the lock of the bundle must not send the machine to that address."""
    address = f"{index.url}/files/fake_tvm-1.0-py3-none-any.whl"
    direct = msgspec.structs.replace(spec, packages=(f"fake-tvm @ {address}",))
    online = toolchain.install(direct, tmp_path / "online", check=check)
    [path] = bundle.bundle([direct], tmp_path / "out")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty-cache"))
    index.requests.clear()
    [carried] = bundle.unbundle(path, tmp_path / "home", specs={"fake": direct}, check=check)
    assert carried.identity == online.identity
    assert ("fake-tvm", "1.0") in versions(carried)
    assert not index.requests


def test_a_bundle_with_a_changed_wheel_installs_nothing(spec: ToolchainSpec, tmp_path: Path, check: Path) -> None:
    [path] = bundle.bundle([spec], tmp_path / "out")
    data = path.read_bytes()
    assert data.count(b"ABI = 1") == 1
    path.write_bytes(data.replace(b"ABI = 1", b"ABI = 2"))
    with pytest.raises(ToolchainError, match=r"fake-py.*\.tar: wheels/fake_ffi-1\.0-.*\.whl: its SHA-256"):
        bundle.unbundle(path, tmp_path / "home", check=check)
    assert not list((tmp_path / "home").glob("toolchains/*/*/"))


def test_a_bundle_cannot_be_made_of_wheels_that_are_not_there(spec: ToolchainSpec, tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="toolchain 'fake' cannot be resolved"):
        bundle.bundle([msgspec.structs.replace(spec, packages=("fake-mlc",))], tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_checkout_stands_in_front_of_the_packages_and_is_followed(
    spec: ToolchainSpec, tmp_path: Path, check: Path
) -> None:
    (tmp_path / "python" / "tvm").mkdir(parents=True)
    source = tmp_path / "python" / "tvm" / "__init__.py"
    source.write_text("import fake_ffi\n")
    checkout = msgspec.structs.replace(spec, kind="source", packages=("fake-ffi",), path=str(tmp_path / "python"))
    first = toolchain.install(checkout, tmp_path / "home", check=check)
    assert (first.failure, first.env["PYTHONPATH"]) == (None, str(tmp_path / "python"))
    source.write_text("raise ImportError('half of an edit')\n")
    second = toolchain.install(checkout, tmp_path / "home", check=check)
    assert second.cached
    assert second.failure is not None
    assert second.failure.cause == "ImportError: half of an edit"
    assert second.identity.fingerprint != first.identity.fingerprint


def test_the_current_python_is_what_is_installed_in_it() -> None:
    """There is no TVM beside `regress`: that is its failure, and its packages are listed all the same."""
    spec = ToolchainSpec(name="here", kind="current")
    found = toolchain.install(spec, Path("/nowhere"))
    assert found.python == Path(sys.executable)
    assert ("msgspec", msgspec.__version__) in versions(found)
    assert found.failure is not None
    assert found.failure.cause == "ModuleNotFoundError: No module named 'tvm'"
    assert toolchain.install(spec, Path("/nowhere")).identity == found.identity


def test_the_newest_shipped_toolchain_installs_imports_and_builds(tmp_path: Path) -> None:
    """The real packages from the real index, and the real check; kept where REGRESS_TEST_HOME says."""
    config = parse_config((REPOSITORY / "regress.toml").read_text(), "regress.toml")
    spec = config.toolchain("tvm-0.27.0.post1")
    home = Path(os.environ.get("REGRESS_TEST_HOME") or tmp_path)
    installed = toolchain.install(spec, home)
    assert installed.failure is None
    assert {("apache-tvm", "0.27.0.post1"), ("apache-tvm-ffi", "0.1.14.post1")} < set(versions(installed))
    assert cache.place_of(spec, home).folder == installed.folder
    started = time.perf_counter()
    assert toolchain.install(spec, home).cached
    assert time.perf_counter() - started < 0.1  # 0.5 ms here; a process alone takes longer
