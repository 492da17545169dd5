"""The page of one run: all that its record and its check report hold, and the command that measures it again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from regress.guard import discards
from regress.metric import METRICS
from regress.recipe import own_flags
from regress.site import units
from regress.site.extract import Telemetry
from regress.site.facts import Fact, median, medians

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from regress.site.extract import CaseResult, Extract, Replicate
    from regress.verdict import CheckReport, Verdict

_OF_THE_ARTIFACT = ("model_lib_bytes", "param_bytes", "bits_per_param", "build_duration_s")
"""Metrics that no replicate has: the page shows them with the build."""
_NOTHING_SAID = Telemetry()


class Column(Fact, frozen=True, kw_only=True):
    """One metric of a case's replicates, or one counter of their device, as the table writes it.

    Attributes:
        label: What it is.
        unit: The unit that stands in its head alone; empty where it stands in the cells.
        median: The median of a metric; empty for a counter.
        cells: A text for each replicate, empty where it was not measured.
    """

    label: str
    unit: str = ""
    median: str = ""
    cells: tuple[str, ...]


class RunCase(Fact, frozen=True, kw_only=True):
    """One case of a run.

    Attributes:
        key: Its key.
        result: What was measured; `None` where a verdict says that the case vanished.
        verdicts: What was said of it.
        values: Metric to what each replicate says of it, `None` where it was not measured.
        columns: The metrics of its replicates, then the counters of their devices.
        flags: Build flags that are not the defaults.
        discarded: How many replicates were not kept, and why; empty where all were.
        build_of: Place of the first case of the run that has the same artifact; its own where it is the first.
    """

    key: str
    result: CaseResult | None
    verdicts: Sequence[Verdict]
    values: Mapping[str, Sequence[float | None]]
    columns: tuple[Column, ...]
    flags: Mapping[str, str]
    discarded: str
    build_of: int


class RunPage(Fact, frozen=True, kw_only=True):
    """One run.

    Attributes:
        record: What was measured.
        report: The verdicts; `None` where it was never judged.
        cases: Its cases in the record's order, those that vanished last.
        command: The command line that measures it again on such a machine.
    """

    record: Extract
    report: CheckReport | None
    cases: tuple[RunCase, ...]
    command: str


def run_page(record: Extract, report: CheckReport | None, asked: Mapping[str, Sequence[str]]) -> RunPage:
    """The page of one run.

    Args:
        record: What was measured.
        report: The verdicts; `None` where it was never judged, as a reference is not.
        asked: The files of the runner's baselines, each with the keys of its cases.
    """
    said: dict[str, list[Verdict]] = {}
    for verdict in report.verdicts if report else ():
        said.setdefault(verdict.case, []).append(verdict)
    cases = tuple(_cases(record, said))
    return RunPage(record=record, report=report, cases=cases, command=_command(record, report, cases, asked))


def _cases(record: Extract, said: Mapping[str, Sequence[Verdict]]) -> Iterator[RunCase]:
    results = {case.key: case for case in record.cases}
    builds: dict[str, int] = {}
    for place, key in enumerate({**results, **said}):
        result = results.get(key)
        artifact = result.artifact.digest if result and result.artifact else ""
        yield _case(key, result, said.get(key, ()), builds.setdefault(artifact, place) if artifact else place)


def _case(key: str, result: CaseResult | None, said: Sequence[Verdict], build_of: int) -> RunCase:
    built = result.artifact if result else None
    replicates = result.replicates if result else ()
    values = dict(_values(replicates))
    return RunCase(
        key=key,
        result=result,
        verdicts=said,
        values=values,
        columns=(*_metrics(values), *_counters(replicates)),
        flags=own_flags(built.flags) if built else {},
        discarded=discards(result) if result else "",
        build_of=build_of,
    )


def _values(replicates: Sequence[Replicate]) -> Iterator[tuple[str, list[float | None]]]:
    """Each metric that was measured, and the median of each replicate's timed repeats."""
    measured = {name for replicate in replicates for name in replicate.samples}
    for name in METRICS:
        if name in measured and name not in _OF_THE_ARTIFACT:
            yield name, medians([replicate.samples.get(name, ()) for replicate in replicates])


def _metrics(measured: Mapping[str, Sequence[float | None]]) -> Iterator[Column]:
    for name, values in measured.items():
        metric = METRICS[name]
        written = units.writer(metric.unit)
        yield Column(
            label=metric.label,
            unit=metric.unit if metric.unit == "tokens/s" else "",
            median=written(median([value for value in values if value is not None])),
            cells=tuple(["" if value is None else written(value) for value in values]),
        )


def _counters(replicates: Sequence[Replicate]) -> Iterator[Column]:
    """What the device said of itself."""
    said = [replicate.telemetry or _NOTHING_SAID for replicate in replicates]
    columns = {
        "Clock": ["" if each.clock_hz is None else f"{each.clock_hz.median / 1e6:,.0f} MHz" for each in said],
        "Power": ["" if each.power_w is None else f"{each.power_w:,.0f} W" for each in said],
        "Hottest": ["" if each.temperature_celsius is None else f"{each.temperature_celsius:.0f} °C" for each in said],
    }
    for label, cells in columns.items():
        if any(cells):
            yield Column(label=label, cells=tuple(cells))


def _command(
    record: Extract, report: CheckReport | None, cases: Sequence[RunCase], asked: Mapping[str, Sequence[str]]
) -> str:
    """How the run is measured again, with the flags that all its cases have: the command line gives them to all.

    Its cases are named where the baseline has others.
    """
    baseline = report.baseline if report else f"{record.runner}.toml"
    words = ["regress", "check" if report else "bench", "--baseline", f"baselines/{baseline}"]
    words += ["--toolchain", record.toolchain.name]
    keys = [case.key for case in cases]
    for key in keys if set(asked.get(baseline, ())).difference(keys) else ():
        words += ["--case", key]
    flags = [set(case.flags.items()) for case in cases if case.result and case.result.artifact]
    for name, value in sorted(set.intersection(*flags)) if flags else ():
        words += ["--flag", f"{name}={value}"]
    return shlex.join(words)
