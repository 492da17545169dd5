"""What users of jetson-containers' MLC container come with: their baseline, and the results that they have."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from regress import process

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def regress(tmp_path: Path) -> Callable[..., process.Output]:
    """Runs the command line in an empty folder, with an empty cache and this repository's configuration."""
    config = REPOSITORY / "regress.toml"
    env = {"PATH": "/usr/bin:/bin", "REGRESS_HOME": str(tmp_path / "home"), "PYTHONPATH": str(REPOSITORY)}

    def call(*arguments: str | Path) -> process.Output:
        argv = [sys.executable, "-m", "regress", *arguments, "--config", str(config)]
        return process.run(argv, cwd=tmp_path, env=env, timeout_s=120)

    return call


def test_a_dry_run_explains_the_orin_on_any_machine(regress: Callable[..., process.Output]) -> None:
    """It measures nothing, installs nothing, and says why there can be no verdict: 8."""
    baseline = REPOSITORY / "baselines" / "orin.toml"
    output = regress("check", "--baseline", baseline, "--dry-run")
    assert output.exit.code == 8, output.stderr
    assert "would measure mlc-jetson as runner orin" in output.stdout
    assert "a loss of 5.0% from 46.9 tokens/s passes" in output.stdout
    assert output.stdout.count("no verdict (no_reference)") == 8
    assert output.stdout.endswith("could not judge here\n")
    found = json.loads(regress("check", "--baseline", baseline, "--dry-run", "--json").stdout)
    assert [case["key"].rpartition("/p")[2] for case in found["cases"]] == [f"{2**power}+128" for power in range(4, 13)]


@pytest.mark.parametrize("name", ["cpu.toml", "h200.toml"])
def test_a_dry_run_takes_every_baseline(regress: Callable[..., process.Output], tmp_path: Path, name: str) -> None:
    """Here it could judge or not, which it says with its exit code; what it did not do leaves no trace."""
    output = regress("check", "--baseline", REPOSITORY / "baselines" / name, "--dry-run", "--json")
    found = json.loads(output.stdout)
    assert output.exit.code == found["exit_code"] in (0, 8)
    assert {case["against"] for case in found["cases"]} <= {"stored", "side_by_side"}
    assert found["toolchain"]["state"] == "absent"
    assert list(tmp_path.rglob("*.json")) == []


def test_a_dry_run_is_not_of_a_record(regress: Callable[..., process.Output]) -> None:
    output = regress("check", "--dry-run", "--record", "some.json")
    assert output.exit.code == 2
    assert "check: --dry-run is for measuring" in output.stderr
