"""Bundles as files: sizes, parts, what a damaged or foreign one says. Nothing is installed here."""

from __future__ import annotations

import hashlib
import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from regress import bundle, record
from regress.bundle import archive
from regress.bundle.manifest import SCHEMA, Carried, File, Manifest
from regress.config import ToolchainSpec
from regress.errors import ToolchainError, UsageError
from regress.toolchain import cache

if TYPE_CHECKING:
    from pathlib import Path

LOCK = b"tvm==1.0 --hash=sha256:" + b"a" * 64
WHEEL = bytes(range(256)) * 400  # 102,400 bytes
FILES = {"locks/t.lock": LOCK, "wheels/tvm-1.0-py3-none-any.whl": WHEEL}
CARRIED = Carried(name="t", key="0" * 16, packages=("tvm==1.0",), as_of=None, interpreter=None, wheels=tuple(FILES)[1:])


def manifest(files: dict[str, bytes] = FILES) -> Manifest:
    return Manifest(
        schema=SCHEMA,
        toolchains=(CARRIED,),
        python=cache.this_python(),
        platform=bundle.this_platform(),
        files={name: File(size=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in files.items()},
    )


def tar(path: Path, members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    """A tar with those members, whatever they are."""
    with tarfile.open(path, "w") as out:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if name != "bundle.json":
                member.type = kind
            out.addfile(member, io.BytesIO(data))
    return path


def pack(folder: Path, split_size: int | None = None, *, name: str = "t.tar") -> list[Path]:
    for file, data in FILES.items():
        (folder / "in" / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / "in" / file).write_bytes(data)
    parts = archive.Parts(folder / name, split_size)
    archive.pack(manifest(), folder / "in", parts)
    parts.close()
    return parts.paths


def unpack(first: Path, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    archive.extract(first, folder)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("60M", 62_914_560),  # 60 x 1024 x 1024
        ("60MiB", 62_914_560),
        ("60MB", 60_000_000),
        ("2g", 2_147_483_648),
        ("1 KB", 1000),
        ("512", 512),
        ("512B", 512),
    ],
)
def test_a_size_is_read_as_split_reads_it(text: str, size: int) -> None:
    assert bundle.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "0", "0M", "-1M", "1.5G", "60X", "60 M B", "60IB"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size") as error:
        bundle.parse_size(text)
    assert "60M" in str(error.value.hint)


def test_wheels_for_an_older_glibc_run_on_a_newer_one_and_not_the_other_way() -> None:
    tags = bundle._tags("aarch64-manylinux_2_28")
    assert tags[0] == "manylinux_2_28_aarch64"
    assert {"manylinux_2_17_aarch64", "manylinux2014_aarch64"} < set(tags)
    assert "manylinux_2_29_aarch64" not in tags


@pytest.mark.parametrize("platform", ["windows", "x86_64", "x86_64-manylinux_2", "riscv64-manylinux_2_28"])
def test_an_unknown_platform_is_a_usage_error(platform: str) -> None:
    with pytest.raises(UsageError, match="not a platform to bundle for"):
        bundle._tags(platform)


def test_the_python_is_the_asked_else_the_declared_else_this_one() -> None:
    open_, declared = ToolchainSpec(name="t"), ToolchainSpec(name="t", python="3.12.4")
    assert bundle._python(open_, "3.10") == "3.10"
    assert bundle._python(declared, None) == "3.12"
    assert bundle._python(open_, None) == cache.this_python()
    with pytest.raises(UsageError, match=r"declared for Python 3\.12, not 3\.10"):
        bundle._python(declared, "3.10")
    with pytest.raises(UsageError, match="not a Python version"):
        bundle._python(open_, "python3")


@pytest.mark.parametrize("split_size", [None, 1000, 50_000, 10**9])
def test_a_bundle_gives_back_its_files_however_it_is_cut(tmp_path: Path, split_size: int | None) -> None:
    paths = pack(tmp_path, split_size)
    assert unpack(paths[0], tmp_path / "out") == FILES
    if split_size:
        assert all(path.stat().st_size <= split_size for path in paths)
        assert sum(path.stat().st_size for path in paths) % 10_240 == 0  # the size of a block of a tar


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert pack(one)[0].read_bytes() == pack(two)[0].read_bytes()


def test_parts_are_found_from_any_of_them_and_joined_are_the_whole(tmp_path: Path) -> None:
    paths = pack(tmp_path, 30_000)
    assert [path.name for path in paths] == ["t.tar.001", "t.tar.002", "t.tar.003", "t.tar.004"]
    for name in ("t.tar", "t.tar.001", "t.tar.003"):
        assert archive.parts_of(tmp_path / name) == paths
    assert b"".join(path.read_bytes() for path in paths) == pack(tmp_path, name="whole.tar")[0].read_bytes()


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    paths = pack(tmp_path, 30_000)
    paths[1].unlink()
    with pytest.raises(ToolchainError, match=r"bundle t\.tar: t\.tar\.002 is missing"):
        bundle.read_manifest(paths[0])


def test_a_part_that_was_cut_short_is_named(tmp_path: Path) -> None:
    paths = pack(tmp_path, 30_000)
    paths[1].write_bytes(paths[1].read_bytes()[:-1])
    with pytest.raises(ToolchainError, match=r"bundle t\.tar: t\.tar\.002 is cut short"):
        bundle.read_manifest(paths[0])


def test_of_a_damaged_bundle_the_parts_to_copy_again_are_named(tmp_path: Path) -> None:
    """102,400 bytes of wheel begin in the first part of 30,000 and end in the last."""
    paths = pack(tmp_path, 30_000)
    data = paths[2].read_bytes()
    paths[2].write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ToolchainError, match="its SHA-256") as error:
        unpack(paths[0], tmp_path / "out")
    assert error.value.hint == "copy t.tar.001 and t.tar.002 and t.tar.003 and t.tar.004 again"


