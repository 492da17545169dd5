"""Synthetic models written by processes that race and die."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from regress import process
from regress.model import resolve

if TYPE_CHECKING:
    from pathlib import Path

PRESET = "synthetic:llama-small"  # takes some 0.4 s to write
SCRIPT = """
import sys
from pathlib import Path
from regress.model import resolve
print(resolve(sys.argv[1], Path(sys.argv[2]), log=lambda line: print(line, flush=True)).identity.digest)
"""


class Killed(Exception):  # noqa: N818  # not an error
    pass


def command(home: Path) -> list[str | Path]:
    return [sys.executable, "-c", SCRIPT, PRESET, home]


def test_of_two_processes_one_writes_and_both_have_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        outputs = list(pool.map(process.run, [command(tmp_path)] * 2))
    assert [output.exit.code for output in outputs] == [0, 0], [output.stderr for output in outputs]
    said = [line for output in outputs for line in output.stdout.splitlines()]
    digests = [line for line in said if len(line) == 64]
    assert len(digests) == 2
    assert len(set(digests)) == 1
    assert sum(line.startswith("writing") for line in said) == 1


def test_what_a_killed_process_wrote_is_not_taken_for_a_model(tmp_path: Path) -> None:
    def kill(_: bytes) -> None:
        raise Killed

    with pytest.raises(Killed):
        process.stream(command(tmp_path), on_line=kill, log=tmp_path / "log")  # killed as it begins to write
    assert not [path for path in (tmp_path / "models").iterdir() if (path / "regress-model.json").exists()]
    model = resolve(PRESET, tmp_path)
    assert resolve(f"path:{model.folder}", tmp_path).identity.digest == model.identity.digest
    assert not list((tmp_path / "models").glob("*.partial"))
