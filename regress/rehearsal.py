"""A check without measuring: what it would do here, and why it could not judge. Starts no worker, needs no network."""

from __future__ import annotations

import platform
import re
from typing import TYPE_CHECKING

import msgspec

from regress import image, toolchain
from regress.bench import harness_digest, harness_digests
from regress.comparable import Circumstances, differences, incomparable
from regress.errors import ConfigError, ToolchainError
from regress.prospect import CaseProspect, Obstacle, Prospect, ToolchainProspect
from regress.recipe import own_flags
from regress.record import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from regress.baseline import Baseline, Case
    from regress.config import ToolchainSpec
    from regress.job import Job
    from regress.prospect import Against
    from regress.record import Environment
    from regress.toolchain import Listed
    from regress.verdict import Reference

_FORMS: Mapping[str, Against] = {"two_sample": "stored", "one_sample": "published"}
_MLC = re.compile(r"mlc[-_.]llm", re.IGNORECASE)


def python_of(job: Job, name: str) -> str:
    """Version of the Python that drives a toolchain, as far as it is known before that is installed."""
    spec = job.config.toolchain(name)
    if spec.kind == "container":
        # Only what runs containers could tell: it is taken for that of the stored runs.
        return job.baseline.environment.python if job.baseline.environment else platform.python_version()
    return spec.python or platform.python_version()


def holds_here(job: Job, name: str) -> bool:
    """Whether all cases have stored references that hold on this machine, for what that toolchain drives."""
    return job.baseline.holds_for(job.machine(python_of(job, name)), harness_digests(), job.method)


def beside(job: Job, name: str) -> str | None:
    """The toolchain that a check of another one measures side by side from the start; `None` where it does not."""
    return job.baseline.toolchain if holds_here(job, name) and job.baseline.pairs() else None


def rehearse(job: Job, name: str, baseline_path: str) -> Prospect:
    """What a check would do.

    Args:
        job: What it would measure.
        name: The toolchain that it would judge.
        baseline_path: The baseline file.

    Raises:
        UsageError, ConfigError: The toolchain is not declared, or a case asks for what no builder knows.
    """
    spec, machine = job.config.toolchain(name), job.machine(python_of(job, name))
    listed = toolchain.listed(spec, job.home)
    paired = beside(job, name)
    return Prospect(
        baseline=baseline_path,
        runner=job.baseline.runner,
        toolchain=ToolchainProspect(name=name, kind=spec.kind, state=listed.state, packages=spec.packages),
        beside=paired,
        device=machine.device,
        required=_required(job.baseline),
        cases=tuple(_case(job, case, index, machine, paired) for index, case in enumerate(job.baseline.cases)),
        obstacles=tuple(_obstacles(job, listed, machine)),
    )


def _required(baseline: Baseline) -> dict[str, str | float]:
    asked = msgspec.structs.asdict(baseline.device)
    return {key: value for key, value in asked.items() if value not in (None, False)}


def _case(job: Job, case: Case, index: int, machine: Environment, paired: str | None) -> CaseProspect:
    recipe = job.recipe_of(case, index, job.flags)
    reference = job.baseline.references().get(case.key)
    against = _against(reference, paired)
    parameters = job.baseline.parameters(case)
    flags = "".join(f" {name}={value}" for name, value in own_flags(dict(recipe.flags)).items())
    return CaseProspect(
        key=case.key,
        build=case.key.rpartition("/")[0] + flags,
        against=against,
        reference=(paired or reference.name) if reference else "",
        published=dict(case.published.values) if case.published and against == "published" else {},
        looks=next(iter(parameters.values())).looks("paired" if against == "side_by_side" else "two_sample"),
        tolerances={metric: each.tolerance for metric, each in parameters.items()},
        obstacle=_case_obstacle(job, case, reference, machine),
    )


def _against(reference: Reference | None, paired: str | None) -> Against:
    if reference is None:
        return "nothing"
    return "side_by_side" if paired else _FORMS[reference.form]


def _case_obstacle(job: Job, case: Case, reference: Reference | None, machine: Environment) -> Obstacle | None:
    """What keeps a case from a verdict here; weights are not known before they are there."""
    if reference is None:
        return Obstacle(
            reason="no_reference",
            text="the baseline has no reference for this case",
            hint="measure it three times with `regress bench`, then write them with `regress baseline`",
        )
    here = Circumstances(
        subject="what is measured here",
        environment=machine,
        harness=harness_digest(case.harness),
        method=digest(job.method),
        model_digest=None,
    )
    found = incomparable(here, job.baseline, reference)
    if found is None:
        return None
    reason, text = found
    there = job.baseline.environment
    if reason == "other_environment" and reference.form == "two_sample" and there is not None:
        text += f" ({'; '.join(differences(there, machine))})"
    hint = "`regress run` measures the reference's toolchain side by side" if reference.form == "two_sample" else None
    return Obstacle(reason=reason, text=text, hint=hint)


def _obstacles(job: Job, listed: Listed, machine: Environment) -> Iterator[Obstacle]:
    """What keeps every case from a verdict."""
    try:
        job.require_gpu()
    except ConfigError as error:
        yield Obstacle(reason="no_gpu", text=str(error), hint=error.hint)
    required = job.baseline.device.power_mode
    if required is not None and machine.power_mode not in (None, required):
        text = f"the power mode is {machine.power_mode}, the baseline requires {required}"
        yield Obstacle(reason="wrong_mode", text=text, hint="set it as root: docs/runner.md")
    if listed.spec.kind == "container":
        yield from _no_runtime(listed.spec)
    if listed.state == "broken" and listed.toolchain and listed.toolchain.failure:
        yield Obstacle(reason="does_not_build", text=f"its check failed: {listed.toolchain.failure.cause}")
    if _lacks_mlc(job.baseline, listed):
        text = f"MLC-LLM builds these cases, and {listed.spec.name} has no package of it"
        yield Obstacle(reason="no_mlc_llm", text=text, hint="name a toolchain that has it: --toolchain NAME")


def _no_runtime(spec: ToolchainSpec) -> Iterator[Obstacle]:
    """What of an image's runtime is not on this machine; whether it answers is not asked."""
    try:
        image.programs(spec)
    except ToolchainError as error:
        yield Obstacle(reason="no_runtime", text=str(error), hint=error.hint)


def _lacks_mlc(baseline: Baseline, listed: Listed) -> bool:
    """Whether it is certain that cases of MLC-LLM cannot be built: a checkout, or a Python, may have it unseen."""
    spec: ToolchainSpec = listed.spec
    known = spec.packages
    if listed.toolchain is not None:
        known = (*known, *(package.name for package in listed.toolchain.identity.packages))
    asked = any(case.builder == "mlc" for case in baseline.cases)
    return asked and spec.kind == "venv" and not any(_MLC.match(name) for name in known)
