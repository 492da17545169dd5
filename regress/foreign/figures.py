"""The figures of one case, as another benchmark gave them, and the numbers that they cannot be."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from regress.errors import ConfigError
from regress.redact import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?|[+-]?(?:nan|inf)", re.IGNORECASE)
_FIRST_YEAR, _LAST_YEAR = 2000, 2999
_MOST_QUOTED = 80
_MOST_TOKENS = 2**24
_LARGEST = 1e9
_MOST_OFF = 2.0
"""Times that a rate may be off the tokens over the time beside it: a mean of rates and rounded times stay below."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one row says.

    Attributes:
        where: File, and line or index in it, for errors.
        prompt_tokens: Tokens in the prompt.
        new_tokens: Tokens generated after it.
        values: Metric to value.
        builder: Who built what was measured: `mlc`, `tvm`, `llama.cpp` or another.
        measured_at: When; `None` where the row does not say.
        model: The model, as the row calls it; empty where it does not say, as the following ones.
        quantization: Its quantization.
        target: What it ran on: `cuda`, `llvm`.
        device: Name of the device.
        toolchain: What built and ran it.
        runs: Of how many runs the values are the averages; `None` where the row does not say.
        said: What else it says, by its own names.
    """

    where: str
    prompt_tokens: int
    new_tokens: int
    values: Mapping[str, float]
    builder: str
    measured_at: datetime | None = None
    model: str = ""
    quantization: str = ""
    target: str = ""
    device: str = ""
    toolchain: str = ""
    runs: int | None = None
    said: Mapping[str, str] = field(default_factory=dict)


def quoted(text: str) -> str:
    """What a file says, as an error may show it: short, and with nothing that a terminal would obey."""
    shown = printable(text.strip())
    return f"'{shown}'" if len(shown) <= _MOST_QUOTED else f"'{shown[:_MOST_QUOTED]}…'"


def positive(text: str, where: str) -> float:
    """A number above zero that a benchmark could give.

    Raises:
        ConfigError: It is none; a comma in it is named as what it is.
    """
    if not _NUMBER.fullmatch(text.strip()):  # `float` also takes 1_6, and the digits of every script
        hint = "numbers are written with a point" if "," in text else None
        raise ConfigError(f"{where}: {quoted(text)} is no number", hint=hint)
    number = float(text)
    if not (math.isfinite(number) and 0 < number <= _LARGEST):
        raise ConfigError(f"{where}: {text.strip()} cannot be: a number above zero is expected")
    return number


def in_utc(moment: datetime, where: str) -> datetime:
    """A moment in UTC, for which one without an offset is taken.

    Raises:
        ConfigError: Nobody can have measured a language model then.
    """
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ConfigError(f"{where}: the year {moment.year} cannot be")
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)


def tokens(text: str, where: str) -> int:
    """A number of tokens.

    Raises:
        ConfigError: It is none, or is an average over prompts of several lengths.
    """
    number = positive(text, where)
    if number != int(number):
        raise ConfigError(
            f"{where}: {text.strip()} is not a whole number of tokens", hint="a case has prompts of one length"
        )
    if number > _MOST_TOKENS:
        raise ConfigError(f"{where}: {text.strip()} tokens are more than a model could take")
    return int(number)


def require_agreement(rate: float, count: int, time_s: float, where: str) -> None:
    """Raises `ConfigError` where a rate and the time beside it cannot be of the same run."""
    ratio = rate * time_s / count
    if not 1 / _MOST_OFF <= ratio <= _MOST_OFF:
        raise ConfigError(
            f"{where}: {rate:g} tokens/s contradict {count} tokens in {time_s:g} s",
            hint="times are in seconds, rates in tokens/s",
        )
