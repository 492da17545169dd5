"""Several processes write the same site as one, and one that dies is told of."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from site_entries import built
from site_sample import sample_history

from regress import crew as module
from regress.crew import crew
from regress.errors import HistoryError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORTH_BYTES", 0)
    monkeypatch.setattr(module, "_processors", lambda: 2)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_several_processes_write_the_site_that_one_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several = contents(built(tmp_path / "several", sample_history()).parent)
    monkeypatch.setattr(module, "_processors", lambda: 1)
    one = contents(built(tmp_path / "one", sample_history()).parent)

    assert several == one


def test_the_work_is_done_elsewhere_and_its_results_are_in_order() -> None:
    with crew([1, 1]) as run:
        found = list(run(_slow_first, [0.3, 0.0]))

    assert [seconds for seconds, _ in found] == [0.3, 0.0]
    assert os.getpid() not in {process for _, process in found}


def _slow_first(seconds: float) -> tuple[float, int]:
    time.sleep(seconds)
    return seconds, os.getpid()


def test_a_file_that_cannot_be_written_elsewhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "series").write_text("a file where a folder should be")

    with pytest.raises(HistoryError, match="series") as error:
        built(tmp_path / "site", sample_history())

    assert error.value.hint == "the site was not built"


def test_a_process_that_is_killed_is_told_of() -> None:
    with pytest.raises(HistoryError, match="was killed"), crew([1, 1]) as run:
        list(run(_die, [1, 2]))


def _die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
