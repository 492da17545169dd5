"""How fast `regress` itself is, beside its bars: one table, exit status 1 where a bar is missed.

    python benchmarks/speed.py            about 4 minutes
    python benchmarks/speed.py --short    under 2 minutes, for CI: fewer repeats
    python benchmarks/speed.py --cold     and the main command with empty caches: downloads every wheel

What is measured:

- Start: CPU time, user and system, of `regress --help`, and of `regress check --record` on a record just made, less
  what Python takes to load scipy.special, which a verdict cannot do without and which is not ours.
- Verdicts: one decision of `check`, and CPU time of 100,000 verdicts of the full rule on noise of 2 %.
- Overhead, whole: `regress bench` of the baseline from start to end, less the lives of its workers, as a fraction.
- Overhead, one replicate: `regress.bench.replicate` beside the same worker started directly on the same request.
  The two take turns. A processor that is faster in one of them than in the other would hide what is looked for, so the
  worker's CPU time is taken off both; the median of what remains as difference, as a fraction of the wall time.
- Rates: the bench worker's own timed pass beside a bare loop over the same library, alternated in one process; see
  `bare_loop.py`. The median of the rounds' ratios; the ratio of the lower deciles, where neighbours disturbed least,
  stands beside it.
- Decode and prefill of `synthetic:llama-mini`, q4f32_1, 16 + 128 tokens, beside MLC-LLM's own build of that shape.
- The main command, `regress run --exit-zero`: wall time, warm (toolchains and artifacts are there) and cold.

The ratio is measured / bar: below 1 is good where less is better, above 1 where more is.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from regress import bench, device, history, pipeline, supervisor, toolchain  # noqa: E402  # of this checkout
from regress.build import Built  # noqa: E402
from regress.comparison import two_sample  # noqa: E402
from regress.decision import against_runs  # noqa: E402
from regress.job import Job  # noqa: E402
from regress.progress import Reporter, Step  # noqa: E402
from regress.record import Failure  # noqa: E402
from regress.rule import Parameters, walk  # noqa: E402
from regress.stats import evidence  # noqa: E402
from regress.workspace import open_workspace  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from regress.record import Record
    from regress.supervisor import Launch

HELP_CPU_S = 0.15
CHECK_CPU_S = 0.4
DECISION_MS = 5.0
CAMPAIGN_CPU_S = 20.0
OVERHEAD = 0.02
RATE_DIFFERENCE = 0.005
WARM_S = 45.0
COLD_S = 360.0
# MLC-LLM of 2026-07 on apache-tvm 0.26.0, target llvm, q4f32_1: 4 layers, hidden 256, intermediate 688, 8 heads,
# vocabulary 2,048, prompt 16. Measured once, on two cores of a machine of this kind; `regress` runs on one thread.
MLC_DECODE_TOKENS_PER_S = 133.0
MLC_PREFILL_TOKENS_PER_S = 222.0
TIMES_MLC = 10
MLC_CASE = "llama-mini/q4f32_1/llvm/p16+128"
REFERENCE = "tvm-0.26.0"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        what: What was measured, with its unit.
        measured: Its value.
        bar: The value it must not miss.
        form: Format of both.
        more_is_better: Whether the value must be above the bar.
        beside: What else is worth knowing.
    """

    what: str
    measured: float
    bar: float
    form: str
    more_is_better: bool = False
    beside: str = ""

    @property
    def ratio(self) -> float:
        """Measured / bar."""
        return self.measured / self.bar

    @property
    def ok(self) -> bool:
        """Whether the bar is met."""
        return self.within(1)

    def within(self, slack: float) -> bool:
        """Whether the bar, `slack` times as wide, is met."""
        return self.ratio >= 1 / slack if self.more_is_better else self.ratio < slack

    def cells(self) -> tuple[str, ...]:
        """The line as text."""
        bar = f"{'>' if self.more_is_better else '<'} {self.bar:{self.form}}"
        measured = f"{self.measured:{self.form}}"
        return self.what, measured, bar, f"{self.ratio:.2f}", "ok" if self.ok else "MISSED", self.beside


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """How often each thing is measured."""

    start: int
    bench: int
    replicate: int
    prefill: int
    decode: int
    run: int


