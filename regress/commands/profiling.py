"""`profile`: the command that times kernels, and says which got slower."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from regress import errors, history
from regress.commands.choosing import only_case, require_own_builds
from regress.errors import UsageError
from regress.profile import FLAGS, Profile, decode_profile, difference
from regress.progress import say
from regress.record import encode
from regress.report.profile import diff_text, profile_text
from regress.workspace import open_workspace

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_MEASURING = ("baseline", "toolchain", "case", "flag", "prompt", "new_tokens", "rebuild", "output")


def profile(args: argparse.Namespace) -> int:
    """`regress profile`: the kernels of one case, or what changed between two stored profiles."""
    if args.diff:
        return _diff(args)
    # Two stored profiles are compared without what builds and measures.
    from regress.commands.measuring import failure_code, job_of, print_failures  # noqa: PLC0415
    from regress.profiling import profile as take  # noqa: PLC0415

    workspace = open_workspace(args)
    job = job_of(workspace, args, only_case(workspace.baseline(), args.case))
    require_own_builds(job.baseline, "profile")
    _require_flags(job.flags)
    say(f"built with {_words(FLAGS)}, whatever the case says: kernels inside a CUDA graph are not seen one by one")
    found = take(job, args.toolchain or workspace.config.measured(job.baseline.runner)[-1])
    if not isinstance(found, Profile):
        print_failures(found, [(case.key, case.failure) for case in found.cases if case.failure])
        return failure_code(found)
    if args.output:
        say(f"profile written to {history.write(Path(args.output), encode(found))}")
    sys.stdout.write(encode(found).decode() if args.json else profile_text(found))
    return errors.EXIT_PASS


def _diff(args: argparse.Namespace) -> int:
    given = [option for option in _MEASURING if getattr(args, option)]
    if given:
        raise UsageError(f"profile: --{given[0].replace('_', '-')} is for profiling, --diff compares what was profiled")
    old, new = (decode_profile(history.read(Path(name)), name) for name in args.diff)
    found = difference(old, new, tuple(args.diff))
    sys.stdout.write(encode(found).decode() if args.json else diff_text(found))
    return errors.EXIT_PASS


def _require_flags(given: Mapping[str, str]) -> None:
    """Raises `UsageError` where the command line sets otherwise what a profile needs."""
    refused = {name: value for name, value in given.items() if FLAGS.get(name, value) != value}
    if refused:
        raise UsageError(f"profile: --flag {_words(refused)}: a profile is built with {_words(FLAGS)}")


def _words(flags: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in flags.items())
