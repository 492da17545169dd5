"""The scripts of docs/runner, with stand-ins for what only a board has."""

from __future__ import annotations

import configparser
import os
import time
from pathlib import Path

import pytest

from regress import process

RUNNER = Path(__file__).parents[2] / "docs" / "runner"


class Board:
    """A machine whose tools write down how they were called."""

    def __init__(self, folder: Path, *tools: str) -> None:
        self.folder = folder
        for tool in tools:
            path = folder / tool
            path.write_text(f'#!/bin/sh\necho "{tool} $*" >>"{folder}/calls"\n')
            path.chmod(0o700)

    def run(self, script: str, *arguments: str, **env: str) -> process.Output:
        path = f"{self.folder}:/usr/bin:/bin"
        return process.run([RUNNER / script, *arguments], env={"PATH": path, **env}, timeout_s=30)

    @property
    def calls(self) -> list[str]:
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


def test_a_gpu_gets_its_limit_and_its_clock(tmp_path: Path) -> None:
    board = Board(tmp_path, "nvidia-smi")

    assert board.run("set-device", POWER_LIMIT_W="700", GPU_CLOCK_MHZ="1830").exit.ok
    assert board.run("set-device", "reset").exit.ok

    assert board.calls == [
        "nvidia-smi --persistence-mode=1",
        "nvidia-smi --power-limit=700",
        "nvidia-smi --lock-gpu-clocks=1830,1830",
        "nvidia-smi --reset-gpu-clocks",
    ]


def test_what_is_not_named_is_left_alone(tmp_path: Path) -> None:
    board = Board(tmp_path, "nvidia-smi")
    assert board.run("set-device").exit.ok
    assert board.calls == ["nvidia-smi --persistence-mode=1"]


def test_a_jetson_gets_its_mode_before_its_clocks(tmp_path: Path) -> None:
    """And its clocks back as they were."""
    board = Board(tmp_path, "nvpmodel", "jetson_clocks", "nvidia-smi")

    assert board.run("set-device", POWER_MODE="0", CLOCKS=str(tmp_path / "clocks")).exit.ok
    (tmp_path / "clocks").touch()
    assert board.run("set-device", POWER_MODE="0", CLOCKS=str(tmp_path / "clocks")).exit.ok
    assert board.run("set-device", "reset", CLOCKS=str(tmp_path / "clocks")).exit.ok

    clocks = f"jetson_clocks --store {tmp_path}/clocks"
    restored = f"jetson_clocks --restore {tmp_path}/clocks"
    again = ["nvpmodel -m 0", "jetson_clocks "]
    assert board.calls == ["nvpmodel -m 0", clocks, "jetson_clocks ", *again, restored]


def test_a_mode_that_cannot_be_set_fails_the_service(tmp_path: Path) -> None:
    """The runner then does not start: a night without data is seen, one in the wrong mode is not."""
    board = Board(tmp_path, "nvpmodel", "jetson_clocks")
    (tmp_path / "nvpmodel").write_text("#!/bin/sh\nexit 3\n")
    assert not board.run("set-device", POWER_MODE="99", CLOCKS=str(tmp_path / "clocks")).exit.ok
    assert board.calls == []


def test_a_machine_without_either_is_an_error(tmp_path: Path) -> None:
    output = Board(tmp_path).run("set-device")
    assert output.exit.code == 1
    assert "neither nvpmodel nor nvidia-smi" in output.stderr


def test_a_job_leaves_its_workspace_empty_and_keeps_recent_builds(tmp_path: Path) -> None:
    workspace, artifacts = tmp_path / "work", tmp_path / "home" / "artifacts"
    for folder in (workspace / ".git" / "deep", artifacts / "old", artifacts / "new", tmp_path / "home" / "models"):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    month = time.time() - 32 * 86400
    os.utime(artifacts / "old", (month, month))

    output = Board(tmp_path).run(
        "job-completed.sh", GITHUB_WORKSPACE=str(workspace), REGRESS_HOME=str(tmp_path / "home")
    )

    assert output.exit.ok, output.stderr
    assert list(workspace.iterdir()) == []
    assert [path.name for path in artifacts.iterdir()] == ["new"]
    assert (tmp_path / "home" / "models" / "file").exists()


@pytest.mark.parametrize(
    ("file", "section", "key", "value"),
    [
        ("regress-device.service", "Service", "Type", "oneshot"),
        ("regress-device.service", "Service", "ExecStart", "/usr/local/lib/regress/set-device"),
        ("runner.conf", "Service", "User", "regress"),
        ("runner.conf", "Service", "NoNewPrivileges", "yes"),
        ("runner.conf", "Unit", "Requires", "regress-device.service"),
    ],
)
def test_units_say_who_does_what(file: str, section: str, key: str, value: str) -> None:
    unit = configparser.ConfigParser(strict=False, delimiters=("=",), interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(RUNNER / file)
    assert unit[section][key] == value
