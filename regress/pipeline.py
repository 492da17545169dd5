"""The main job: install, resolve, build, measure, judge while measuring, record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress import history
from regress.bench import harness_digest
from regress.campaign import Campaign, Side
from regress.check import check
from regress.errors import HistoryError
from regress.judge import asks_for_pairs
from regress.rule import BLOCK_LOOKS, LOOKS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from regress.job import Job
    from regress.record import Record
    from regress.verdict import CheckReport


def measure(job: Job, names: Sequence[str], *, replicates: int | None = None) -> list[Record]:
    """Builds and measures every case with each toolchain; one record per toolchain, in the order of the names.

    Args:
        job: What to measure.
        names: Toolchains, by their names in `regress.toml`.
        replicates: Fresh processes per case and toolchain; the baseline's number where `None`, none where 0.

    Raises:
        ConfigError, ToolchainError, BuildError: Something is missing that no record could be made without.
    """
    campaign = Campaign(job, [Side(toolchain=name) for name in names])
    count = job.baseline.measure.replicates if replicates is None else replicates
    with campaign.device():
        campaign.measure([_everywhere(job, count)] * len(names))
    return campaign.records()


def measure_and_judge(job: Job, sides: Sequence[Side], beside: int | None) -> tuple[list[Record], CheckReport]:
    """Measures until the last side's verdicts are decided, or the budget of `[check]` ends.

    Args:
        job: What to measure.
        sides: What to measure it with; the last one is the candidate that the verdicts are about.
        beside: Number of the side that the candidate is measured side by side with; `None` to judge by the stored
            references. Sides that are neither get the baseline's number of replicates.

    Returns:
        One record per side, and the candidate's report.

    Raises:
        ConfigError, ToolchainError, BuildError: Something is missing that no record could be made without.
    """
    campaign, first = Campaign(job, sides), BLOCK_LOOKS[0] if beside is not None else LOOKS[0]
    wanted = [_everywhere(job, job.baseline.measure.replicates) for _ in sides]
    judged = {len(sides) - 1, *([] if beside is None else [beside])}
    for number in judged:
        wanted[number] = _everywhere(job, first)
    with campaign.device():
        while True:
            campaign.measure(wanted)
            report = _report(job, campaign, beside)
            more = {case.key: report.wanted(case.key) for case in job.baseline.cases}
            if not any(more.values()):
                break
            for number in judged:
                wanted[number] = {key: count + more[key] for key, count in wanted[number].items()}
        if beside is None:
            return campaign.records(), report
        agreements = campaign.agreements(beside, len(sides) - 1)
    records = campaign.records()
    return records, check(records[-1], job.baseline, job.baseline_name, records[beside], agreements)


def _everywhere(job: Job, count: int) -> dict[str, int]:
    return {case.key: count for case in job.baseline.cases}


def _report(job: Job, campaign: Campaign, beside: int | None) -> CheckReport:
    records = campaign.records()
    return check(records[-1], job.baseline, job.baseline_name, None if beside is None else records[beside])


def needs_reference(job: Job, python: str) -> bool:
    """Whether the baseline's toolchain must be measured beside the candidate.

    So it is where the stored references are of another machine or another bench worker, and where sessions of the
    stored replicates differ so much that only a comparison on the spot can tell.

    Args:
        job: With the baseline.
        python: Version of the candidate's Python.
    """
    baseline = job.baseline
    references = baseline.references()
    if any(reference.form == "one_sample" for reference in references.values()):
        return False
    if not references or not baseline.holds_for(job.machine(python), harness_digest()):
        return True
    return sessions_differ(job)


def sessions_differ(job: Job) -> bool:
    """Whether the session variance asks for a side-by-side comparison, as `[check] paired` has it."""
    baseline, references = job.baseline, job.baseline.references()
    if baseline.check.paired != "auto":
        return baseline.check.paired == "always"
    return any(
        asks_for_pairs(references[case.key], metric)
        for case in baseline.cases
        if case.key in references
        for metric in baseline.tolerances(case)
    )


def save(job: Job, records: Sequence[Record]) -> list[Path]:
    """Appends records to the history; their paths.

    Raises:
        HistoryError: The history cannot be written; every record that is not in it is then kept in the cache folder,
            if that can be.
    """
    paths: list[Path] = []
    try:
        for record in records:
            paths.append(history.append(record, job.history))  # noqa: PERF401  # those that are in count, if one fails
    except HistoryError as error:
        raise _kept(job, records[len(paths) :], error) from error
    return paths


def _kept(job: Job, records: Sequence[Record], error: HistoryError) -> HistoryError:
    """The error with where the records were kept instead, or why they are lost."""
    try:
        kept = [history.append(record, job.home / "unsaved") for record in records]
    except HistoryError as second:
        return HistoryError(str(error), cause=str(second), hint="the measurement is lost")
    return HistoryError(str(error), hint=f"kept instead: {', '.join(str(path) for path in kept)}")


def save_report(report: CheckReport, record: Path) -> None:
    """Writes what was said of a record beside it; a record outside the history keeps its report there, too."""
    history.append_report(report, record)
