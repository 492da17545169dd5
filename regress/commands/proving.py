"""`drill` and `aa`: the commands that put the gate itself to the test."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from regress import errors, history, process
from regress.calibration import calibration
from regress.commands.choosing import only_case, require_own_builds
from regress.commands.measuring import job_of
from regress.drill import drill as put_faults_in
from regress.progress import Reporter, say
from regress.record import encode
from regress.report.proof import calibration_text, faults_json, faults_text
from regress.supervisor import telling_line
from regress.workspace import open_workspace

if TYPE_CHECKING:
    import argparse

    from regress.baseline import Baseline
    from regress.workspace import Workspace


def drill(args: argparse.Namespace) -> int:
    """`regress drill`: really slower builds and altered records.

    Exits 1 if one of them stays green, 8 if the noise of this machine hides one.
    """
    workspace = open_workspace(args)
    job = job_of(workspace, args, _drilled(workspace.baseline(), args))
    require_own_builds(job.baseline, "drill")
    found = put_faults_in(job, args.toolchain or workspace.config.measured(job.baseline.runner)[-1], args.loss)
    sys.stdout.write(faults_json(found) if args.json else faults_text(found))
    what = {fault.found for fault in found}
    if "green" in what:
        return errors.EXIT_REGRESSED
    return errors.EXIT_INCONCLUSIVE if "hidden" in what else errors.EXIT_PASS


def _drilled(baseline: Baseline, args: argparse.Namespace) -> Baseline:
    """The baseline with the one case to drill, and the tolerance of the command line."""
    import msgspec  # noqa: PLC0415

    baseline = only_case(baseline, args.case)
    case, tolerance = baseline.cases[0], dict(baseline.tolerance)
    if args.tolerance is not None:
        tolerance = dict.fromkeys({**baseline.tolerances(case)}, args.tolerance)
        case = msgspec.structs.replace(case, tolerance={})
    return msgspec.structs.replace(baseline, cases=(case,), tolerance=tolerance)


def aa(args: argparse.Namespace) -> int:
    """`regress aa`: checks of an unchanged build, through the command line itself, and what they say of the rule.

    The reports lie in a history of their own, so that a campaign can be stopped, continued and counted again.
    """
    workspace = open_workspace(args)
    if args.count_only:
        folder = workspace.history
    else:
        folder = Path(args.history) if args.history else workspace.home / "aa" / workspace.baseline_path.stem
        _measure(args, workspace, folder)
    entries = history.entries(folder, on_bad=lambda error: say(f"regress: warning: {error}"))
    found = calibration(entry.report for entry in entries if entry.report)
    sys.stdout.write(encode(found).decode() if args.json else calibration_text(found))
    if not found.verdicts:
        return errors.EXIT_INCONCLUSIVE
    return errors.EXIT_REGRESSED if found.false_fails else errors.EXIT_PASS


def _measure(args: argparse.Namespace, workspace: Workspace, folder: Path) -> None:
    """Runs the checks, each in a process of its own; every second one builds its artifact anew."""
    reporter = Reporter()
    toolchain = workspace.baseline().toolchain
    for number in range(args.checks):
        argv = [sys.executable, "-m", "regress", "check", "--json", "--exit-zero", "--toolchain", toolchain]
        argv += ["--config", str(workspace.config_path), "--baseline", str(workspace.baseline_path)]
        argv += ["--history", str(folder), *(["--rebuild"] if number % 2 else [])]
        with reporter.step(f"check {number + 1}/{args.checks} of {toolchain}"):
            output = process.run(argv, env=os.environ, timeout_s=args.timeout_s)
        if not output.exit.ok:
            reporter.note(f"  {output.exit.describe(args.timeout_s)}: {telling_line(output.stderr) or 'no word'}")
