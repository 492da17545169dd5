"""Real child processes: their output, their end, and what is left of them."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest
from processes import gone

from regress import process

if TYPE_CHECKING:
    from pathlib import Path

SLEEPER = (
    "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
)


def test_output_and_status_are_told_apart() -> None:
    """Standard output, standard error and the exit status."""
    output = process.run([sys.executable, "-c", "import sys; print('a'); print('b', file=sys.stderr); sys.exit(3)"])
    assert (output.stdout, output.stderr, output.exit.code) == ("a\n", "b\n", 3)
    assert output.exit.describe() == "exit status 3"


def test_a_signal_is_named() -> None:
    """A segfault is no exit status."""
    output = process.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"])
    assert (output.exit.code, output.exit.signal, output.exit.timed_out) == (None, "SIGSEGV", False)


def test_a_time_limit_ends_the_child_and_all_it_started() -> None:
    """Grandchildren are not left behind."""
    output = process.run([sys.executable, "-c", SLEEPER], timeout_s=1)
    assert output.exit.timed_out
    assert output.exit.describe(1) == "killed at its time limit of 1 s"
    assert gone(int(output.stdout))


def test_lines_come_as_they_are_printed(tmp_path: Path) -> None:
    """Not when the child ends."""
    arrivals: list[float] = []
    script = "import time\nfor i in range(3): print(i, flush=True); time.sleep(0.2)"
    end = process.stream(
        [sys.executable, "-c", script], on_line=lambda _: arrivals.append(time.monotonic()), log=tmp_path / "log"
    )
    assert end.ok
    assert arrivals[2] - arrivals[0] > 0.3


def test_an_exception_while_listening_ends_the_child(tmp_path: Path) -> None:
    """As Ctrl-C does: it is passed on, and nothing runs on."""
    pids: list[int] = []

    def listen(line: bytes) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.stream([sys.executable, "-c", SLEEPER], on_line=listen, log=tmp_path / "log")
    assert gone(pids[0])


def test_the_environment_is_the_one_given() -> None:
    """Nothing of ours is added."""
    script = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))"
    assert process.run([sys.executable, "-c", script], env={"A": "1"}).stdout == "['A']\n"
    assert os.environ.get("A") is None
