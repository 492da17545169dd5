"""What the scripts of the pages show: JSON inside scripts, which a page may load from disk.

A page that was opened from `file://` may not fetch a file, but may load a script: the file calls a function with the
object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from regress.metric import METRICS
from regress.record import digest
from regress.site import units
from regress.site.facts import RATES, SHOWN

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from regress.record import Failure, Method
    from regress.site.extract import CaseResult, Extract
    from regress.site.facts import Fault
    from regress.site.lengths import Lengths
    from regress.site.overview import Runner
    from regress.site.run import RunCase, RunPage
    from regress.site.series import Point, Series

MOST_CHOICES = 500
"""Runs of a runner that can be chosen to be compared: the newest ones."""
_WRITTEN = "%.6g"
"""A number with its significant digits; a format string would take half as long again, and a site has millions."""
_DIGEST = 12
"""Characters of a SHA-256."""
_TELLING = 8
"""Those of machine and harness in tables."""
# fmt: off
_T95 = (
    12.7062, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691, 2.36462, 2.306, 2.26216, 2.22814, 2.20099, 2.17881,
    2.16037, 2.14479, 2.13145, 2.11991, 2.10982, 2.10092, 2.09302, 2.08596, 2.07961, 2.07387, 2.06866, 2.0639,
    2.05954, 2.05553, 2.05183, 2.04841, 2.04523, 2.04227, 2.03951, 2.03693, 2.03452, 2.03224, 2.03011, 2.02809,
    2.02619, 2.02439, 2.02269, 2.02108, 2.01954, 2.01808, 2.01669, 2.01537, 2.0141, 2.0129, 2.01174, 2.01063,
    2.00958, 2.00856, 2.00758, 2.00665, 2.00575, 2.00488, 2.00404, 2.00324, 2.00247, 2.00172, 2.001, 2.0003,
    1.99962, 1.99897, 1.99834, 1.99773, 1.99714, 1.99656, 1.99601, 1.99547, 1.99495, 1.99444, 1.99394, 1.99346,
    1.993, 1.99254, 1.9921, 1.99167, 1.99125, 1.99085, 1.99045, 1.99006, 1.98969, 1.98932, 1.98896, 1.98861,
    1.98827, 1.98793, 1.98761, 1.98729, 1.98698, 1.98667, 1.98638, 1.98609, 1.9858, 1.98552, 1.98525, 1.98498,
    1.98472, 1.98447, 1.98422, 1.98397,
)
# fmt: on
"""Quantiles .975 of Student's t with 1, 2, 3 ... degrees of freedom; with more the last is taken: it is 1.960 or more.

