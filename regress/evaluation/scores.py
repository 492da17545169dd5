"""How a rule does on checks: how often it is wrong on unchanged ones, what it catches, and what that costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regress.evaluation.shares import NOTHING, Share, among

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from regress.evaluation.ours import Judged
    from regress.evaluation.peers import Peer
    from regress.evaluation.protocol import Checks

LOSSES = (0.02, 0.03, 0.05, 0.10)
"""Injected losses of rate: rates are multiplied by 1 - loss, times divided by it."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a rule did.

    Attributes:
        rule: Its name.
        false_alarms: Among unchanged checks.
        independent: The same among those that share no run.
        caught: For each of `LOSSES`.
        wrong_passes: Passes at a loss of the rule's tolerance; of nothing where it has none.
        inconclusive: Unchanged checks it did not decide; of nothing where it always does.
        improved: Unchanged checks called faster; of nothing where it never does.
        replicates: Candidate runs used in all unchanged checks.
    """

    rule: str
    false_alarms: Share
    independent: Share
    caught: tuple[Share, ...]
    wrong_passes: Share
    inconclusive: Share
    improved: Share
    replicates: int

    def __add__(self, other: Score) -> Score:
        return Score(
            rule=self.rule,
            false_alarms=self.false_alarms + other.false_alarms,
            independent=self.independent + other.independent,
            caught=tuple(mine + theirs for mine, theirs in zip(self.caught, other.caught, strict=True)),
            wrong_passes=self.wrong_passes + other.wrong_passes,
            inconclusive=self.inconclusive + other.inconclusive,
            improved=self.improved + other.improved,
            replicates=self.replicates + other.replicates,
        )

    @property
    def mean_replicates(self) -> float:
        """Candidate runs per unchanged check; NaN of none."""
        return self.replicates / self.false_alarms.of if self.false_alarms.of else math.nan


def our_score(judged: Judged) -> Score:
    """What our rule did."""
    regressed = judged.outcomes == "regressed"
    return Score(
        rule=f"regress, tolerance {judged.tolerance:.3g}",
        false_alarms=among(regressed),
        independent=among(regressed, judged.checks.independent),
        caught=tuple(among(judged.caught[loss]) for loss in LOSSES),
        wrong_passes=among(judged.passed[judged.tolerance]),
        inconclusive=among(judged.outcomes == "inconclusive"),
        improved=among(judged.outcomes == "improved"),
        replicates=int(judged.replicates.sum()),
    )


def peer_score(peer: Peer, checks: Checks) -> Score | None:
    """What a peer's rule does; `None` where the checks have too few runs for it."""
    if checks.baseline.shape[1] < peer.history or checks.fresh < peer.runs:
        return None
    flags = peer.slower_at(checks, 0.0)
    tolerance = peer.tolerance
    return Score(
        rule=peer.name,
        false_alarms=among(flags),
        independent=among(flags, checks.independent),
        caught=tuple(among(peer.slower_at(checks, loss)) for loss in LOSSES),
        wrong_passes=NOTHING if tolerance is None else among(~peer.slower_at(checks, tolerance)),
        inconclusive=NOTHING,
        improved=NOTHING,
        replicates=peer.runs * len(checks),
    )


def totals(scores: Iterable[Score]) -> tuple[Score, ...]:
    """One score per rule, in order of first appearance."""
    sums: dict[str, Score] = {}
    for score in scores:
        sums[score.rule] = sums[score.rule] + score if score.rule in sums else score
    return tuple(sums.values())


def scored(judged: Sequence[Judged], peers: Sequence[Peer]) -> tuple[Score, ...]:
    """Our scores, then the peers', on the same checks; a peer that has too few runs everywhere is left out."""
    ours = [our_score(each) for each in judged]
    checks = list({id(each.checks): each.checks for each in judged}.values())
    theirs = [peer_score(peer, each) for peer in peers for each in checks]
    return totals([*ours, *(score for score in theirs if score is not None)])
