"""How long the hosted part of a night takes beside a history of 10,000 runs: one table, exit status 1 over the bar.

    python benchmarks/night.py
    python benchmarks/night.py --runs 1000

Ten runners have delivered a record and a report each. `regress plan`, `history push` to a remote that holds the
history, `publish` of checks and issues to a stand-in for GitHub on this machine, and `report`: wall times of the whole
commands, medians of several nights. The network's own time is not in them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from history_remote import ROOT, RUNNERS, Bench

from regress import process

sys.path.append(str(ROOT / "tests"))

from integration.github_server import REPOSITORY, TOKEN, LocalGitHub, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

BAR_S = 10.0
NIGHTS = 3
NAMES = [f"runner-{number}" for number in range(RUNNERS)]


def workspace(folder: Path) -> Path:
    """A repository's folder with ten runners, each with the baseline of the H200."""
    (folder / "baselines").mkdir(parents=True)
    config = (ROOT / "regress.toml").read_text(encoding="utf-8").split("[runners.")[0]
    (folder / "regress.toml").write_text(config + "".join(f"[runners.{name}]\n" for name in NAMES), encoding="utf-8")
    baseline = (ROOT / "baselines" / "h200.toml").read_text(encoding="utf-8")
    for name in NAMES:
        text = baseline.replace('runner = "h200"', f'runner = "{name}"')
        (folder / "baselines" / f"{name}.toml").write_text(text, encoding="utf-8")
    plan = {"include": [{"runner": name, "baseline": f"baselines/{name}.toml"} for name in NAMES]}
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    return folder


def night(bench: Bench, where: Path, env: Mapping[str, str]) -> dict[str, float]:
    """Command to its wall time in seconds, for ten new runs."""
    incoming = Path(tempfile.mkdtemp(dir=bench.folder))
    bench.more_nights(incoming)
    told = ("--plan", "plan.json", "--incoming", incoming)
    commands: dict[str, tuple[tuple[str | Path, ...], int]] = {
        "plan": (("plan", "--json"), 0),
        "history push": (("history", "push", "--history", incoming, "--remote", f"ssh://there{bench.remote}"), 0),
        "publish": (("publish", *told, "--checks", "--issues"), 0),
        "report": (("report", *told, "--summary", "summary.md", "--junit", "report.xml", "--annotations"), 8),
    }
    return {name: timed(arguments, code, where, env) for name, (arguments, code) in commands.items()}


def timed(arguments: tuple[str | Path, ...], code: int, where: Path, env: Mapping[str, str]) -> float:
    """Wall time of a command in seconds, which has to end with that status."""
    started = time.monotonic()
    output = process.run([sys.executable, "-m", "regress", *arguments], cwd=where, env=env)
    took_s = time.monotonic() - started
    if output.exit.code != code:
        raise RuntimeError(output.stderr)
    return took_s


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Measures the hosted part of a night.")
    parser.add_argument("--runs", type=int, default=10_000, help="runs that the history holds")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="regress-night-") as folder, serving(LocalGitHub()) as hub:
        bench = Bench(Path(folder), args.runs, 0)
        bench.timed("owner", "push", bench.folder / "full")
        github = {"GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": hub.endpoint, "GITHUB_REPOSITORY": REPOSITORY}
        env = {**os.environ, **github, "GITHUB_SHA": "a" * 40, "GIT_SSH_COMMAND": str(bench.ssh)}
        env |= {"PYTHONPATH": str(ROOT), "REGRESS_HOME": str(bench.folder / "hosted")}
        nights = [night(bench, workspace(bench.folder / f"work-{number}"), env) for number in range(NIGHTS)]
    for name in nights[0]:
        print(f"{name:<14} {statistics.median(each[name] for each in nights):6.2f} s")
    total_s = statistics.median(sum(each.values()) for each in nights)
    print(f"{'together':<14} {total_s:6.2f} s  {'ok' if total_s < BAR_S else 'MISSED'}, bar {BAR_S:.0f} s")
    return int(total_s >= BAR_S)


if __name__ == "__main__":
    sys.exit(main())
