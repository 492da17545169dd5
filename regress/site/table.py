"""Series as tables: one for a spreadsheet, and all of them in one, for whatever reads millions of lines."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from regress.site import units

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from regress.site.facts import Value
    from regress.site.series import Point, Series

HEAD = "run,recorded_at,toolchain,flags,machine,harness,metric,median,low,high,replicates,verdict,loss,failure"


INDEX_HEAD = f"runner,case,{HEAD}"

_KEPT_RUNS = 4096
"""Runs of which the fields that all cases have are written once: twenty cases of a run stand in twenty tables."""
_QUOTE = '"'
_TO_QUOTE = re.compile(r'[,"\r\n]').search
"""Finds what may not stand bare between commas."""


def lines(series: Series) -> list[str]:
    """All runs of a series as CSV, without a head: a line for each metric of a run, and one for a run without values.

    What can hold a comma is quoted here: `csv` would look at every number of them, in five times as long.
    """
    numbers = iter(_numbers([value for point in series.points for value in point.case.values.values()]))
    return [line for point in series.points for line in _lines(point, numbers)]


def index_lines(series: Series, own: Iterable[str]) -> Iterator[str]:
    """The lines of a series as they stand in the table of all series."""
    name = f"{_field(_plain(series.runner))},{_field(_plain(series.key))}"
    return (f"{name},{line}" for line in own)


def text(lines: Iterable[str]) -> bytes:
    """The content of a file with those lines."""
    return "\n".join([*lines, ""]).encode()


def _numbers(values: Sequence[Value]) -> list[str]:
    """Median, least, greatest and count of each, with commas: as JSON has its arrays, all of them at once."""
    return msgspec.json.encode(values).decode()[2:-2].split("],[")


def _lines(point: Point, numbers: Iterator[str]) -> Iterator[str]:
    run, fault = point.run, point.case.fault
    before, after = _around_flags(
        run.id, run.recorded_at, point.label, run.environment.fingerprint[:8], run.harness_of(point.case)[:8]
    )
    about = before + (_flags(point.case.flags) if point.case.flags else "") + after
    if not point.case.values:
        failure = _field(_plain(f"{fault.how}: {fault.cause}")) if fault else ""
        yield f"{about},,,,,0,{point.outcome or ''},,{failure}"
    said = {each.metric: each for each in reversed(point.case.said)}
    for metric, four in zip(point.case.values, numbers, strict=False):  # the next ones are of the next run
        verdict = said.get(metric)
        loss = "" if verdict is None or verdict.loss is None else repr(verdict.loss)
        yield f"{about},{metric},{four},{verdict.outcome if verdict else ''},{loss},"


@lru_cache(_KEPT_RUNS)
def _around_flags(run_id: str, recorded_at: datetime, label: str, machine: str, harness: str) -> tuple[str, str]:
    """The fields of a run that all its cases have, before the flags of a case and after them."""
    return f"{run_id},{units.iso(recorded_at)},{_field(_plain(label))},", f",{machine},{harness}"


def _flags(flags: Mapping[str, str]) -> str:
    return _field(_plain(units.settings(flags)))


def _plain(text: str) -> str:
    """A text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _field(text: str) -> str:
    """A text as it stands between commas (RFC 4180)."""
    return f'"{text.replace(_QUOTE, 2 * _QUOTE)}"' if _TO_QUOTE(text) else text
