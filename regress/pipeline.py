"""The main job: install, resolve, build, measure, record, judge, publish.

Toolchains are measured alternately, replicate by replicate, so that whatever the machine does meanwhile meets all of
them alike.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import regress
from regress import bench, device, history, model, supervisor, toolchain
from regress.bench import harness_digest
from regress.build import Built, Order, build
from regress.check import check
from regress.errors import ConfigError, HistoryError
from regress.model.folder import read_shape
from regress.recipe import Recipe, check_context, check_recipe, complete_flags
from regress.record import SCHEMA, CaseResult, Failure, Method, Record, digest
from regress.supervisor import Launch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from regress.baseline import Baseline, Case
    from regress.config import Config
    from regress.model import LocalModel
    from regress.progress import Reporter, Step
    from regress.record import Environment, Replicate
    from regress.toolchain import InstalledToolchain
    from regress.verdict import CheckReport


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to measure, where, and with what.

    Attributes:
        config: `regress.toml`.
        baseline: The cases and how to measure them.
        baseline_name: The baseline file's name.
        home: Cache folder.
        history: Folder of the records.
        reporter: For progress.
        flags: Build flags set on the command line, over those of the cases.
        prompts: Token ids to use, all of one length, instead of random ones.
    """

    config: Config
    baseline: Baseline
    baseline_name: str
    home: Path
    history: Path
    reporter: Reporter
    flags: Mapping[str, str]
    prompts: Sequence[Sequence[int]] | None = None

    def recipe_of(self, case: Case, index: int) -> Recipe:
        """What a case's artifact is made of.

        Raises:
            ConfigError: The case names a quantization, target or flag that no builder knows.
        """
        where = f"{self.baseline_name}: cases[{index}]"
        check_recipe(case.quantization, case.target, where)
        flags = complete_flags({**case.flags, **self.flags}, f"{where}.flags")
        check_context(case.workload, flags, where)
        return Recipe(
            model=case.model, quantization=case.quantization, target=case.target, flags=tuple(sorted(flags.items()))
        )

    def launch_of(self, installed: InstalledToolchain, timeout_s: float, step: Step) -> Launch:
        """How a toolchain's workers are started during a step."""
        env = supervisor.worker_environment(os.environ, {**installed.env, **self.baseline.measure.environment})
        return Launch(python=installed.python, env=env, timeout_s=timeout_s, on_progress=step.update)

    def machine(self, python: str) -> Environment:
        """This machine, with the settings that the baseline gives its workers.

        Args:
            python: Version of the Python that runs them.
        """
        return device.environment(supervisor.settings(os.environ, self.baseline.measure.environment), python)

    @property
    def method(self) -> Method:
        """How replicates are taken."""
        measure = self.baseline.measure
        prompts = digest(self.prompts) if self.prompts else None
        return Method(warmups=measure.warmups, repeats=measure.repeats, seed=measure.seed, prompts_sha256=prompts)


class Measured:
    """One toolchain's results as they come in: for each case an artifact and replicates, or a failure."""

    def __init__(self, installed: InstalledToolchain, cases: Sequence[Case]) -> None:
        self.installed = installed
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


def measure(job: Job, names: Sequence[str], *, replicates: int | None = None) -> list[Record]:
    """Builds and measures every case with each toolchain; one record per toolchain, in the order of the names.

    Args:
        job: What to measure.
        names: Toolchains, by their names in `regress.toml`.
        replicates: Fresh processes per case and toolchain; the baseline's number where `None`, none where 0.

    Raises:
        ConfigError, ToolchainError, BuildError: Something is missing that no record could be made without.
    """
    started = datetime.now(timezone.utc)
    recipes = [job.recipe_of(case, index) for index, case in enumerate(job.baseline.cases)]
    taken = [Measured(_install(job, name), job.baseline.cases) for name in names]
    _build_all(job, taken, recipes)
    count = job.baseline.measure.replicates if replicates is None else replicates
    with _device_lock(job):
        _measure_all(job, taken, count)
    return [_record(job, one, started) for one in taken]


def _measure_all(job: Job, taken: Sequence[Measured], count: int) -> None:
    for number in range(count):
        # Every other round runs backwards: no toolchain is always the one that comes after another's heat.
        for one in taken if number % 2 == 0 else reversed(taken):
            _replicate_all(job, one, number, count)


