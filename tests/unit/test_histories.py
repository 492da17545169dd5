"""`regress history`: what it says, and its exit code."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from factories import NOON, make_record, make_report

from regress import history
from regress.cli import main

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = '[run]\nbaseline = "bench.toml"\ntoolchains = ["a"]\n[toolchains.a]\npackages = ["apache-tvm==0.26.0"]\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a configuration and a judged record."""
    monkeypatch.setenv("REGRESS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "regress.toml").write_text(
        f'{CONFIG}[remote]\nurl = "memory://me:hunter2@{secrets.token_hex(4)}"\n', encoding="utf-8"
    )
    path = history.append(make_record(), tmp_path / "history")
    history.append_report(make_report(make_record(), make_record()), path)
    return tmp_path


NAME = f"bench/2026/10/{make_record().id}.json"


def test_a_push_prints_what_went(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By name, and says where to, without the password; once more, nothing goes."""
    url = (here / "regress.toml").read_text(encoding="utf-8").rpartition("@")[2].strip('"\n')
    assert main(["history", "push"]) == 0
    report = NAME.replace(".json", ".check.json")
    assert capsys.readouterr() == (f"{NAME}\n{report}\n", f"pushed 2 files to memory://***@{url}\n")
    assert main(["history", "push", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"remote": f"memory://***@{url}", "moved": [], "problems": []}
    assert err == f"pushed 0 files to memory://***@{url}\n"


def test_a_problem_is_told_and_is_the_exit_code(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As an error on standard error, and in the JSON; the others go."""
    (here / "history" / "bench" / "2026" / "10" / "cut.json").write_bytes(b"{")
    assert main(["history", "push", "--json"]) == 7
    out, err = capsys.readouterr()
    message = "bench/2026/10/cut.json: Input data was truncated"
    assert json.loads(out)["problems"] == [{"message": message, "hint": None}]
    assert len(json.loads(out)["moved"]) == 2
    assert err.startswith(f"regress: error: {message}\npushed 2 files to ")


def test_a_pull_prints_what_came(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Into another folder, with one file more there than before."""
    main(["history", "push"])
    capsys.readouterr()
    (here / "other" / NAME).parent.mkdir(parents=True)
    (here / "other" / NAME).write_bytes((here / "history" / NAME).read_bytes())
    assert main(["history", "pull", "--history", "other"]) == 0
    out, err = capsys.readouterr()
    assert out == NAME.replace(".json", ".check.json") + "\n"
    assert err.startswith("pulled 1 file from memory://***@")


def test_a_good_history_is_counted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history.append(make_record(at=NOON - timedelta(days=1)), here / "history")
    assert main(["history", "verify"]) == 0
    assert capsys.readouterr() == ("", "history: records 2, reports 1, problems 0\n")


def test_what_is_wrong_is_printed_a_line_each(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output, or as JSON; the exit code says that there is something."""
    (here / "history" / NAME).unlink()
    problem = f"{NAME.replace('.json', '.check.json')}: its record is not there"
    assert main(["history", "verify"]) == 7
    assert capsys.readouterr().out == f"{problem}\n"
    assert main(["history", "verify", "--json"]) == 7
    assert json.loads(capsys.readouterr().out) == {"records": 0, "reports": 1, "imports": 0, "problems": [problem]}
