"""Toolchains without starting one: locks, fingerprints, keys, the cache's files, what errors say."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from datetime import date
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from regress import process, record, toolchain
from regress.config import Config, RunSpec, ToolchainSpec
from regress.errors import ToolchainError
from regress.toolchain import cache, check, lock, uv
from regress.worker import smoke

A, B = "a" * 64, "b" * 64
SPEC = ToolchainSpec(name="t", packages=("apache-tvm==0.26.0",), as_of=date(2026, 8, 15))
LOCK = f"""\
# a comment
Apache_TVM==0.26.0 \\
    --hash=sha256:{B} \\
    --hash=sha256:{A}
numpy==2.4.6 \\
    --hash=sha256:{A}
"""


def stored(**changes: object) -> cache.Stored:
    identity = record.Toolchain(
        name="t", kind="venv", fingerprint=A, python="3.11.7", platform="linux-x86_64", packages=()
    )
    good = cache.Stored(schema=cache.SCHEMA, environment="venv-1", identity=identity)
    return msgspec.structs.replace(good, **changes)


def put(place: cache.Place, content: cache.Stored) -> None:
    """An installed toolchain, as far as its files tell."""
    place.python(content.environment).parent.mkdir(parents=True)
    place.python(content.environment).touch()
    place.write(content)


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a process was started")

    monkeypatch.setattr(process, "run", refuse)


# Locks


def test_a_lock_names_each_package_once_sorted_with_all_digests() -> None:
    assert lock.parse(LOCK, "t") == (
        record.Package(name="apache-tvm", version="0.26.0", sha256=(A, B)),
        record.Package(name="numpy", version="2.4.6", sha256=(A,)),
    )


def test_a_wheel_given_by_address_has_the_version_of_its_file_name() -> None:
    url = "https://x.org/mlc_llm_nightly-0.20.dev1%2Bcu130-py3-none-any.whl"
    assert lock.parse(f"mlc-llm-nightly @ {url} \\\n    --hash=sha256:{A}", "t")[0].version == "0.20.dev1+cu130"


def test_a_rendered_lock_reads_back_the_same_and_holds_no_address() -> None:
    packages = lock.parse(LOCK + f"x @ https://u:p@h.org/x-1.0-py3-none-any.whl --hash=sha256:{B}\n", "t")
    text = lock.render(packages)
    assert lock.parse(text, "t") == packages
    assert "h.org" not in text


@pytest.mark.parametrize(
    "line",
    [
        "numpy==2.4.6",
        f"numpy>=2 --hash=sha256:{A}",
        "numpy==2.4.6 --hash=sha256:abc",
        f"numpy==2.4.6 --hash=sha256:{A} --hash=md5:{A}",
        "--index-url https://x.org/simple",
        f"x @ https://x.org/x.tar.gz --hash=sha256:{A}",
    ],
)
def test_a_lock_line_that_pins_nothing_is_an_error_that_shows_it(line: str) -> None:
    with pytest.raises(ToolchainError, match="toolchain 't': not a pinned package"):
        lock.parse(line, "toolchain 't'")


# Fingerprints and keys


def fingerprint(**changes: object) -> str:
    values: dict[str, object] = {
        "kind": "venv",
        "python": "3.11.7",
        "platform": "linux-x86_64",
        "packages": lock.parse(LOCK, "t"),
        "content": {},
    }
    return lock.fingerprint(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "source"},
        {"python": "3.12.1"},
        {"platform": "linux-aarch64"},
        {"packages": lock.parse(LOCK.replace("2.4.6", "2.4.7"), "t")},
        {"packages": lock.parse(LOCK.replace(B, "c" * 64), "t")},
        {"packages": lock.parse(LOCK, "t")[:1]},
        {"content": {"libtvm.so": A}},
    ],
)
def test_the_fingerprint_changes_with_everything_a_toolchain_is(changes: dict[str, object]) -> None:
    assert fingerprint(**changes) != fingerprint()


def test_the_fingerprint_does_not_depend_on_the_order_of_the_lock() -> None:
    assert fingerprint(packages=tuple(reversed(lock.parse(LOCK, "t")))) == fingerprint()


@pytest.mark.parametrize(
    "changes",
    [
        {"packages": ("apache-tvm==0.27.0",)},
        {"as_of": date(2026, 8, 16)},
        {"as_of": None},
        {"python": "3.12"},
        {"index_url": "https://x.org/simple"},
        {"find_links": ("wheels",)},
        {"kind": "source", "path": "tvm/python"},
    ],
)
def test_the_folder_changes_with_everything_declared(changes: dict[str, object]) -> None:
    assert cache.key(msgspec.structs.replace(SPEC, **changes)) != cache.key(SPEC)


def test_a_folder_of_before_images_is_found_again() -> None:
    """Nothing is installed anew because a kind of toolchain has been added: the name is that of before them."""
    assert cache.key(SPEC, python="3.11", platform="linux-x86_64") == "f8311d41ce1c3c58"


def test_the_folder_changes_with_python_and_platform_but_not_with_the_name() -> None:
    assert cache.key(SPEC, python="3.10") != cache.key(SPEC, python="3.12")
    assert cache.key(SPEC, platform="linux-aarch64") != cache.key(SPEC, platform="linux-x86_64")
    assert cache.key(msgspec.structs.replace(SPEC, name="other")) == cache.key(SPEC)
    assert cache.key(SPEC) == cache.key(SPEC, python=cache.this_python(), platform=cache.this_platform())


def test_a_checkout_is_its_python_sources_wherever_it_lies(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "tvm").mkdir(parents=True)
        (tmp_path / name / "tvm" / "a.py").write_text("x = 1")
    (tmp_path / "two" / ".git").mkdir()
    (tmp_path / "two" / ".git" / "hook.py").write_text("not a source")
    (tmp_path / "two" / "notes.txt").write_text("neither")
    same = toolchain.tree_digest(tmp_path / "one")
    assert toolchain.tree_digest(tmp_path / "two") == same
    (tmp_path / "two" / "tvm" / "a.py").write_text("x = 2")
    assert toolchain.tree_digest(tmp_path / "two") != same
    (tmp_path / "one" / "tvm" / "a.py").rename(tmp_path / "one" / "tvm" / "b.py")
    assert toolchain.tree_digest(tmp_path / "one") != same


class Listing:
    """A distribution, as far as the check looks at it."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines

    def read_text(self, _name: str) -> str:
        return "\n".join(self.lines)