FULL = Repeats(start=15, bench=3, replicate=16, prefill=2000, decode=600, run=3)
SHORT = Repeats(start=7, bench=1, replicate=6, prefill=1000, decode=300, run=1)


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a process took.

    Attributes:
        wall_s: From its start to its end, in seconds.
        cpu_s: User and system time of it and of all it waited for, in seconds.
    """

    wall_s: float
    cpu_s: float

    @property
    def waited_s(self) -> float:
        """Wall time that was not the CPU time of the process, in seconds."""
        return self.wall_s - self.cpu_s


def spent(argv: Sequence[str | Path], env: Mapping[str, str], output: Path, *, fine: Iterable[int] = (0,)) -> Spent:
    """What a command took; what it prints goes to a file.

    Raises:
        RuntimeError: It ended with another status than the `fine` ones.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    started = time.perf_counter()
    pid = os.posix_spawn(
        argv[0],
        [os.fspath(argument) for argument in argv],
        env,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, output, flags, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)],
    )
    _, status, usage = os.wait4(pid, 0)
    wall_s = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    if code not in fine:
        raise RuntimeError(f"status {code} of {' '.join(map(str, argv))}\n{output.read_text(errors='replace')}")
    return Spent(wall_s=wall_s, cpu_s=_cpu_s(usage))


