"""The decision rule: from replicate values to pass, improved, regressed or inconclusive. docs/method.md explains it.

A loss is measured as a difference of logarithms, `d = mean(ln baseline) - mean(ln candidate)`, above 0 where the
candidate is worse, and shown as the fraction `1 - exp(-d)`. The rule looks at the candidate's replicates after 3, 5,
8 and 12 of them, and stops at the first look that decides. One function, `walk`, decides for one check and for a
campaign of a hundred thousand alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from regress.comparison import confirming
from regress.stats import t_quantile, t_tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regress.comparison import Comparison, Form, Moments
    from regress.stats import Flags, Floats

LOOKS = (3, 5, 8, 12)
"""Candidate replicates after which the rule may stop."""
BLOCK_LOOKS = (4, 6, 8, 12)
"""Paired blocks after which it may stop: even, so that a steady drift cancels (A B, B A, A B, B A)."""
ALPHA_PASS_AGAIN = 0.005
"""Chance that a loss of the tolerance passes where it is looked at a second time, side by side: two chances add up."""
POWER = 0.95
"""Chance of seeing the smallest visible loss."""

Decided = Literal["pass", "improved", "regressed", "inconclusive"]
RuleReason = Literal[
    "within_tolerance",
    "measurably_slower_inside_tolerance",
    "slower_than_tolerance",
    "measurably_slower_tolerance_not_excluded",
    "faster_than_tolerance",
    "needs_more_replicates",
    "too_noisy",
    "unstable_host",
    "not_confirmed",
    "undecided",
    "no_variance",
]
REASONS: tuple[tuple[Decided, RuleReason], ...] = (
    ("inconclusive", "needs_more_replicates"),
    ("pass", "within_tolerance"),
    ("pass", "measurably_slower_inside_tolerance"),
    ("regressed", "slower_than_tolerance"),
    ("regressed", "measurably_slower_tolerance_not_excluded"),
    ("improved", "faster_than_tolerance"),
    ("inconclusive", "not_confirmed"),
    ("inconclusive", "unstable_host"),
    ("inconclusive", "too_noisy"),
    ("inconclusive", "undecided"),
    ("inconclusive", "no_variance"),
)
"""What a walk can end with; its `code` is the place in here."""
_OPEN, _PASS, _SLOWER_PASS, _SLOWER, _SLOWER_LAST, _FASTER, _UNCONFIRMED, _UNSTABLE, _NOISY, _UNDECIDED, _EQUAL = range(
    len(REASONS)
)


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What a verdict is asked with.

    Attributes:
        tolerance: The largest loss that passes, as a fraction.
        budget: Candidate replicates (blocks, where paired) after which nothing more is looked at.
        checks: Verdicts of the same run, which share the chance of a false alarm.
        alpha_pass: Chance that a loss of the tolerance passes, over all looks.
    """

    tolerance: float
    budget: int = 8
    checks: int = 1
    alpha_pass: float = 0.03

    @property
    def alpha_fail(self) -> float:
        """Chance that an unchanged build fails, over all looks."""
        return min(0.001, 0.01 / self.checks)

    @property
    def limit(self) -> float:
        """The tolerance as a difference of logarithms."""
        return -math.log1p(-self.tolerance)

    @property
    def margin(self) -> float:
        """The smallest difference that is called a change, as a difference of logarithms."""
        return -math.log1p(-max(self.tolerance / 5, 0.003))

    def looks(self, form: Form) -> tuple[int, ...]:
        """Numbers of replicates or blocks to look at: those that the budget covers, and the first one at least."""
        all_looks = BLOCK_LOOKS if form == "paired" else LOOKS
        return tuple(look for look in all_looks if look <= self.budget) or all_looks[:1]


def visible_change(error: Floats, degrees: Floats | float, parameters: Parameters, form: Form) -> Floats:
    """The smallest difference of logarithms that is called a regression 19 times of 20.

    Args:
        error: Standard error at the last look.
        degrees: Its degrees of freedom.
        parameters: Tolerance, budget and chances.
        form: What is compared.
    """
    looks = len(parameters.looks(form))
    alpha = parameters.alpha_fail * _weight(looks, looks)
    return parameters.margin + (t_quantile(1 - alpha, degrees) + t_quantile(POWER, degrees)) * error


def _weight(place: int, looks: int) -> float:
    """Share of the chance of an error that a look may use: later ones more, since they know more."""
    return place / sum(range(1, looks + 1))


@dataclass(frozen=True, kw_only=True)
class Walk:
    """How the looks ended; each array has one entry per check.

    Attributes:
        code: Place in `REASONS`.
        look: Replicates or blocks at the look that ended it, or at the last one there was.
        used: The same with the confirming ones.
        wanted: How many there must be before the rule can go on; 0 where it ended.
        change: Mean difference of logarithms at that look.
        low: Lower bound of the difference, at the level of a failure.
        high: Upper bound, at the level of a pass.
        p_value: Probability of so large a loss at the first look if nothing had changed.
    """

    code: NDArray[np.int8]
    look: NDArray[np.int64]
    used: NDArray[np.int64]
    wanted: NDArray[np.int64]
    change: Floats
    low: Floats
    high: Floats
    p_value: Floats

    def outcomes(self) -> NDArray[np.str_]:
        """The outcome of each check."""
        return np.array([outcome for outcome, _ in REASONS])[self.code]


