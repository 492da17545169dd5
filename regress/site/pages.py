"""What the pages show, as plain data: runners, their cases, and one row per case and toolchain.

Nothing here formats, draws or writes: templates and charts read these objects and the records inside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from regress.guard import remark, surrender
from regress.site import units
from regress.verdict import Outcome, spread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from regress.artifact import Artifact
    from regress.record import CaseResult, Failure, Package, Record, Workload
    from regress.verdict import CheckReport, Spread, Verdict

PREFILL = "prefill_tokens_per_s"
DECODE = "decode_tokens_per_s"
PEAK_MEMORY = "peak_memory_bytes"
ENERGY = "energy_per_token_j"
ROOFLINE = "roofline_fraction"

MAIN_PACKAGES = ("mlc-llm", "mlc-ai", "apache-tvm", "tvm", "apache-tvm-ffi")
"""Packages named beside a toolchain, by the start of their names: nightlies carry suffixes such as `-cu128`."""

OUTCOMES: dict[Outcome, tuple[str, str]] = {
    "pass": ("✓", "a loss of the tolerance is excluded; build and answers are in order"),
    "improved": ("▲", "better than the reference, beyond noise and tolerance"),
    "regressed": ("▼", "worse than the reference beyond noise, and not inside the tolerance; or other answers"),
    "inconclusive": ("?", "the measurements do not decide; the sentence says why"),
    "broken": ("✕", "does not build, load or run"),
    "missing": ("∅", "cannot be compared; the sentence beside it says why"),
}
"""Outcome to the sign that carries it without colour, and what it means."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One stored record and the verdicts about it.

    Attributes:
        record: What was measured.
        report: The verdicts; `None` where the record was never judged, as a reference is not.
    """

    record: Record
    report: CheckReport | None

    def verdicts(self, case: str) -> tuple[Verdict, ...]:
        """The verdicts on that case, in the report's order; empty where there are none."""
        return tuple(verdict for verdict in self.report.verdicts if verdict.case == case) if self.report else ()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One case with one toolchain: its newest result, and the newest verdicts on it.

    Attributes:
        label: The toolchain's label, unique within the runner.
        record: The newest record that has the case with this toolchain.
        result: The case in that record; `None` where a verdict says that it vanished.
        runs: How many records have the case with this toolchain.
        verdicts: The newest verdicts on it; empty where it was never judged.
        judged: The record those verdicts are about; `None` where there are none.
        is_reference: Whether another record was compared with this one.
        same_environment: Whether it was measured in the environment the runner has now.
    """

    label: str
    record: Record
    result: CaseResult | None
    runs: int
    verdicts: tuple[Verdict, ...]
    judged: Record | None
    is_reference: bool
    same_environment: bool

    @property
    def failure(self) -> Failure | None:
        """Why there are no numbers; `None` where there are."""
        return self.result.failure if self.result else None

    @property
    def artifact(self) -> Artifact | None:
        """What was built; `None` where the build failed or the case vanished."""
        return self.result.artifact if self.result else None

    @property
    def packages(self) -> tuple[Package, ...]:
        """The toolchain's packages that are named on the page, the compilers first."""
        return main_packages(self.record.toolchain.packages)

    @property
    def prefill(self) -> Spread | None:
        """Prefill rate in tokens/s, over the replicates."""
        return self.values(PREFILL)

    @property
    def decode(self) -> Spread | None:
        """Decode rate in tokens/s, over the replicates."""
        return self.values(DECODE)

    @property
    def peak_memory(self) -> Spread | None:
        """Peak memory in bytes, over the replicates."""
        return self.values(PEAK_MEMORY)

    @property
    def energy(self) -> Spread | None:
        """Energy per token in joules, over the replicates."""
        return self.values(ENERGY)

    @property
    def roofline(self) -> Spread | None:
        """Share of the memory's bandwidth that reading the parameters takes, over the replicates."""
        return self.values(ROOFLINE)

    @property
    def discarded(self) -> str:
        """How many replicates were not kept, and why; empty where all were."""
        if self.result is None:
            return ""
        return surrender(self.result) if self.result.gave_up else remark(self.result)

    def values(self, metric: str) -> Spread | None:
        """The metric over the replicates; `None` where it was not measured."""
        values = self.result.values(metric) if self.result else []
        return spread(values) if values else None

    def verdict(self, metric: str) -> Verdict | None:
        """The verdict on that metric; `None` where it was not judged."""
        return next((verdict for verdict in self.verdicts if verdict.metric == metric), None)


@dataclass(frozen=True, kw_only=True)
class CaseGroup:
    """One case and its rows, the newest record first."""

    key: str
    rows: tuple[Row, ...]

    @property
    def artifact(self) -> Artifact | None:
        """The newest artifact of the case, for its model, quantization and target; `None` if it never built."""
        return next((row.artifact for row in self.rows if row.artifact), None)

    @property
    def workload(self) -> Workload | None:
        """What the case asks of the model; `None` where no record has the case."""
        return next((row.result.workload for row in self.rows if row.result), None)


