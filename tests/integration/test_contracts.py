"""Every import contract is seen to fail when it is broken."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from regress import process

REPOSITORY = Path(__file__).parents[2]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> process.Output:
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return process.run([LINT, "--no-cache"], cwd=folder, env=env, timeout_s=120)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its contracts."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "regress", tmp_path / "regress", ignore=ignored)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_package_keeps_its_contracts(copy: Path) -> None:
    """As it stands."""
    output = lint(copy)
    assert output.exit.code == 0, output.stdout
    assert "5 kept, 0 broken" in output.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("record.py", "import regress.pipeline", "Entry, stages, outside world, domain"),
        ("check.py", "import regress.bench", "Entry, stages, outside world, domain"),
        ("newcomer.py", "", "Entry, stages, outside world, domain"),
        ("verdict.py", "import time", "The domain does no I/O"),
        ("worker/quantize.py", "import regress.errors", "Workers import nothing of the orchestrator"),
        ("bench.py", "import tvm", "Only workers import TVM and MLC-LLM"),
        ("report/text.py", "import regress.supervisor", "Report and site are made from stored records alone"),
    ],
)
def test_a_broken_contract_is_found(copy: Path, module: str, line: str, contract: str) -> None:
    """One import in the wrong place, or a module without a place."""
    with (copy / "regress" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    output = lint(copy)
    assert output.exit.code == 1, output.stdout
    broken = " ".join(output.stdout.split()).partition("Broken contracts")[2]
    assert contract in broken
