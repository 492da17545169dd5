"""The main job: install, resolve, build, measure, judge while measuring, record."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from regress import history
from regress.bench import harness_digests
from regress.campaign import Campaign, Side
from regress.check import Beside, check
from regress.errors import HistoryError, RegressError
from regress.interruption import postponed
from regress.judge import same_build
from regress.layout import place_for
from regress.rule import BLOCK_LOOKS, LOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from regress.job import Job
    from regress.record import Failure, Record
    from regress.verdict import Agreement, CheckReport

UNSAVED = "unsaved"
"""Folder in the cache folder for records that are not in the history: interrupted ones, or those it could not take."""


def measure(job: Job, names: Sequence[str], *, replicates: int | None = None) -> list[Record]:
    """Builds and measures every case with each toolchain; one record per toolchain, in the order of the names.

    Args:
        job: What to measure.
        names: Toolchains, by their names in `regress.toml`.
        replicates: Fresh processes per case and toolchain; the baseline's number where `None`, none where 0.

    Raises:
        ConfigError, ToolchainError, BuildError: Something is missing that no record could be made without.
    """
    with _measured(job, names, replicates) as records:
        return records


def measure_and_save(job: Job, names: Sequence[str]) -> tuple[list[Record], list[Path]]:
    """As `measure`, with the paths of the records in the history.

    Raises:
        ConfigError, ToolchainError, BuildError: Something is missing that no record could be made without.
        HistoryError: As `save`.
    """
    with _measured(job, names, None) as records:
        return records, save(job, records)


@contextmanager
def _measured(job: Job, names: Sequence[str], replicates: int | None) -> Iterator[list[Record]]:
    """What was measured; what ends the block before it is saved does not lose it."""
    campaign = Campaign(job, [Side(toolchain=name, flags=job.flags) for name in names])
    count = job.baseline.measure.replicates if replicates is None else replicates
    with campaign.device(), _kept_if_ended(job, campaign):
        campaign.measure([_everywhere(job, count)] * len(names))
        yield campaign.records()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured to judge its last side.

    Attributes:
        sides: What to measure with; the last one is the candidate.
        beside: Number of the side that the candidate is measured side by side with; `None` to begin with the stored
            references. Sides that are neither get the baseline's number of replicates.
        stands_in: Whether that side is the baseline's own build measured again, and not what somebody asked to compare
            with.
    """

    sides: Sequence[Side]
    beside: int | None = None
    stands_in: bool = True


def measure_and_judge(job: Job, plan: Plan) -> tuple[list[Record], CheckReport]:
    """Measures until the candidate's verdicts are decided, or the budget of `[check]` ends.

    A change that shows against stored replicates is seen again side by side with the reference's own artifact, where
    that can be had, before anybody calls it one: a host that is slow for minutes looks like slow code, but not there.

    Returns:
        One record per side, the candidate's last, and its report.

    Raises:
        ConfigError, ToolchainError, BuildError: Something is missing that no record could be made without.
    """
    with _judged(job, plan) as found:
        return found


def judge_and_save(job: Job, plan: Plan) -> tuple[list[Record], CheckReport]:
    """As `measure_and_judge`; the records are in the history, the report beside its own.

    Raises:
        ConfigError, ToolchainError, BuildError: Something is missing that no record could be made without.
        HistoryError: As `save`.
    """
    with _judged(job, plan) as (records, report):
        with postponed():
            paths = save(job, records)
            history.append_report(report, paths[-1])
        return records, report


@contextmanager
def _judged(job: Job, plan: Plan) -> Iterator[tuple[list[Record], CheckReport]]:
    """What was measured and said of it; what ends the block before it is saved does not lose it."""
    measuring = _Measuring(job, plan)
    with measuring.campaign.device(), _kept_if_ended(job, measuring.campaign):
        report = measuring.until_decided()
        if plan.beside is None and job.baseline.check.paired != "never":
            report = measuring.seen_again(report)
        yield measuring.records(), measuring.with_agreements(report)


