"""Measuring several builds alternately, replicate by replicate: what the machine does meanwhile meets all alike."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING

from msgspec import UNSET

import regress
from regress import attempt, bench, history
from regress.answers import agreement_of
from regress.bench import harness_digest
from regress.device import on_gpu
from regress.guard import Objection
from regress.preparation import Preparation
from regress.record import SCHEMA, CaseResult, Failure, Record
from regress.redact import publishable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from regress.attempt import Taken
    from regress.baseline import Case
    from regress.build import Built
    from regress.job import Job
    from regress.progress import Step
    from regress.recipe import Recipe
    from regress.replicate import Discarded, GuardReason, Replicate
    from regress.toolchain import InstalledToolchain
    from regress.verdict import Agreement


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the builds that are measured: a toolchain, and build flags over those of the cases."""

    toolchain: str
    flags: Mapping[str, str] = field(default_factory=dict)


class Measured:
    """One side's results as they come in: for each case an artifact and replicates, or a failure."""

    def __init__(self, side: Side, installed: InstalledToolchain, cases: Sequence[Case]) -> None:
        self.side = side
        self.installed = installed
        self.started_at = datetime.now(timezone.utc)
        self.id = history.record_id(self.started_at, installed.identity.name)
        self.built: dict[str, Built] = {}
        self.failures: dict[str, Failure] = {}
        self.replicates: dict[str, list[Replicate]] = {case.key: [] for case in cases}
        self.discarded: dict[str, list[Discarded]] = {case.key: [] for case in cases}
        self.gave_up: dict[str, GuardReason] = {}

    def take_build(self, case: Case, result: Built | Failure) -> None:
        """Notes a case's artifact, or why there is none."""
        if isinstance(result, Failure):
            self.failures[case.key] = result
        else:
            self.built[case.key] = result

    def take_replicate(self, case: Case, result: Replicate | Failure) -> None:
        """Notes a replicate, or why there is none; after a failure the case is not tried again."""
        if isinstance(result, Failure):
            self.failures[case.key] = result
        else:
            self.replicates[case.key].append(result)

    def take(self, case: Case, taken: Taken) -> None:
        """Notes what came of measuring under guard; where nothing could be kept, the case is not tried again."""
        self.discarded[case.key] += taken.discarded
        if taken.result is None:
            self.gave_up[case.key] = taken.discarded[-1].reason
        else:
            self.take_replicate(case, taken.result)

    def lacks(self, case: Case, count: int) -> bool:
        """Whether the case has fewer replicates than that, and can be measured."""
        given_up = case.key in self.failures or case.key in self.gave_up
        return not given_up and len(self.replicates[case.key]) < count

    def result(self, case: Case) -> CaseResult:
        """The case as it stands in the record; one failed replicate makes it a failure."""
        failure, built = self.failures.get(case.key), self.built.get(case.key)
        return CaseResult(
            key=case.key,
            workload=case.workload,
            harness=case.harness,
            harness_digest=UNSET if case.harness == "vm" else harness_digest(case.harness),
            artifact=built.artifact if built else None,
            replicates=() if failure else tuple(self.replicates[case.key]),
            failure=failure,
            discarded=tuple(self.discarded[case.key]),
            gave_up=None if failure else self.gave_up.get(case.key),
        )


