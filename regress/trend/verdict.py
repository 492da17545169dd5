"""What a trend says: of one series, and of all of a runner."""

from __future__ import annotations

from typing import Literal

from regress import errors
from regress.stored import Instant, Stored

SCHEMA = 1

Outcome = Literal["steady", "improved", "alarm", "regressed", "too_few"]
Reason = Literal[
    "within_noise",
    "window_above_anchor",
    "cusum_above_anchor",
    "window_below_anchor",
    "cusum_below_anchor",
    "loss_beyond_tolerance",
    "too_few_runs",
    "no_runs",
]
Omission = Literal[
    "refused",
    "failed",
    "not_measured",
    "metric_vanished",
    "reference",
    "other_flags",
    "duplicate",
    "clock_set_back",
]
Difference = Literal["environment", "harness", "model"]
_SEVERITY: tuple[Outcome, ...] = ("too_few", "steady", "improved", "alarm", "regressed")


class Run(Stored, frozen=True):
    """A run by name: id of its record, when it was measured, and the name of its toolchain."""

    id: str
    recorded_at: Instant
    toolchain: str


class Level(Stored, frozen=True):
    """Where some runs lie.

    Attributes:
        value: Their geometric mean, outlying runs drawn in, in the metric's unit.
        runs: How many they are.
        first: The oldest.
        last: The newest.
    """

    value: float
    runs: int
    first: Run
    last: Run


class Change(Stored, frozen=True):
    """A step of a series.

    Attributes:
        before: Last run before it.
        after: First run after it.
        loss: Its size as a fraction of the level before; negative is a gain.
    """

    before: Run
    after: Run
    loss: float


class LeftOut(Stored, frozen=True):
    """A run of the epoch that is no point of the series, and why."""

    run: str
    why: Omission


class Older(Stored, frozen=True):
    """Runs of the epoch on another machine, by another harness or with other weights: named, not compared.

    Attributes:
        differs: What is not as it is in the newest run.
        runs: How many they are.
        last: The newest of them.
    """

    differs: tuple[Difference, ...]
    runs: int
    last: Run


class TrendVerdict(Stored, frozen=True):
    """What is said of one series, with the numbers that led to it.

    Attributes:
        case: Key of the case.
        metric: The metric.
        outcome: `steady`; `improved` or `alarm`, which do not block; `regressed`; `too_few` to say.
        reason: Why, as a code.
        text: Why, as one sentence.
        tolerance: The largest loss that passes, as a fraction.
        runs: Accepted runs of the series.
        needed: Further accepted runs before it can be called steady; 0 where there are enough.
        anchor: The first runs of the epoch; `None` where there are too few.
        recent: The newest runs after the anchor; `None` where there are none.
        sd: Relative standard deviation of the anchor's runs, as the rule takes it: not below 0.1 %.
        correlation: Their lag-1 correlation, not below 0.
        loss: The recent runs' loss against the anchor, as a fraction; negative is a gain.
        loss_low: Lower confidence bound of it; with `loss`, `None` below ten runs after the anchor.
        budget_used: Share of the tolerance that the loss has used up; above 1 it is more than all.
        z: Standard errors by which the recent runs lie below the anchor.
        cusum: The cumulative sum of losses at the newest run, in standard deviations.
        detectable_loss: Smallest step that the ten runs after it show with 95 % probability.
        changes: Steps in the outcome's direction, oldest first; empty where there is none, or a slow slide.
        left_out: Runs of the epoch that are not in the series.
        older: Series of the same case and metric that ended.
        epoch: Why the epoch was accepted; `None` where the baseline names none.
    """

    case: str
    metric: str
    outcome: Outcome
    reason: Reason
    text: str
    tolerance: float
    runs: int
    needed: int = 0
    anchor: Level | None = None
    recent: Level | None = None
    sd: float | None = None
    correlation: float | None = None
    loss: float | None = None
    loss_low: float | None = None
    budget_used: float | None = None
    z: float | None = None
    cusum: float | None = None
    detectable_loss: float | None = None
    changes: tuple[Change, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    older: tuple[Older, ...] = ()
    epoch: str | None = None


class TrendReport(Stored, frozen=True):
    """All series of a runner.

    Attributes:
        schema: Version of this shape.
        runner: The runner named in the baseline.
        baseline: Name of the baseline file.
        runs: Runs of that runner in the history.
        verdicts: In the baseline's order of cases.
        other_runners: Whose runs the history holds besides; they are not judged.
    """

    schema: int
    runner: str
    baseline: str
    runs: int
    verdicts: tuple[TrendVerdict, ...]
    other_runners: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The gravest of its verdicts; `too_few` only where no series could be judged."""
        return max((verdict.outcome for verdict in self.verdicts), key=_SEVERITY.index, default="too_few")

    @property
    def exit_code(self) -> int:
        """The exit code that says it: an alarm does not block."""
        codes = {"regressed": errors.EXIT_REGRESSED, "too_few": errors.EXIT_INCONCLUSIVE}
        return codes.get(self.outcome, errors.EXIT_PASS)