class _Measuring:
    """A campaign whose last side is judged while it is measured."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self._job, self._plan, self._beside, self._candidate = job, plan, plan.beside, len(plan.sides) - 1
        self.campaign = Campaign(job, plan.sides)
        first = LOOKS[0] if plan.beside is None else BLOCK_LOOKS[0]
        self._wanted = [_everywhere(job, job.baseline.measure.replicates) for _ in plan.sides]
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

    def seen_again(self, report: CheckReport) -> CheckReport:
        """The report after the cases that changed were measured in blocks with the reference's own artifact.

        Where that cannot be had again, or is another one by now, what was said by the stored replicates stands.
        """
        name, changed = self._job.baseline.toolchain, report.changed()
        if not changed or name not in self._job.config.toolchains:
            return report
        self._job.reporter.note("a change shows: the reference's own artifact is measured beside it")
        try:
            number = self.campaign.join(Side(toolchain=name))
        except RegressError as error:
            self._job.reporter.note("\n".join(error.lines()))
            return report
        same = {key for key in changed if self._is_the_stored_build(number, key)}
        for key in sorted(changed - same):
            self._job.reporter.note(f"{key}: {name} is not the stored build any more, so the stored replicates decide")
        self._wanted.append(_everywhere(self._job, 0))
        if not same:
            return report
        self._beside = number
        self._want({case.key: BLOCK_LOOKS[0] * (case.key in same) for case in self._job.baseline.cases})
        return self.until_decided()

    def with_agreements(self, report: CheckReport) -> CheckReport:
        """The report with how alike both builds answer, where both are here and their logits differ."""
        if self._beside is None:
            return report
        return self._report(self.campaign.agreements(self._beside, self._candidate))

    def records(self) -> list[Record]:
        """One record per side with anything in it, the candidate's last."""
        records = self.campaign.records()
        joined = [_measured_part(record) for record in records[self._candidate + 1 :]]
        return [*records[: self._candidate], *(record for record in joined if record.cases), records[self._candidate]]

    def _is_the_stored_build(self, number: int, key: str) -> bool:
        record = self.campaign.records()[number]
        result = record.case(key)
        return result is not None and same_build(self._job.baseline.references()[key], result, record.toolchain)

    def _judged(self) -> list[int]:
        return [self._candidate] if self._beside is None else [self._candidate, self._beside]

    def _want(self, more: Mapping[str, int]) -> None:
        for number in self._judged():
            self._wanted[number] = {key: count + more[key] for key, count in self._wanted[number].items()}

    def _report(self, agreements: Mapping[str, Agreement | Failure] | None = None) -> CheckReport:
        job, records = self._job, self.campaign.records()
        beside = None
        if self._beside is not None:
            beside = Beside(record=records[self._beside], stands_in=self._plan.stands_in, agreements=agreements or {})
        return check(records[self._candidate], job.baseline, job.baseline_name, beside)


def _measured_part(record: Record) -> Record:
    """The record without the cases that were only built; that one broke, or was given up, is a fact to keep."""
    cases = tuple(case for case in record.cases if case.replicates or case.failure or case.discarded)
    return msgspec.structs.replace(record, cases=cases)


def _everywhere(job: Job, count: int) -> dict[str, int]:
    return {case.key: count for case in job.baseline.cases}


def needs_reference(job: Job, python: str) -> bool:
    """Whether the baseline's toolchain must be measured beside the candidate.

    So it is where stored references are of another machine or another bench worker, or there are none and none is
    published, and where sessions of the stored replicates differ so much that only a comparison on the spot can tell.

    Args:
        job: With the baseline.
        python: Version of the candidate's Python.
    """
    machine, harnesses = job.machine(python), harness_digests()
    asking = [case for case in job.baseline.cases if not (case.published and not case.reference)]
    if not all(job.baseline.reference_usable(case, machine, harnesses, job.method) for case in asking):
        return True
    return bool(asking) and job.baseline.pairs()


def save(job: Job, records: Sequence[Record]) -> list[Path]:
    """Appends records to the history; their paths. Who interrupts it waits until all are there.

    Raises:
        HistoryError: The history cannot be written; every record that is not in it is then kept in the cache folder,
            if that can be.
    """
    paths: list[Path] = []
    try:
        with postponed():
            for record in records:
                paths.append(history.append(record, job.history))  # noqa: PERF401  # those that are in count, if one fails
    except HistoryError as error:
        raise _error_naming_where_kept(job, records[len(paths) :], error) from error
    return paths


@contextmanager
def _kept_if_ended(job: Job, campaign: Campaign) -> Iterator[None]:
    """Keeps what was measured in the cache folder where somebody or an error ends it: it may be hours of a device."""
    try:
        yield
    except BaseException:
        # Who is in a hurry presses Ctrl-C twice, and a cancelled job is sent a second signal.
        with postponed():
            records = [_measured_part(record) for record in campaign.records()]
            _keep_and_say_where(job, [record for record in records if record.cases and not _is_saved(job, record)])
        raise


def _is_saved(job: Job, record: Record) -> bool:
    """Whether the record is in the history, or kept already, because it was ended while it was saved or after."""
    name = place_for(record).name
    # Where nobody may look there is none, and no error hides what ended the measurement.
    return any(os.path.exists(root / name) for root in (job.history, job.home / UNSAVED))  # noqa: PTH110


def _keep_and_say_where(job: Job, records: Sequence[Record]) -> None:
    """Says where the records were kept; that they could not be must not hide what ended the measurement."""
    try:
        for record in records:
            job.reporter.note(f"kept what was measured: {history.append(record, job.home / UNSAVED)}")
    except HistoryError as error:
        job.reporter.note("\n".join(error.lines()))


def _error_naming_where_kept(job: Job, records: Sequence[Record], error: HistoryError) -> HistoryError:
    """The error with where the records were kept instead, or why they are lost."""
    try:
        kept = [history.append(record, job.home / UNSAVED) for record in records]
    except HistoryError as second:
        return HistoryError(str(error), cause=str(second), hint="the measurement is lost")
    return HistoryError(str(error), hint=f"kept instead: {', '.join(str(path) for path in kept)}")