class Campaign:
    """Builds of the same cases, installed and built when it is made, then measured in rounds.

    Args:
        job: What to measure.
        sides: What to measure it with.

    Raises:
        ConfigError, ToolchainError, BuildError: Something is missing that no record could be made without.
    """

    def __init__(self, job: Job, sides: Sequence[Side]) -> None:
        self._job = job
        self._cases = job.baseline.cases
        self._preparation = Preparation(job)
        self._taken: list[Measured] = []
        self._bandwidth: float | Failure | None = None
        self._round = 0
        # What is asked for is checked before anything is installed.
        recipes = [self._preparation.recipes(side.flags) for side in sides]
        installed = [self._preparation.install(side.toolchain) for side in sides]
        for parts in zip(sides, installed, recipes, strict=True):
            self._add(*parts)

    @property
    def sides(self) -> Sequence[Measured]:
        """What there is of each side so far."""
        return self._taken

    def join(self, side: Side) -> int:
        """Takes one more side in; its number."""
        self._add(side, self._preparation.install(side.toolchain), self._preparation.recipes(side.flags))
        return len(self._taken) - 1

    def _add(self, side: Side, installed: InstalledToolchain, recipes: Sequence[Recipe]) -> None:
        one = Measured(side, installed, self._cases)
        for case, result in zip(self._cases, self._preparation.build_all(installed, recipes), strict=True):
            one.take_build(case, result)
        self._taken.append(one)

    def records(self) -> list[Record]:
        """What has been measured so far, one record per side."""
        return [self._record(one) for one in self._taken]

    def measure(self, wanted: Sequence[Mapping[str, int]]) -> None:
        """Takes replicates until every side has as many of each case as wanted.

        Every other round runs backwards: no side is always the one that comes after another's heat, and two sides
        meet a steady drift alike (A B, B A).

        Args:
            wanted: For each side, case key to the number of replicates it shall have.
        """
        while any(one.lacks(case, wanted[n][case.key]) for n, one in enumerate(self._taken) for case in self._cases):
            numbered = list(enumerate(self._taken))
            for number, one in numbered if self._round % 2 == 0 else reversed(numbered):
                self._replicate_all(one, wanted[number])
            self._round += 1

    @contextmanager
    def device(self) -> Iterator[None]:
        """One measurement at a time: two at once would measure each other."""
        import filelock  # noqa: PLC0415  # only where something is measured

        reporter, lock = self._job.reporter, filelock.FileLock(self._job.home / "measuring.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            reporter.note("waiting: another regress measures on this machine")
            lock.acquire()
        except OSError as error:
            reporter.note(f"not locked against other measurements: {lock.lock_file}: {error.strerror or error}")
        try:
            yield
        finally:
            lock.release()

    def agreements(self, reference: int, candidate: int) -> dict[str, Agreement | Failure]:
        """Case key to how alike two sides answer, for the cases whose logits differ; or why nobody knows.

        Args:
            reference: Number of the side whose tokens are given to both.
            candidate: Number of the other side.
        """
        one, other = self._taken[reference], self._taken[candidate]
        return {
            case.key: self._agreement(case, one, other) for case in self._cases if _answers_differ(case, one, other)
        }

    def _agreement(self, case: Case, reference: Measured, candidate: Measured) -> Agreement | Failure:
        job, answered = self._job, []
        tokens = reference.replicates[case.key][0].token_ids
        with job.reporter.step(f"answers of {case.key}") as step:
            for one in (reference, candidate):
                launch = job.launch_of(one.installed, job.baseline.measure.bench_timeout_s, step)
                answered.append(bench.logits(one.built[case.key], job.task_of(case), tokens, launch))
        before, after = answered
        if isinstance(before, Failure):
            return before
        if isinstance(after, Failure):
            return after
        try:
            return agreement_of(before, after)
        except ValueError as error:
            return Failure(stage="bench", cause=publishable(str(error)), how="logits compared")

    def _replicate_all(self, one: Measured, wanted: Mapping[str, int]) -> None:
        job = self._job
        for case in self._cases:
            if not one.lacks(case, wanted[case.key]):
                continue
            self._measure_bandwidth(one, case)
            number = len(one.replicates[case.key]) + 1
            what = f"replicate {number}/{wanted[case.key]} of {case.key} with {one.installed.identity.name}"
            with job.reporter.step(what) as step:
                asked = self._asked(one, case, step)
                taken = attempt.take(partial(attempt.attempt, asked), job.baseline.measure, self._cool_down)
            if isinstance(taken.result, Failure):
                job.reporter.broken(taken.result)
            one.take(case, taken)

    def _asked(self, one: Measured, case: Case, step: Step) -> attempt.Asked:
        baseline = self._job.baseline
        return attempt.Asked(
            built=one.built[case.key],
            task=self._job.task_of(case),
            launch=self._job.launch_of(one.installed, baseline.measure.bench_timeout_s, step),
            packages={package.name: package.version for package in one.installed.identity.packages},
            required=baseline.device,
            bandwidth=self._known_bandwidth if on_gpu(case.target) else None,
        )

    def _cool_down(self, discarded: Discarded) -> None:
        cooldown_s = self._job.baseline.measure.cooldown_s
        self._job.reporter.note(f"  discarded ({discarded.text}); again in {cooldown_s:g} s")
        time.sleep(cooldown_s)

    def _measure_bandwidth(self, one: Measured, case: Case) -> None:
        """Measures what a GPU's memory moves, once; nothing fails where that cannot be done.

        A processor's is not measured: what a small model reads lies in caches, so that nothing could be judged by it.
        """
        if self._bandwidth is not None or not on_gpu(case.target):
            return
        job = self._job
        with job.reporter.step("memory bandwidth") as step:
            launch = job.launch_of(one.installed, job.baseline.measure.bench_timeout_s, step)
            found = attempt.bandwidth(case.target, launch, job.baseline.device)
        if isinstance(found, Objection):
            job.reporter.note(f"  not measured yet: {found.text}")
            return
        if isinstance(found, Failure):
            job.reporter.note(f"  not measured ({found.how}): {found.cause}")
        self._bandwidth = found

    @property
    def _known_bandwidth(self) -> float | None:
        return None if isinstance(self._bandwidth, Failure) else self._bandwidth

    def _record(self, one: Measured) -> Record:
        job = self._job
        return Record(
            schema=SCHEMA,
            id=one.id,
            recorded_at=one.started_at,
            runner=job.baseline.runner,
            regress=regress.__version__,
            harness=harness_digest("vm"),
            toolchain=one.installed.identity,
            environment=job.machine(one.installed.identity.python),
            method=job.method,
            cases=tuple(one.result(case) for case in self._cases),
            memory_bandwidth_bytes_per_s=self._known_bandwidth,
        )


def _answers_differ(case: Case, one: Measured, other: Measured) -> bool:
    sides = [side.result(case).replicates[:1] for side in (one, other)]
    # Where a harness tells no logits, its tokens stand for them; where it tells none either, nothing can be compared.
    told = {replicate.logits_sha256 or replicate.token_ids for side in sides for replicate in side}
    return all(sides) and len(told) > 1
