"""A synthetic history of the shape that real ones have, to measure the site with.

    python benchmarks/site_history.py FOLDER --values 100000

Ten runners measure twenty cases every night, ten replicates of each, with toolchains that are bumped every two weeks.
A value is what a run says of one rate of one case, so that a record holds 40 of them, and 100,000 are 2,500 records;
a case that did not build holds none of its two. Beside what was measured there is what happens to histories:

- noise from run to run of 0.3 to 1 %, by the runner, and from replicate to replicate;
- toolchains that lose 4 to 15 % in some cases until one to three toolchains later, and some that gain for good;
- builds that crash in the compiler for one model, and replicates that the guard discards;
- one change of each runner's environment, after which its references are made anew;
- a check report beside all but one run of twenty, with verdicts by the project's own rule.

The history is a function of its size and seed alone: run `n` of a runner is the same whatever was written before it.
Everything is built with the structs that `regress` reads it with, so that it cannot drift from the schema.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from site_machines import MACHINES
from site_plan import RUN, Plan
from site_runs import Runner
from site_verdicts import Judge

from regress.history import REPORT_SUFFIX
from regress.record import encode


def write_plan(folder: Path, plan: Plan) -> None:
    """Writes the history that a plan decides, the runners side by side."""
    with ProcessPoolExecutor(max_workers=min(os.cpu_count() or 1, plan.runners)) as pool:
        for done in [pool.submit(_write_runner, plan, number, folder) for number in range(plan.runners)]:
            done.result()


def _write_runner(plan: Plan, number: int, folder: Path) -> None:
    """Writes all runs of a runner."""
    judge = Judge(Runner(plan, number))
    for run in range(plan.runs(number)):
        _write_run(folder, judge, run)


def _write_run(folder: Path, judge: Judge, run: int) -> Path:
    """Writes the record of one run, and its report where it has one; the record's path."""
    runner = judge.runner
    drawn = runner.plan.random(RUN, runner.number, run)
    measured, record = runner.run(run, drawn)
    path = folder / record.runner / f"{record.recorded_at:%Y}" / f"{record.recorded_at:%m}" / f"{record.id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(record))  # not `history.append`: nobody waits for 2,500 of them to be flushed to disk
    if drawn.random() >= 1 / 20:
        path.with_name(record.id + REPORT_SUFFIX).write_bytes(encode(judge.report(run, record, measured)))
    return path


def append_run(folder: Path, plan: Plan, runner: int = 0) -> Path:
    """Writes exactly one more run of one runner to a history; its record's path.

    Args:
        folder: The history.
        plan: What decided it.
        runner: The runner's place in `MACHINES`.
    """
    there = [path for path in (folder / MACHINES[runner].name).rglob("*.json") if not path.name.endswith(REPORT_SUFFIX)]
    return _write_run(folder, Judge(Runner(plan, runner)), len(there))


def main() -> int:
    """Writes a history."""
    parser = argparse.ArgumentParser(description="Writes a synthetic history.")
    parser.add_argument("folder", type=Path, help="where to")
    parser.add_argument("--values", type=int, required=True, help="how many: 40 in a record")
    parser.add_argument("--seed", type=int, default=0, help="another one gives another history")
    parser.add_argument("--runners", type=int, default=10, choices=range(1, 11), metavar="1..10", help="default: 10")
    parser.add_argument("--cases", type=int, default=20, choices=range(1, 21), metavar="1..20", help="default: 20")
    args = parser.parse_args()
    write_plan(args.folder, Plan(values=args.values, seed=args.seed, runners=args.runners, cases=args.cases))
    return 0


if __name__ == "__main__":
    sys.exit(main())
