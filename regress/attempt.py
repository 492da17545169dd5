"""One replicate under guard: taken again where the device was not in the state that rates are compared in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import msgspec

from regress import bench, device
from regress.device.unseen import explanation
from regress.guard import disturbed, unfit
from regress.record import Failure
from regress.replicate import Discarded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from regress.baseline import Measure
    from regress.bench import Task
    from regress.build import Built
    from regress.device.monitor import Monitor
    from regress.guard import Objection, Required
    from regress.replicate import Replicate
    from regress.supervisor import Launch


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to measure, and what must hold meanwhile.

    Attributes:
        built: The artifact.
        task: What to measure of it.
        launch: How to start the worker.
        packages: The toolchain's packages to their versions.
        required: The state that the device must be in.
        bandwidth: What a copy in the device's memory moves, in bytes/s; `None` where it is no roofline or not known.
    """

    built: Built
    task: Task
    launch: Launch
    packages: Mapping[str, str]
    required: Required
    bandwidth: float | None = None

    @property
    def visible(self) -> str | None:
        """The devices that the worker may see; `None` for all."""
        return self.launch.env.get(device.VISIBLE)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What came of it.

    Attributes:
        result: The replicate, or why there is none; `None` where every attempt was discarded.
        discarded: What was not kept, in order.
    """

    result: Replicate | Failure | None
    discarded: tuple[Discarded, ...] = ()


def take(
    once: Callable[[], Replicate | Failure | Discarded], measure: Measure, pause: Callable[[Discarded], None]
) -> Taken:
    """A replicate that may be kept, after as many attempts as that takes and may be made.

    Args:
        once: One attempt.
        measure: How often it is made again.
        pause: Lets the device cool down, after what was discarded.
    """
    discarded: list[Discarded] = []
    while True:
        result = once()
        if not isinstance(result, Discarded):
            return Taken(result=result, discarded=tuple(discarded))
        discarded.append(result)
        if len(discarded) > measure.retries:
            return Taken(result=None, discarded=tuple(discarded))
        pause(result)


def attempt(asked: Asked) -> Replicate | Failure | Discarded:
    """One replicate, why it was not kept, or why there is none.

    Where the device is in use or in another mode already, nothing is started.
    """
    target, started_at = asked.built.artifact.target, datetime.now(timezone.utc)
    with device.monitor(target, asked.visible) as monitor:
        objection = unfit(monitor.before, asked.required)
        if objection is not None:
            return Discarded(started_at=started_at, reason=objection.reason, text=objection.text)
        result = bench.replicate(asked.built, asked.task, asked.launch, monitor, asked.bandwidth)
        if isinstance(result, Failure):
            objection = _unfit_meanwhile(monitor, asked.required)
            if objection is None:
                return _explained(result, asked, monitor)
            text = f"{objection.text}, and it failed: {result.cause}"
            return Discarded(started_at=started_at, reason=objection.reason, text=text, telemetry=monitor.telemetry(()))
    objection = disturbed(result.telemetry, asked.required) if result.telemetry else None
    if objection is None:
        return result
    return Discarded(started_at=started_at, reason=objection.reason, text=objection.text, telemetry=result.telemetry)


def bandwidth(target: str, launch: Launch, required: Required) -> float | Failure | Objection:
    """What a copy in a GPU's memory moves, in bytes/s; why it could not be measured, or is not to be believed.

    Args:
        target: As a case names it.
        launch: How to start the worker.
        required: The state that the device must be in.
    """
    with device.monitor(target, launch.env.get(device.VISIBLE)) as monitor:
        objection = unfit(monitor.before, required)
        if objection is not None:
            return objection
        found = bench.bandwidth(replace(launch, watch=monitor.watching))
        return _unfit_meanwhile(monitor, required) or found


def _unfit_meanwhile(monitor: Monitor, required: Required) -> Objection | None:
    """What spoke against the device at any time since before the worker was started.

    What others hold of its memory is left out: it is not told well while a worker starts or ends.
    """
    return unfit(msgspec.structs.replace(monitor.telemetry(()), memory_others_growth_bytes=None), required)


def _explained(failure: Failure, asked: Asked, monitor: Monitor) -> Failure:
    """The failure with the reason behind it where that is the GPU's."""
    if not device.on_gpu(asked.built.artifact.target):
        return failure
    gpu = device.gpu_here(asked.visible)
    cause = explanation(failure.cause, gpu, asked.packages, visible=asked.visible, free_bytes=monitor.free_bytes_before)
    return msgspec.structs.replace(failure, cause=cause)