def walk(comparison: Comparison, parameters: Parameters) -> Walk:
    """Looks until each check is decided, or nothing is left to look at.

    Args:
        comparison: The candidates and what they are compared with.
        parameters: Tolerance, budget and chances.
    """
    looks, extra = parameters.looks(comparison.form), confirming(comparison.form)
    state = _State.start(comparison.checks, looks[0])
    for place, count in enumerate(looks, start=1):
        undecided = (state.code == _OPEN) & (state.wanted == count)
        if count > comparison.available or not undecided.any():
            break
        moments = comparison.moments(count, parameters.limit)
        found = _Look(moments, parameters, _weight(place, len(looks)), last=place == len(looks))
        state.take_look(undecided, count, found)
        state.settle(undecided, found, following=0 if found.last else looks[place])
        changed = undecided & found.is_change
        if count + extra > comparison.available:
            state.wanted[changed] = count + extra
        elif changed.any():
            state.confirm(changed, count + extra, found, comparison.again(count))
    return state


class _Look:
    """The rule's questions at one look, answered for every check."""

    def __init__(self, moments: Moments, parameters: Parameters, weight: float, *, last: bool) -> None:
        change, limit, margin = moments.change, parameters.limit, parameters.margin
        fail = t_quantile(1 - parameters.alpha_fail * weight, moments.degrees) * moments.error
        passing = t_quantile(1 - parameters.alpha_pass * weight, moments.degrees) * moments.error
        self.change, self.low, self.high = change, change - fail, change + passing
        self.p_value = t_tail(change / moments.error, moments.degrees)
        self.stable, self.varied = moments.stable, moments.varied
        believable = moments.stable & moments.varied
        slower = believable & (self.low > margin)
        faster = believable & (change + fail < -margin)
        self.within = (self.high < limit) & moments.varied
        self.is_slower = slower & ~self.within & ((change > limit) | last)
        self.is_faster = faster & (change < -limit)
        self.is_change = self.is_slower | self.is_faster
        self.slower_inside = slower & self.within
        self.beyond = change > limit
        self.last, self.limit, self.margin = last, limit, margin
        self._moments, self._fail = moments, fail

    def shown_again(self, again: Floats) -> Flags:
        """Whether every confirming difference has at least a third of the size of the change, and is one itself.

        A disturbance of three or four replicates is gone by then, or ends among them; a slow build stays slow.
        """
        expected = np.maximum(np.abs(self.change) / 3, self.margin)
        shown: Flags = np.all(np.sign(self.change)[:, None] * again > expected[:, None], axis=1)
        return shown

    def ending(self) -> NDArray[np.int8]:
        """Code for what neither passed nor changed at the last look."""
        visible = self.margin + self._fail + t_quantile(POWER, self._moments.degrees) * self._moments.error
        codes = np.full(self.change.shape, _UNDECIDED, np.int8)
        codes[visible > self.limit] = _NOISY
        codes[~self.stable] = _UNSTABLE
        codes[~self.varied] = _EQUAL
        return codes


class _State(Walk):
    """A walk whose arrays the looks fill in."""

    @classmethod
    def start(cls, size: int, first: int) -> _State:
        return cls(
            code=np.full(size, _OPEN, np.int8),
            look=np.zeros(size, np.int64),
            used=np.zeros(size, np.int64),
            wanted=np.full(size, first, np.int64),
            change=np.full(size, np.nan),
            low=np.full(size, np.nan),
            high=np.full(size, np.nan),
            p_value=np.full(size, np.nan),
        )

    def take_look(self, which: Flags, count: int, found: _Look) -> None:
        self.look[which] = self.used[which] = count
        for name in ("change", "low", "high"):
            getattr(self, name)[which] = getattr(found, name)[which]
        first = which & np.isnan(self.p_value)
        self.p_value[first] = found.p_value[first]

    def settle(self, which: Flags, found: _Look, following: int) -> None:
        """Ends what passed, and at the last look all that shows no change; the rest goes on."""
        passed = which & found.within & ~found.is_change
        rest = which & ~found.within & ~found.is_change
        self.code[passed] = np.where(found.slower_inside, _SLOWER_PASS, _PASS)[passed]
        if found.last:
            self.code[rest] = found.ending()[rest]
        self.wanted[which] = 0
        if not found.last:
            self.wanted[rest] = following

    def confirm(self, which: Flags, used: int, found: _Look, again: Floats) -> None:
        """Believes a change that further replicates show again."""
        change = np.where(found.is_faster, _FASTER, np.where(found.beyond, _SLOWER, _SLOWER_LAST))
        self.code[which] = np.where(found.shown_again(again), change, _UNCONFIRMED)[which]
        self.used[which], self.wanted[which] = used, 0
