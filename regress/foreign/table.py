"""The CSV file that jetson-containers' `benchmark.py --save` appends to, a line for each run of it."""

from __future__ import annotations

import csv
from datetime import datetime
from typing import TYPE_CHECKING

from regress.errors import ConfigError, did_you_mean
from regress.foreign.figures import Figures, in_utc, positive, quoted, require_agreement, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = (
    "timestamp",
    "hostname",
    "api",
    "model",
    "precision",
    "input_tokens",
    "output_tokens",
    "prefill_time",
    "prefill_rate",
    "decode_time",
    "decode_rate",
    "memory",
)
"""Times in seconds, rates in tokens/s, memory in MiB; `hostname` is the runner's nickname."""

_TIMES = ("%Y%m%d %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d")


def is_so(text: str) -> bool:
    """Whether a text is such a table: some of its columns stand in its first line."""
    head = text.lstrip().partition("\n")[0]
    return sum(column in head for column in COLUMNS) > len(COLUMNS) // 3


def read(text: str, name: str) -> Sequence[Figures]:
    """The rows of a table.

    Raises:
        ConfigError: A column is missing or unknown, or a row is wrong.
    """
    if "\0" in text:
        raise ConfigError(f"{name}: a null character in a table")
    lines = csv.reader(text.splitlines(), skipinitialspace=True, strict=True)
    try:
        head = [column.strip() for column in next(fields for fields in lines if fields)]
        _require_columns(head, f"{name}: line {lines.line_num}")
        return [
            _figures(_row(head, fields, f"{name}: line {lines.line_num}"), f"{name}: line {lines.line_num}")
            for fields in lines
            if any(field.strip() for field in fields)
        ]
    except csv.Error as error:
        raise ConfigError(f"{name}: line {lines.line_num}: {error}") from error


def _require_columns(head: Sequence[str], where: str) -> None:
    if len(head) == 1 and (";" in head[0] or "\t" in head[0]):
        raise ConfigError(
            f"{where}: columns are not separated by ','",
            hint="save it with ',' between columns and '.' in numbers",
        )
    for column in head:
        if column not in COLUMNS:
            raise ConfigError(f"{where}: unknown column {quoted(column)}{did_you_mean(column, COLUMNS)}")
        if head.count(column) > 1:
            raise ConfigError(f"{where}: the column '{column}' stands twice")
    if missing := [column for column in COLUMNS if column not in head]:
        raise ConfigError(f"{where}: no column '{missing[0]}'", hint=f"expected: {', '.join(COLUMNS)}")


def _row(head: Sequence[str], fields: Sequence[str], where: str) -> dict[str, str]:
    if len(fields) != len(head):
        hint = "numbers are written with a point, not a comma" if len(fields) > len(head) else None
        raise ConfigError(f"{where}: {len(fields)} fields, where the head has {len(head)}", hint=hint)
    return {column: field.strip() for column, field in zip(head, fields, strict=True)}


def _figures(row: Mapping[str, str], where: str) -> Figures:
    prompt = tokens(row["input_tokens"], f"{where}: input_tokens")
    new = tokens(row["output_tokens"], f"{where}: output_tokens")
    rates = {}
    for what, count in (("prefill", prompt), ("decode", new)):
        rate = positive(row[f"{what}_rate"], f"{where}: {what}_rate")
        time_s = positive(row[f"{what}_time"], f"{where}: {what}_time")
        require_agreement(rate, count, time_s, f"{where}: {what}_rate")
        rates[f"{what}_tokens_per_s"] = rate
    if row["memory"]:
        positive(row["memory"], f"{where}: memory")
    return Figures(
        where=where,
        prompt_tokens=prompt,
        new_tokens=new,
        values=rates,
        builder=row["api"] or "mlc",
        measured_at=_moment(row["timestamp"], f"{where}: timestamp"),
        model=row["model"],
        quantization=row["precision"],
        said={column: row[column] for column in COLUMNS if column not in ("timestamp", "hostname") and row[column]},
    )


def _moment(text: str, where: str) -> datetime:
    """The moment of a row."""
    for form in _TIMES:
        try:
            moment = datetime.strptime(text, form)  # noqa: DTZ007  # one without an offset is taken for UTC
        except ValueError:
            continue
        return in_utc(moment, where)
    raise ConfigError(f"{where}: {quoted(text)} is no moment such as 20231012 17:30:00 or 2023-10-12T17:30:00Z")
