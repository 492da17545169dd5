"""Benchmark series as the rules want them: the values of one key in order of time, as logarithms of its speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regress.stats import Floats


@dataclass(frozen=True, kw_only=True)
class Series:
    """The runs of one key.

    Attributes:
        file: Name of the file they are from.
        key: What tells them apart, joined by ` | `.
        speeds: Natural logarithms of rates, or of reciprocal times: more is better; in order of time.
    """

    file: str
    key: str
    speeds: Floats


@dataclass(frozen=True, kw_only=True)
class Source:
    """What was found in one file.

    Attributes:
        file: Its name.
        series: Its series.
        remark: What was left out and why; empty where nothing was.
    """

    file: str
    series: tuple[Series, ...] = ()
    remark: str = ""

    @property
    def runs(self) -> int:
        """Values in all series."""
        return sum(len(series.speeds) for series in self.series)
