"""`run`, `build`, `bench`, `compare`: the commands that start toolchains."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regress import errors, pipeline, sheet
from regress.bench import harness_digests, parse_prompts
from regress.campaign import Side
from regress.check import judge_builds
from regress.commands.choosing import chosen_cases, require_token_ids
from regress.errors import ConfigError, UsageError
from regress.job import Job
from regress.pipeline import Plan
from regress.progress import Reporter
from regress.proposal import FEWEST_RUNS, FEWEST_SESSIONS
from regress.record import encode
from regress.rehearsal import beside, holds_here, python_of, rehearse
from regress.report.machine import prospect_json, report_json
from regress.report.prospect import prospect_text
from regress.report.text import averages_text, failure_hint, report_text
from regress.workspace import open_workspace, shown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from regress.baseline import Baseline
    from regress.prospect import Prospect
    from regress.record import Failure, Record
    from regress.verdict import CheckReport
    from regress.workspace import Workspace


_RUNS_EACH = -(-FEWEST_RUNS // FEWEST_SESSIONS) + 1
"""Replicates of each recorded run that a reference is made of: together more than the fewest."""


def run(args: argparse.Namespace) -> int:
    """`regress run`: all of it. The last toolchain is the candidate."""
    workspace = open_workspace(args)
    job = job_of(workspace, args)
    names = list(args.toolchain or workspace.config.measured(job.baseline.runner))
    plan = _with_reference(job, [Side(toolchain=name, flags=job.flags) for name in names])
    records, report = pipeline.judge_and_save(job, plan)
    _print_report(report, records[-1], as_json=args.json)
    if plan.beside is not None and not job.baseline.holds_for(records[-1].environment, harness_digests(), job.method):
        _explain_own_baseline(workspace, job, records)
    published = args.no_site or _publish(workspace, job)
    if args.exit_zero or report.exit_code == errors.EXIT_PASS:
        return errors.EXIT_PASS if published else errors.EXIT_HISTORY
    return report.exit_code


def _publish(workspace: Workspace, job: Job) -> bool:
    """Writes the site; whether it could be written. The verdict stands either way."""
    from regress.commands.publishing import publish  # noqa: PLC0415  # templates take 0.1 s to load

    sys.stdout.flush()
    try:
        publish(workspace, job.reporter)
    except errors.HistoryError as error:
        job.reporter.note("\n".join(error.lines()))
        return False
    return True


def check_now(args: argparse.Namespace, workspace: Workspace) -> int:
    """`regress check` without a record: measures one toolchain and judges it by the stored references.

    Where the sessions of those differ too much, the reference's own artifact is measured beside it. With `--dry-run` it
    says all that, and measures nothing.
    """
    job = job_of(workspace, args)
    name = _judged(workspace, job, args)
    if args.dry_run:
        return _print_prospect(args, rehearse(job, name, shown(workspace.baseline_path)))
    if not holds_here(job, name):
        job.reporter.note(
            f"{workspace.baseline_name} has no references that hold here: `regress run` measures them beside"
        )
    plan = Plan(sides=[Side(toolchain=name, flags=job.flags)])
    if (paired := beside(job, name)) is not None:
        job.reporter.note(
            f"{workspace.baseline_name}: its sessions differ, so its own artifact is measured side by side"
        )
        plan = Plan(sides=[Side(toolchain=paired), *plan.sides], beside=0)
    records, report = pipeline.judge_and_save(job, plan)
    _print_report(report, records[-1], as_json=args.json)
    return errors.EXIT_PASS if args.exit_zero else report.exit_code


def _print_prospect(args: argparse.Namespace, prospect: Prospect) -> int:
    sys.stdout.write(prospect_json(prospect) if args.json else prospect_text(prospect))
    return errors.EXIT_PASS if args.exit_zero else prospect.exit_code


def compare(args: argparse.Namespace) -> int:
    """`regress compare OLD NEW`: two toolchains measured in alternating blocks on this machine."""
    if args.old == args.new:
        raise UsageError(f"compare: '{args.old}' is given twice")
    workspace = open_workspace(args)
    job = job_of(workspace, args)
    sides = [Side(toolchain=name, flags=job.flags) for name in (args.old, args.new)]
    records, report = pipeline.judge_and_save(job, Plan(sides=sides, beside=0, stands_in=False))
    _print_report(report, records[-1], as_json=args.json)
    return errors.EXIT_PASS if args.exit_zero else report.exit_code


def bench(args: argparse.Namespace) -> int:
    """`regress bench`: measures one toolchain and records it; no verdict."""
    workspace = open_workspace(args)
    table = Path(args.save) if args.save else None
    if table is not None:
        sheet.require_appendable(table)
    job = job_of(workspace, args)
    records, paths = pipeline.measure_and_save(job, [_judged(workspace, job, args)])
    if args.json:
        sys.stdout.write(encode(records[0]).decode())
    else:
        sys.stdout.write(f"{paths[0]}\n{averages_text(records[0])}")
    if table is not None:
        sheet.append(table, records[0])
    return failure_code(records[0])


def build(args: argparse.Namespace) -> int:
    """`regress build`: builds every case's artifact; a build that breaks goes into the history.

    With `--check` the build is judged by what needs no device.
    """
    workspace = open_workspace(args)
    job = job_of(workspace, args)
    record = pipeline.measure(job, [_judged(workspace, job, args)], replicates=0)[0]
    failures = [(case.key, case.failure) for case in record.cases if case.failure]
    if failures:
        path = pipeline.save(job, [record])[0]
        job.reporter.note(f"recorded as {path}")
    if args.check:
        report = judge_builds(record, job.baseline, job.baseline_name)
        _print_report(report, record, as_json=args.json)
        return report.exit_code
    if args.json:
        sys.stdout.write(encode(record).decode())
    else:
        sys.stdout.write(_artifacts_text(record, workspace))
    print_failures(record, failures)
    return failure_code(record)


def _judged(workspace: Workspace, job: Job, args: argparse.Namespace) -> str:
    """The toolchain that a command line names, or the one that the baseline's runner judges."""
    return args.toolchain or workspace.config.measured(job.baseline.runner)[-1]


