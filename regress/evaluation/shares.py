"""How often something happened, with its bound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regress.stats import Flags

_CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Share:
    """How often something happened.

    Attributes:
        count: Times it did.
        of: Times it could have.
    """

    count: int
    of: int

    def __add__(self, other: Share) -> Share:
        return Share(count=self.count + other.count, of=self.of + other.of)

    @property
    def fraction(self) -> float:
        """The share itself; NaN of nothing."""
        return self.count / self.of if self.of else math.nan

    @property
    def upper(self) -> float:
        """Upper 95 % bound, one-sided, as if all were independent; 1 of nothing.

        Source:
            Clopper and Pearson (1934).
        """
        from scipy import special  # noqa: PLC0415  # 0.1 s that only an evaluation needs

        if self.count >= self.of:
            return 1.0
        return float(special.betaincinv(self.count + 1, self.of - self.count, _CONFIDENCE))


NOTHING = Share(count=0, of=0)


def among(happened: Flags, could: Flags | None = None) -> Share:
    """The share of checks in which something happened, among all or among those that are marked."""
    if could is None:
        return Share(count=int(happened.sum()), of=len(happened))
    return Share(count=int((happened & could).sum()), of=int(could.sum()))
