"""`doctor`: the command that says what stands between this machine and rates that can be compared."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from regress import errors
from regress.doctor import examine
from regress.probe import gather
from regress.report.doctor import findings_json, findings_text
from regress.workspace import open_workspace

if TYPE_CHECKING:
    import argparse


def doctor(args: argparse.Namespace) -> int:
    """`regress doctor`: a line for each thing that can be wrong, with its remedy; exits 3 where something fails."""
    workspace = open_workspace(args)
    findings = examine(gather(workspace.config, workspace.baseline(), workspace.home))
    sys.stdout.write(findings_json(findings) if args.json else findings_text(findings))
    return errors.EXIT_CONFIG if any(each.level == "fail" for each in findings) else errors.EXIT_PASS