def job_of(workspace: Workspace, args: argparse.Namespace, baseline: Baseline | None = None) -> Job:
    """What a command line asks to measure.

    Args:
        workspace: Where.
        args: Its arguments.
        baseline: The cases; those of the workspace's baseline file that the command line chooses where `None`.
    """
    baseline = baseline or chosen_cases(workspace.baseline(), args.case)
    prompts = _prompts(args)
    if prompts:
        require_token_ids(baseline)
    return Job(
        config=workspace.config,
        baseline=_adjusted(baseline, args, len(prompts[0]) if prompts else None),
        baseline_name=workspace.baseline_name,
        home=workspace.home,
        history=workspace.history,
        reporter=Reporter(),
        flags=_flags(args.flag),
        prompts=prompts,
        rebuild=args.rebuild,
    )


def _adjusted(baseline: Baseline, args: argparse.Namespace, prompt_tokens: int | None) -> Baseline:
    """The baseline with what the command line sets instead: replicates, budget, and the workload of a prompt file."""
    import msgspec  # noqa: PLC0415

    changes: dict[str, Any] = {}
    if prompt_tokens is not None:
        changes["prompt_tokens"] = prompt_tokens
    if args.new_tokens is not None:
        changes["new_tokens"] = args.new_tokens
    if getattr(args, "replicates", None) is not None:
        measure = msgspec.structs.replace(baseline.measure, replicates=args.replicates)
        baseline = msgspec.structs.replace(baseline, measure=measure)
    if getattr(args, "budget", None) is not None:
        baseline = msgspec.structs.replace(baseline, check=msgspec.structs.replace(baseline.check, budget=args.budget))
    if not changes:
        return baseline
    # What is stored or published is of the case's own workload.
    other = [msgspec.structs.replace(case, reference=None, published=None, **changes) for case in baseline.cases]
    cases = {case.key: case for case in other}
    return msgspec.structs.replace(baseline, cases=tuple(cases.values()))


