"""The workflows that another repository gets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from regress import handout
from regress.cli import main
from regress.config import parse_toml

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
SOURCE = "regress @ git+https://example.org/regress.git@0123456789abcdef0123456789abcdef01234567"
SETUP = Path(handout.SETUP)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    assert main(["install-workflows", str(tmp_path), "--source", SOURCE]) == 0
    return tmp_path


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in _below(folder)}


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def test_another_repository_gets_the_files_of_this_one(written: Path) -> None:
    """But for the mark, and for where regress and its lock come from."""
    found = files(written)

    assert set(found) == {*handout.FILES, f"{SETUP}/requirements.txt"}
    same = set(handout.FILES) - {f"{SETUP}/action.yml"}
    assert {path: found[path].replace(handout.MARK, "") for path in same} == {
        path: (REPOSITORY / path).read_text() for path in same
    }
    ours = (REPOSITORY / SETUP / "action.yml").read_text().splitlines()
    theirs = found[f"{SETUP}/action.yml"].splitlines()[1:]
    assert [(a.strip(), b.strip()) for a, b in zip(ours, theirs, strict=True) if a != b] == [
        ("LOCK: requirements.txt", "LOCK: .github/actions/setup/requirements.txt"),
        ("REGRESS: .", f'REGRESS: "{SOURCE}"'),
    ]


def test_scripts_still_begin_with_what_runs_them(written: Path) -> None:
    assert (written / SETUP / "install.sh").read_text().startswith("#!/usr/bin/env bash\n" + handout.MARK)


def test_a_second_time_changes_nothing(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()

    assert main(["install-workflows", str(written), "--source", SOURCE]) == 0

    assert capsys.readouterr().out == ""


def test_a_change_is_shown_before_it_is_written(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(written)
    capsys.readouterr()

    assert main(["install-workflows", str(written), "--source", SOURCE.replace("0123", "9999"), "--diff"]) == 0

    lines = capsys.readouterr().out.splitlines()
    changed = [line for line in lines if line.startswith(("+", "-"))]
    assert changed[:2] == [f"--- a/{SETUP}/action.yml", f"+++ b/{SETUP}/action.yml"]
    assert [line[:1] for line in changed[2:]] == ["-", "+"]
    assert "9999456789abcdef" in changed[-1]
    assert files(written) == before


def test_what_somebody_else_wrote_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / ".github" / "workflows" / "pages.yml"
    own.parent.mkdir(parents=True)
    own.write_text("name: mine\n")

    assert main(["install-workflows", str(tmp_path), "--source", SOURCE]) == 3

    assert f"{own}: is there already, and was not written by regress" in capsys.readouterr().err
    assert files(tmp_path) == {".github/workflows/pages.yml": "name: mine\n"}


@pytest.mark.parametrize("source", ['regress"\n      run: x', "regress $(id)", "`id`", " regress", "'", "a\\b"])
def test_a_source_cannot_become_code(tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It stands in quotes in YAML, and in a variable in a shell."""
    assert main(["install-workflows", str(tmp_path), f"--source={source}"]) == 3
    assert "--source" in capsys.readouterr().err
    assert not files(tmp_path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install-workflows", str(tmp_path / "none"), "--source", SOURCE]) == 2
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written_down", "requirement"),
    [
        (None, None),
        ('{"url": "file:///home/me/regress", "dir_info": {"editable": true}}', None),
        ('{"url": "file:///tmp/regress.whl", "archive_info": {"hashes": {"sha256": "ab"}}}', None),
        (
            '{"url": "https://example.org/regress.whl", "archive_info": {"hashes": {"sha256": "ab"}}}',
            "regress @ https://example.org/regress.whl#sha256=ab",
        ),
        (
            '{"url": "https://example.org/regress.git", "vcs_info": {"vcs": "git", "commit_id": "beef"}}',
            "regress @ git+https://example.org/regress.git@beef",
        ),
    ],
)
def test_the_very_same_regress_is_pinned_where_others_can_have_it(
    written_down: str | None, requirement: str | None
) -> None:
    assert handout.pinned(written_down) == requirement


@pytest.mark.parametrize(
    ("address", "requirement"),
    [
        ("https://example.org/a/regress.git", "regress @ git+https://example.org/a/regress.git@beef"),
        ("git@example.org:a/regress.git", "regress @ git+ssh://git@example.org/a/regress.git@beef"),
        ("ssh://git@example.org/a/regress.git", "regress @ git+ssh://git@example.org/a/regress.git@beef"),
    ],
)
def test_a_checkout_is_pinned_by_its_commit(address: str, requirement: str) -> None:
    assert handout.at_commit(address, "beef") == requirement


def test_the_package_carries_every_file() -> None:
    project = parse_toml((REPOSITORY / "pyproject.toml").read_text(), "pyproject.toml")
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]

    for path in (*handout.FILES, handout.LOCK):
        assert carried[path] == f"regress/_share/{path}"