def test_a_missing_last_part_is_asked_for(tmp_path: Path) -> None:
    paths = pack(tmp_path, 30_000)
    paths[-1].unlink()
    with pytest.raises(ToolchainError, match="cut short") as error:
        unpack(paths[0], tmp_path / "out")
    assert error.value.hint == "was t.tar.004 left behind?"


@pytest.mark.parametrize("kept", [0, 300, 5000, 60_000])
def test_a_bundle_cut_anywhere_is_an_error(tmp_path: Path, kept: int) -> None:
    path = pack(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ToolchainError, match=r"bundle t\.tar"):
        unpack(path, tmp_path / "out")


def test_no_bundle_at_all_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"no bundle .*gone\.tar"):
        bundle.read_manifest(tmp_path / "gone.tar")
    (tmp_path / "text.tar").write_text("hello")
    with pytest.raises(ToolchainError, match=r"bundle text\.tar: cannot be read"):
        bundle.read_manifest(tmp_path / "text.tar")
    with pytest.raises(ToolchainError, match="not a bundle of regress"):
        bundle.read_manifest(tar(tmp_path / "other.tar", {"a": b"b"}))


def test_one_changed_byte_is_found_and_the_file_is_named(tmp_path: Path) -> None:
    path = pack(tmp_path)[0]
    data = path.read_bytes()
    at = data.index(WHEEL) + 70_000
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(ToolchainError, match=r"bundle t\.tar: wheels/tvm-1\.0-py3-none-any\.whl: its SHA-256"):
        unpack(path, tmp_path / "out")


def test_a_file_that_is_missing_from_the_archive_is_named(tmp_path: Path) -> None:
    members = {"bundle.json": record.encode(manifest()), "locks/t.lock": LOCK}
    with pytest.raises(ToolchainError, match=r"wheels/tvm-1\.0-py3-none-any\.whl is missing"):
        unpack(tar(tmp_path / "t.tar", members), tmp_path / "out")


