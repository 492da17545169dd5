"""How fast the site is built and how small its pages are, beside bars: one table, exit status 1 where one is missed.

    python benchmarks/site_speed.py                      1,000, 10,000 and 100,000 values, and a series of 10,000 points
    python benchmarks/site_speed.py --short              1,000 and 10,000 values alone
    python benchmarks/site_speed.py --values 1000000     a million: needs 22 GB of disk in the temporary folder
    python benchmarks/site_speed.py --asv PATH           where the `asv` to be measured beside it is

For each size `site_history.py` writes a history, in which a value is what one run says of one rate of one case. Then:

- Full build: wall time of `regress site` into an empty folder, with an empty cache. The records have just been written,
  so that the kernel still holds them, as far as they fit in memory; they are on the disk by then, as nobody has written
  gigabytes a moment before. Python's own bytecode has been written before, as that of whatever was installed and has
  run once, whether the environment forbids Python to write it or not.
- Peak memory of that command and all that it started: the sum of their proportional set sizes, in which a page that
  several share counts once, read ten times a second; or `ru_maxrss`, the peak of the largest single process, where that
  is more, since a peak can fall between two readings.
- One more run: wall time of the same command after one run was added, median of several such runs.
- First view: `index.html` and what it loads, each compressed by gzip, without Plotly, which a browser keeps for years.
- asv, beside the full build and without a bar: wall time of `asv publish` on the same values, and the full build's as a
  ratio of it. Its results are one file per run and machine, and hold of each value what asv keeps: median, interval and
  quartiles. Ours are the records with every sample, some 100 times as many bytes. Left out where there is no asv.

And once, the data that the largest page of a series of 10,000 points loads for itself, compressed by gzip.

The ratio is measured / bar: below 1 is good.
"""

from __future__ import annotations

import argparse
import atexit
import importlib.util
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from site_history import REPORT_SUFFIX, append_run, write_plan
from site_machines import MACHINES, ROOT
from site_plan import Plan
from speed import Row, as_json, table

from regress import history, process
from regress.site.audit import DATA_BYTES, FIRST_VIEW_BYTES, first_view, read_page, sent_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from regress.record import CaseResult, Record

FULL_S = {100_000: 8.0, 1_000_000: 60.0}
"""Most values to the bar of a full build."""
MEMORY_MB = 1000.0
ONE_MORE_S = 1.0
SERIES_POINTS = 10_000
SHORT = (1_000, 10_000)
ALL = (*SHORT, 100_000)
MOST_FOR_ASV = 100_000
"""To write more values in its form takes longer than all the rest."""
BETWEEN_READINGS_S = 0.1
PAUSE_PER_READING = 50
"""How much longer a pause is than the reading before it, at least: that of 460 MB takes 7 ms of a processor."""
SITE = (sys.executable, "-m", "regress", "site", "--config", ROOT / "regress.toml")


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command took.

    Attributes:
        wall_s: From its start to its end, in seconds.
        tree_bytes: The most memory that it and all it started held at once, as far as it was read.
        largest_bytes: The most memory that any one of them held.
    """

    wall_s: float
    tree_bytes: int
    largest_bytes: int

    @property
    def peak_bytes(self) -> int:
        """The most memory that is known to have been held at once."""
        return max(self.tree_bytes, self.largest_bytes)


def ran(argv: Sequence[str | Path], env: Mapping[str, str], output: Path) -> Ran:
    """What a command took; what it prints goes to a file.

    Raises:
        RuntimeError: It ended with another status than 0.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    started = time.perf_counter()
    pid = os.posix_spawn(
        argv[0],
        [os.fspath(argument) for argument in argv],
        env,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, output, flags, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)],
    )
    memory = Memory(pid)
    _, status, usage = os.wait4(pid, 0)
    wall_s = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"{' '.join(map(str, argv))} failed\n{output.read_text(errors='replace')}")
    return Ran(wall_s=wall_s, tree_bytes=memory.peak_bytes(), largest_bytes=usage.ru_maxrss * 1024)


