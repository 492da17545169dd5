"""A series as a table for a spreadsheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.site import units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regress.site.series import Point, Series

_HEAD = "run,recorded_at,toolchain,flags,machine,harness,metric,median,low,high,replicates,verdict,loss,failure"


def table(series: Series) -> str:
    """All runs of a series as CSV: a line for each metric of a run, and a single one for a run without values.

    What can hold a comma is quoted here: `csv` would look at every number of them, in five times as long.
    """
    return "\n".join([_HEAD, *(line for point in series.points for line in _lines(point)), ""])


def _lines(point: Point) -> Iterator[str]:
    run, fault = point.run, point.case.fault
    flags = " ".join(f"{name}={value}" for name, value in sorted(point.case.flags.items()))
    about = f"{run.id},{units.iso(run.recorded_at)},{_field(_plain(point.label))},{_field(flags)}"
    about += f",{run.environment.fingerprint[:8]},{run.harness[:8]}"
    if not point.case.values:
        failure = _field(_plain(f"{fault.how}: {fault.cause}")) if fault else ""
        yield f"{about},,,,,0,{point.outcome or ''},,{failure}"
    said = {each.metric: each for each in reversed(point.case.said)}
    for metric, value in point.case.values.items():
        verdict = said.get(metric)
        loss = "" if verdict is None or verdict.loss is None else verdict.loss
        numbers = f"{value.median},{value.low},{value.high},{value.count}"
        yield f"{about},{metric},{numbers},{verdict.outcome if verdict else ''},{loss},"


def _plain(text: str) -> str:
    """A text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _field(text: str) -> str:
    """A text as it stands between commas (RFC 4180)."""
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(character in text for character in ',"\r\n') else text
