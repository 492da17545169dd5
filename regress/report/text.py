"""A check as a person reads it at a terminal, ending with the lines that Jetson users know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.averages import averages_of
from regress.metric import METRICS
from regress.report.telemetry import telemetry_line

if TYPE_CHECKING:
    from regress.record import CaseResult, Failure, Record
    from regress.verdict import CheckReport, Spread, Verdict

_AGAINST = {
    "stored": "the stored reference of {reference} in {baseline}",
    "measured": "{reference}, measured side by side with it on this machine",
}
_SAME = "with --baseline as it was given here"
"""A report knows its baseline by name alone, and the case is one of that file's."""


def report_text(report: CheckReport, record: Record) -> str:
    """The verdicts, then the averages; ends with a newline.

    Args:
        report: The verdicts.
        record: The record they are about.
    """
    against = _AGAINST[report.against].format(reference=report.reference_toolchain, baseline=report.baseline)
    lines = [f"{report.toolchain} on {report.runner}, against {against}", ""]
    for case in dict.fromkeys(verdict.case for verdict in report.verdicts):
        lines.append(case)
        lines += [_verdict_line(verdict) for verdict in report.verdicts if verdict.case == case]
    lines += ["", f"verdict: {report.outcome}", *_which_kernel(report)]
    averages = averages_text(record)
    return "\n".join(lines) + "\n" + (f"\n{averages}" if averages else "")


def _verdict_line(verdict: Verdict) -> str:
    if verdict.metric is None or verdict.baseline is None or verdict.candidate is None:
        return f"  {verdict.outcome:<12} {verdict.text}"
    unit = METRICS[verdict.metric].unit
    rates = f"{spread_text(verdict.baseline)} -> {spread_text(verdict.candidate)} {unit}"
    return f"  {verdict.outcome:<12} {verdict.text}\n{'':15}{rates}"


def spread_text(spread: Spread) -> str:
    """The median, and half the range of the replicates as a percentage of it."""
    return f"{spread.median:,.1f} ±{spread.relative_range / 2:.1%} (n={len(spread.values)})"


def _which_kernel(report: CheckReport) -> list[str]:
    """How to find the kernel behind a rate that was lost; empty where none was."""
    slower = [verdict.case for verdict in report.verdicts if verdict.outcome == "regressed" and verdict.metric]
    if not slower:
        return []
    command = f"regress profile --case {slower[0]} --toolchain"
    if report.toolchain == report.reference_toolchain:
        return [f"hint: {command} {report.toolchain} times each kernel, {_SAME}; --diff compares two such"]
    return [
        f"hint: which kernel got slower, {_SAME}:",
        f"  {command} {report.reference_toolchain} --output old.json",
        f"  {command} {report.toolchain} --output new.json",
        "  regress profile --diff old.json new.json",
    ]


def failure_hint(failure: Failure) -> str | None:
    """What helps against packages of different days; `None` where the cause is another."""
    mismatched = "undefined symbol" in failure.cause or failure.signal == "SIGSEGV"
    return "resolve the toolchain as of its release day: as_of = YYYY-MM-DD" if mismatched else None


def averages_text(record: Record) -> str:
    """Two lines per measured case, in the words of jetson-containers' benchmark; empty where nothing was measured.

    A third line says how the device fared, where it tells; it stands alone for a case of which nothing could be kept.
    """
    return "".join(_averages(case) + telemetry_line(case) for case in record.cases)


def _averages(case: CaseResult) -> str:
    found = averages_of(case)
    if found is None:
        return ""
    return (
        f"AVERAGE OVER {found.runs} RUNS, input={case.workload.prompt_tokens}, output={case.workload.new_tokens}\n"
        f"{_artifact_name(case)}: prefill_time {found.prefill_time_s:.4f} sec, "
        f"prefill_rate {found.prefill_tokens_per_s:.1f} tokens/sec, "
        f"decode_time {found.decode_time_s:.4f} sec, decode_rate {found.decode_tokens_per_s:.1f} tokens/sec\n"
    )


def _artifact_name(case: CaseResult) -> str:
    model, quantization, target, _ = case.key.split("/")
    return f"{model}-{quantization}-{target}"
