"""How the site writes quantities: records hold SI units, people read percent, GiB and UTC."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from regress.metric import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BEGINNING = datetime(1970, 1, 1, tzinfo=timezone.utc)
"""A moment for what has none."""
_KEPT = 4096
"""Moments that are written once: every case of a run has the run's."""
_BINARY_PREFIXES = ("B", "KiB", "MiB", "GiB", "TiB")


def rate(value: float) -> str:
    """A rate in tokens/s with about four significant digits, such as `1,234`, `123.4` or `12.34`."""
    if value >= 999.95:  # noqa: PLR2004  # what rounds to a thousand with a digit behind the point
        return f"{value:,.0f}"
    form = "%.1f" if value >= 100 else "%.2f" if value >= 1 else "%.4f"  # noqa: PLR2004
    return form % value  # `format`, with a comma to think of, takes half as long again, and a site has millions


def percent(fraction: float) -> str:
    """A fraction as percent, such as `5%` for 0.05 or `12.3%` for 0.1234."""
    return f"{f'{fraction * 100:.1f}'.removesuffix('.0')}%"


def change(loss: float) -> str:
    """A loss in words: `12.3% worse` for 0.123, `0.4% better` for -0.004, `no change` below 0.05%."""
    text = percent(abs(loss))
    return "no change" if text == "0%" else f"{text} {'worse' if loss > 0 else 'better'}"


def ratio(value: float) -> str:
    """A ratio of rates as a change, such as `+3.1%`, `-12%` or `±0%`."""
    text = percent(abs(value - 1))
    return "±0%" if text == "0%" else f"{'+' if value > 1 else '-'}{text}"


def size(count: float) -> str:
    """A number of bytes with a binary prefix and three significant digits, such as `3.91 GiB`."""
    value = float(count)
    for unit in _BINARY_PREFIXES[:-1]:
        if value < 999.5:  # noqa: PLR2004  # what still rounds to three digits
            return f"{value:.3g} {unit}"
        value /= 1024
    return f"{value:,.3g} {_BINARY_PREFIXES[-1]}" if value < 999.5 else f"{value:,.0f} TiB"  # noqa: PLR2004


def writer(unit: str) -> Callable[[float], str]:
    """What writes a metric of that unit in a table whose head names tokens/s.

    It gives `123.4`, `3.91 GiB`, `12.3%`, `34.2 ms` or `0.512 J`.
    """
    return _WRITERS.get(unit) or f"{{:.3g}} {unit}".format


def cell(value: float, unit: str) -> str:
    """A value of a metric as `writer` writes it."""
    return writer(unit)(value)


def quantity(value: float, metric: str) -> str:
    """A value of a metric with its unit, such as `123.4 tokens/s` or `3.91 GiB`."""
    unit = METRICS[metric].unit
    return f"{rate(value)} {unit}" if unit == "tokens/s" else cell(value, unit)


def duration(seconds: float) -> str:
    """A time with three significant digits, such as `12.3 s`, `4.56 ms` or `789 µs`."""
    if seconds >= 100:  # noqa: PLR2004  # three digits
        return f"{seconds:,.0f} s"
    if seconds >= 0.9995:  # noqa: PLR2004  # what rounds to one with three digits
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds * 1e3 >= 0.9995 else f"{seconds * 1e6:.3g} µs"  # noqa: PLR2004


_WRITERS = {"tokens/s": rate, "bytes": size, "fraction": percent, "s": duration}


def utc(moment: datetime) -> datetime:
    """The moment in UTC; one without an offset is taken as UTC."""
    if moment.tzinfo is timezone.utc:  # as nearly all are
        return moment
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)


@lru_cache(_KEPT)
def when(moment: datetime) -> str:
    """The moment to the minute, such as `2026-10-03 04:12 UTC`."""
    return utc(moment).strftime("%Y-%m-%d %H:%M UTC")


def day(moment: datetime) -> str:
    """The day, such as `2026-10-03`, in UTC."""
    return utc(moment).strftime("%Y-%m-%d")


def clock(moment: datetime) -> str:
    """The time of day, such as `04:12:30`, in UTC."""
    return utc(moment).strftime("%H:%M:%S")


def iso(moment: datetime) -> str:
    """The moment for a machine: ISO 8601 in UTC, to the second."""
    return f"{msgspec.to_builtins(utc(moment))[:19]}+00:00"  # `isoformat` takes five times as long


def settings(flags: Mapping[str, str]) -> str:
    """Build flags as one text, such as `cuda_graph=1 schedule=none`."""
    return " ".join([f"{name}={value}" for name, value in sorted(flags.items())])


def metric_label(name: str) -> str:
    """How the page calls a metric inside a sentence, such as `prefill`; its name where it is not known."""
    return METRICS[name].label.lower().removesuffix(" rate") if name in METRICS else name
