"""Measuring several builds alternately, replicate by replicate: what the machine does meanwhile meets all alike."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import regress
from regress import bench, history, model, toolchain
from regress.answers import agreement_of
from regress.bench import harness_digest
from regress.build import Built, Order, build
from regress.errors import ConfigError
from regress.model.folder import read_shape
from regress.record import SCHEMA, CaseResult, Failure, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from regress.baseline import Case
    from regress.job import Job
    from regress.model import LocalModel
    from regress.recipe import Recipe
    from regress.record import Replicate
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

    def lacks(self, case: Case, count: int) -> bool:
        """Whether the case has fewer replicates than that, and can be measured."""
        return case.key not in self.failures and len(self.replicates[case.key]) < count

    def result(self, case: Case) -> CaseResult:
        """The case as it stands in the record; one failed replicate makes it a failure."""
        failure, built = self.failures.get(case.key), self.built.get(case.key)
        return CaseResult(
            key=case.key,
            workload=case.workload,
            artifact=built.artifact if built else None,
            replicates=() if failure else tuple(self.replicates[case.key]),
            failure=failure,
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
        self._taken: list[Measured] = []
        self._models: dict[str, LocalModel] = {}
        self._built: set[tuple[str, Recipe]] = set()
        self._round = 0
        # What is asked for is checked before anything is installed.
        recipes = [self._recipes(side) for side in sides]
        installed = [self._install(side.toolchain) for side in sides]
        for parts in zip(sides, installed, recipes, strict=True):
            self._add(*parts)

    def join(self, side: Side) -> int:
        """Takes one more side in; its number."""
        self._add(side, self._install(side.toolchain), self._recipes(side))
        return len(self._taken) - 1

    def _recipes(self, side: Side) -> list[Recipe]:
        return [self._job.recipe_of(case, index, side.flags) for index, case in enumerate(self._cases)]

    def _add(self, side: Side, installed: InstalledToolchain, recipes: Sequence[Recipe]) -> None:
        """Builds what each case needs; cases of one recipe share an artifact."""
        one = Measured(side, installed, self._cases)
        builds: dict[Recipe, Built | Failure] = {}
        for case, recipe in zip(self._cases, recipes, strict=True):
            if recipe not in builds:
                builds[recipe] = self._build(installed, case, recipe)
            one.take_build(case, builds[recipe])
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
                answered.append(bench.logits(one.built[case.key], self._task(case), tokens, launch))
        before, after = answered
        if isinstance(before, Failure):
            return before
        if isinstance(after, Failure):
            return after
        try:
            return agreement_of(before, after)
        except ValueError as error:
            return Failure(stage="bench", cause=str(error), how="logits compared")

    def _install(self, name: str) -> InstalledToolchain:
        spec = self._job.config.toolchain(name)
        with self._job.reporter.step(f"toolchain {name}"):
            return toolchain.install(spec, self._job.home, log=self._job.reporter.note)

    def _model(self, source: str) -> LocalModel:
        if source not in self._models:
            local = model.resolve(source, self._job.home, log=self._job.reporter.note)
            _require_known_tokens(self._job, local)
            self._models[source] = local
        return self._models[source]

    def _build(self, installed: InstalledToolchain, case: Case, recipe: Recipe) -> Built | Failure:
        job, local = self._job, self._model(recipe.model)
        recipe_key = case.key.rpartition("/")[0]
        with job.reporter.step(f"build {recipe_key} with {installed.identity.name}") as step:
            machine = job.machine(installed.identity.python)
            order = Order(recipe=recipe, local=local, toolchain=installed, machine=machine)
            launch = job.launch_of(installed, job.baseline.measure.build_timeout_s, step)
            # Two sides of one build share a folder: what one was built for must not change under the other.
            anew = job.rebuild and (installed.identity.fingerprint, recipe) not in self._built
            result = build(order, job.home, launch, anew=anew)
            self._built.add((installed.identity.fingerprint, recipe))
            if isinstance(result, Built) and result.cached:
                step.remark("found in the cache")
        self._note_failure(result)
        return result

    def _replicate_all(self, one: Measured, wanted: Mapping[str, int]) -> None:
        job = self._job
        for case in self._cases:
            if not one.lacks(case, wanted[case.key]):
                continue
            number = len(one.replicates[case.key]) + 1
            what = f"replicate {number}/{wanted[case.key]} of {case.key} with {one.installed.identity.name}"
            with job.reporter.step(what) as step:
                launch = job.launch_of(one.installed, job.baseline.measure.bench_timeout_s, step)
                result = bench.replicate(one.built[case.key], self._task(case), launch)
            self._note_failure(result)
            one.take_replicate(case, result)

    def _task(self, case: Case) -> bench.Task:
        return bench.Task(workload=case.workload, measure=self._job.baseline.measure, prompts=self._job.prompts)

    def _note_failure(self, result: object) -> None:
        if isinstance(result, Failure):
            self._job.reporter.note(f"  broken at {result.stage} ({result.how}): {result.cause}")

    def _record(self, one: Measured) -> Record:
        job = self._job
        return Record(
            schema=SCHEMA,
            id=one.id,
            recorded_at=one.started_at,
            runner=job.baseline.runner,
            regress=regress.__version__,
            harness=harness_digest(),
            toolchain=one.installed.identity,
            environment=job.machine(one.installed.identity.python),
            method=job.method,
            cases=tuple(one.result(case) for case in self._cases),
        )


def _answers_differ(case: Case, one: Measured, other: Measured) -> bool:
    sides = [side.result(case).replicates[:1] for side in (one, other)]
    digests = {replicate.logits_sha256 for side in sides for replicate in side}
    return all(sides) and len(digests) > 1


def _require_known_tokens(job: Job, local: LocalModel) -> None:
    """Raises `ConfigError` where a given prompt is of another model's vocabulary: the model's lookup would fail."""
    highest = max((max(prompt) for prompt in job.prompts or ()), default=0)
    vocabulary = read_shape(local.folder).vocab_size
    if highest >= vocabulary:
        raise ConfigError(f"token id {highest} of the prompts is not below the {vocabulary} of {local.identity.name}")