Numbers, because scipy takes longer to load than the site to build again.
"""


def payload(series: Series, paged: Container[str]) -> bytes:
    """The script with the runs that the chart of a series draws.

    Args:
        series: The series.
        paged: Ids of the runs that have a page.
    """
    pages = [number for number, point in enumerate(series.drawn) if point.run.id in paged]
    return _script("regressData", {**_object(series, series.drawn), "pages": pages})


def run_payload(page: RunPage) -> bytes:
    """The script with what two runs are compared by: replicates, builds, packages, the machine and the method."""
    record, toolchain = page.record, page.record.toolchain
    identity = {
        "toolchain": toolchain.name,
        "Python": toolchain.python,
        "platform": toolchain.platform,
        "image": toolchain.image,
        "fingerprint": toolchain.fingerprint[:_DIGEST],
    }
    builds = {case.key.rpartition("/")[0]: case.artifact for case in record.cases if case.artifact}
    return _script(
        "regressRun",
        {
            "runner": record.runner,
            "id": record.id,
            "machine": _known(_machine(record)),
            "method": _known({**_method(record.method), "fingerprint": digest(record.method)[:_DIGEST]}),
            "toolchain": _known(identity),
            "packages": {package.name: package.version for package in toolchain.packages},
            "builds": {
                name: {kernel.name: kernel.sha256[:_DIGEST] for kernel in artifact.kernels}
                for name, artifact in builds.items()
            },
            "cases": [
                {
                    "key": case.key,
                    "harness": record.harness_of(case.result)[:_DIGEST],
                    **_known(_case(case, case.result)),
                }
                for case in page.cases
                if case.result
            ],
        },
    )


def _known(told: Mapping[str, Any]) -> dict[str, Any]:
    """What there is something to say of."""
    return {name: value for name, value in told.items() if value not in (None, "", {})}


def _machine(record: Extract) -> dict[str, str | None]:
    """All that is known of the machine, as the page of the run writes it."""
    environment = record.environment
    return {
        "runner": record.runner,
        "device": environment.device,
        "driver": environment.driver,
        "power mode": environment.power_mode,
        "MIG": "split into instances" if environment.mig else None,
        "processor": environment.cpu,
        "logical processors": str(environment.cpu_count),
        "architecture": environment.machine,
        "memory": units.size(environment.memory_bytes),
        "system": environment.system,
        "kernel": environment.kernel,
        "Python": environment.python,
        **{f"setting {name}": value for name, value in environment.settings.items()},
        "fingerprint": environment.fingerprint[:_DIGEST],
    }


def _method(method: Method) -> dict[str, str | None]:
    return {
        "passes to warm up": str(method.warmups),
        "timed passes": str(method.repeats),
        "seed": str(method.seed),
        "prompts": method.prompts_sha256 and method.prompts_sha256[:_DIGEST],
    }


def _case(case: RunCase, result: CaseResult) -> dict[str, Any]:
    """What its rates are, or why there are none, and what they are of."""
    measured = {metric: _column(values) for metric in RATES if (values := list(_measured(case, metric)))}
    return {
        "weights": result.artifact and result.artifact.model.digest[:_DIGEST],
        "flags": case.flags,
        "values": measured,
        "fault": _told(result.failure) if result.failure else "" if measured else case.discarded,
    }


def _measured(case: RunCase, metric: str) -> Iterator[float]:
    return (value for value in case.values.get(metric, ()) if value is not None)


def runs_payload(runners: Sequence[Runner]) -> bytes:
    """The script with the newest runs of every runner that has any, and the quantiles that intervals are made with."""
    return _script(
        "regressRuns",
        {
            "t95": _T95,
            "runners": [
                {
                    "name": runner.name,
                    "runs": [
                        [choice.id, choice.label, units.when(choice.recorded_at)]
                        for choice in runner.choices[:MOST_CHOICES]
                    ],
                }
                for runner in runners
                if runner.choices
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
            "flags": [length.flags for length in lengths.lengths],
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
        "median": [_column([value.median if value else None for value in row]) for row in values],
        "low": [_column([value.low if value else None for value in row]) for row in values],
        "high": [_column([value.high if value else None for value in row]) for row in values],
        "count": [[value.count if value else 0 for value in row] for row in values],
    }


def _script(function: str, data: dict[str, Any]) -> bytes:
    # What would end a script element or start a comment in it must not stand in one.
    text = msgspec.json.encode(data)
    for character in ("<", "\u2028", "\u2029"):
        text = text.replace(character.encode(), b"\\u%04x" % ord(character))
    return function.encode() + b"(" + text + b");\n"


def _object(series: Series, points: Sequence[Point]) -> dict[str, Any]:
    places = {point.run.id: number for number, point in enumerate(points)}
    measured = {metric for point in points for metric in point.case.values}
    judged = {said.metric for point in points for said in point.case.said}
    return {
        "runner": series.runner,
        "case": series.key,
        "traces": list(series.traces),
        "runs": [point.run.id for point in points],
        "times": [int(point.run.recorded_at.timestamp()) for point in points],
        **_texts("label", "labels", [point.label for point in points]),
        **_texts("build", "builds", [units.settings(point.case.flags) if point.case.flags else "" for point in points]),
        **_texts("machine", "machines", [point.run.environment.fingerprint[:_TELLING] for point in points]),
        **_texts("harness", "harnesses", [point.run.harness_of(point.case)[:_TELLING] for point in points]),
        "segment": [point.segment for point in points],
        "usual": [int(point.usual) for point in points],
        "imported": [[number, point.run.imported] for number, point in enumerate(points) if point.run.imported],
        "broken": [[number, _told(fault)] for number, point in enumerate(points) if (fault := point.case.fault)],
        "metrics": {metric: _columns(points, metric, judged) for metric in SHOWN if metric in measured},
        "bands": {
            metric: {"level": _rounded(band.level), "tolerance": band.tolerance, "toolchain": band.toolchain}
            for metric, band in series.bands.items()
        },
        "steps": [
            [places[step.point.run.id], step.metric, _rounded(step.loss)]
            for step in series.steps
            if step.point.run.id in places
        ],
    }


def _texts(one: str, many: str, texts: Sequence[str]) -> dict[str, list[str] | list[int]]:
    """What many runs say alike: the different texts in order of first appearance, and the place of each run's own."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return {many: list(places), one: [places[text] for text in texts]}


def _told(fault: Fault | Failure) -> str:
    return f"{fault.stage} failed, {fault.how}: {fault.cause}"


def _columns(points: Sequence[Point], metric: str, judged: Container[str | None]) -> dict[str, Any]:
    values = [point.case.values.get(metric) for point in points]
    columns: dict[str, Any] = {
        "label": METRICS[metric].label,
        "unit": METRICS[metric].unit,
        "better": METRICS[metric].better.value,
        "median": _column([value.median if value else None for value in values]),
        "low": _column([value.low if value else None for value in values]),
        "high": _column([value.high if value else None for value in values]),
        "count": [value.count if value else 0 for value in values],
    }
    if metric in judged:
        said = [point.case.verdict(metric) for point in points]
        columns["outcome"] = [each.outcome if each else "" for each in said]
        columns["text"] = [[number, each.text] for number, each in enumerate(said) if each and each.outcome != "pass"]
    return columns


def _column(values: Sequence[float | None]) -> msgspec.Raw:
    """Numbers as they stand in JSON: to make floats of them once more would take half as long again."""
    written = ",".join(["null" if value is None else _WRITTEN for value in values])
    return msgspec.Raw(f"[{written % tuple([value for value in values if value is not None])}]".encode())


def _rounded(value: float) -> float:
    return float(_WRITTEN % value)