class Memory:
    """Reads the memory of a process and all that it started, from now on.

    Args:
        pid: The process.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._peak_bytes, self._ended = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def peak_bytes(self) -> int:
        """Ends the reading; the most that was read."""
        self._ended.set()
        self._thread.join()
        return self._peak_bytes

    def _read(self) -> None:
        pause_s = BETWEEN_READINGS_S
        while not self._ended.wait(pause_s):
            began = time.perf_counter()
            self._peak_bytes = max(self._peak_bytes, sum(map(_proportional_bytes, _tree(self._pid))))
            pause_s = max(BETWEEN_READINGS_S, PAUSE_PER_READING * (time.perf_counter() - began))


def _tree(pid: int) -> Iterator[int]:
    """A process and all below it that still run."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = children.read_text(encoding="ascii").split()
        except OSError:
            continue  # the thread has ended
        for child in below:
            yield from _tree(int(child))


def _proportional_bytes(pid: int) -> int:
    """Proportional set size of a process; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def environment(home: Path, kept: Path) -> dict[str, str]:
    """The environment of the command: this checkout's package, a cache, and a folder for Python's bytecode."""
    own = {"PYTHONPATH": ROOT, "REGRESS_HOME": home, "PYTHONPYCACHEPREFIX": kept, "PYTHONDONTWRITEBYTECODE": ""}
    return {**os.environ, **{name: str(value) for name, value in own.items()}}


@cache
def bytecode() -> Path:
    """The folder that Python keeps its bytecode in, filled by a first run of the command over nothing."""
    with tempfile.TemporaryDirectory(prefix="regress-site-speed-") as folder:
        kept = Path(tempfile.mkdtemp(prefix="regress-site-speed-"))
        atexit.register(shutil.rmtree, kept)
        nothing = Path(folder, "history")
        nothing.mkdir()
        argv = [*SITE, "--history", nothing, "--site", Path(folder, "site")]
        ran(argv, environment(Path(folder), kept), Path(folder, "output.txt"))
    return kept


class Place:
    """A history, the site that is made of it, and a cache of its own.

    Args:
        folder: An empty folder.
        plan: The history.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self.history, self.site = folder / "history", folder / "site"
        write_plan(self.history, plan)

    def build(self) -> Ran:
        """Writes the site, once what was written before is on the disk."""
        os.sync()
        argv = [*SITE, "--history", self.history, "--site", self.site]
        return ran(argv, environment(self.folder / "home", bytecode()), self.folder / "output.txt")

    def build_one_more(self) -> float:
        """Adds a run and writes the site again; how long the latter took, in seconds.

        Raises:
            RuntimeError: The run is not on the site.
        """
        record = append_run(self.history, self.plan).stem
        wall_s = self.build().wall_s
        if not any(self.site.rglob(f"*{record}*")) and record not in (self.site / "index.html").read_text("utf-8"):
            raise RuntimeError(f"the site was built again without the run that was added, {record}")
        return wall_s

    def records(self, runner: str = "*") -> list[Path]:
        """Where the records lie, oldest first, of one runner or of one after the other."""
        paths = self.history.glob(f"{runner}/*/*/*.json")
        return sorted(path for path in paths if not path.name.endswith(REPORT_SUFFIX))


def size_rows(folder: Path, values: int, asv: Sequence[str], repeats: int) -> Iterator[Row]:
    """All that is measured with a history of so many values."""
    place, name = Place(folder, Plan(values=values)), f"{values:,} values"
    count, size = len(place.records()), sum(path.stat().st_size for path in place.history.rglob("*.json"))
    full = place.build()
    about = f"{count:,} records of {size / count / 1e3:,.0f} kB with their reports"
    if asv and values <= MOST_FOR_ASV:
        asv_s = publish(asv, place, folder / "asv").wall_s
        about += f"; asv publish {asv_s:.2f} s, ratio {full.wall_s / asv_s:.2f}"
    yield Row(
        what=f"{name}: full build, s",
        measured=full.wall_s,
        bar=next((bar for most, bar in FULL_S.items() if values <= most), FULL_S[1_000_000]),
        form=".2f",
        beside=about,
    )
    yield Row(
        what=f"{name}: peak memory, MB",
        measured=full.peak_bytes / 1e6,
        bar=MEMORY_MB,
        form=",.0f",
        beside=f"of all processes; the largest one {full.largest_bytes / 1e6:,.0f}",
    )
    more_s = statistics.median(place.build_one_more() for _ in range(repeats))
    yield Row(what=f"{name}: one more run, s", measured=more_s, bar=ONE_MORE_S, form=".2f")
    view = first_view(place.site)
    yield Row(
        what=f"{name}: first view, bytes gzipped",
        measured=sum(map(sent_bytes, view)),
        bar=FIRST_VIEW_BYTES,
        form=",.0f",
        beside=", ".join(f"{path.name} {sent_bytes(path):,}" for path in view),
    )


