"""`check` and `baseline`: the commands that judge a record, or make it the reference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from regress import errors, history
from regress.check import check as check_record
from regress.errors import HistoryError, UsageError
from regress.progress import say
from regress.report.machine import report_json
from regress.report.text import report_text
from regress.workspace import open_workspace, read_text, shown

if TYPE_CHECKING:
    import argparse

    from regress.record import Record
    from regress.workspace import Workspace


def check(args: argparse.Namespace) -> int:
    """`regress check`: judges a stored record, or measures one first."""
    workspace = open_workspace(args)
    if args.record is None:
        from regress.commands.measuring import check_now  # noqa: PLC0415  # judging a record starts nothing

        return check_now(args, workspace)
    measuring = {"toolchain", "prompt", "new_tokens", "replicates", "flag"}
    given = sorted(option for option in measuring if getattr(args, option))
    if given:
        raise UsageError(f"check: --{given[0].replace('_', '-')} is for measuring, --record judges what was measured")
    record = history.load(Path(args.record))
    report = check_record(record, workspace.baseline(), workspace.baseline_name)
    sys.stdout.write(report_json(report) if args.json else report_text(report, record))
    return errors.EXIT_PASS if args.exit_zero else report.exit_code


def baseline(args: argparse.Namespace) -> int:
    """`regress baseline`: writes recorded runs into a baseline file as its references."""
    from regress.baseline import with_references  # noqa: PLC0415

    workspace = open_workspace(args)
    target = workspace.baseline_path
    if args.baseline is None and workspace.embedded:
        raise UsageError(
            "baseline: the embedded baseline is not to be changed", hint="name a file with --baseline FILE"
        )
    template = target if target.exists() else workspace.config_path.parent / workspace.config.run.baseline
    records = [history.load(Path(path)) for path in args.record] or [_newest(workspace, template)]
    runner = None if target.exists() else target.stem
    text = with_references(read_text(template), shown(template), records, runner=runner)
    history.write(target, text.encode())
    say(f"{shown(target)}: references of {records[0].toolchain.name} from {', '.join(r.id for r in records)}")
    return errors.EXIT_PASS


def _newest(workspace: Workspace, template: Path) -> Record:
    """The newest record of the baseline's runner and toolchain that measured all it was asked for."""
    from regress.baseline import parse_baseline  # noqa: PLC0415

    wanted = parse_baseline(read_text(template), shown(template))
    found = [
        entry.record
        for entry in history.entries(workspace.history, on_bad=lambda error: say(f"regress: warning: {error}"))
        if entry.record.runner == wanted.runner
        and entry.record.toolchain.name == wanted.toolchain
        and all(case.replicates for case in entry.record.cases)
    ]
    if not found:
        raise HistoryError(
            f"{workspace.history}: no record of {wanted.toolchain} by runner '{wanted.runner}'",
            hint=f"measure one: regress bench --toolchain {wanted.toolchain}",
        )
    return found[-1]
