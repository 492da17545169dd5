"""The bars that our rule is held to, measured on series and on simulated noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from regress.evaluation.shares import NOTHING, Share, among

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from regress.evaluation.ours import Judged

QUIET_SD = 0.003
"""Standard deviation of a quiet key: decode in a fixed environment."""
_FALSE_FAILS = 0.001
_CAUGHT_AT_TOLERANCE = {0.03: 0.90, 0.05: 0.97}
_LARGE_LOSS, _VISIBLE = 0.10, 0.05
_MOST_REPLICATES = 3.5


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar and what was measured.

    Attributes:
        name: What it is about.
        limit: Its value, a fraction or a mean.
        side: Whether the measured value must not be above or not be below it.
        value: What is held against it; NaN where there was nothing to measure.
        measured: The value as counts; `None` for a mean.
        over: Checks it was measured on.
        bounded: Whether `value` is the upper 95 % bound, and not the share itself.
    """

    name: str
    limit: float
    side: Literal["at most", "at least"]
    value: float
    measured: Share | None
    over: int
    bounded: bool = False

    @property
    def state(self) -> Literal["met", "missed", "not measured"]:
        """How it stands."""
        if math.isnan(self.value):
            return "not measured"
        holds = self.value <= self.limit if self.side == "at most" else self.value >= self.limit
        return "met" if holds else "missed"


def bars_on_series(judged: Sequence[Judged]) -> tuple[Bar, ...]:
    """The bars on measured series, all files together, once for each tolerance.

    Args:
        judged: What our rule said, every tolerance among it.
    """
    tolerances = sorted({each.tolerance for each in judged})
    return tuple(bar for tolerance in tolerances for bar in _bars_at([j for j in judged if j.tolerance == tolerance]))


def _bars_at(judged: Sequence[Judged]) -> list[Bar]:
    tolerance = judged[0].tolerance
    at = f"tolerance {tolerance * 100:g} %"
    false = _sum(judged, lambda each: among(each.outcomes == "regressed"))
    bars = [_false_fails(f"false fails on unchanged data, {at}", false, _FALSE_FAILS)]
    if tolerance in _CAUGHT_AT_TOLERANCE:
        share = _sum(judged, lambda each: among(each.caught[tolerance], each.checks.sd <= QUIET_SD))
        name = f"caught at {tolerance * 100:g} %, {at}, sd of the key <= .3 %"
        bars.append(_share(name, share, _CAUGHT_AT_TOLERANCE[tolerance], "at least"))
    large = _sum(judged, lambda each: among(each.caught[_LARGE_LOSS], each.visible <= _VISIBLE))
    passed = _sum(judged, lambda each: among(each.passed[tolerance]))
    open_ended = _sum(judged, lambda each: among(each.outcomes == "inconclusive", each.visible <= tolerance))
    return [
        *bars,
        _share(f"caught at 10 %, {at}, visible loss <= 5 %", large, 0.995, "at least"),
        _share(f"wrong passes at a loss of the tolerance, {at}", passed, 0.05, "at most"),
        _share(f"inconclusive at 0, {at}, visible loss <= it", open_ended, 0.03, "at most"),
        _replicates(f"mean replicates at 0, {at}, visible loss <= it", judged),
    ]


def bar_on_noise(name: str, false_alarms: Sequence[Share], limit: float) -> Bar:
    """False alarms of one kind of simulated noise: the worst of its spreads and tolerances.

    Args:
        name: The kind of noise.
        false_alarms: One element per spread and tolerance.
        limit: False alarms that are allowed, as a fraction.
    """
    worst = max(false_alarms, key=lambda share: share.fraction)
    return _false_fails(f"false fails on simulated noise: {name}", worst, limit)


def _false_fails(name: str, share: Share, limit: float) -> Bar:
    value = share.upper if share.of else math.nan
    return Bar(name=name, limit=limit, side="at most", value=value, measured=share, over=share.of, bounded=True)


def _share(name: str, share: Share, limit: float, side: Literal["at most", "at least"]) -> Bar:
    return Bar(name=name, limit=limit, side=side, value=share.fraction, measured=share, over=share.of)


def _replicates(name: str, judged: Sequence[Judged]) -> Bar:
    used = [each.replicates[each.visible <= each.tolerance] for each in judged]
    count = sum(map(len, used))
    mean = sum(int(each.sum()) for each in used) / count if count else math.nan
    return Bar(name=name, limit=_MOST_REPLICATES, side="at most", value=mean, measured=None, over=count)


def _sum(judged: Sequence[Judged], share: Callable[[Judged], Share]) -> Share:
    return sum(map(share, judged), NOTHING)