def _cpu_s(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


class Bench:
    """The checkout's own baseline and toolchains, and a folder for whatever is written.

    Args:
        folder: An empty folder.
        repeats: How often each thing is measured.
    """

    def __init__(self, folder: Path, repeats: Repeats) -> None:
        self.folder, self.repeats = folder, repeats
        self.history = folder / "history"
        self.output = folder / "output.txt"
        places = argparse.Namespace(config=str(ROOT / "regress.toml"), baseline=None, history=None, site=None)
        self.workspace = open_workspace(places)
        self.job = Job(
            config=self.workspace.config,
            baseline=self.workspace.baseline(),
            baseline_name=self.workspace.baseline_name,
            home=self.workspace.home,
            history=self.history,
            reporter=Reporter(),
            flags={},
        )

    def prepare(self) -> Record:
        """Installs and builds what is not there yet; what the reference toolchain built."""
        return pipeline.measure(self.job, [REFERENCE, self.workspace.config.run.toolchains[-1]], replicates=0)[0]

    def regress(self, *arguments: str | Path, env: Mapping[str, str] = os.environ) -> Spent:
        """What a `regress` command took; any verdict is fine."""
        argv = [sys.executable, "-m", "regress", *arguments]
        return spent(argv, {**env, "PYTHONPATH": str(ROOT)}, self.output, fine=(0, 1, 8))

    def places(self) -> list[str | Path]:
        """Arguments that keep a measuring command out of the checkout."""
        return ["--config", ROOT / "regress.toml", "--history", self.history]

    def launch(self, record: Record) -> Launch:
        """How the reference toolchain's workers are started."""
        installed = toolchain.install(self.job.config.toolchain(record.toolchain.name), self.job.home)
        return self.job.launch_of(installed, self.job.baseline.measure.bench_timeout_s, Step("", None))

    def run(self, *, home: Path | None = None) -> float:
        """Wall time of the main command, in seconds.

        Args:
            home: Folder that stands in for every cache; the user's own caches where `None`.
        """
        caches = {"REGRESS_HOME": str(home / "regress"), "UV_CACHE_DIR": str(home / "uv")} if home else {}
        arguments = ["run", "--exit-zero", *self.places(), "--site", self.folder / "site"]
        return self.regress(*arguments, env={**os.environ, **caches}).wall_s


def start_rows(bench_: Bench) -> list[Row]:
    """CPU time of the commands that only start."""
    record = newest(bench_, bench_.workspace.config.run.toolchains[-1])[0]
    check: list[str | Path] = ["check", "--baseline", bench_.workspace.baseline_path, "--record", record]
    times = range(bench_.repeats.start)
    help_s = statistics.median(bench_.regress("--help").cpu_s for _ in times)
    check_s = statistics.median(bench_.regress(*check).cpu_s for _ in times)
    library = [sys.executable, "-c", "import scipy.special"]
    library_s = statistics.median(spent(library, os.environ, bench_.output).cpu_s for _ in times)
    return [
        Row(what="regress --help, CPU s", measured=help_s, bar=HELP_CPU_S, form=".3f"),
        Row(
            what="regress check --record besides loading scipy.special, CPU s",
            measured=check_s - library_s,
            bar=CHECK_CPU_S,
            form=".3f",
            beside=f"{check_s:.2f} s with it",
        ),
    ]


def verdict_rows() -> list[Row]:
    """One decision, and a campaign of a hundred thousand."""
    noise = np.random.default_rng(0).normal(0, 0.02, (100_000, 21))
    asked, one = Parameters(tolerance=0.05), np.exp(noise[0]).tolist()
    took_s = []
    for _ in range(20):
        started = time.perf_counter()
        against_runs([one[:4], one[4:7], one[7:10]], one[10:], asked, higher_is_better=True)
        took_s.append(time.perf_counter() - started)
    started = time.process_time()
    walk(two_sample(evidence(noise[:, :10], [0] * 4 + [1] * 3 + [2] * 3), noise[:, 10:]), asked)
    campaign_s = time.process_time() - started
    return [
        Row(what="one decision of check, ms", measured=1e3 * statistics.median(took_s), bar=DECISION_MS, form=".2f"),
        Row(what="100,000 verdicts, CPU s", measured=campaign_s, bar=CAMPAIGN_CPU_S, form=".2f"),
    ]


def newest(bench_: Bench, name: str) -> tuple[Path, Record]:
    """The newest record of a toolchain, and where it lies."""

    def refuse(error: Exception) -> None:
        raise error

    found = [one for one in history.entries(bench_.history, refuse) if one.record.toolchain.name == name]
    return found[-1].path, found[-1].record


def bench_overhead(bench_: Bench) -> Row:
    """What `regress bench` takes outside its workers."""
    lived = bench_.folder / "lived.txt"
    argv = [sys.executable, ROOT / "benchmarks" / "timed_cli.py", lived, "bench", *bench_.places()]
    outside: list[float] = []
    for _ in range(bench_.repeats.bench):
        wall_s = spent(argv, {**os.environ, "PYTHONPATH": str(ROOT)}, bench_.output).wall_s
        outside.append(1 - float(lived.read_text(encoding="utf-8")) / wall_s)
    what = "regress bench outside its workers / wall"
    return Row(what=what, measured=statistics.median(outside), bar=OVERHEAD, form=".2%")


def replicate_overhead(bench_: Bench, prepared: Record) -> Row:
    """What a replicate takes more than its worker alone."""
    launch = bench_.launch(prepared)
    supervised, alone = _replicate(bench_, prepared, launch), _worker_alone(bench_, prepared, launch)
    more_s: list[float] = []
    walls_s: list[float] = []
    for number in range(bench_.repeats.replicate):
        turns = (supervised, alone) if number % 2 == 0 else (alone, supervised)
        took = {turn: turn() for turn in turns}
        more_s.append(took[supervised].waited_s - took[alone].waited_s)
        walls_s.append(took[alone].wall_s)
    return Row(
        what="replicate beside its worker alone / wall",
        measured=statistics.median(more_s) / statistics.median(walls_s),
        bar=OVERHEAD,
        form="+.2%",
        beside=f"{statistics.median(more_s) * 1e3:+.1f} ms of {statistics.median(walls_s):.2f} s",
    )


def _replicate(bench_: Bench, prepared: Record, launch: Launch) -> Callable[[], Spent]:
    """A replicate through the supervisor; its wall time, and its worker's CPU time."""
    case, measure = bench_.job.baseline.cases[0], bench_.job.baseline.measure
    built, task = built_of(bench_, prepared), bench.Task(workload=case.workload, measure=measure)

    def once() -> Spent:
        before_s = _cpu_s(resource.getrusage(resource.RUSAGE_CHILDREN))
        started = time.perf_counter()
        with device.monitor(case.target) as monitor:
            result = bench.replicate(built, task, launch, monitor)
        wall_s = time.perf_counter() - started
        if isinstance(result, Failure):
            raise RuntimeError(result.cause)  # noqa: TRY004  # a bench that failed is no wrong type
        return Spent(wall_s=wall_s, cpu_s=_cpu_s(resource.getrusage(resource.RUSAGE_CHILDREN)) - before_s)

    return once


def _worker_alone(bench_: Bench, prepared: Record, launch: Launch) -> Callable[[], Spent]:
    """The same worker on the same request, without supervisor."""
    measure = bench_.job.baseline.measure
    request = write_request(bench_, prepared, warmups=measure.warmups, repeats=measure.repeats)
    argv: list[str | Path] = [launch.python, supervisor.WORKERS, "bench_vm", request]
    return lambda: spent(argv, launch.env, bench_.output)


def built_of(bench_: Bench, prepared: Record) -> Built:
    """The artifact of the baseline's first case.

    Raises:
        RuntimeError: It could not be built.
    """
    case = prepared.cases[0]
    if case.artifact is None:
        raise RuntimeError(f"{case.key}: {case.failure.cause if case.failure else 'no artifact'}")
    folder = bench_.job.home / "artifacts" / case.artifact.digest
    return Built(folder=folder, artifact=case.artifact, cached=True)


def write_request(bench_: Bench, prepared: Record, **changes: int) -> Path:
    """A request to the bench worker, of the baseline's first case but for the changes; where it lies."""
    case = bench_.job.baseline.cases[0]
    request = {
        "artifact": str(built_of(bench_, prepared).folder),
        "device": "cpu",
        "prompt_tokens": case.prompt_tokens,
        "new_tokens": case.new_tokens,
        "seed": bench_.job.baseline.measure.seed,
        "prompts": None,
        **changes,
    }
    path = bench_.folder / "request.json"
    path.write_text(json.dumps(request), encoding="utf-8")
    return path


def rate_rows(bench_: Bench, prepared: Record) -> list[Row]:
    """How far the worker's times are from those of a bare loop.

    Passes are short, so that a neighbour's burst meets few of them: 16 decode steps, and 1 where prefill is compared.
    """
    prefill = bare_loop(bench_, prepared, rounds=bench_.repeats.prefill, new_tokens=1)["prefill"]
    decode = bare_loop(bench_, prepared, rounds=bench_.repeats.decode, new_tokens=16)["decode"]
    return [_rate_row("prefill", prefill), _rate_row("decode", decode)]


def bare_loop(bench_: Bench, prepared: Record, *, rounds: int, new_tokens: int) -> dict[str, Any]:
    """What `bare_loop.py` prints."""
    launch = bench_.launch(prepared)
    request = write_request(bench_, prepared, rounds=rounds, new_tokens=new_tokens)
    script = ROOT / "benchmarks" / "bare_loop.py"
    spent([launch.python, script, supervisor.WORKERS, request], launch.env, bench_.output)
    found: dict[str, Any] = json.loads(bench_.output.read_text(encoding="utf-8").splitlines()[-1])
    return found


def _rate_row(metric: str, times: Mapping[str, Sequence[float]]) -> Row:
    ratios = [
        worker / bare for worker, bare in zip(*(_rounds(times[loop]) for loop in ("worker", "bare")), strict=True)
    ]
    more = statistics.median(ratios) - 1
    decile = _lower_decile(times["worker"]) / _lower_decile(times["bare"]) - 1
    return Row(
        what=f"worker's {metric} time beside a bare loop, |difference|",
        measured=abs(more),
        bar=RATE_DIFFERENCE,
        form=".2%",
        beside=f"{more:+.2%} in {len(ratios)} rounds, lower deciles {decile:+.2%}",
    )


def _rounds(times: Sequence[float]) -> list[float]:
    """The sum of the two passes of each round."""
    return [first + second for first, second in zip(times[::2], times[1::2], strict=True)]


def _lower_decile(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=10)[0]


def mlc_rows(bench_: Bench) -> list[Row]:
    """The rates of the last warm run beside those of MLC-LLM's own CPU build."""
    case = newest(bench_, REFERENCE)[1].case(MLC_CASE)
    if case is None:
        raise RuntimeError(f"the baseline has no case {MLC_CASE}")
    mlc = {"decode": MLC_DECODE_TOKENS_PER_S, "prefill": MLC_PREFILL_TOKENS_PER_S}
    rows = []
    for name, theirs in mlc.items():
        samples = [one.samples[f"{name}_tokens_per_s"] for one in case.replicates]
        ours = statistics.median(rate for values in samples for rate in values)
        what, beside = f"llama-mini p16+128 {name}, tokens/s", f"{ours / theirs:.1f} x MLC-LLM's {theirs:.0f}"
        bar = TIMES_MLC * theirs
        rows.append(Row(what=what, measured=ours, bar=bar, form=",.0f", more_is_better=True, beside=beside))
    return rows


def warm_row(bench_: Bench) -> Row:
    """The main command where all is there already."""
    measured = statistics.median(bench_.run() for _ in range(bench_.repeats.run))
    return Row(what="regress run --exit-zero, warm, s", measured=measured, bar=WARM_S, form=".1f")


def cold_row(bench_: Bench) -> Row:
    """The main command in empty caches.

    Raises:
        RuntimeError: Nothing was downloaded.
    """
    home = bench_.folder / "cold"
    measured = bench_.run(home=home)
    if not (home / "uv").exists():
        raise RuntimeError("the cold run was not cold: it left uv's cache empty")
    return Row(what="regress run --exit-zero, cold, s", measured=measured, bar=COLD_S, form=".1f")


def measured_rows(folder: Path, repeats: Repeats, *, cold: bool) -> list[Row]:
    """All that is measured, in the table's order."""
    bench_ = Bench(folder, repeats)
    prepared = bench_.prepare()
    warm = warm_row(bench_)
    return [
        *start_rows(bench_),
        *verdict_rows(),
        bench_overhead(bench_),
        replicate_overhead(bench_, prepared),
        *rate_rows(bench_, prepared),
        *mlc_rows(bench_),
        warm,
        *([cold_row(bench_)] if cold else []),
    ]


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text."""
    lines = [("what", "measured", "bar", "ratio", "", ""), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    left = (0, 4, 5)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_json(rows: Sequence[Row]) -> str:
    """The rows as a JSON list."""
    keys = ("what", "measured", "bar", "ratio", "ok", "beside")
    return json.dumps([{key: getattr(row, key) for key in keys} for row in rows], indent=2)


def main() -> int:
    """Measures, prints, and says by its exit status whether every bar is met."""
    parser = argparse.ArgumentParser(description="Measures how fast regress itself is.")
    parser.add_argument("--short", action="store_true", help="fewer repeats")
    parser.add_argument("--cold", action="store_true", help="also the main command with empty caches")
    parser.add_argument("--slack", type=float, default=1.0, help="exit 0 while bars so many times as wide are met")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regress-speed-") as folder:
        rows = measured_rows(Path(folder), SHORT if args.short else FULL, cold=args.cold)
    print(as_json(rows) if args.json else table(rows))
    return 0 if all(row.within(args.slack) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
