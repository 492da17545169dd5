"""`trend`: the command that judges the history as a whole."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from regress import errors, history
from regress.progress import say
from regress.report.machine import report_json
from regress.report.trend import trend_text
from regress.trend import trend as judge_history
from regress.workspace import open_workspace

if TYPE_CHECKING:
    import argparse


def trend(args: argparse.Namespace) -> int:
    """`regress trend`: judges every series of the baseline's runner at its newest run."""
    workspace = open_workspace(args)
    baseline = workspace.baseline()
    entries = history.entries(workspace.history, on_bad=lambda error: say(f"regress: warning: {error}"))
    report = judge_history(entries, baseline, workspace.baseline_name)
    sys.stdout.write(report_json(report) if args.json else trend_text(report))
    return errors.EXIT_PASS if args.exit_zero else report.exit_code