def content(*lines: str) -> str | None:
    return smoke.content(Listing(*lines))  # type: ignore[arg-type]


def test_what_is_installed_is_its_files_without_what_differs_between_machines() -> None:
    files = ("tvm/a.py,sha256=1,1", "tvm/lib.so,sha256=2,1", "tvm-1.dist-info/METADATA,sha256=3,1")
    machine = (
        "tvm/__pycache__/a.cpython-311.pyc,,",
        "../../../bin/tvmc,sha256=9,1",
        "_tvm.pth,sha256=9,1",
        "tvm-1.dist-info/INSTALLER,sha256=9,1",
        "tvm-1.dist-info/direct_url.json,sha256=9,1",
        "tvm-1.dist-info/RECORD,,",
    )
    assert content(*files) == content(*machine, *reversed(files))
    assert content(*files) != content(*files[:2])
    assert content(*files) != content("tvm/a.py,sha256=other,1", *files[1:])
    assert content() is None


# The cache's files


def test_a_good_toolchain_is_found_without_a_process(tmp_path: Path, no_process: None) -> None:  # noqa: ARG001
    put(cache.place_of(SPEC, tmp_path), stored())
    found = toolchain.install(SPEC, tmp_path)
    assert found.cached
    assert found.identity == stored().identity
    assert found.python.exists()
    assert found.env["PYTHONPATH"] == ""


def test_what_was_not_written_to_the_end_is_not_there(tmp_path: Path) -> None:
    place = cache.place_of(SPEC, tmp_path)
    assert place.read() is None
    put(place, stored())
    assert place.read() == stored()
    path = place.folder / "toolchain.json"
    path.write_bytes(path.read_bytes()[:-20])
    assert place.read() is None


def test_another_schema_and_a_dangling_interpreter_are_not_good(tmp_path: Path) -> None:
    place = cache.place_of(SPEC, tmp_path)
    put(place, stored(schema=cache.SCHEMA + 1))
    assert place.read() is None
    place.write(stored())
    assert place.read() is not None
    place.python("venv-1").unlink()
    place.python("venv-1").symlink_to(tmp_path / "gone")
    assert place.read() is None