def series_rows(folder: Path) -> Iterator[Row]:
    """The data of one long series; none where the site has no pages of series."""
    place = Place(folder, Plan(values=2 * SERIES_POINTS, runners=1, cases=1))
    full = place.build()
    data = largest_series_data(place.site)
    if data is None:
        note("the site has no page of a series that loads data: its size was not measured")
        return
    yield Row(
        what=f"a series of {SERIES_POINTS:,} points: its page's data, bytes gzipped",
        measured=sent_bytes(data),
        bar=DATA_BYTES,
        form=",.0f",
        beside=f"{data.name}; built in {full.wall_s:.1f} s",
    )


# What pages load.


def largest_series_data(site: Path) -> Path | None:
    """The largest script of data that a page of a series loads; `None` where none does."""
    pages = [read_page(page) for page in site.glob("series/*/*.html")]
    data = [path for page in pages for path in page.files() if path.parent == page.path.parent]
    return max(data, key=sent_bytes, default=None)


# asv.

ASV_BENCHMARKS = {
    "rates.time_prefill": "time_to_first_token_s",
    "rates.time_decode": "time_per_output_token_s",
}
"""Benchmark to what it times: the rates' own reciprocals, since asv takes less for better."""
ASV_COLUMNS = ["result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b"]
ASV_COLUMNS += ["stats_q_25", "stats_q_75", "stats_number", "stats_repeat", "samples", "profile"]
ASV_ENVIRONMENT = "existing-py"


def find_asv(named: str | None) -> list[str]:
    """The command that starts asv; empty where there is none."""
    if found := shutil.which(named or "asv"):
        return [found]
    return [sys.executable, "-m", "asv"] if importlib.util.find_spec("asv") else []


def publish(asv: Sequence[str], place: Place, folder: Path) -> Ran:
    """What `asv publish` takes for the values of a history, each runner's nth run being of the nth commit."""
    configuration = {
        "version": 1,
        "project": "regress",
        "repo": str(folder / "repository"),
        "branches": ["main"],
        "environment_type": "existing",
        "results_dir": str(folder / "results"),
        "html_dir": str(folder / "html"),
    }
    _write_json(folder / "asv.conf.json", configuration)
    commits = _commits(folder, place.plan.nights)
    cases = _write_results(folder / "results", place, commits)
    _write_json(folder / "results" / "benchmarks.json", {"version": 2, **_benchmarks(cases)})
    argv = [*asv, "publish", "--no-pull", "--config", folder / "asv.conf.json"]
    return ran(argv, os.environ, folder / "output.txt")


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _commits(folder: Path, count: int) -> list[str]:
    """The commits of a new repository, oldest first.

    Raises:
        RuntimeError: git could not make it.
    """
    repository, stream = folder / "repository", folder / "commits.txt"
    commit = "commit refs/heads/main\ncommitter A <a@example.org> {} +0000\ndata 5\nnight\n"
    stream.write_text("".join(commit.format(1_600_000_000 + 86_400 * night) for night in range(count)), "ascii")
    git = 'git init --quiet "$0" && cd "$0" && git fast-import --quiet < "$1" && git rev-list --reverse main'
    made = process.run(["sh", "-c", git, repository, stream])
    if not made.exit.ok:
        raise RuntimeError(f"git: {made.stderr}")
    return made.stdout.split()


def _write_results(results: Path, place: Place, commits: Sequence[str]) -> list[str]:
    """Writes asv's results, one file per run and machine; the names of the cases, which all machines share."""
    cases: list[str] = []
    for machine in MACHINES[: place.plan.runners]:
        params = {"machine": machine.name, "os": "Linux", "arch": machine.architecture, "cpu": machine.host}
        params |= {"num_cpu": "16", "ram": "270334464000"}
        _write_json(results / machine.name / "machine.json", {**params, "version": 1})
        for path, commit in zip(place.records(machine.name), commits, strict=False):
            record = history.load(path)
            cases = [_asv_name(case) for case in record.cases]
            _write_json(
                results / machine.name / f"{commit[:8]}-{ASV_ENVIRONMENT}.json", _results(record, commit, cases, params)
            )
    return cases


