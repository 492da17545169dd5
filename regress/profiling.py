"""The profile stage: builds a case without CUDA graphs and times its kernels, apart from what is judged."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import msgspec

import regress
from regress import supervisor
from regress.bench import HARNESS_MODULES, impossible, worker_folder
from regress.campaign import Campaign, Side
from regress.profile import FLAGS, MOST_STEPS, SCHEMA, PhaseTimes, Profile
from regress.record import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.build import Built
    from regress.job import Job
    from regress.record import Record
    from regress.toolchain import InstalledToolchain

_WORKER = "profile_vm"
_PROFILER_MODULES = (_WORKER, "stopwatch", *HARNESS_MODULES["vm"])


class _Seen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the worker returns."""

    prefill: PhaseTimes
    decode: PhaseTimes


def profile(job: Job, toolchain: str) -> Profile | Record:
    """The profile of the first case of a job's baseline; a record with the failure where there is none.

    Args:
        job: With the case.
        toolchain: What to build and run it with.

    Raises:
        ConfigError, ToolchainError, BuildError: Something is missing that nothing could be built without.
        BenchError: The worker cannot be given what it needs.
    """
    campaign = Campaign(job, [Side(toolchain=toolchain, flags={**job.flags, **FLAGS})])
    (measured,), case = campaign.sides, job.baseline.cases[0]
    built = measured.built.get(case.key)
    if built is not None:
        with campaign.device():
            result = _profile(job, measured.installed, built)
        if isinstance(result, Profile):
            return result
        job.reporter.broken(result)
        measured.take_replicate(case, result)
    return campaign.records()[0]


def _profile(job: Job, installed: InstalledToolchain, built: Built) -> Profile | Failure:
    """The profile of what was built for a job's first case, or why there is none."""
    case, measure = job.baseline.cases[0], job.baseline.measure
    seen = msgspec.structs.replace(case, new_tokens=min(case.new_tokens, MOST_STEPS))
    request = {**job.task_of(seen).request(built), "warmups": measure.warmups, "repeats": measure.repeats}
    profiled_at = datetime.now(timezone.utc)
    with job.reporter.step(f"profile of {case.key} with {installed.identity.name}") as step:
        result = _run(request, job.launch_of(installed, measure.bench_timeout_s, step))
    if isinstance(result, Failure):
        return result
    return Profile(
        schema=SCHEMA,
        profiled_at=profiled_at,
        regress=regress.__version__,
        harness=supervisor.worker_digest(*_PROFILER_MODULES),
        case=case.key,
        runner=job.baseline.runner,
        toolchain=installed.identity,
        environment=job.machine(installed.identity.python),
        method=job.method,
        steps=seen.new_tokens,
        artifact=built.artifact.digest,
        flags=built.artifact.flags,
        sources=built.artifact.facts.kernels,
        prefill=result.prefill,
        decode=result.decode,
    )


def _run(request: Mapping[str, Any], launch: supervisor.Launch) -> _Seen | Failure:
    """What the worker saw, or why it saw nothing."""
    with worker_folder() as folder:
        result = supervisor.run_worker(_WORKER, request, launch, stage="bench", folder=folder)
    if isinstance(result, Failure):
        return result
    try:
        return msgspec.convert(result, _Seen)
    except msgspec.ValidationError as error:
        return impossible(error)