@contextmanager
def _device_lock(job: Job) -> Iterator[None]:
    """One measurement at a time: two at once would measure each other."""
    import filelock  # noqa: PLC0415  # only where something is measured

    lock = filelock.FileLock(job.home / "measuring.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        job.reporter.note("waiting: another regress measures on this machine")
        lock.acquire()
    except OSError as error:
        job.reporter.note(f"not locked against other measurements: {lock.lock_file}: {error.strerror or error}")
    try:
        yield
    finally:
        lock.release()


def _install(job: Job, name: str) -> InstalledToolchain:
    spec = job.config.toolchain(name)
    with job.reporter.step(f"toolchain {name}"):
        return toolchain.install(spec, job.home, log=job.reporter.note)


def _build_all(job: Job, taken: Sequence[Measured], recipes: Sequence[Recipe]) -> None:
    """Builds what each case needs with each toolchain; cases of one recipe share an artifact."""
    results: dict[Recipe, list[Built | Failure]] = {}
    for case, recipe in zip(job.baseline.cases, recipes, strict=True):
        if recipe not in results:
            results[recipe] = _build_each(job, taken, case, recipe)
        for one, result in zip(taken, results[recipe], strict=True):
            one.take_build(case, result)


def _build_each(job: Job, taken: Sequence[Measured], case: Case, recipe: Recipe) -> list[Built | Failure]:
    local = model.resolve(recipe.model, job.home, log=job.reporter.note)
    _require_known_tokens(job, local)
    return [_build(job, one.installed, case, recipe, local) for one in taken]


def _require_known_tokens(job: Job, local: LocalModel) -> None:
    """Raises `ConfigError` where a given prompt is of another model's vocabulary: the model's lookup would fail."""
    highest = max((max(prompt) for prompt in job.prompts or ()), default=0)
    vocabulary = read_shape(local.folder).vocab_size
    if highest >= vocabulary:
        raise ConfigError(f"token id {highest} of the prompts is not below the {vocabulary} of {local.identity.name}")


def _build(job: Job, installed: InstalledToolchain, case: Case, recipe: Recipe, local: LocalModel) -> Built | Failure:
    recipe_key = case.key.rpartition("/")[0]
    with job.reporter.step(f"build {recipe_key} with {installed.identity.name}") as step:
        order = Order(recipe=recipe, local=local, toolchain=installed, machine=job.machine(installed.identity.python))
        result = build(order, job.home, job.launch_of(installed, job.baseline.measure.build_timeout_s, step))
        if isinstance(result, Built) and result.cached:
            step.remark("found in the cache")
    if isinstance(result, Failure):
        job.reporter.note(f"  broken at {result.stage} ({result.how}): {result.cause}")
    return result


def _replicate_all(job: Job, one: Measured, number: int, count: int) -> None:
    for case in job.baseline.cases:
        if case.key in one.failures:
            continue
        with job.reporter.step(
            f"replicate {number + 1}/{count} of {case.key} with {one.installed.identity.name}"
        ) as step:
            launch = job.launch_of(one.installed, job.baseline.measure.bench_timeout_s, step)
            result = bench.replicate(one.built[case.key], case.workload, job.baseline.measure, launch, job.prompts)
        if isinstance(result, Failure):
            job.reporter.note(f"  broken at {result.stage} ({result.how}): {result.cause}")
        one.take_replicate(case, result)


def _record(job: Job, one: Measured, started: datetime) -> Record:
    return Record(
        schema=SCHEMA,
        id=history.record_id(started, one.installed.identity.name),
        recorded_at=started,
        runner=job.baseline.runner,
        regress=regress.__version__,
        harness=harness_digest(),
        toolchain=one.installed.identity,
        environment=job.machine(one.installed.identity.python),
        method=job.method,
        cases=tuple(one.result(case) for case in job.baseline.cases),
    )


def save(job: Job, records: Sequence[Record]) -> list[Path]:
    """Appends records to the history; their paths.

    Raises:
        HistoryError: The history cannot be written; every record that is not in it is then kept in the cache folder,
            if that can be.
    """
    paths: list[Path] = []
    try:
        for record in records:
            paths.append(history.append(record, job.history))  # noqa: PERF401  # those that are in count, if one fails
    except HistoryError as error:
        raise _kept(job, records[len(paths) :], error) from error
    return paths


def _kept(job: Job, records: Sequence[Record], error: HistoryError) -> HistoryError:
    """The error with where the records were kept instead, or why they are lost."""
    try:
        kept = [history.append(record, job.home / "unsaved") for record in records]
    except HistoryError as second:
        return HistoryError(str(error), cause=str(second), hint="the measurement is lost")
    return HistoryError(str(error), hint=f"kept instead: {', '.join(str(path) for path in kept)}")


def save_report(report: CheckReport, record: Path) -> None:
    """Writes what was said of a record beside it; a record outside the history keeps its report there, too."""
    history.append_report(report, record)


def judged(job: Job, candidate: Record, others: Sequence[Record]) -> CheckReport:
    """The candidate's verdicts: by the stored references where they hold here, else by a record of the same run.

    Args:
        job: With the baseline.
        candidate: The record that the verdicts are about.
        others: Records of the same run.
    """
    if job.baseline.holds_for(candidate.environment, candidate.harness):
        return check(candidate, job.baseline, job.baseline_name)
    beside = next((record for record in others if record.toolchain.name == job.baseline.toolchain), None)
    return check(candidate, job.baseline, job.baseline_name, beside)
