"""Several processes write the same site as one, and one that dies is told of."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess  # noqa: TID251  # a child that is killed while it waits
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from processes import alive, gone
from site_entries import ROOT, built, later
from site_sample import sample_history

from regress import crew as module
from regress import history
from regress.crew import crew
from regress.errors import HistoryError
from regress.site import chapter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.fixture(autouse=True)
def _worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WORTH_BYTES", 1)
    monkeypatch.setattr(module, "_processors", lambda: 2)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("many", [1, 100], ids=["whole chapters", "each step"])
def test_several_processes_write_the_site_that_one_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(chapter, "_MANY", many)
    several = contents(built(tmp_path / "several", sample_history()).parent)
    monkeypatch.setattr(module, "_processors", lambda: 1)
    one = contents(built(tmp_path / "one", sample_history()).parent)

    assert several == one


def test_the_work_is_done_here_and_elsewhere_and_its_results_are_in_order() -> None:
    with crew(2) as run:
        found = run(_slow_first, [0.5, 0.4, 0.3, 0.2])

    assert [seconds for seconds, _ in found] == [0.5, 0.4, 0.3, 0.2]
    assert len({process for _, process in found}) == 2
    assert os.getpid() in {process for _, process in found}


def _slow_first(seconds: float) -> tuple[float, int]:
    time.sleep(seconds)
    return seconds, os.getpid()


def test_many_things_are_handed_out_in_portions_and_come_back_in_order() -> None:
    with crew(2) as run:
        assert run(abs, range(-1000, 0)) == list(range(1000, 0, -1))


def test_records_and_runs_of_a_runner_alone_are_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    portions: list[int] = []
    portioned = module._portions

    def noted(things: Sequence[object], processes: int) -> list[Sequence[object]]:
        found = portioned(things, processes)
        portions.append(len(found))
        return found

    monkeypatch.setattr(module, "_portions", noted)
    for days in (0, 40, 80):
        history.append(later(days), tmp_path / "site-history")
    built(tmp_path / "site", None)

    months, outlines, runs, series = portions
    assert (months, runs) == (3, 3)
    assert (outlines, series) == (1, 1)


def test_others_begin_while_this_process_does_something_else(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def wait() -> None:
        while not begun.exists():
            time.sleep(0.01)

    with crew(2) as run:
        first, _ = run(_begin, [begun, begun], wait)

    assert first != os.getpid()


def _begin(path: Path) -> int:
    path.touch()
    return os.getpid()


def test_what_is_to_be_done_meanwhile_may_fail() -> None:
    def fail() -> None:
        raise ValueError("meanwhile")

    with pytest.raises(ValueError, match="meanwhile"), crew(2) as run:
        run(time.sleep, [0.1, 0.1], fail)


def test_a_file_that_an_editor_left_among_the_templates_is_no_template(tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(ROOT / "templates", templates)
    (templates / ".run.html.swp").write_bytes(b"\xff{{")
    (templates / "series.html.orig").write_text("{% if")

    assert built(tmp_path / "site", sample_history(), templates=templates).is_file()


def test_what_fails_here_is_told_of_and_the_others_take_no_more() -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match="here"), crew(2) as run:
        run(partial(_fail_here, os.getpid()), [60, 60, 60])

    assert time.monotonic() - started < 30


def _fail_here(process: int, seconds: float) -> None:
    if os.getpid() == process:
        raise ValueError("here")
    time.sleep(seconds)


def test_a_file_that_cannot_be_written_elsewhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "series").write_text("a file where a folder should be")

    with pytest.raises(HistoryError, match="series") as error:
        built(tmp_path / "site", sample_history())

    assert error.value.hint == "the site was not built"


def test_a_process_that_is_killed_is_told_of() -> None:
    with pytest.raises(HistoryError, match="was killed"), crew(2) as run:
        run(partial(_die_elsewhere, os.getpid()), [1, 1])


def _die_elsewhere(process: int, seconds: float) -> None:
    time.sleep(seconds)  # long enough for both to take one
    if os.getpid() != process:
        os.kill(os.getpid(), signal.SIGKILL)


TWO = """
import time
from multiprocessing import active_children
from regress import crew

crew.WORTH_BYTES, crew._processors = 1, lambda: 3
with crew.crew(3) as run:
    run(time.sleep, [1, 1, 1])
    print(*[child.pid for child in active_children()], flush=True)
    time.sleep(60)
"""
"""Has two more processes, says which, and would keep them for a minute."""


def test_processes_end_with_the_one_that_started_them_were_it_killed() -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", TWO], env=env, stdout=subprocess.PIPE, text=True) as parent:  # noqa: S603
        assert parent.stdout is not None
        one, other = map(int, parent.stdout.readline().split())
        assert one != other
        assert alive(one)
        assert alive(other)

        parent.kill()

    assert gone(one, within_s=10)
    assert gone(other, within_s=10)
