"""Several processes write the same site as one, and one that dies is told of."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from site_entries import ROOT, built, store
from site_sample import sample_history

from regress import crew as module
from regress import process
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


COMMAND = """
import sys, threading
from regress import cli, crew

processors, threads = map(int, (sys.argv.pop(1), sys.argv.pop(1)))
crew.WORTH_BYTES, crew._processors = 0, lambda: processors
for _ in range(threads):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print(crew._start_method(), flush=True)
raise SystemExit(cli.main())
"""
"""The command line on so many processors, with so many threads of its own."""


def test_the_command_line_starts_forks_which_a_thread_of_its_own_forbids(tmp_path: Path) -> None:
    records = store(sample_history(), tmp_path / "history")
    sites: list[dict[str, bytes]] = []
    for processors, threads, expected in ((1, 0, "fork"), (2, 0, "fork"), (2, 1, "spawn")):
        site, home = tmp_path / f"site-{len(sites)}", tmp_path / f"home-{len(sites)}"
        argv = ["site", "--config", ROOT / "regress.toml", "--history", records, "--site", site]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "REGRESS_HOME": str(home)}

        ran = process.run([sys.executable, "-c", COMMAND, str(processors), str(threads), *map(str, argv)], env=env)

        assert (ran.exit.ok, ran.stdout.split()[0]) == (True, expected), ran.stderr
        sites.append(contents(site))
    assert sites[0] == sites[1] == sites[2]


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
