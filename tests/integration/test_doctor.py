"""`regress doctor` through the real command line, on this machine."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import filelock
from integration.workshop import REPOSITORY

from regress import process

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "hf_1234567890abcdef"  # noqa: S105  # made up: it must not come out again


def doctor(home: Path, *arguments: str | Path, baseline: str = "cpu", **env: str) -> process.Output:
    argv = [sys.executable, "-m", "regress", "doctor", "--baseline", f"baselines/{baseline}.toml", *arguments]
    return process.run(argv, cwd=REPOSITORY, env={**os.environ, "REGRESS_HOME": str(home), **env}, timeout_s=60)


def test_this_machine_can_measure_the_cpu_baseline(tmp_path: Path) -> None:
    """Nothing fails; nothing is written, not even the cache folder."""
    output = doctor(tmp_path / "home")
    assert output.exit.code == 0, output.stdout + output.stderr
    assert output.stdout.splitlines()[-1].endswith(" 0 fail")
    assert "warn  toolchain tvm-0.26.0" in output.stdout
    assert "-> regress toolchain install tvm-0.26.0" in output.stdout
    assert not (tmp_path / "home").exists()


def test_a_program_reads_the_same(tmp_path: Path) -> None:
    """Levels and remedies, and of the token only that it is there."""
    output = doctor(tmp_path / "home", "--json", HF_TOKEN=SECRET)
    assert output.exit.code == 0, output.stderr
    found = {each["name"]: each for each in json.loads(output.stdout)}
    assert found["hub token"]["text"].startswith("yes")
    assert SECRET not in output.stdout + output.stderr
    assert all((each["remedy"] is None) == (each["level"] == "ok") for each in found.values())


def test_what_is_missing_fails_with_its_remedy(tmp_path: Path) -> None:
    """No compiler on the path: nothing can be built."""
    output = doctor(tmp_path / "home", PATH=str(tmp_path))
    assert output.exit.code == 3
    assert "fail  linker" in output.stdout
    assert "-> install g++ or clang++, or name one in CXX" in output.stdout


def test_a_measurement_that_runs_is_seen(tmp_path: Path) -> None:
    """By the lock that it holds: in another process than the doctor's."""
    with filelock.FileLock(tmp_path / "measuring.lock"):
        output = doctor(tmp_path)
    assert output.exit.code == 0, output.stderr
    assert f"process {os.getpid()} holds measuring.lock" in output.stdout


def test_a_baseline_that_is_not_there_is_said(tmp_path: Path) -> None:
    output = doctor(tmp_path, baseline="none")
    assert output.exit.code == 3
    assert "none.toml: No such file or directory" in output.stderr