def outcome(failure: record.Failure | None = None) -> check.Outcome:
    hello = check.Hello(protocol=1, python="3.11.7", platform="linux-x86_64", packages={})
    return check.Outcome(hello=hello, libraries={}, failure=failure)


def supply(place: cache.Place, environment: str) -> None:
    """An installer that needs no network: an interpreter's name and a lock."""
    place.python(environment).parent.mkdir(parents=True)
    place.python(environment).touch()
    place.lock.write_text(LOCK)


def test_a_failed_check_is_kept_and_asked_again_but_nothing_is_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = cache.place_of(SPEC, tmp_path)
    failure = record.Failure(stage="toolchain", cause="OSError: no", how="exit status 1")
    monkeypatch.setattr(check, "run", lambda *_, **__: outcome(failure))
    first = toolchain.establish(SPEC, place, supply)
    assert (first.failure, first.cached) == (failure, False)
    [listed] = toolchain.listing(config(SPEC), tmp_path)
    assert (listed.state, listed.toolchain and listed.toolchain.failure) == ("broken", failure)
    monkeypatch.setattr(check, "run", lambda *_, **__: outcome())
    second = toolchain.establish(SPEC, place, supply)
    assert (second.failure, second.cached, second.python) == (None, True, first.python)
    [listed] = toolchain.listing(config(SPEC), tmp_path)
    assert listed.state == "installed"


def test_a_full_disk_is_one_line_with_the_path_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(check, "run", lambda *_, **__: outcome())
    monkeypatch.setattr(os, "fsync", full)
    place = cache.place_of(SPEC, tmp_path)
    with pytest.raises(ToolchainError, match="No space left on device") as error:
        toolchain.establish(SPEC, place, supply)
    assert str(place.folder) in str(error.value)
    assert not place.folder.exists()


def test_a_cache_that_cannot_be_made_is_one_line_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the cache should be")
    with pytest.raises(ToolchainError, match=f"cannot write {tmp_path}/home.*: Not a directory"):
        toolchain.install(SPEC, tmp_path / "home")


def config(*specs: ToolchainSpec) -> Config:
    return Config(run=RunSpec(baseline="b.toml", toolchains=("t",)), toolchains={spec.name: spec for spec in specs})


def test_a_listing_tells_where_each_declared_toolchain_stands(tmp_path: Path, no_process: None) -> None:  # noqa: ARG001
    here = ToolchainSpec(name="here", kind="current")
    absent = msgspec.structs.replace(SPEC, name="absent")
    put(cache.place_of(SPEC, tmp_path), stored())
    states = [(listed.spec.name, listed.state) for listed in toolchain.listing(config(SPEC, here, absent), tmp_path)]
    assert states == [("t", "installed"), ("here", "here"), ("absent", "absent")]


def test_removal_takes_earlier_declarations_of_the_name_and_no_other(tmp_path: Path) -> None:
    older = msgspec.structs.replace(SPEC, as_of=None)
    other = msgspec.structs.replace(SPEC, name="other")
    for spec in (SPEC, older, other):
        put(cache.place_of(spec, tmp_path), stored())
    toolchain.remove(SPEC, tmp_path)
    assert [toolchain.installed(spec, tmp_path) is None for spec in (SPEC, older, other)] == [
        True,
        True,
        False,
    ]
    with pytest.raises(ToolchainError, match="toolchain 't' is not installed"):
        toolchain.remove(SPEC, tmp_path)


def test_a_checkout_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    spec = ToolchainSpec(name="src", kind="source", path=str(tmp_path / "gone"))
    put(cache.place_of(spec, tmp_path), stored())
    with pytest.raises(ToolchainError, match=f"toolchain 'src': path: no folder {tmp_path}/gone"):
        toolchain.installed(spec, tmp_path)


# What errors say


def ended(stderr: str, **changes: object) -> process.Output:
    end = process.Exit(code=1, signal=None, timed_out=False, duration_s=1.0)
    return process.Output(exit=dataclasses.replace(end, **changes), printed=b"", stderr=stderr)  # type: ignore[arg-type]


