"""From the rows of a table to its series."""

from __future__ import annotations

import collections
import math
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np

from regress.errors import ConfigError
from regress.evaluation.columns import direction
from regress.evaluation.series import Series, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regress.evaluation.columns import Choice, Columns

_FEW_NAMES = 10
"""Different numbers in a column that are surely names, however few rows there are."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as it was read.

    Attributes:
        name: Name of its file.
        header: Names of its columns.
        rows: Its fields, as many in each row as there are names.
    """

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def place(self, column: str) -> int:
        """Where a column stands."""
        return self.header.index(column)


@dataclass(frozen=True, kw_only=True)
class Described:
    """What another table says of a table's series.

    Attributes:
        column: The column of both by which rows are found.
        fields: For each of its texts, the other columns' texts.
    """

    column: str
    fields: Mapping[str, Mapping[str, str]]


def units_of(tables: Sequence[Table], columns: Columns) -> Described | None:
    """What the tables that share a key column say of each text in it; `None` where none shares one."""
    for column in columns.key:
        sharing = [table for table in tables if column in table.header]
        if sharing:
            rows = [dict(zip(table.header, row, strict=True)) for table in sharing for row in table.rows]
            return Described(column=column, fields={row[column]: row for row in rows})
    return None


def without_measurements(columns: Columns, table: Table) -> Columns:
    """The columns less those of the key that hold a number of their own in most rows: a measurement names no series."""
    kept = tuple(column for column in columns.key if not _is_measurement(table, column))
    return replace(columns, key=kept or columns.key)


def _is_measurement(table: Table, column: str) -> bool:
    texts = [row[table.place(column)] for row in table.rows]
    distinct = set(texts)
    if len(distinct) <= max(_FEW_NAMES, len(texts) // 4):
        return False
    try:
        _ = [float(text) for text in distinct if text]
    except ValueError:
        return False
    return True


def series_of(
    table: Table, columns: Columns, described: Described | None, choice: Choice, where: tuple[str, str] | None
) -> Source:
    """The series of a table. Rows without a value are left out and counted.

    Args:
        table: One run per row.
        columns: What its columns are.
        described: What another table says of its series.
        choice: What the command line says.
        where: A column and a text that must be in it.

    Raises:
        ConfigError: A time or a value is no number, or nothing says which direction is better.
    """
    left_out: collections.Counter[str] = collections.Counter()
    runs: dict[tuple[str, ...], list[tuple[float, float]]] = collections.defaultdict(list)
    seen: set[tuple[object, ...]] = set()
    for number, fields in enumerate(table.rows, start=2):
        row = dict(zip(table.header, fields, strict=True))
        known = row if described is None else {**described.fields.get(row[described.column], {}), **row}
        if where is not None and where[1] not in known.get(where[0], ""):
            continue
        value, time = _value(table, columns, row, number), _time(table, columns, row, number)
        key = tuple(row[column] for column in columns.key)
        identity = (key, time, value, row[columns.commit] if columns.commit else None)
        reason = "a duplicate" if identity in seen else _not_a_value(value, time)
        if reason:
            left_out[reason] += 1
            continue
        seen.add(identity)
        speed = math.log(value) if _higher(table, columns, known, choice, number) else -math.log(value)
        runs[key].append((time, speed))
    return Source(
        file=table.name,
        series=tuple(Series(file=table.name, key=" | ".join(key), speeds=_ordered(runs[key])) for key in sorted(runs)),
        remark=", ".join(f"{count:,} rows left out: {reason}" for reason, count in sorted(left_out.items())),
    )


def _ordered(runs: list[tuple[float, float]]) -> np.typing.NDArray[np.float64]:
    """Speeds by time; runs of one time stay in the order of the file."""
    return np.array([speed for _, speed in sorted(runs, key=lambda run: run[0])])


def _not_a_value(value: float, time: float) -> str | None:
    if not math.isfinite(value):
        return "no finite value"
    if value <= 0:
        return "zero or below"
    return None if math.isfinite(time) else "no time"


def _value(table: Table, columns: Columns, row: Mapping[str, str], number: int) -> float:
    text = row[columns.value].strip()
    try:
        return float(text or "nan")
    except ValueError:
        raise ConfigError(f"{table.name}: row {number}: column '{columns.value}': '{text}' is no number") from None


def _time(table: Table, columns: Columns, row: Mapping[str, str], number: int) -> float:
    """A point in time, in whatever unit the column has; only the order matters."""
    text = row[columns.time].strip()
    try:
        return float(text or "nan")
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ConfigError(f"{table.name}: row {number}: column '{columns.time}': '{text}' is no time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _higher(table: Table, columns: Columns, known: Mapping[str, str], choice: Choice, number: int) -> bool:
    """Whether more is better: by the command line, the row's unit, its value column's name, its metric's name."""
    if choice.higher_is_better is not None:
        return choice.higher_is_better
    for text in (known.get("unit", ""), columns.value, known.get("metric", "")):
        if (found := direction(text)) is not None:
            return found
    raise ConfigError(
        f"{table.name}: row {number}: neither a unit nor column '{columns.value}' says whether more is better",
        hint="say it with --lower-is-better or --higher-is-better, or add the table that has the series' units",
    )