@dataclass(frozen=True, kw_only=True)
class Banner:
    """The newest check report of a runner.

    Attributes:
        report: The report.
        recorded_at: When the record it is about was measured.
        notable: Its verdicts that are not a plain pass, in the report's order.
    """

    report: CheckReport
    recorded_at: datetime
    notable: tuple[Verdict, ...]

    @property
    def passed(self) -> int:
        """How many verdicts are a plain pass."""
        return len(self.report.verdicts) - len(self.notable)


@dataclass(frozen=True, kw_only=True)
class RunnerSection:
    """All there is to say of one runner.

    Attributes:
        name: Its nickname.
        newest: Its newest record, whose environment is shown.
        banner: Its newest check report; `None` where nothing was judged yet.
        labels: Labels of its toolchains, in order of first appearance.
        groups: Its cases: those of the newest record first, in the baseline's order.
    """

    name: str
    newest: Record
    banner: Banner | None
    labels: tuple[str, ...]
    groups: tuple[CaseGroup, ...]


@dataclass(frozen=True, kw_only=True)
class Index:
    """The index page.

    Attributes:
        title: Title of the site.
        records: How many records it is made of.
        newest: The newest of them; `None` for an empty history.
        runners: One section per runner, sorted by name.
    """

    title: str
    records: int
    newest: Record | None
    runners: tuple[RunnerSection, ...]


def index(entries: Sequence[Entry], title: str) -> Index:
    """The index page of those entries, whatever their order."""
    ordered = sorted(entries, key=_age)
    by_runner = groupby(sorted(ordered, key=_runner), key=_runner)
    return Index(
        title=title,
        records=len(ordered),
        newest=ordered[-1].record if ordered else None,
        runners=tuple(_runner_section(name, list(own)) for name, own in by_runner),
    )


def main_packages(packages: Sequence[Package]) -> tuple[Package, ...]:
    """The packages worth a place beside the toolchain's name, in the order of `MAIN_PACKAGES`."""
    named = [package for package in packages if _ranks(package)]
    return tuple(sorted(named, key=lambda package: (_ranks(package)[-1], package.name)))


def _ranks(package: Package) -> list[int]:
    """Places of the names in `MAIN_PACKAGES` that the package's name starts with; the last one is the nearest."""
    name = package.name
    return [rank for rank, main in enumerate(MAIN_PACKAGES) if name == main or name.startswith(f"{main}-")]


def _age(entry: Entry) -> tuple[datetime, str, str]:
    return units.utc(entry.record.recorded_at), entry.record.runner, entry.record.id


def _runner(entry: Entry) -> str:
    return entry.record.runner


def _identity(record: Record) -> tuple[str, str]:
    """Two toolchains of one name are the same only if the same packages were resolved."""
    return record.toolchain.name, record.toolchain.fingerprint


def _runner_section(name: str, entries: list[Entry]) -> RunnerSection:
    """The section of one runner; its entries stand oldest first."""
    labels = _labels([entry.record for entry in entries])
    newest_first = entries[::-1]
    return RunnerSection(
        name=name,
        newest=newest_first[0].record,
        banner=_banner(newest_first),
        labels=tuple(labels.values()),
        groups=tuple(_group(key, newest_first, labels) for key in _case_keys(newest_first)),
    )


def _labels(records: Sequence[Record]) -> dict[tuple[str, str], str]:
    """Toolchain to label, in order of first appearance: its name, with its fingerprint where two share it."""
    identities = dict.fromkeys(_identity(record) for record in records)
    names = [name for name, _ in identities]
    return {
        (name, fingerprint): name if names.count(name) == 1 else f"{name} ({fingerprint[:8]})"
        for name, fingerprint in identities
    }


def _case_keys(newest_first: Sequence[Entry]) -> list[str]:
    keys: dict[str, None] = {}
    for entry in newest_first:
        keys.update(dict.fromkeys(case.key for case in entry.record.cases))
        keys.update(dict.fromkeys(verdict.case for verdict in entry.report.verdicts) if entry.report else {})
    return list(keys)


def _group(key: str, newest_first: Sequence[Entry], labels: dict[tuple[str, str], str]) -> CaseGroup:
    runs: dict[tuple[str, str], list[Entry]] = {}
    for entry in newest_first:
        if entry.record.case(key) or entry.verdicts(key):
            runs.setdefault(_identity(entry.record), []).append(entry)
    references = {entry.report.reference_record for entry in newest_first if entry.report}
    environment = newest_first[0].record.environment.fingerprint
    rows = (_row(key, labels[identity], same, references, environment) for identity, same in runs.items())
    return CaseGroup(key=key, rows=tuple(rows))


def _row(key: str, label: str, runs: Sequence[Entry], references: set[str | None], environment: str) -> Row:
    record = runs[0].record
    judged = next((entry for entry in runs if entry.verdicts(key)), None)
    return Row(
        label=label,
        record=record,
        result=record.case(key),
        runs=len(runs),
        verdicts=judged.verdicts(key) if judged else (),
        judged=judged.record if judged else None,
        is_reference=record.id in references,
        same_environment=record.environment.fingerprint == environment,
    )


def _banner(newest_first: Sequence[Entry]) -> Banner | None:
    for entry in newest_first:
        if entry.report:
            return Banner(
                report=entry.report,
                recorded_at=entry.record.recorded_at,
                notable=tuple(verdict for verdict in entry.report.verdicts if verdict.outcome != "pass"),
            )
    return None
