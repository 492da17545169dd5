"""`regress check --record`: which cases are judged, and where the verdicts are kept."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from factories import NOON, TWO_CASES, TWO_KEYS, make_case, make_record

from regress import history
from regress.cli import main
from regress.commands import judging
from regress.proposal import Why, with_references

if TYPE_CHECKING:
    from pathlib import Path

    from regress.record import Record

CONFIG = '[run]\nbaseline = "bench.toml"\ntoolchains = ["a"]\n[toolchains.a]\npackages = ["apache-tvm==0.26.0"]\n'


def record(day: int, *keys: str) -> Record:
    rates = [50.0, 50.1, 50.2, 49.9]
    cases = [make_case(key, prefill=[20 * rate for rate in rates], decode=rates) for key in keys]
    return make_record(*cases, at=NOON + timedelta(days=day), id=f"r{day}")


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line that judges a record with the first of a baseline's two cases alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "regress.toml").write_text(CONFIG, encoding="utf-8")
    why = Why(written_on=date(2026, 10, 3), reason="first")
    text = with_references(
        TWO_CASES.replace("cpu", "bench", 1), "bench.toml", [record(day, *TWO_KEYS) for day in range(3)], why
    )
    (tmp_path / "bench.toml").write_text(text, encoding="utf-8")
    path = history.append(record(5, TWO_KEYS[0]), tmp_path / "history")
    return ["check", "--record", str(path)]


def test_a_case_that_the_record_lacks_is_missing_unless_it_is_not_asked_for(arguments: list[str]) -> None:
    assert main(arguments) != 0
    assert main([*arguments, "--case", TWO_KEYS[0]]) == 0


def test_verdicts_are_kept_beside_the_record_when_asked_for(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once: what was said of a record is not said otherwise later."""
    chosen = [*arguments, "--case", TWO_KEYS[0], "--json"]
    assert main(chosen) == 0
    assert not list(tmp_path.rglob(f"*{history.REPORT_SUFFIX}"))
    printed = json.loads(capsys.readouterr().out)

    assert main([*chosen, "--save"]) == 0
    (path,) = tmp_path.rglob(f"*{history.REPORT_SUFFIX}")
    assert json.loads(path.read_bytes())["verdicts"] == printed["verdicts"]

    assert main([*chosen, "--save"]) == 7
    assert path.name in capsys.readouterr().err


def test_verdicts_by_another_runners_baseline_are_not_kept(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = (tmp_path / "bench.toml").read_text(encoding="utf-8").replace('runner = "bench"', 'runner = "other"')
    (tmp_path / "other.toml").write_text(other, encoding="utf-8")
    assert main([*arguments, "--baseline", "other.toml", "--save"]) == 2
    assert "other.toml is of runner 'other', the record of 'bench'" in capsys.readouterr().err


def test_verdicts_on_a_part_of_a_record_are_not_kept(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--case", TWO_KEYS[1], "--save"]) == 2
    assert f"'{TWO_KEYS[0]}' of the record would not be judged" in capsys.readouterr().err


def test_a_record_of_some_cases_is_none_that_references_are_made_of(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest one lacks a case; the whole ones of before it are taken."""
    del arguments
    for day in range(3):
        history.append(record(day, *TWO_KEYS), tmp_path / "history")
    assert main(["baseline", "propose", "--reason", "again"]) == 0
    assert "r5" not in capsys.readouterr().out


def test_there_is_nothing_to_save_of_what_is_measured(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    del arguments
    assert main(["check", "--save"]) == 2
    assert "--save is for --record" in capsys.readouterr().err


def test_records_of_different_workers_make_no_reference_together() -> None:
    """Of harness `vm` the digest is the record's, of another one the case's."""
    one = make_record()
    assert judging._alike(one, make_record())
    assert not judging._alike(one, make_record(harness="0" * 64))
    engine = msgspec.structs.replace(one.cases[0], harness="engine", harness_digest="1" * 64)
    other = msgspec.structs.replace(engine, harness_digest="2" * 64)
    assert not judging._alike(make_record(engine), make_record(other))
