"""What a command measures, where, and with what."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regress import device, supervisor
from regress.bench import Task
from regress.container import Mount, portable
from regress.errors import ConfigError
from regress.recipe import Recipe, check_arch, check_context, check_recipe, complete_flags
from regress.record import Method, digest
from regress.supervisor import Launch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from regress.baseline import Baseline, Case
    from regress.config import Config
    from regress.progress import Reporter, Step
    from regress.record import Environment
    from regress.toolchain import InstalledToolchain


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
        flags: Build flags set on the command line, for what is measured; a baseline's own artifact is built without.
        prompts: Token ids to use, all of one length, instead of random ones.
        rebuild: Build every artifact anew, also where it is in the cache.
    """

    config: Config
    baseline: Baseline
    baseline_name: str
    home: Path
    history: Path
    reporter: Reporter
    flags: Mapping[str, str]
    prompts: Sequence[Sequence[int]] | None = None
    rebuild: bool = False

    def recipe_of(self, case: Case, index: int, flags: Mapping[str, str]) -> Recipe:
        """What a case's artifact is made of.

        Args:
            case: The case.
            index: Its place in the baseline, for errors.
            flags: Build flags over those of the case.

        Raises:
            ConfigError: The case names a quantization, target or flag that no builder knows.
        """
        where = f"{self.baseline_name}: cases[{index}]"
        check_recipe(case.quantization, case.target, where, case.builder)
        complete = complete_flags({**case.flags, **flags}, f"{where}.flags", case.builder)
        check_context(case.workload, complete, where)
        check_arch(case.target, complete, where)
        return Recipe(
            model=case.model,
            quantization=case.quantization,
            target=case.target,
            flags=tuple(sorted(complete.items())),
            builder=case.builder,
        )

    def launch_of(self, installed: InstalledToolchain, timeout_s: float, step: Step) -> Launch:
        """How a toolchain's workers are started during a step."""
        given = portable(os.environ) if installed.container else os.environ
        env = supervisor.worker_environment(given, {**installed.env, **self.baseline.measure.environment})
        inside = installed.container and installed.container.with_mounts([Mount(path=self.home, writable=True)])
        return Launch(python=installed.python, env=env, timeout_s=timeout_s, on_progress=step.update, container=inside)

    def machine(self, python: str) -> Environment:
        """This machine, with the settings that the baseline gives its workers.

        Args:
            python: Version of the Python that runs them.
        """
        settings = supervisor.settings(os.environ, self.baseline.measure.environment)
        targets = [case.target for case in self.baseline.cases]
        return device.environment(settings, python, targets, self._visible)

    def require_gpu(self) -> None:
        """Raises `ConfigError` where a case is for this machine's GPU, and there is none.

        TVM would say so only after gigabytes of weights were made, and the record would call its build broken.
        """
        index = next((number for number, case in enumerate(self.baseline.cases) if case.target == "cuda"), None)
        if index is not None and (why := device.no_gpu(self._visible)) is not None:
            raise ConfigError(
                f"{self.baseline_name}: cases[{index}].target: cuda is this machine's GPU, and there is none: {why}",
                hint="run `regress doctor`, or name an architecture to compile for alone, such as cuda-sm_90",
            )

    @property
    def _visible(self) -> str | None:
        """`CUDA_VISIBLE_DEVICES` of the workers; `None` where it is not set."""
        return supervisor.worker_environment(os.environ, self.baseline.measure.environment).get(device.VISIBLE)

    def task_of(self, case: Case) -> Task:
        """What a worker is asked to do with a case's artifact."""
        return Task(workload=case.workload, measure=self.baseline.measure, harness=case.harness, prompts=self.prompts)

    @property
    def method(self) -> Method:
        """How replicates are taken."""
        measure = self.baseline.measure
        prompts = digest(self.prompts) if self.prompts else None
        return Method(warmups=measure.warmups, repeats=measure.repeats, seed=measure.seed, prompts_sha256=prompts)
