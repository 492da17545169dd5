"""`check` and `baseline`: the commands that judge a record, or make it the reference."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from regress import errors, history
from regress.check import check as check_record
from regress.commands.choosing import chosen_cases
from regress.errors import HistoryError, UsageError
from regress.progress import say
from regress.report.machine import report_json
from regress.report.text import report_text
from regress.workspace import open_workspace, read_text, shown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from regress.baseline import Baseline
    from regress.record import Record
    from regress.workspace import Workspace


def check(args: argparse.Namespace) -> int:
    """`regress check`: judges a stored record, or measures one first."""
    workspace = open_workspace(args)
    if args.record is None:
        if args.save:
            raise UsageError("check: --save is for --record, what is measured is always kept with its verdicts")
        from regress.commands.measuring import check_now  # noqa: PLC0415  # judging a record starts nothing

        return check_now(args, workspace)
    measuring = {"dry_run", "toolchain", "prompt", "new_tokens", "budget", "flag", "rebuild"}
    given = sorted(option for option in measuring if getattr(args, option))
    if given:
        raise UsageError(f"check: --{given[0].replace('_', '-')} is for measuring, --record judges what was measured")
    record = history.load(Path(args.record))
    wanted = chosen_cases(workspace.baseline(), args.case)
    if args.save:
        _require_all_of(record, wanted, workspace.baseline_name)
    report = check_record(record, wanted, workspace.baseline_name)
    sys.stdout.write(report_json(report) if args.json else report_text(report, record))
    if args.save:
        history.append_report(report, Path(args.record))
    return errors.EXIT_PASS if args.exit_zero else report.exit_code


def _require_all_of(record: Record, wanted: Baseline, name: str) -> None:
    """Refuses to keep verdicts that are not about the whole record, by its runner's own baseline: they stay."""
    if record.runner != wanted.runner:
        raise UsageError(f"check: --save: {name} is of runner '{wanted.runner}', the record of '{record.runner}'")
    keys = {case.key for case in wanted.cases}
    if left := [case.key for case in record.cases if case.key not in keys]:
        raise UsageError(f"check: --save: '{left[0]}' of the record would not be judged")


def baseline(args: argparse.Namespace) -> int:
    """`regress baseline`: writes recorded runs into a baseline file as its references, or proposes the change."""
    from regress.proposal import Why, diff, with_references  # noqa: PLC0415

    workspace = open_workspace(args)
    target = workspace.baseline_path
    if args.baseline is None and workspace.embedded:
        raise UsageError(
            "baseline: the embedded baseline is not to be changed", hint="name a file with --baseline FILE"
        )
    template = target if target.exists() else workspace.config_path.parent / workspace.config.run.baseline
    before = read_text(template)
    records = [history.load(Path(path)) for path in args.record] or _newest(workspace, template)
    why = Why(
        written_on=datetime.now(timezone.utc).date(),
        reason=args.reason or _first_reason(before, target),
        runner=None if target.exists() else target.stem,
    )
    text = with_references(before, shown(template), records, why)
    _warn_of_one_day(records)
    if args.action == "propose":
        sys.stdout.write(diff(before if target.exists() else "", text, shown(target)))
        return errors.EXIT_PASS
    history.write(target, text.encode())
    say(f"{shown(target)}: references of {records[0].toolchain.name} from {', '.join(r.id for r in records)}")
    return errors.EXIT_PASS


def _first_reason(before: str, target: Path) -> str:
    """What a first reference says of itself; a reference that is replaced wants a reason from whoever replaces it."""
    from regress.baseline import parse_baseline  # noqa: PLC0415

    if target.exists() and any(case.reference for case in parse_baseline(before, shown(target)).cases):
        raise UsageError(
            f"baseline: {shown(target)} has references already",
            hint="say why they are replaced: --reason 'TVM 0.27 is the release we ship'",
        )
    return "first references of this machine"


def _warn_of_one_day(records: Sequence[Record]) -> None:
    days = {record.recorded_at.astimezone(timezone.utc).date() for record in records}
    if len(days) == 1:
        say(f"regress: warning: all runs are of {days.pop()}: how one day differs from the next is not known")


def _newest(workspace: Workspace, template: Path) -> list[Record]:
    """The newest records of the baseline's runner and toolchain, on the machine of the newest one, that are whole."""
    from regress.baseline import parse_baseline  # noqa: PLC0415
    from regress.proposal import FEWEST_SESSIONS  # noqa: PLC0415

    wanted = parse_baseline(read_text(template), shown(template))
    found = [
        entry.record
        for entry in history.entries(workspace.history, on_bad=lambda error: say(f"regress: warning: {error}"))
        if entry.record.runner == wanted.runner
        and entry.record.toolchain.name == wanted.toolchain
        and {case.key for case in wanted.cases} <= {case.key for case in entry.record.cases if case.replicates}
    ]
    if not found:
        raise HistoryError(
            f"{workspace.history}: no record of {wanted.toolchain} by runner '{wanted.runner}'",
            hint=f"measure one: regress bench --toolchain {wanted.toolchain}",
        )
    last = found[-1]
    alike = [record for record in found if _alike(record, last)]
    return alike[-FEWEST_SESSIONS:]


def _alike(record: Record, other: Record) -> bool:
    return _identity(record) == _identity(other)


def _identity(record: Record) -> tuple[str, str, set[str]]:
    harnesses = {record.harness_of(result) for result in record.cases}
    return record.environment.fingerprint, record.toolchain.fingerprint, harnesses
