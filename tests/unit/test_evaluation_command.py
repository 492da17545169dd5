"""`regress evaluate` as somebody runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from regress.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    """Sixty keys of eleven runs with a standard deviation of .05 %, in seconds."""
    generator = np.random.default_rng(1)
    values = np.exp(generator.normal(0, 0.0005, (60, 11)))
    rows = [f"k{key},{run},{value}" for key, line in enumerate(values) for run, value in enumerate(line)]
    path = tmp_path / "quiet.csv"
    path.write_text("\n".join(["series,date_ms,median_s", *rows]) + "\n")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_quiet_series_meet_every_bar(quiet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0, a line per rule, and the count of checks with that of the independent ones."""
    assert main(["evaluate", str(quiet)]) == 0
    text = capsys.readouterr().out
    assert "3,600 checks, 60 independent: random splits, 6 baseline and 5 candidate runs" in text
    assert "Mann-Whitney .05" in text
    assert text.splitlines()[-1].startswith("bars: 12 met, 0 missed")


def test_a_missed_bar_exits_one_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One key of eleven runs cannot prove a thousandth."""
    path = tmp_path / "few.csv"
    path.write_text("\n".join(["series,date_ms,median_s", *(f"k,{run},{1 + run % 3 / 1000}" for run in range(11))]))
    assert main(["evaluate", str(path)]) == 1
    assert "missed: false fails on unchanged data" in capsys.readouterr().out.splitlines()[-1]


def test_json_has_the_same_numbers(quiet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, fractions and bounds per rule, and the state of each bar."""
    assert main(["evaluate", str(quiet), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    ours = found["files"][0]["rules"][0]
    assert ours["false_alarms"]["count"] == 0
    assert ours["false_alarms"]["of"] == 3600
    assert ours["false_alarms"]["upper_95"] == pytest.approx(1 - 0.05 ** (1 / 3600))  # nothing in n: 1 - .05^(1/n)
    assert ours["mean_replicates"] == 3
    assert found["holds"] is True
    assert {bar["state"] for bar in found["bars"]} == {"met"}


def test_without_data_noise_is_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    """The five kinds at three spreads and two tolerances, few checks here, so that no bar can be proved."""
    assert main(["evaluate", "--checks", "200", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert len(found["simulated"]) == 30
    assert len(found["bars"]) == 5
    assert found["files"] == []


def test_the_same_seed_prints_the_same(quiet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing in the text depends on time."""
    texts = []
    for _ in range(2):
        main(["evaluate", str(quiet), "--simulate", "--checks", "100", "--seed", "4"])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["gone.csv"], 2, "gone.csv: no such file or folder"),
        (["--where", "gpu"], 2, "not of the form COLUMN=TEXT"),
        (["bad.csv"], 3, "bad.csv: row 2: column 'median_s': 'x' is no number"),
        (["short.csv"], 2, "no key has runs enough"),
    ],
)
def test_bad_input_is_said_in_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    """No traceback; usage and configuration keep their codes."""
    (folder / "bad.csv").write_text("series,date_ms,median_s\nk,1,x\n")
    (folder / "short.csv").write_text("series,date_ms,median_s\nk,1,2\n")
    assert main(["evaluate", *arguments]) == code
    assert said in capsys.readouterr().err
