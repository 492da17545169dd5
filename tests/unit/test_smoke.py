"""What the check of a toolchain finds beside TVM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.worker import smoke

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LIBINFO = """
def find_lib_path(name, optional=False):
    return [path for path in {paths} if path.endswith(f"lib{{name}}.so")]
"""


def test_mlc_llms_own_library_is_part_of_what_a_toolchain_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit may change its C++ and none of its Python. The package is not imported, which would load it."""
    package, library = tmp_path / "python" / "mlc_llm", tmp_path / "build" / "libmlc_llm_module.so"
    package.mkdir(parents=True)
    library.parent.mkdir()
    library.write_bytes(b"one")
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "libinfo.py").write_text(LIBINFO.format(paths=[str(library), str(tmp_path / "libtvm.so")]))
    monkeypatch.syspath_prepend(package.parent)
    assert list(smoke.engines()) == [library]
    first = dict(smoke.libraries())["libmlc_llm_module.so"]
    library.write_bytes(b"another")
    assert dict(smoke.libraries())["libmlc_llm_module.so"] != first


def test_a_toolchain_without_mlc_llm_has_none_of_it() -> None:
    assert not list(smoke.engines())


def test_a_package_that_does_not_tell_its_library_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of before 2024."""
    (tmp_path / "mlc_llm").mkdir()
    (tmp_path / "mlc_llm" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert not list(smoke.engines())
    (tmp_path / "mlc_llm" / "libinfo.py").write_text("__version__ = '0.1.0'\n")
    assert not list(smoke.engines())