def _prompts(args: argparse.Namespace) -> tuple[tuple[int, ...], ...] | None:
    if args.prompt is None:
        return None
    path = Path(args.prompt)
    try:
        return parse_prompts(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error


def _flags(given: Sequence[str]) -> dict[str, str]:
    flags: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--flag {text}: expected NAME=VALUE")
        flags[name] = value
    return flags


def _with_reference(job: Job, sides: list[Side]) -> Plan:
    """What to measure, and which of it the candidate is measured side by side with, if any.

    The baseline's own toolchain, built as its cases say, is put in front where its stored references cannot be used
    here; it is not measured twice.
    """
    if not pipeline.needs_reference(job, python_of(job, sides[-1].toolchain)):
        return Plan(sides=sides)
    reference = Side(toolchain=job.baseline.toolchain)
    return Plan(sides=[reference, *(side for side in sides[:-1] if side != reference), sides[-1]], beside=0)


def _print_report(report: CheckReport, record: Record, *, as_json: bool) -> None:
    sys.stdout.write(report_json(report) if as_json else report_text(report, record))
    print_failures(record, [(verdict.case, verdict.failure) for verdict in report.verdicts if verdict.failure])


def print_failures(record: Record, failures: Sequence[tuple[str, Failure]]) -> None:
    """Each different failure once, on standard error, with all cases it befell."""
    cases: dict[str, list[str]] = {}
    for case, failure in failures:
        cases.setdefault(failure.cause, []).append(case)
    for failure in {failure.cause: failure for _, failure in failures}.values():
        _print_failure(record, failure, ", ".join(cases[failure.cause]))


def _print_failure(record: Record, failure: Failure, cases: str) -> None:
    error = errors.RegressError(
        f"{failure.stage} failed for {cases} with {record.toolchain.name} ({failure.how})",
        cause=failure.cause,
        hint=failure_hint(failure),
    )
    sys.stderr.write("\n".join(error.lines()) + "\n")
    if failure.log:
        indented = failure.log.replace("\n", "\n    ")
        sys.stderr.write(f"  log:\n    {indented}\n")


def _explain_own_baseline(workspace: Workspace, job: Job, records: Sequence[Record]) -> None:
    """Says how this machine gets a baseline of its own, where a whole record of the reference toolchain was taken."""
    name = job.baseline.toolchain
    if any(record.toolchain.name == name and all(case.replicates for case in record.cases) for record in records):
        job.reporter.note(
            f"\n{workspace.baseline_name} does not describe this machine. To store its own baseline, "
            f"measure {FEWEST_SESSIONS} times, on different days if you can, and keep it:\n"
            f"  regress bench --toolchain {name} --replicates {_RUNS_EACH}\n"
            "  regress baseline --baseline baselines/NAME.toml"
        )


def _artifacts_text(record: Record, workspace: Workspace) -> str:
    lines = []
    for case in record.cases:
        if case.artifact:
            artifact = case.artifact
            lines.append(
                f"{case.key}  {workspace.home / 'artifacts' / artifact.digest}  "
                f"lib {artifact.model_lib_bytes:,} bytes, {artifact.bits_per_param:.2f} bits/param, "
                f"{len(artifact.kernels)} kernels, built in {artifact.build_duration_s:.1f} s"
            )
            lines += [f"  {finding.text}" for finding in (artifact.mlc.findings if artifact.mlc else ())]
    return "".join(f"{line}\n" for line in lines)


def failure_code(record: Record) -> int:
    """Exit code of a record without verdict: the stage of its first failure, or that not all could be measured."""
    for case in record.cases:
        if case.failure:
            return errors.EXIT_BENCH if case.failure.was_built else errors.EXIT_BUILD
    return errors.EXIT_INCONCLUSIVE if any(case.gave_up for case in record.cases) else errors.EXIT_PASS
