"""What is said of the runs of a synthetic history: verdicts by the project's own rule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from site_plan import RATES, REFERENCE
from site_runs import crash, toolchain_name

from regress.answers import Limits, judge_answers
from regress.comparison import standard_error, two_sample
from regress.decision import Decision
from regress.gates import GATES, judge_build
from regress.metric import METRICS
from regress.rule import REASONS, Parameters, visible_change, walk
from regress.sentence import sentence
from regress.stats import Evidence, evidence
from regress.verdict import SCHEMA, CheckReport, Reference, Spread, Verdict, broken, missing, spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from site_rates import Floats, Measured
    from site_runs import Runner

    from regress.record import Record
    from regress.rule import Walk

REFERENCE_SESSIONS, REFERENCE_REPLICATES = 5, 3
PARAMETERS = Parameters(tolerance=0.05, budget=5, checks=40)


@dataclass(frozen=True, kw_only=True)
class Known:
    """A runner's references in one of its environments.

    Attributes:
        toolchain: Number of the toolchain that they are of.
        rates: Tokens/s, shape `(cases * rates, replicates)`.
        evidence: Their sums.
        visible: The smallest loss that shows, as a fraction, of each rate of each case.
    """

    toolchain: int
    rates: Floats
    evidence: Evidence
    visible: Floats

    @cached_property
    def spreads(self) -> list[Spread]:
        """The rates as reports hold them."""
        return [spread(values) for values in self.rates.tolist()]


class Judge:
    """Judges the runs of one runner.

    Args:
        runner: The runner.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self._known = lru_cache(maxsize=2)(self._draw_known)

    def _draw_known(self, epoch: int) -> Known:
        """The references of an environment: of the toolchain with which it began."""
        toolchain, noise = self.runner.toolchain(self.runner.changed_at * epoch), self.runner.machine.noise
        drawn = self.runner.plan.random(REFERENCE, self.runner.number, epoch)
        shape = (len(self.runner.cases) * len(RATES), REFERENCE_SESSIONS, REFERENCE_REPLICATES)
        logarithms = drawn.normal(0, noise, (*shape[:2], 1)) + drawn.normal(0, noise / 2, shape)
        logarithms += np.log(self.runner.rates.level(toolchain, epoch)).reshape(-1, 1, 1)
        sessions = [session for session in range(REFERENCE_SESSIONS) for _ in range(REFERENCE_REPLICATES)]
        flat = logarithms.reshape(shape[0], -1)
        known = evidence(flat, sessions)
        error, degrees = standard_error(known, PARAMETERS.looks("two_sample")[-1])
        visible = -np.expm1(-visible_change(error, degrees, PARAMETERS, "two_sample"))
        return Known(toolchain=toolchain, rates=np.exp(flat), evidence=known, visible=visible)

    def report(self, run: int, record: Record, measured: Measured) -> CheckReport:
        """What was said of a run: of the first one in a new environment, that nothing can be compared."""
        known = self._known(self.runner.epoch(run))
        if run == self.runner.changed_at:
            verdicts = [
                missing(key, "other_environment", "the references hold for another machine") for key in self.runner.keys
            ]
        else:
            verdicts = list(self._verdicts(record, known, measured.logarithms()))
        return CheckReport(
            schema=SCHEMA,
            record=record.id,
            runner=record.runner,
            toolchain=record.toolchain.name,
            baseline=f"{record.runner}.toml",
            against="stored",
            reference_toolchain=toolchain_name(known.toolchain),
            verdicts=tuple(verdicts),
        )

    def _verdicts(self, record: Record, known: Known, logarithms: Floats) -> Iterator[Verdict]:
        walked = walk(two_sample(known.evidence, logarithms), PARAMETERS)
        judged = Judged(known=known, walked=walked, rates=np.exp(logarithms).tolist())
        for place, (case, result) in enumerate(zip(self.runner.cases, record.cases, strict=True)):
            if result.artifact is None:
                yield broken(result.key, crash())
                continue
            build = self.runner.artifact(known.toolchain, case.model)
            yield from judge_build(result.key, build.facts, result.artifact.facts, GATES)
            yield from judge_answers(self._answers(known, place), result, None, Limits())
            for row, rate in enumerate(RATES, start=place * len(RATES)):
                yield judged.verdict(result.key, rate, row)

    def _answers(self, known: Known, place: int) -> Reference:
        """The reference, as far as it holds answers."""
        return Reference(
            form="two_sample",
            name=toolchain_name(known.toolchain),
            sessions=(),
            token_ids=self.runner.tokens[place],
            logits_sha256=self.runner.logits(known.toolchain, place),
        )


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the rule says of all rates of a run at once: one at a time, 100,000 of them would take minutes.

    Attributes:
        known: What they were compared with.
        walked: How the rule walked through them.
        rates: Tokens/s, one row of replicates for each rate of each case.
    """

    known: Known
    walked: Walk
    rates: list[list[float]]

    def verdict(self, case: str, rate: str, row: int) -> Verdict:
        """The verdict on one rate."""
        decision = self.decision(row)
        return Verdict(
            case=case,
            outcome=decision.outcome,
            reason=decision.reason,
            text=sentence(METRICS[rate], decision),
            metric=rate,
            baseline=self.known.spreads[row],
            candidate=spread(self.rates[row][: decision.replicates + decision.confirming]),
            loss=decision.loss,
            tolerance=decision.tolerance,
            decision=decision,
        )

    def decision(self, row: int) -> Decision:
        """What the rule said of one rate, as `regress.decision` says it of a single check."""
        known, walked = self.known.evidence, self.walked
        outcome, reason = REASONS[int(walked.code[row])]
        look = int(walked.look[row])
        return Decision(
            form="two_sample",
            outcome=outcome,
            reason=reason,
            tolerance=PARAMETERS.tolerance,
            loss=-math.expm1(-float(walked.change[row])),
            low=-math.expm1(-float(walked.low[row])),
            high=-math.expm1(-float(walked.high[row])),
            replicates=look,
            confirming=int(walked.used[row]) - look,
            baseline_replicates=known.runs,
            sessions=known.sessions,
            sd=float(known.sd[row]),
            session_sd=math.sqrt(float(known.session_variance[row])),
            p_value=float(walked.p_value[row]),
            visible_loss=float(self.known.visible[row]),
        )