def test_the_checks_lines_are_found_among_others_and_another_protocol_is_refused() -> None:
    hello = {"event": "hello", "protocol": 1, "python": "3.11.7", "platform": "linux-x86_64", "packages": {}}
    result = {"event": "result", "libraries": {"libtvm.so": A}, "tvm": "0.26.0"}
    text = "\n".join(["loading ...", json.dumps(hello), "{", json.dumps(result)])
    first, last = check.events(text)
    assert first is not None
    assert last is not None
    assert (first.python, last.libraries) == ("3.11.7", {"libtvm.so": A})
    assert check.events(json.dumps(hello)) == (first, None)
    assert check.events(json.dumps({**hello, "protocol": 2})) == (None, None)


def checked(monkeypatch: pytest.MonkeyPatch, output: process.Output) -> check.Outcome:
    monkeypatch.setattr(process, "run", lambda *_, **__: output)
    return check.run("t", Path("python"), env={})


HELLO = '{"event": "hello", "protocol": 1, "python": "3.11.7", "platform": "linux-x86_64", "packages": {}}\n'
RESULT = '{"event": "result", "libraries": {}}\n'


@pytest.mark.parametrize(
    ("stdout", "how", "cause"),
    [
        (HELLO + RESULT, {"code": 0}, None),
        (HELLO + RESULT, {"code": None, "signal": "SIGSEGV"}, "ValueError: x"),
        (HELLO, {"code": 0}, "ValueError: x"),
        (HELLO, {"code": None, "signal": "SIGKILL", "timed_out": True}, "killed at its time limit of 300 s"),
    ],
)
def test_a_check_passes_only_with_a_result_and_a_good_end(
    monkeypatch: pytest.MonkeyPatch, stdout: str, how: dict[str, object], cause: str | None
) -> None:
    output = dataclasses.replace(ended("ValueError: x\n", **how), printed=stdout.encode())
    failure = checked(monkeypatch, output).failure
    assert (failure.cause if failure else None) == cause


def test_a_python_that_says_nothing_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ToolchainError, match="toolchain 't': python cannot be used") as error:
        checked(monkeypatch, ended("SyntaxError: invalid syntax\n"))
    assert error.value.cause == "SyntaxError: invalid syntax"


def test_uvs_error_becomes_one_line_whichever_way_it_draws_it() -> None:
    # As uv 0.13 prints it, and as uv 0.9 did.
    new = (
        "warning: something else\nerror: Failed to fetch: http://u:secret@h/simple/idna/\n"
        "  cause: client error (Connect)\n  cause: Connection refused (os error 111)\n\nhint: try again\n"
    )
    old = (
        "  \u00d7 No solution found when resolving dependencies:\n"
        "  ╰─▶ Because there is no version of a==9 and you\n"
        "      require a==9, we can conclude that your requirements are unsatisfiable.\n"
    )
    assert uv.telling(new) == "Failed to fetch: http://***@h/simple/idna/: Connection refused (os error 111)"
    assert uv.telling(old) == (
        "No solution found when resolving dependencies: Because there is no version of a==9 and you require "
        "a==9, we can conclude that your requirements are unsatisfiable."
    )
    assert uv.telling("nothing of the kind") == ""


@pytest.mark.parametrize(
    ("stderr", "offline", "hint"),
    [
        (
            "hint: filtered by `exclude-newer` ... was published at 2026-09-29T21:06:11Z",
            False,
            "published on 2026-09-29",
        ),
        ("error: Failed to fetch: http://x", False, "regress toolchain bundle"),
        ("error: Failed to fetch: http://x", True, None),
        ("error: No interpreter found for Python 3.99", False, "`python` in regress.toml"),
        ("error: No space left on device (os error 28)", False, "REGRESS_HOME"),
        ("error: odd", False, None),
    ],
)
def test_an_error_of_uv_comes_with_what_to_do(stderr: str, offline: bool, hint: str | None) -> None:  # noqa: FBT001
    found = uv._hint(stderr, date(2026, 6, 25), offline=offline)
    assert found == hint if hint is None else found is not None and hint in found


def test_folders_of_wheels_are_whole_paths_and_addresses_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = msgspec.structs.replace(SPEC, index_url="https://x/simple", find_links=("wheels", "https://y/w.html"))
    assert uv.sources(spec) == [
        *("--index-url", "https://x/simple"),
        *("--find-links", f"{tmp_path}/wheels"),
        *("--find-links", "https://y/w.html"),
    ]
