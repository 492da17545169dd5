"""Slim wheels: what is in them, what is not, and what a wrong one says."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from wheels import recorded

from regress.bundle import slim
from regress.errors import ToolchainError

if TYPE_CHECKING:
    from pathlib import Path

RECORD = "tvm-1.0.dist-info/RECORD"
FILES = {
    "tvm/__init__.py": b"x = 1\n",
    "tvm/lib/libtvm.so": b"\xe8\x00\x01\x02\x03" * 1000,
    "tvm/3rdparty/cutlass/include/a.h": b"#define A\n",
    "tvm-1.0.dist-info/METADATA": b"Name: tvm\n",
}
KEPT = sorted({RECORD, *FILES} - {"tvm/3rdparty/cutlass/include/a.h"})


def wheel(path: Path, files: dict[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in recorded(files, RECORD).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o100755 if name.endswith(".so") else 0o100664) << 16
            out.writestr(info, data)
    return path


def squeezed(folder: Path, machine: str = "x86_64") -> Path:
    packed = folder / "tvm-1.0-py3-none-any.whl.tar.xz"
    slim.squeeze(wheel(folder / "tvm-1.0-py3-none-any.whl"), packed, machine)
    return packed


def packed(path: Path, members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    """A slim wheel of those members, whatever they are; `kind` of the last."""
    with lzma.open(path, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as out:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.type = kind if name == list(members)[-1] else tarfile.REGTYPE
            out.addfile(member, io.BytesIO(data))
    return path


def unpack(path: Path, folder: Path) -> list[str]:
    folder.mkdir()
    slim.unpack(path, folder, slim.LEFT_OUT)
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_slim_wheel_gives_back_what_was_kept_bit_by_bit(tmp_path: Path, machine: str) -> None:
    """The tests mark one left-out folder: it is there, empty."""
    out = tmp_path / "out"
    assert unpack(squeezed(tmp_path, machine), out) == KEPT
    assert all((out / name).read_bytes() == recorded(FILES, RECORD)[name] for name in KEPT)
    assert (out / "tvm/lib/libtvm.so").stat().st_mode & 0o777 == 0o755
    assert (out / "tvm/__init__.py").stat().st_mode & 0o777 == 0o644
    assert list((out / "tvm/3rdparty/cutlass").iterdir()) == []


def test_the_same_wheel_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert squeezed(tmp_path / "one").read_bytes() == squeezed(tmp_path / "two").read_bytes()


def test_only_rules_that_apply_are_told(tmp_path: Path) -> None:
    assert list(slim.left_out([wheel(tmp_path / "a.whl")])) == ["tvm/3rdparty/cutlass/*"]
    assert slim.left_out([wheel(tmp_path / "b.whl", {"a.py": b""})]) == {}


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("numpy/tests/test_a.py", True),
        ("numpy/_core/tests/data/a.csv", True),
        ("numpy/testing/__init__.py", False),
        ("numpy/_core/_umath_tests.cpython-312-x86_64-linux-gnu.so", False),
        ("tvm/contrib/cutlass/build.py", False),
        ("tvm/testing/utils.py", False),
    ],
)
def test_what_stays_behind(path: str, *, left: bool) -> None:
    assert (slim._rule(path, slim.LEFT_OUT) is not None) is left


def test_a_wheel_that_installs_elsewhere_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path / "a-1.whl", {"a-1.data/scripts/tool": b"#!python\n"})
    with pytest.raises(ToolchainError, match=r"a-1\.whl cannot be made slim"):
        slim.squeeze(path, tmp_path / "out", "x86_64")


def test_what_is_no_zip_is_no_wheel(tmp_path: Path) -> None:
    (tmp_path / "a-1.whl").write_bytes(b"not found\n")
    with pytest.raises(ToolchainError, match=r"a-1\.whl is no wheel"):
        slim.squeeze(tmp_path / "a-1.whl", tmp_path / "out", "x86_64")


def test_a_file_that_differs_from_record_is_named(tmp_path: Path) -> None:
    whole = recorded(FILES, RECORD)
    changed = {RECORD: whole[RECORD], "tvm/__init__.py": b"x = 2\n"}
    with pytest.raises(ToolchainError, match=r"tvm/__init__\.py: its SHA-256 is not the one in RECORD"):
        unpack(packed(tmp_path / "a.whl.tar.xz", changed), tmp_path / "out")


def test_a_file_that_is_missing_without_a_rule_is_named(tmp_path: Path) -> None:
    whole = recorded(FILES, RECORD)
    few = {name: whole[name] for name in (RECORD, "tvm/__init__.py", "tvm-1.0.dist-info/METADATA")}
    with pytest.raises(ToolchainError, match=r"tvm/lib/libtvm\.so is missing"):
        unpack(packed(tmp_path / "a.whl.tar.xz", few), tmp_path / "out")


@pytest.mark.parametrize(("name", "kind"), [("b.py", tarfile.REGTYPE), ("tvm/__init__.py", tarfile.SYMTYPE)])
def test_what_record_does_not_list_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    path = packed(tmp_path / "a.whl.tar.xz", {RECORD: recorded(FILES, RECORD)[RECORD], name: b""}, kind)
    with pytest.raises(ToolchainError, match="does not belong in this wheel"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil.py", "a/../../evil.py"])
def test_a_file_that_would_lie_elsewhere_is_refused_even_when_listed(tmp_path: Path, name: str) -> None:
    path = packed(tmp_path / "a.whl.tar.xz", {RECORD: recorded({name: b"x"}, RECORD)[RECORD], name: b"x"})
    with pytest.raises(ToolchainError, match="does not belong in this wheel"):
        unpack(path, tmp_path / "out")
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("data", [b"", b"nothing", lzma.compress(b"x" * 600)[:40]])
def test_what_is_no_slim_wheel_says_so(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.whl.tar.xz").write_bytes(data)
    with pytest.raises(ToolchainError, match=r"a\.whl\.tar\.xz: "):
        unpack(tmp_path / "a.whl.tar.xz", tmp_path / "out")
