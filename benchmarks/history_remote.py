"""How long `regress history` takes on a remote of 10,000 runs, and how often it goes there: one table.

    python benchmarks/history_remote.py                 10,000 runs in a bare repository, reached through ssh's protocol
    python benchmarks/history_remote.py --runs 1000 --record-bytes 100000

Ten runners have a record and a report of each night. The files are small, but as many: what a push does must not hang
on their content. A stand-in for ssh starts git's other side here, and counts how often it was called, so that a round
trip is a line in its log. Wall times are of the whole command, Python's start included.

- push, cold: one record, on a machine that never saw the remote: its tip and trees are fetched first.
- push, warm: one record more, median of several, nobody else wrote: one round trip.
- push, outrun: one record after somebody else wrote: refused, fetched, pushed.
- push, nothing: all is there already; the remote is asked.
- pull, one: the machine lacks a single run.
- pull, all: a machine that has none.
- verify: every file of the history read and checked.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec

from regress import history, process
from regress.layout import place_for
from regress.record import Record, decode_record, encode
from regress.verdict import CheckReport, missing

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "unit" / "golden" / "record-1.json"
BEGIN = datetime(2024, 1, 1, 3, 17, tzinfo=timezone.utc)
RUNNERS = 10
SSH = """#!/bin/sh
echo "$*" >> "$0.log"
for last; do :; done
exec sh -c "$last"
"""


class Bench:
    """A remote, and machines that share it.

    Args:
        folder: Where everything is written.
        runs: How many runs the remote holds.
        record_bytes: Least size of a record.
    """

    def __init__(self, folder: Path, runs: int, record_bytes: int) -> None:
        self.folder = folder
        self.remote = folder / "remote.git"
        self.ssh = folder / "ssh"
        self.ssh.write_text(SSH, encoding="utf-8")
        self.ssh.chmod(0o755)
        self._template = _template(record_bytes)
        self._number = runs
        must(["git", "init", "--quiet", "--bare", self.remote])
        must(["git", "-C", self.remote, "config", "uploadpack.allowFilter", "true"])
        for number in range(runs):
            self._write(folder / "full", number)

    def _write(self, root: Path, number: int) -> None:
        record = self._record(number)
        place = place_for(record)
        path = root / place.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(record))
        report = CheckReport(
            schema=1,
            record=record.id,
            runner=record.runner,
            toolchain=record.toolchain.name,
            baseline="b",
            against="stored",
            reference_toolchain="a",
            verdicts=(missing("tiny/q4f16_1/llvm/p64+16", "no_reference", "none"),),
        )
        path.with_name(record.id + history.REPORT_SUFFIX).write_bytes(encode(report))

    def _record(self, number: int) -> Record:
        at = BEGIN + timedelta(days=number // RUNNERS, seconds=number % RUNNERS)
        name = f"{at:%Y%m%dT%H%M%SZ}-tvm-0.27.0.post1-{number:08x}"
        return msgspec.structs.replace(
            self._template, id=name, recorded_at=at, runner=f"runner-{number % RUNNERS}", regress=f"0.1.{number}"
        )

    def more(self, root: Path) -> None:
        """Writes one more record, and no report, to a history."""
        history.append(self._record(self._number), root)
        self._number += 1

    def more_nights(self, root: Path) -> None:
        """Writes a record and a report of every runner to a history."""
        for _ in range(RUNNERS):
            self._write(root, self._number)
            self._number += 1

    def timed(self, machine: str, action: str, root: Path) -> tuple[float, int]:
        """Seconds that a command took on a machine, and how often it went to the remote."""
        log = Path(f"{self.ssh}.log")
        log.write_text("", encoding="utf-8")
        env = {**os.environ, "REGRESS_HOME": str(self.folder / machine), "GIT_SSH_COMMAND": str(self.ssh)}
        env["PYTHONPATH"] = str(ROOT)
        argv = [sys.executable, "-m", "regress", "history", action, "--history", root]
        if action != "verify":
            argv += ["--remote", f"ssh://there{self.remote}"]
        started = time.monotonic()
        must(argv, env)
        return time.monotonic() - started, len(log.read_text(encoding="utf-8").splitlines())


def must(argv: list[str | Path], env: dict[str, str] | None = None) -> None:
    """Runs a command that has to end well."""
    output = process.run(argv, env=env)
    if not output.exit.ok:
        raise RuntimeError(output.stderr)


def _template(record_bytes: int) -> Record:
    """A record of at least that size."""
    record = decode_record(GOLDEN.read_bytes(), GOLDEN.name)
    settings = {f"FILLER_{number}": "0123456789" * 9 for number in range(record_bytes // 100)}
    environment = msgspec.structs.replace(record.environment, settings=settings)
    return msgspec.structs.replace(record, environment=environment)


def measured(bench: Bench, repeats: int) -> list[tuple[str, float, int]]:
    """What, seconds and round trips."""
    full, own, other = bench.folder / "full", bench.folder / "own", bench.folder / "other"
    rows = [("push of the whole history", *bench.timed("first", "push", full))]
    rows.append(("push, nothing new", *bench.timed("first", "push", full)))
    bench.more(own)
    rows.append(("push, cold", *bench.timed("second", "push", own)))
    warm = []
    for _ in range(repeats):
        bench.more(own)
        warm.append(bench.timed("second", "push", own))
    rows.append(("push, warm", statistics.median(s for s, _ in warm), max(trips for _, trips in warm)))
    bench.more(other)
    bench.timed("third", "push", other)
    bench.more(own)
    rows.append(("push, outrun", *bench.timed("second", "push", own)))
    bench.timed("first", "pull", full)
    bench.more(full)
    rows.append(("push from the full folder, outrun", *bench.timed("first", "push", full)))
    bench.more(full)
    rows.append(("push from the full folder, warm", *bench.timed("first", "push", full)))
    bench.more(own)
    bench.timed("second", "push", own)
    rows.append(("pull, one run", *bench.timed("first", "pull", full)))
    rows.append(("pull, all", *bench.timed("fourth", "pull", bench.folder / "pulled")))
    rows.append(("verify", *bench.timed("fourth", "verify", bench.folder / "pulled")))
    return rows


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Measures how fast a history is shared.")
    parser.add_argument("--runs", type=int, default=10_000, help="runs that the remote holds")
    parser.add_argument("--record-bytes", type=int, default=0, help="least size of a record")
    parser.add_argument("--repeats", type=int, default=5, help="warm pushes")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regress-history-") as folder:
        bench = Bench(Path(folder), args.runs, args.record_bytes)
        for what, seconds, trips in measured(bench, args.repeats):
            print(f"{what:<36} {seconds:8.2f} s  {trips:3} round trips")


if __name__ == "__main__":
    main()
