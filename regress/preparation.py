"""What is there before anything is measured: toolchains, models, and what is built of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress import model, toolchain
from regress.build import Built, Order, build
from regress.errors import ConfigError
from regress.model.folder import read_shape
from regress.record import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regress.baseline import Case
    from regress.job import Job
    from regress.model import LocalModel
    from regress.recipe import Recipe
    from regress.toolchain import InstalledToolchain


class Preparation:
    """Installs, resolves and builds for a job; each model is resolved once.

    Args:
        job: What to measure.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._models: dict[str, LocalModel] = {}
        self._built: set[tuple[str, Recipe]] = set()

    def recipes(self, flags: Mapping[str, str]) -> list[Recipe]:
        """What each case's artifact is made of, with those build flags over its own.

        Raises:
            ConfigError: A case names a quantization, target or flag that no builder knows, or a GPU that is not there.
        """
        self._job.require_gpu()
        return [self._job.recipe_of(case, index, flags) for index, case in enumerate(self._job.baseline.cases)]

    def install(self, name: str) -> InstalledToolchain:
        """A declared toolchain, ready for use.

        Raises:
            ConfigError, ToolchainError: It is not declared, or cannot be installed.
        """
        spec = self._job.config.toolchain(name)
        with self._job.reporter.step(f"toolchain {name}"):
            return toolchain.install(spec, self._job.home, log=self._job.reporter.note)

    def build_all(self, installed: InstalledToolchain, recipes: Sequence[Recipe]) -> list[Built | Failure]:
        """Each case's artifact, or why there is none; cases of one recipe share an artifact."""
        builds: dict[Recipe, Built | Failure] = {}
        for case, recipe in zip(self._job.baseline.cases, recipes, strict=True):
            if recipe not in builds:
                builds[recipe] = self._build(installed, case, recipe)
        return [builds[recipe] for recipe in recipes]

    def _build(self, installed: InstalledToolchain, case: Case, recipe: Recipe) -> Built | Failure:
        job, local = self._job, self._model(recipe.model)
        recipe_key = case.key.rpartition("/")[0]
        with job.reporter.step(f"build {recipe_key} with {installed.identity.name}") as step:
            machine = job.machine(installed.identity.python)
            order = Order(recipe=recipe, local=local, toolchain=installed, machine=machine)
            launch = job.launch_of(installed, job.baseline.measure.build_timeout_s, step).reading(local.folder)
            # Two sides of one build share a folder: what one was built for must not change under the other.
            anew = job.rebuild and (installed.identity.fingerprint, recipe) not in self._built
            result = build(order, job.home, launch, anew=anew)
            self._built.add((installed.identity.fingerprint, recipe))
            if isinstance(result, Built) and result.cached:
                step.remark("found in the cache")
        if isinstance(result, Failure):
            job.reporter.broken(result)
        return result

    def _model(self, source: str) -> LocalModel:
        if source not in self._models:
            local = model.resolve(source, self._job.home, log=self._job.reporter.note)
            _require_known_tokens(self._job, local)
            self._models[source] = local
        return self._models[source]


def _require_known_tokens(job: Job, local: LocalModel) -> None:
    """Raises `ConfigError` where a given prompt is of another model's vocabulary: the model's lookup would fail."""
    highest = max((max(prompt) for prompt in job.prompts or ()), default=0)
    vocabulary = read_shape(local.folder).vocab_size
    if highest >= vocabulary:
        raise ConfigError(f"token id {highest} of the prompts is not below the {vocabulary} of {local.identity.name}")
