"""Numbers and days on a command line: what is none, or out of range, is refused by argparse in its own words."""

from __future__ import annotations

import argparse
from datetime import date
from typing import TypeVar

_Number = TypeVar("_Number", int, float)


def _number(text: str, kind: type[_Number]) -> _Number:
    try:
        return kind(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no number") from error


def seconds(text: str) -> float:
    """A time limit in seconds."""
    number = _number(text, float)
    if not 0 < number < 1e9:  # noqa: PLR2004  # a NaN is none of these
        raise argparse.ArgumentTypeError(f"{text} is no time limit")
    return number


def fraction(text: str) -> float:
    """A fraction between 0 and 1."""
    number = _number(text, float)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number


def budget(text: str) -> int:
    """Replicates of a check, between the first and the last look."""
    number = _number(text, int)
    if not 3 <= number <= 12:  # noqa: PLR2004  # the first and the last look
        raise argparse.ArgumentTypeError(f"{text} is not between 3 and 12")
    return number


def port(text: str) -> int:
    """A port; 0 is any that is free."""
    number = _number(text, int)
    if not 0 <= number < 65_536:  # noqa: PLR2004  # what a port is
        raise argparse.ArgumentTypeError(f"{text} is no port")
    return number


def day(text: str) -> date:
    """A day of the calendar, such as 2023-10-12."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no day such as 2023-10-12") from error


def count(text: str) -> int:
    """A number of at least 1."""
    number = _number(text, int)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number
