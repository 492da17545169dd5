"""Drills: faults put in on purpose, to prove that the gate can go red.

A gate that is green for months may be right, or blind. A drill builds a model that is really slower, by kernel work of
a known amount, and lets the whole job judge it; and it hands the check a record with a case gone, a NaN, and a time
that rises.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

import msgspec

from regress import pipeline
from regress.bench import replicate_of
from regress.campaign import Campaign, Side
from regress.check import Beside, check
from regress.errors import BenchError, ConfigError
from regress.fault import Fault
from regress.guard import surrender
from regress.record import Failure
from regress.rule import BLOCK_LOOKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.baseline import Case
    from regress.fault import Found
    from regress.job import Job
    from regress.record import CaseResult, Record
    from regress.replicate import Replicate
    from regress.verdict import CheckReport, Verdict

LOSSES = (0.02, 0.03, 0.05, 0.10)
"""Losses of decode rate that are built, besides one of three times the tolerance, which no gate may miss."""
DECODE = "decode_tokens_per_s"
LATENCY = "time_per_output_token_s"
_PROBE = 1000
"""Work that a build is slowed by to learn what work costs: tens of percent of a small model's step."""
_TIME_RISES = 3
_GREEN = ("pass", "improved")


def drill(job: Job, toolchain: str, losses: Sequence[float] | None = None) -> list[Fault]:
    """Puts the faults in, one after the other; what became of each.

    Args:
        job: With the case to drill: the first one of its baseline, and its tolerance.
        toolchain: What to build with.
        losses: Losses of decode rate to build; `LOSSES` and three times the tolerance where `None`.

    Raises:
        BenchError: The case cannot be measured even as it is.
        ConfigError: Its decode rate has no tolerance.
    """
    tolerances = job.baseline.tolerances(job.baseline.cases[0])
    if DECODE not in tolerances:
        raise ConfigError(f"{job.baseline_name}: '{job.baseline.cases[0].key}' has no tolerance for {DECODE}")
    plain, work_per_s = _calibrated(job, toolchain)
    step_s = _median(plain, LATENCY)
    built = losses or (*LOSSES, 1 - (1 - tolerances[DECODE]) ** 3)
    slower = [_slower_build(job, toolchain, loss, round(step_s * loss / (1 - loss) * work_per_s)) for loss in built]
    return [*slower, *record_drills(job, plain)]


def _calibrated(job: Job, toolchain: str) -> tuple[Record, float]:
    """A plain record, and how much extra work takes a second."""
    campaign = Campaign(job, _sides(job, toolchain, _PROBE))
    with campaign.device():
        # As many as a change and its confirmation want.
        campaign.measure([{case.key: 2 * BLOCK_LOOKS[0] for case in job.baseline.cases}] * 2)
    plain, slowed = campaign.records()
    for record in (plain, slowed):
        result = record.cases[0]
        cause = result.failure.cause if result.failure else surrender(result) if result.gave_up else None
        if cause is not None:
            raise BenchError(f"drill: {result.key} cannot be measured", cause=cause)
    extra_s = _median(slowed, LATENCY) - _median(plain, LATENCY)
    if extra_s <= 0:
        raise BenchError("drill: extra kernel work takes no time here, so no slower build can be made")
    return plain, _PROBE / extra_s


def _sides(job: Job, toolchain: str, work: int) -> list[Side]:
    """The build as it is, and with extra work in each decode step."""
    slowed = {**job.flags, "extra_work": str(work)}
    return [Side(toolchain=toolchain, flags=job.flags), Side(toolchain=toolchain, flags=slowed)]


def _median(record: Record, metric: str) -> float:
    return statistics.median(record.cases[0].values(metric))


def _slower_build(job: Job, toolchain: str, loss: float, work: int) -> Fault:
    plan = pipeline.Plan(sides=_sides(job, toolchain, max(work, 1)), beside=0, stands_in=False)
    _, report = pipeline.measure_and_judge(job, plan)
    verdict = _about(report, DECODE)
    if verdict.outcome in ("broken", "missing"):
        raise BenchError(f"drill: the build that is slower by {loss:.0%} cannot be judged", cause=verdict.text)
    tolerance = job.baseline.tolerances(job.baseline.cases[0])[DECODE]
    return Fault(
        name=f"decode slower by {loss:.0%} ({work} multiply-adds per hidden value)",
        outcome=verdict.outcome,
        text=verdict.text,
        found="tolerated" if loss <= tolerance else _found(verdict),
    )


