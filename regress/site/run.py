"""The page of one run: all that its record and its check report hold, and the command that measures it again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regress.guard import discards
from regress.metric import METRICS
from regress.recipe import own_flags
from regress.verdict import spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from regress.metric import Metric
    from regress.record import CaseResult, Record
    from regress.replicate import Replicate
    from regress.site.entry import Entry
    from regress.verdict import CheckReport, Spread, Verdict

_OF_THE_ARTIFACT = ("model_lib_bytes", "param_bytes", "bits_per_param", "build_duration_s")
"""Metrics that no replicate has: the page shows them with the build."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One metric of a case's replicates: a value for each, `None` where it was not measured."""

    metric: Metric
    values: tuple[float | None, ...]
    spread: Spread


@dataclass(frozen=True, kw_only=True)
class RunCase:
    """One case of a run.

    Attributes:
        key: Its key.
        result: What was measured; `None` where a verdict says that the case vanished.
        verdicts: What was said of it.
        columns: The metrics of its replicates.
        flags: Build flags that are not the defaults.
        discarded: How many replicates were not kept, and why; empty where all were.
        build_of: Place of the first case of the run that has the same artifact; its own where it is the first.
    """

    key: str
    result: CaseResult | None
    verdicts: tuple[Verdict, ...]
    columns: tuple[Column, ...]
    flags: Mapping[str, str]
    discarded: str
    build_of: int

    @property
    def replicates(self) -> Sequence[Replicate]:
        """The fresh processes that measured it."""
        return self.result.replicates if self.result else ()

    def reads(self, counter: str) -> bool:
        """Whether any replicate's telemetry has that counter."""
        return any(getattr(replicate.telemetry, counter, None) is not None for replicate in self.replicates)


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """One run.

    Attributes:
        record: What was measured.
        report: The verdicts; `None` where it was never judged.
        cases: Its cases in the record's order, those that vanished last.
        command: The command line that measures it again on such a machine.
    """

    record: Record
    report: CheckReport | None
    cases: tuple[RunCase, ...]
    command: str


def run_page(entry: Entry) -> RunPage:
    """The page of one run."""
    record = entry.record
    keys = dict.fromkeys([case.key for case in record.cases])
    keys.update(dict.fromkeys(verdict.case for verdict in entry.report.verdicts) if entry.report else {})
    cases = tuple(_cases(entry, list(keys)))
    return RunPage(record=record, report=entry.report, cases=cases, command=_command(record, entry.report, cases))


def _cases(entry: Entry, keys: Sequence[str]) -> Iterator[RunCase]:
    builds: dict[str, int] = {}
    for place, key in enumerate(keys):
        result = entry.record.case(key)
        artifact = result.artifact.digest if result and result.artifact else ""
        yield _case(entry, key, builds.setdefault(artifact, place) if artifact else place)


def _case(entry: Entry, key: str, build_of: int) -> RunCase:
    result = entry.record.case(key)
    built = result.artifact if result else None
    return RunCase(
        key=key,
        result=result,
        verdicts=entry.verdicts(key),
        columns=_columns(result.replicates) if result else (),
        flags=own_flags(built.flags) if built else {},
        discarded=discards(result) if result else "",
        build_of=build_of,
    )


def _columns(replicates: Sequence[Replicate]) -> tuple[Column, ...]:
    measured = {name for replicate in replicates for name in replicate.samples}
    return tuple(
        _column(metric, replicates)
        for name, metric in METRICS.items()
        if name in measured and name not in _OF_THE_ARTIFACT
    )


def _column(metric: Metric, replicates: Sequence[Replicate]) -> Column:
    values = tuple(replicate.value(metric.name) for replicate in replicates)
    return Column(metric=metric, values=values, spread=spread([value for value in values if value is not None]))


def _command(record: Record, report: CheckReport | None, cases: Sequence[RunCase]) -> str:
    """How the run is measured again, with the flags that all its cases have: the command line gives them to all."""
    baseline = report.baseline if report else f"{record.runner}.toml"
    words = ["regress", "check" if report else "bench", "--baseline", f"baselines/{baseline}"]
    words += ["--toolchain", record.toolchain.name]
    flags = [set(case.flags.items()) for case in cases if case.result and case.result.artifact]
    for name, value in sorted(set.intersection(*flags)) if flags else ():
        words += ["--flag", f"{name}={value}"]
    return shlex.join(words)
