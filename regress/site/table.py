"""A series as a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from regress.site import units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regress.site.series import Point, Series

_COLUMNS = ("run", "recorded_at", "toolchain", "flags", "machine", "harness")
_VALUES = ("metric", "median", "low", "high", "replicates", "verdict", "loss", "failure")


def table(series: Series) -> str:
    """All runs of a series as CSV: a line for each metric of a run, and a single one for a run without values."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *_VALUES])
    for point in series.points:
        writer.writerows(_lines(point))
    return text.getvalue()


def _lines(point: Point) -> Iterator[list[object]]:
    run, fault = point.run, point.case.fault
    flags = " ".join(f"{name}={value}" for name, value in sorted(point.case.flags.items()))
    about = [run.id, units.iso(run.recorded_at), _plain(point.label), flags]
    about += [run.environment.fingerprint[:8], run.harness[:8]]
    if not point.case.values:
        failure = _plain(f"{fault.how}: {fault.cause}") if fault else ""
        yield [*about, "", "", "", "", 0, point.outcome or "", "", failure]
    for metric, value in point.case.values.items():
        said = point.case.verdict(metric)
        verdict = (said.outcome, "" if said.loss is None else said.loss) if said else ("", "")
        yield [*about, metric, value.median, value.low, value.high, value.count, *verdict, ""]


def _plain(text: str) -> str:
    """A text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
