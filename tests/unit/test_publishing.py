"""`regress site`: what it says, its exit code, and which baselines it holds a runner against."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest
from factories import BASELINE_TEXT
from html_page import read_html
from pyarrow import parquet
from site_entries import entry, later, store

from regress.cli import main

if TYPE_CHECKING:
    from pathlib import Path


CONFIG = '[run]\nbaseline = "bench.toml"\ntoolchains = ["a"]\n[toolchains.a]\npackages = ["apache-tvm==0.26.0"]\n'


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line over a history of two runs, with a cache of its own."""
    monkeypatch.setenv("REGRESS_HOME", str(tmp_path / "home"))
    (tmp_path / "regress.toml").write_text(CONFIG)
    store([entry(), entry(later(1))], tmp_path / "history")
    folders = ["--history", str(tmp_path / "history"), "--site", str(tmp_path / "site")]
    return ["site", "--config", str(tmp_path / "regress.toml"), *folders]


def test_the_path_of_the_index_is_the_output(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0

    assert capsys.readouterr() == (f"{tmp_path / 'site' / 'index.html'}\n", "")
    assert (tmp_path / "home" / "site").is_dir()


def test_a_broken_record_is_named_and_the_exit_code_the_historys_once_the_site_is_written(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also the second time, when nothing else is to be done."""
    (tmp_path / "history" / "bench" / "2026" / "10" / "broken.json").write_bytes(b"{")

    for _ in range(2):
        assert main(arguments) == 7

        output, said = capsys.readouterr()
        assert output == f"{tmp_path / 'site' / 'index.html'}\n"
        assert said.startswith(f"regress: error: {tmp_path}/history/bench/2026/10/broken.json: ")
        assert "broken.json" in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_a_baseline_that_cannot_be_read_is_named(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bench.toml").write_text("runner = 1")

    assert main(arguments) == 3

    assert "bench.toml" in capsys.readouterr().err
    assert (tmp_path / "site" / "index.html").is_file()


def held(folder: Path) -> list[str]:
    """The baselines that a site says a runner is held against."""
    page = read_html((folder / "baselines.html").read_text(encoding="utf-8"))
    return [
        each.text.partition(".toml")[0] for each in page.all("p", "more") if "are held against this one" in each.text
    ]


def test_of_two_baselines_of_a_runner_the_commands_own_is_held_else_the_last_by_name(
    arguments: list[str], tmp_path: Path
) -> None:
    """Also where the site was built before, with the other one; a file that is no baseline does not matter."""
    for name, text in {"a.toml": BASELINE_TEXT, "b.toml": BASELINE_TEXT, "notes.toml": "x = 1"}.items():
        (tmp_path / name).write_text(text)

    for own, expected in (("a", "a"), ("b", "b"), ("a", "a"), ("none", "b")):
        (tmp_path / "regress.toml").write_text(CONFIG.replace("bench.toml", f"{own}.toml"))
        assert main(arguments) == 0
        assert held(tmp_path / "site") == [expected]


def test_a_built_site_is_checked(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Problems on standard output, the count beside it, and the history's exit code where there are any."""
    main(arguments)
    capsys.readouterr()
    check = ["site", "check", "--config", arguments[2], "--site", str(tmp_path / "site")]
    assert main(check) == 0
    output, said = capsys.readouterr()
    assert output == ""
    assert said.endswith("pages, 0 problems\n")

    (tmp_path / "site" / "method.html").unlink()
    assert main(check) == 7
    output, said = capsys.readouterr()
    assert "index.html: dead link to method.html\n" in output
    assert said.startswith(f"{tmp_path / 'site'}: ")


def test_where_to_serve_is_only_for_serving(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--port", "8000"]) == 2
    assert "--port is for `regress site serve`" in capsys.readouterr().err


def test_parquet_wants_pyarrow(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main([*arguments, "--parquet"]) == 2
    assert "pip install 'regress[parquet]'" in capsys.readouterr().err


def test_parquet_is_written_beside_csv(arguments: list[str], tmp_path: Path) -> None:
    assert main([*arguments, "--parquet"]) == 0
    assert (tmp_path / "site" / "data" / "index.parquet").is_file()


def test_parquet_that_is_there_is_kept_up_to_date(arguments: list[str], tmp_path: Path) -> None:
    """`regress run` writes the site without asking for it."""
    assert main([*arguments, "--parquet"]) == 0
    store([entry(), entry(later(1)), entry(later(2))], tmp_path / "history")
    assert main(arguments) == 0
    found = parquet.read_table(tmp_path / "site" / "data" / "index.parquet")
    assert len(set(found["run"].to_pylist())) == 3


def test_what_is_for_building_is_not_for_checking(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "check"]) == 2
    assert "--history is for building" in capsys.readouterr().err


def test_a_smaller_bundle_of_plotly_takes_the_place_of_the_whole_one(arguments: list[str], tmp_path: Path) -> None:
    bundle = tmp_path / "plotly-basic.min.js"
    bundle.write_text("/**\n* plotly.js (basic - minified) v4.1.1\n*/ var Plotly;")

    assert main([*arguments, "--plotly", str(bundle)]) == 0

    (script,) = (tmp_path / "site" / "assets").glob("plotly-*")
    assert script.read_bytes() == bundle.read_bytes()
    pages = [path.read_text() for path in (tmp_path / "site" / "series").rglob("*.html")]
    assert pages
    assert all(f"assets/{script.name}" in page for page in pages)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), (b"\xff\0", "not a script of Plotly's"), (b"", "not a script")]
)
def test_what_is_no_bundle_of_plotly_is_refused(
    arguments: list[str], tmp_path: Path, content: bytes | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.js"
    if content is not None:
        path.write_bytes(content)

    assert main([*arguments, "--plotly", str(path)]) == 2

    error = capsys.readouterr().err
    assert f"{path}: " in error
    assert said in error
    assert not (tmp_path / "site").exists()
