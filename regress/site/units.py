"""How the site writes quantities: records hold SI units, people read percent, GiB and UTC."""

from __future__ import annotations

from datetime import datetime, timezone

from regress.metric import METRICS

_BINARY_PREFIXES = ("B", "KiB", "MiB", "GiB", "TiB")


def rate(value: float) -> str:
    """A rate in tokens/s with about four significant digits, such as `1,234`, `123.4` or `12.34`."""
    decimals = 0 if value >= 1000 else 1 if value >= 100 else 2 if value >= 1 else 4  # noqa: PLR2004  # digits
    return f"{value:,.{decimals}f}"


def energy(value: float) -> str:
    """Energy of a token with three significant digits, such as `0.512 J per token`."""
    return f"{value:.3g} J per token"


def percent(fraction: float) -> str:
    """A fraction as percent, such as `5%` for 0.05 or `12.3%` for 0.1234."""
    return f"{round(fraction * 100, 1):g}%"


def change(loss: float) -> str:
    """A loss in words: `12.3% worse` for 0.123, `0.4% better` for -0.004, `no change` below 0.05%."""
    text = percent(abs(loss))
    return "no change" if text == "0%" else f"{text} {'worse' if loss > 0 else 'better'}"


def size(count: float) -> str:
    """A number of bytes with a binary prefix and three significant digits, such as `3.91 GiB`."""
    value = float(count)
    for unit in _BINARY_PREFIXES[:-1]:
        if value < 999.5:  # noqa: PLR2004  # what still rounds to three digits
            return f"{value:.3g} {unit}"
        value /= 1024
    return f"{value:,.3g} {_BINARY_PREFIXES[-1]}" if value < 1000 else f"{value:,.0f} TiB"  # noqa: PLR2004


def utc(moment: datetime) -> datetime:
    """The moment in UTC; one without an offset is taken as UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)


def when(moment: datetime) -> str:
    """The moment to the minute, such as `2026-10-03 04:12 UTC`."""
    return utc(moment).strftime("%Y-%m-%d %H:%M UTC")


def iso(moment: datetime) -> str:
    """The moment for a machine: ISO 8601 in UTC, to the second."""
    return utc(moment).isoformat(timespec="seconds")


def metric_label(name: str) -> str:
    """How the page calls a metric inside a sentence, such as `prefill`; its name where it is not known."""
    return METRICS[name].label.lower().removesuffix(" rate") if name in METRICS else name
