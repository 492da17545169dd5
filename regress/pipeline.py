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
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from regress.job import Job
    from regress.record import Record
    from regress.verdict import Agreement, CheckReport


def measure(job: Job, names: Sequence[str], *, replicates: int | None = None) -> list[Record]:
    """Builds and measures every case with each toolchain; one record per toolchain, in the order of the names.

    Args:
        job: What to measure.
        names: Toolchains, by their names in `regress.toml`.
        replicates: Fresh processes per case and toolchain; the baseline's number where `None`, none where 0.

    Raises:
        ConfigError, ToolchainError, BuildError: Something is missing that no record could be made without.
    """
    campaign = Campaign(job, [Side(toolchain=name, flags=job.flags) for name in names])
    count = job.baseline.measure.replicates if replicates is None else replicates
    with campaign.device():
        campaign.measure([_everywhere(job, count)] * len(names))
    return campaign.records()


def measure_and_judge(job: Job, sides: Sequence[Side], beside: int | None) -> tuple[list[Record], CheckReport]:
    """Measures until the last side's verdicts are decided, or the budget of `[check]` ends.

    A change that shows against stored replicates is seen again side by side with the reference's own artifact, where
    that can be had, before anybody calls it one: a host that is slow for minutes looks like slow code, but not there.

    Args:
        job: What to measure.
        sides: What to measure it with; the last one is the candidate that the verdicts are about.
        beside: Number of the side that the candidate is measured side by side with; `None` to judge by the stored
            references. Sides that are neither get the baseline's number of replicates.

    Returns:
        One record per side, the candidate's last, and its report.

    Raises:
        ConfigError, ToolchainError, BuildError: Something is missing that no record could be made without.
    """
    measuring = _Measuring(job, sides, beside)
    with measuring.campaign.device():
        report = measuring.until_decided()
        if beside is None and report.changed() and job.baseline.toolchain in job.config.toolchains:
            job.reporter.note("a change shows: the reference's own artifact is measured beside it")
            report = measuring.beside_the_reference(report.changed())
        return measuring.records(), measuring.with_agreements(report)


class _Measuring:
    """A campaign whose last side is judged while it is measured."""

    def __init__(self, job: Job, sides: Sequence[Side], beside: int | None) -> None:
        self._job, self._beside, self._candidate = job, beside, len(sides) - 1
        self.campaign = Campaign(job, sides)
        first = LOOKS[0] if beside is None else BLOCK_LOOKS[0]
        self._wanted = [_everywhere(job, job.baseline.measure.replicates) for _ in sides]
        for number in self._judged():
            self._wanted[number] = _everywhere(job, first)

    def until_decided(self) -> CheckReport:
        """The report after as many replicates as the rule wants."""
        while True:
            self.campaign.measure(self._wanted)
            report = self._report()
            more = {case.key: report.wanted(case.key) for case in self._job.baseline.cases}
            if not any(more.values()):
                return report
            self._want(more)

    def beside_the_reference(self, cases: set[str]) -> CheckReport:
        """The report after those cases were measured in blocks with the reference's own artifact."""
        self._beside = self.campaign.join(Side(toolchain=self._job.baseline.toolchain))
        self._wanted.append(_everywhere(self._job, 0))
        self._want({case.key: BLOCK_LOOKS[0] * (case.key in cases) for case in self._job.baseline.cases})
        return self.until_decided()

    def with_agreements(self, report: CheckReport) -> CheckReport:
        """The report with how alike both builds answer, where both are here and their logits differ."""
        if self._beside is None:
            return report
        return self._report(self.campaign.agreements(self._beside, self._candidate))

    def records(self) -> list[Record]:
        """One record per side, the candidate's last."""
        records = self.campaign.records()
        return [*records[: self._candidate], *records[self._candidate + 1 :], records[self._candidate]]

    def _judged(self) -> list[int]:
        return [self._candidate] if self._beside is None else [self._candidate, self._beside]

    def _want(self, more: Mapping[str, int]) -> None:
        for number in self._judged():
            self._wanted[number] = {key: count + more[key] for key, count in self._wanted[number].items()}

    def _report(self, agreements: Mapping[str, Agreement] | None = None) -> CheckReport:
        job, records = self._job, self.campaign.records()
        measured = None if self._beside is None else records[self._beside]
        return check(records[self._candidate], job.baseline, job.baseline_name, measured, agreements)


def _everywhere(job: Job, count: int) -> dict[str, int]:
    return {case.key: count for case in job.baseline.cases}


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
