"""Machines that share a history, each with a folder and a cache of its own, through the real command line."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from factories import NOON, make_record, make_report
from integration.workshop import REPOSITORY

from regress import history, process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROUNDS = int(os.environ.get("REGRESS_TEST_ROUNDS", "4"))
"""Rounds of a campaign of writers that are killed; 20 in the runs that the documentation speaks of."""
WRITERS = 12


@dataclass(kw_only=True)
class Machine:
    """A runner: where its records lie, and what it keeps of remotes."""

    name: str
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)
    runs: int = 0

    @property
    def history(self) -> Path:
        return self.folder / self.name / "history"

    def regress(
        self,
        *arguments: str | Path,
        cut_after_s: float | None = None,
        whole: bool = False,
        python: Sequence[str] = ("-m", "regress"),
    ) -> process.Output:
        """Runs `regress history`; killed with SIGKILL after so many seconds, with all it started where `whole`."""
        argv = [sys.executable, *python, "history", *arguments, "--history", self.history]
        env = {**os.environ, "REGRESS_HOME": str(self.folder / self.name / "home"), **self.env}
        # Hundreds of processes start here: none of them compiles what another one has compiled.
        env |= {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": ""}
        if cut_after_s is None or not whole:
            return process.run(argv, env=env, cwd=self.folder, timeout_s=cut_after_s or 300)
        lines: list[bytes] = []
        log = self.folder / self.name / "stderr"
        end = process.stream(argv, on_line=lines.append, log=log, env=env, watch=_cut(cut_after_s))
        return process.Output(exit=end, printed=b"".join(lines), stderr=log.read_text(encoding="utf-8"))

    def push(self, remote: str | Path, **how: object) -> process.Output:
        """Pushes, and notes what was said to be there."""
        before = self.files()
        output = self.regress("push", "--remote", remote, **how)  # type: ignore[arg-type]
        if output.exit.ok:
            self.said |= before
        return output

    def measure(self, *, judged: bool = True) -> Path:
        """A new record in the history, with a report beside it."""
        self.runs += 1
        at = NOON + timedelta(minutes=self.runs)
        record = make_record(runner=self.name, at=at, id=history.record_id(at, "tvm-0.26.0"))
        path = history.append(record, self.history)
        if judged:
            history.append_report(make_report(record, record), path)
        return path

    def files(self) -> set[str]:
        return set(contents(self.history))


def contents(root: Path) -> dict[str, bytes]:
    """Name to content of all files of a history."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.json")}


def _cut(after_s: float) -> process.Watch:
    """What kills a process and all that it started, as when the power goes."""

    @contextmanager
    def watch(pid: int) -> Iterator[None]:
        timer = threading.Timer(after_s, _kill, [pid])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    return watch


def _kill(pid: int) -> None:
    family = [pid, *_descendants(pid)]
    for each in family:
        with suppress(ProcessLookupError):  # it has ended by itself
            os.kill(each, signal.SIGKILL)


def _descendants(pid: int) -> Iterator[int]:
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended since
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    todo = [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        yield from children
        todo += children


def campaign(machines: Sequence[Machine], remote: str, rounds: int, seed: int, longest_s: float) -> dict[str, int]:
    """How many pushes ended how, of machines that all push at once, each with a new record, half of them killed.

    Args:
        machines: The writers.
        remote: Where they push to.
        rounds: How often all of them do.
        seed: Of who is killed, when, and whether with all that it started.
        longest_s: A kill comes within so many seconds.
    """
    chance = random.Random(seed)  # noqa: S311  # who is killed is no secret
    ends = {"pushed": 0, "killed": 0, "failed": 0}
    for _ in range(rounds):
        for machine in machines:
            machine.measure()
        cuts = [
            {"cut_after_s": chance.uniform(0.3, longest_s), "whole": chance.random() < 0.5}  # half
            if chance.random() < 0.5  # half
            else {}
            for _ in machines
        ]
        with ThreadPoolExecutor(len(machines)) as pool:
            outputs = list(pool.map(lambda pair: pair[0].push(remote, **pair[1]), zip(machines, cuts, strict=True)))
        for output in outputs:
            ends["pushed" if output.exit.ok else "killed" if output.exit.signal else "failed"] += 1
            assert output.exit.ok or output.exit.signal, output.stderr
    sys.stdout.write(f"{rounds} rounds: {ends}\n")
    return ends
