"""What the scripts of the pages show: JSON inside scripts, which a page may load from disk.

A page that was opened from `file://` may not fetch a file, but may load a script: the file calls a function with the
object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from regress.metric import METRICS
from regress.site import units
from regress.site.facts import RATES, SHOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.record import Record
    from regress.site.lengths import Lengths
    from regress.site.overview import Runner
    from regress.site.series import Point, Series

MOST_POINTS = 2000
"""Runs that a page draws at once, the newest ones; its CSV file has all."""
MOST_CHOICES = 500
"""Runs of a runner that can be chosen to be compared: the newest ones."""
_DIGITS, _DIGEST = 6, 12
"""Significant digits of a number, and characters of a SHA-256."""
_MOST_DEGREES = 100
"""Of freedom: with more of them the quantile is taken as with that many, 1.984; it is 1.960 or more."""


def payload(series: Series) -> bytes:
    """The script with a series' newest runs."""
    return _script("regressData", _object(series, series.points[-MOST_POINTS:]))


def run_payload(record: Record) -> bytes:
    """The script with what two runs are compared by: replicates, packages, kernels, the machine."""
    environment = record.environment
    machine = {
        "runner": record.runner,
        "device": environment.device,
        "driver": environment.driver,
        "power mode": environment.power_mode,
        "processor": environment.cpu,
        "python": environment.python,
        "kernel": environment.kernel,
        "harness": record.harness[:_DIGEST],
        "timed passes": str(record.method.repeats),
    }
    built = {
        f"{case.artifact.model.name} {case.artifact.quantization} {case.artifact.target}": case.artifact.kernels
        for case in record.cases
        if case.artifact
    }
    return _script(
        "regressRun",
        {
            "runner": record.runner,
            "id": record.id,
            "machine": {name: value for name, value in machine.items() if value is not None},
            "packages": {package.name: package.version for package in record.toolchain.packages},
            "builds": {
                name: {kernel.name: kernel.sha256[:_DIGEST] for kernel in kernels} for name, kernels in built.items()
            },
            "cases": [
                {
                    "key": case.key,
                    "values": {metric: [_rounded(value) for value in case.values(metric)] for metric in RATES},
                }
                for case in record.cases
                if case.replicates
            ],
        },
    )


def runs_payload(runners: Sequence[Runner]) -> bytes:
    """The script with the newest runs of every runner, newest first, and the quantiles that intervals are made with."""
    from scipy.special import stdtrit  # noqa: PLC0415  # only a site needs it

    return _script(
        "regressRuns",
        {
            "t95": [_rounded(float(stdtrit(degrees, 0.975))) for degrees in range(1, _MOST_DEGREES + 1)],
            "runners": [
                {
                    "name": runner.name,
                    "runs": [
                        [run.id, runner.labels[run.toolchain, run.fingerprint], units.when(run.recorded_at)]
                        for run in runner.runs[: -MOST_CHOICES - 1 : -1]
                    ],
                }
                for runner in runners
            ],
        },
    )


def lengths_payload(lengths: Lengths) -> bytes:
    """The script with the rates of each toolchain at each length of the prompt."""
    return _script(
        "regressLengths",
        {
            "runner": lengths.runner,
            "name": lengths.name,
            "prompt_tokens": [length.prompt_tokens for length in lengths.lengths],
            "new_tokens": [length.new_tokens for length in lengths.lengths],
            "toolchains": [curve.label for curve in lengths.curves],
            "times": [
                [int(dot.recorded_at.timestamp()) if dot else None for dot in curve.dots] for curve in lengths.curves
            ],
            "metrics": {metric: _curves(lengths, metric) for metric in RATES},
        },
    )


def _curves(lengths: Lengths, metric: str) -> dict[str, Any]:
    """A rate as a row for each toolchain, with a place for each length."""
    values = [[dot.rates.get(metric) if dot else None for dot in curve.dots] for curve in lengths.curves]
    return {
        "label": METRICS[metric].label,
        "unit": METRICS[metric].unit,
        "median": [[_rounded(value.median) if value else None for value in row] for row in values],
        "low": [[_rounded(value.low) if value else None for value in row] for row in values],
        "high": [[_rounded(value.high) if value else None for value in row] for row in values],
        "count": [[value.count if value else 0 for value in row] for row in values],
    }


def _script(function: str, data: dict[str, Any]) -> bytes:
    # What would end a script element or start a comment in it must not stand in one.
    text = msgspec.json.encode(data)
    for character in ("<", "\u2028", "\u2029"):
        text = text.replace(character.encode(), b"\\u%04x" % ord(character))
    return function.encode() + b"(" + text + b");\n"


def _object(series: Series, points: Sequence[Point]) -> dict[str, Any]:
    labels = list(dict.fromkeys(point.label for point in points))
    places = {id(point): number for number, point in enumerate(points)}
    return {
        "runner": series.runner,
        "case": series.key,
        "labels": labels,
        "traces": list(series.traces),
        "runs": [point.run.id for point in points],
        "times": [int(point.run.recorded_at.timestamp()) for point in points],
        "label": [labels.index(point.label) for point in points],
        "segment": [point.segment for point in points],
        "usual": [int(point.usual) for point in points],
        "broken": [[number, _fault(point)] for number, point in enumerate(points) if point.case.fault],
        "metrics": {
            metric: _columns(points, metric) for metric in SHOWN if any(p.case.values.get(metric) for p in points)
        },
        "bands": {
            metric: {"level": _rounded(band.level), "tolerance": band.tolerance, "toolchain": band.toolchain}
            for metric, band in series.bands.items()
        },
        "steps": [
            [places[id(step.point)], step.metric, _rounded(step.loss)]
            for step in series.steps
            if id(step.point) in places
        ],
    }


def _fault(point: Point) -> str:
    fault = point.case.fault
    return f"{fault.stage} failed, {fault.how}: {fault.cause}" if fault else ""


def _columns(points: Sequence[Point], metric: str) -> dict[str, Any]:
    values = [point.value(metric) for point in points]
    said = [point.case.verdict(metric) for point in points]
    columns: dict[str, Any] = {
        "label": METRICS[metric].label,
        "unit": METRICS[metric].unit,
        "better": METRICS[metric].better.value,
        "median": [_rounded(value.median) if value else None for value in values],
        "low": [_rounded(value.low) if value else None for value in values],
        "high": [_rounded(value.high) if value else None for value in values],
        "count": [value.count if value else 0 for value in values],
    }
    if any(said):
        columns["outcome"] = [each.outcome if each else "" for each in said]
        columns["text"] = [[number, each.text] for number, each in enumerate(said) if each and each.outcome != "pass"]
    return columns


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
