"""A machine that cannot link says so, and blames no toolchain."""

from pathlib import Path

import pytest

from regress.build import _require_linker
from regress.errors import BuildError


def test_a_machine_without_a_compiler_is_told_what_to_install(tmp_path: Path) -> None:
    """Nothing on the path, nothing named."""
    with pytest.raises(BuildError, match=r"no C\+\+ compiler .*g\+\+, gcc, clang\+\+"):
        _require_linker({"PATH": str(tmp_path)})


def test_a_compiler_that_is_named_but_not_there_is_named_in_the_error(tmp_path: Path) -> None:
    """CXX decides alone."""
    with pytest.raises(BuildError, match=r"looked for /nowhere/cxx"):
        _require_linker({"PATH": str(tmp_path), "CXX": "/nowhere/cxx"})


def test_any_compiler_on_the_path_will_do(tmp_path: Path) -> None:
    """As TVM looks for one."""
    compiler = tmp_path / "clang"
    compiler.write_text("", encoding="utf-8")
    compiler.chmod(0o755)
    _require_linker({"PATH": str(tmp_path)})