def _asv_name(case: CaseResult) -> str:
    """A case's name without quantization and target, by which CPUs and GPUs differ."""
    return f"{case.key.partition('/')[0]}/{case.workload.key}"


def _results(record: Record, commit: str, cases: Sequence[str], params: Mapping[str, str]) -> dict[str, object]:
    """A record's rates as a file of asv's results."""
    at_ms = int(record.recorded_at.timestamp() * 1000)
    rows = {}
    for benchmark, metric in ASV_BENCHMARKS.items():
        stats = [_statistics(case.values(metric)) for case in record.cases]
        columns = [list(column) for column in zip(*stats, strict=True)]
        rows[benchmark] = [columns[0], [[f"'{case}'" for case in cases]], benchmark, at_ms, 1.0, *columns[1:]]
    return {
        "commit_hash": commit,
        "env_name": ASV_ENVIRONMENT,
        "date": at_ms,
        "params": {**params, "python": "py"},
        "python": "py",
        "requirements": {},
        "env_vars": {},
        "result_columns": ASV_COLUMNS,
        "results": rows,
        "durations": {},
        "version": 2,
    }


def _statistics(times_s: Sequence[float]) -> tuple[float | None, ...]:
    """Median, its 99 % interval, quartiles, and numbers of repeats, as asv keeps them of a benchmark's samples."""
    if not times_s:
        return (None,) * 7
    low, median, high = statistics.quantiles(times_s, n=4)
    # asv takes the interval from order statistics: of ten samples, no less than the first to the last are 99 %.
    ordered = sorted(times_s)
    return median, ordered[0], ordered[-1], low, high, 1, len(times_s)


def _benchmarks(cases: Sequence[str]) -> dict[str, object]:
    """What asv knows of its benchmarks."""
    return {
        name: {
            "name": name,
            "code": "",
            "type": "time",
            "unit": "seconds",
            "version": name,
            "param_names": ["case"],
            "params": [[f"'{case}'" for case in cases]],
            "timeout": 60.0,
        }
        for name in ASV_BENCHMARKS
    }


# The whole.


def note(text: str) -> None:
    """Says what is not in the table."""
    print(f"note: {text}", file=sys.stderr)


def measured_rows(sizes: Iterable[int], asv: Sequence[str], *, series: bool, repeats: int) -> Iterator[Row]:
    """All that is measured, in the table's order; no history and no site is deleted before the end.

    For five minutes ext4 gives out no inode of a deleted file, but looks at each whenever a file is created: after tens
    of thousands of them that took .3 to .9 ms here, in place of .03.
    """
    with tempfile.TemporaryDirectory(prefix="regress-site-speed-") as folder:
        for values in sizes:
            if asv and values > MOST_FOR_ASV:
                note(f"asv is left out for {values:,} values: to write them in its form would take too long")
            yield from size_rows(Path(tempfile.mkdtemp(dir=folder)), values, asv, repeats)
        if series:
            yield from series_rows(Path(tempfile.mkdtemp(dir=folder)))


def main() -> int:
    """Measures, prints, and says by its exit status whether every bar is met."""
    parser = argparse.ArgumentParser(description="Measures how fast the site is built, and how small it is.")
    parser.add_argument("--short", action="store_true", help="1,000 and 10,000 values alone, and no long series")
    parser.add_argument("--values", type=int, nargs="+", help="these sizes alone, and no long series")
    parser.add_argument("--series", action="store_true", help="the long series, too, whatever the sizes")
    parser.add_argument("--asv", help="the asv to measure beside it; the one on PATH otherwise")
    parser.add_argument("--slack", type=float, default=1.0, help="exit 0 while bars so many times as wide are met")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    asv = find_asv(args.asv)
    if not asv:
        note("no asv here: it was not measured beside")
    chosen = args.values or (SHORT if args.short else None)
    series, repeats = args.series or chosen is None, 1 if args.short else 3
    rows = list(measured_rows(chosen or ALL, asv, series=series, repeats=repeats))
    print(as_json(rows) if args.json else table(rows))
    return 0 if all(row.within(args.slack) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