def _found(verdict: Verdict) -> Found:
    """What became of a fault that must be seen: green is never right; where the noise is too large, that is said."""
    if verdict.outcome in _GREEN:
        return "green"
    return "hidden" if verdict.outcome == "inconclusive" else "seen"


def _about(report: CheckReport, metric: str) -> Verdict:
    """The verdict on the metric; the gravest one where the case as a whole was judged."""
    of_metric = [verdict for verdict in report.verdicts if verdict.metric == metric]
    return next(iter(of_metric), None) or next(each for each in report.verdicts if each.outcome == report.outcome)


def record_drills(job: Job, plain: Record) -> list[Fault]:
    """Drills that alter a measured record instead of a build.

    Args:
        job: With the baseline.
        plain: A record of the first case, as measured: four replicates and more.
    """
    return [_vanished(job, plain), _not_a_number(plain), *_directions(job, plain)]


def _vanished(job: Job, plain: Record) -> Fault:
    report = check(
        msgspec.structs.replace(plain, cases=()), job.baseline, job.baseline_name, Beside(record=plain, stands_in=False)
    )
    return _fault_of("a case vanished", report.verdicts[0])


def _not_a_number(plain: Record) -> Fault:
    """A worker that returns a rate that is no number: it must not become a replicate."""
    replicate = plain.cases[0].replicates[0]
    result = {
        "samples": {**replicate.samples, DECODE: (math.nan,)},
        "token_ids": replicate.token_ids,
        "logits_sha256": replicate.logits_sha256,
    }
    taken = replicate_of(result, replicate.started_at)
    if isinstance(taken, Failure):
        return Fault(name="a rate is NaN", outcome="broken", text=taken.cause, found="seen")
    return Fault(name="a rate is NaN", outcome="read", text="it was taken for a measurement", found="green")


def _directions(job: Job, plain: Record) -> list[Fault]:
    """A time that rises is a loss, and one that falls is none: whoever takes the wrong direction fails one of both."""
    baseline = msgspec.structs.replace(job.baseline, tolerance={LATENCY: 0.1}, cases=_untold(job))
    reports = [
        check(_scaled(plain, LATENCY, factor), baseline, job.baseline_name, Beside(record=plain, stands_in=False))
        for factor in (_TIME_RISES, 1 / _TIME_RISES)
    ]
    slower, faster = (_about(report, LATENCY) for report in reports)
    wrong: Found = "green" if faster.outcome == "regressed" else "hidden"
    return [
        _fault_of(f"time per token times {_TIME_RISES}", slower),
        Fault(
            name=f"time per token divided by {_TIME_RISES}, which is none",
            outcome=faster.outcome,
            text=faster.text,
            found="seen" if faster.outcome in _GREEN else wrong,
        ),
    ]


def _untold(job: Job) -> tuple[Case, ...]:
    """The cases without tolerances of their own."""
    return tuple(msgspec.structs.replace(case, tolerance={}) for case in job.baseline.cases)


def _fault_of(name: str, verdict: Verdict) -> Fault:
    return Fault(name=name, outcome=verdict.outcome, text=verdict.text, found=_found(verdict))


def _scaled(record: Record, metric: str, factor: float) -> Record:
    """The record with a metric multiplied, as of another build, and so evenly that no noise hides it."""
    return msgspec.structs.replace(record, cases=tuple(_scaled_case(case, metric, factor) for case in record.cases))


def _scaled_case(case: CaseResult, metric: str, factor: float) -> CaseResult:
    # Values all multiplied by the very same were not measured; of an identical build a difference would be noise.
    replicates = [
        _scaled_replicate(replicate, metric, factor * (1.001 if index % 2 else 0.999))
        for index, replicate in enumerate(case.replicates)
    ]
    return msgspec.structs.replace(case, replicates=tuple(replicates), artifact=None)


def _scaled_replicate(replicate: Replicate, metric: str, factor: float) -> Replicate:
    scaled = tuple(value * factor for value in replicate.samples[metric])
    return msgspec.structs.replace(replicate, samples={**replicate.samples, metric: scaled})
