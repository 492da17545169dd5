"""Which column of a benchmark table is the time, which the value, which name the series, and what direction is better.

Everything is found from the header: names carry their units (`date_ms`, `value_MiB_s`, `iter_per_s`, `median_s`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regress.errors import ConfigError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIME = re.compile(r"(^|_)(date|datetime|timestamp|time)(_(s|ms|us|ns))?$", re.IGNORECASE)
_DURATION_OF_A_RUN = re.compile(r"(mean|median|cpu|real|wall|run)_time", re.IGNORECASE)
_NAMED_VALUE = re.compile(r"^value(_|$)", re.IGNORECASE)
_CENTRE = re.compile(r"^(median|mean|avg|average)(_|$)", re.IGNORECASE)
_NOT_A_KEY = re.compile(
    r"(^|_)(commit|sha|revision|date|datetime|timestamp|time|stddev|stdev|sd|std|var|iqr|mad|min|max|ci|n|count|rounds?"
    r"|iterations?|runs?|quantiles?|percentiles?|lower|upper|[qp]\d+)(_|$)",
    re.IGNORECASE,
)
_RATE = re.compile(
    r"(/s|/sec|_per_s|_per_sec|per second|[kmg]i?b_s|b/s|bps|ops|qps|rps|flops|tok(en)?s_s|throughput)$", re.IGNORECASE
)
_TIME_UNIT = re.compile(r"(^|_)(s|sec|seconds?|ms|us|µs|ns|minutes?|s/op|ms/op|us/op|ns/op|latency)$", re.IGNORECASE)
_SIZE_UNIT = re.compile(r"(^|_)([kmgt]i?)?(b|bytes?)$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the command line says of columns; `None` is found from the header.

    Attributes:
        time: Name of the time column.
        value: Name of the value column.
        key: Names of the columns that tell series apart.
        higher_is_better: Direction of the values.
    """

    time: str | None = None
    value: str | None = None
    key: tuple[str, ...] | None = None
    higher_is_better: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of one table.

    Attributes:
        time: Time of a run.
        value: Its value.
        key: Those that tell series apart, in the table's order.
        unit: The column that names each row's unit; `None` without one.
        commit: The column that names what was measured; `None` without one.
    """

    time: str
    value: str
    key: tuple[str, ...]
    unit: str | None
    commit: str | None


def find_columns(header: Sequence[str], choice: Choice, name: str) -> Columns | None:
    """The columns of a table; `None` where it has no time or no value, and so describes series instead.

    Args:
        header: Names in the first row.
        choice: What the command line says.
        name: The file, as an error names it.

    Raises:
        UsageError: A column that the command line names is not there.
        ConfigError: The header has a name twice, or no column to tell series apart.
    """
    if len(set(header)) < len(header) or not all(header):
        raise ConfigError(f"{name}: row 1: a column without a name, or with another's")
    for chosen in (choice.time, choice.value, *(choice.key or ())):
        if chosen is not None and chosen not in header:
            raise UsageError(f"evaluate: {name} has no column '{chosen}'{did_you_mean(chosen, header)}")
    time = choice.time or next((column for column in header if is_time(column)), None)
    value = choice.value or _value(header)
    if time is None or value is None:
        return None
    key = choice.key or tuple(c for c in header if c not in {time, value, "unit"} and not _is_measured(c))
    if not key:
        raise ConfigError(f"{name}: row 1: no column tells series apart", hint="name them: --key COLUMN")
    unit = next((column for column in header if column == "unit"), None)
    commit = next((column for column in header if column.startswith("commit") and not is_time(column)), None)
    return Columns(time=time, value=value, key=key, unit=unit, commit=commit)


def is_time(column: str) -> bool:
    """Whether a column holds points in time, and not how long something took."""
    return bool(_TIME.search(column)) and not _DURATION_OF_A_RUN.search(column)


def _is_measured(column: str) -> bool:
    """Whether a column holds something else that a run measured or was made of, and so does not name its series."""
    return bool(_NOT_A_KEY.search(column)) or (direction(column) is not None)


def _value(header: Sequence[str]) -> str | None:
    plain = [column for column in header if not is_time(column)]
    named = [column for column in plain if _NAMED_VALUE.search(column)]
    centre = [column for column in plain if _CENTRE.search(column) and direction(column) is not None]
    other = [column for column in plain if not _NOT_A_KEY.search(column) and direction(column) is not None]
    return next(iter([*named, *centre, *other]), None)


def direction(unit: str) -> bool | None:
    """Whether more is better, from a unit or from a name that ends in one; `None` where it does not say."""
    if _RATE.search(unit):
        return True
    return False if _TIME_UNIT.search(unit) or _SIZE_UNIT.search(unit) else None