@pytest.mark.parametrize(
    "name",
    ["../evil.whl", "/etc/evil.whl", "wheels/../../evil.whl", "wheels/a/b.whl", "wheels/.whl", "setup.py"],
)
def test_a_file_that_would_lie_elsewhere_is_refused_even_when_listed(tmp_path: Path, name: str) -> None:
    members = {"bundle.json": record.encode(manifest(FILES | {name: b"x"})), name: b"x"}
    with pytest.raises(ToolchainError, match="does not belong in a bundle"):
        unpack(tar(tmp_path / "t.tar", members), tmp_path / "out")
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_links_folders_and_pipes_are_refused(tmp_path: Path, kind: bytes) -> None:
    members = {"bundle.json": record.encode(manifest()), "locks/t.lock": b""}
    with pytest.raises(ToolchainError, match="does not belong in a bundle"):
        unpack(tar(tmp_path / "t.tar", members, kind), tmp_path / "out")


def test_a_file_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    members = {"bundle.json": record.encode(manifest()), "wheels/other-1-py3-none-any.whl": b""}
    with pytest.raises(ToolchainError, match=r"other-1-py3-none-any\.whl' does not belong"):
        unpack(tar(tmp_path / "t.tar", members), tmp_path / "out")


def test_a_manifest_with_a_damaged_byte_is_refused(tmp_path: Path) -> None:
    head = record.encode(manifest()).replace(b'"python": "', b'"python": "\xff')
    with pytest.raises(ToolchainError, match=r"bundle t\.tar: bundle\.json: 'utf-8' codec can't decode byte"):
        bundle.read_manifest(tar(tmp_path / "t.tar", {"bundle.json": head}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": SCHEMA + 1}, "is newer than this regress reads"),
        ({"schema": 1}, "schema 1 is no longer read"),
        ({"toolchains": ()}, r"bundle\.json: .*toolchains"),
        ({"toolchains": (replace(CARRIED, name="../../etc"),)}, r"bundle\.json: .*name"),
        ({"toolchains": (replace(CARRIED, key="../../../etc/cron"),)}, r"bundle\.json: .*key"),
        ({"toolchains": (replace(CARRIED, wheels=("../a.whl",)),)}, r"bundle\.json: \.\./a\.whl is not among"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = tar(tmp_path / "t.tar", {"bundle.json": record.encode(replace(manifest(), **changes))})
    with pytest.raises(ToolchainError, match=message):
        bundle.read_manifest(path)


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"python": "3.2"}, r"t\.tar is for Python 3\.2; this is Python", "--python"),
        (
            {"platform": "aarch64-manylinux_2_28"},
            r"t\.tar is for aarch64-manylinux_2_28; this machine",
            "--platform",
        ),
    ],
)
def test_a_bundle_for_another_machine_says_which_one_to_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], message: str, hint: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    path = tar(tmp_path / "t.tar", {"bundle.json": record.encode(replace(manifest(), **changes))})
    with pytest.raises(ToolchainError, match=message) as error:
        bundle.unbundle(path, tmp_path / "home")
    assert hint in str(error.value.hint)
    assert not (tmp_path / "home").exists()


def test_a_bundle_of_another_declaration_is_refused(tmp_path: Path) -> None:
    spec = ToolchainSpec(name="t", packages=("tvm==1.0",))
    path = tar(tmp_path / "t.tar", {"bundle.json": record.encode(manifest())})
    with pytest.raises(ToolchainError, match=r"another toolchain than regress\.toml declares as 't'"):
        bundle.unbundle(path, tmp_path / "home", specs={"t": spec})


def test_only_an_environment_can_be_bundled(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="toolchain 't': a bundle is made of a 'venv', not of 'current'"):
        bundle.bundle([ToolchainSpec(name="t", kind="current")], tmp_path)


def test_pips_own_words_are_the_cause_and_a_crash_is_told_by_its_exception() -> None:
    refused = "ERROR: Could not find a version\nERROR: No matching distribution found for x==1\n"
    crashed = "ERROR: Exception:\nTraceback (most recent call last):\nOSError: [Errno 28] No space left on device\n"
    assert bundle._pip_error(refused) == "No matching distribution found for x==1"
    assert bundle._pip_error(crashed) == "OSError: [Errno 28] No space left on device"
    assert bundle._pip_error("") is None
