"""The bench stage: one fresh process per replicate, driving the built model through TVM's virtual machine."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from regress import supervisor
from regress.device import on_gpu
from regress.errors import BenchError, ConfigError
from regress.record import Failure
from regress.redact import publishable
from regress.replicate import Replicate
from regress.stored import DAMAGED, Positive
from regress.telemetry import Pass, Telemetry  # noqa: TC001  # msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from regress.baseline import Measure
    from regress.build import Built
    from regress.device.monitor import Monitor
    from regress.record import Harness, Workload
    from regress.supervisor import Launch

_VM = ("bench_vm", "vm_model", "weights")
HARNESS_MODULES: dict[Harness, tuple[str, ...]] = {
    "vm": _VM,
    "engine": ("bench_engine", "mlc_era", "mlc_folder", "rates", *_VM),
    "chat": ("bench_chat", "mlc_folder", "rates"),
}
"""The workers that measure, each with the modules that it imports; but for `quantize`, which only builders call."""

_COPIED = {"bytes": 2**30, "copies": 8, "repeats": 9}
"""What is copied to measure a GPU's memory: several times its last cache, and long enough for the clock."""

TokenId = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a worker is asked to do with a build.

    Attributes:
        workload: Prompt length and tokens to generate.
        measure: Warm-ups, repeats and seed.
        harness: What drives the build.
        prompts: Token ids, all of the workload's prompt length; seeded random ones where `None`.
    """

    workload: Workload
    measure: Measure
    harness: Harness = "vm"
    prompts: Sequence[Sequence[int]] | None = None

    def request(self, built: Built) -> dict[str, Any]:
        """What every worker that drives a built model is told."""
        return {
            "artifact": str(built.folder),
            "device": device_of(built.artifact.target),
            "prompt_tokens": self.workload.prompt_tokens,
            "new_tokens": self.workload.new_tokens,
            "seed": self.measure.seed,
            "prompts": [list(prompt) for prompt in self.prompts] if self.prompts else None,
        }


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt of a file in the format of jetson-containers: its text, its token ids and how many they are."""

    tokens: Annotated[tuple[TokenId, ...], msgspec.Meta(min_length=1)]
    text: str = ""
    num_tokens: int | None = None


def device_of(target: str) -> Literal["cuda", "cpu"]:
    """The kind of device that a target runs on, by TVM's name."""
    return "cuda" if on_gpu(target) else "cpu"


def harness_digest(harness: Harness) -> str:
    """SHA-256 of the measuring worker: rates of different harnesses are not compared."""
    return supervisor.worker_digest(*HARNESS_MODULES[harness])


def harness_digests() -> dict[Harness, str]:
    """Each harness to its digest."""
    return {harness: harness_digest(harness) for harness in HARNESS_MODULES}


def parse_prompts(data: bytes, name: str) -> tuple[tuple[int, ...], ...]:
    """The token ids of the prompts in a file: a JSON list of `{"text", "tokens", "num_tokens"}`.

    Args:
        data: The file's content.
        name: Its name, for errors.

    Raises:
        ConfigError: It is not of that form, holds no prompt, or its prompts differ in length.
    """
    try:
        prompts = msgspec.json.decode(data, type=Annotated[list[Prompt], msgspec.Meta(min_length=1)])
    except DAMAGED as error:
        raise ConfigError(f"{name}: not a prompt file: {error}") from error
    length = len(prompts[0].tokens)
    for index, prompt in enumerate(prompts):
        if prompt.num_tokens is not None and prompt.num_tokens != len(prompt.tokens):
            raise ConfigError(
                f"{name}: [{index}].num_tokens: says {prompt.num_tokens}, but there are {len(prompt.tokens)} tokens"
            )
        if len(prompt.tokens) != length:
            raise ConfigError(
                f"{name}: [{index}].tokens: {len(prompt.tokens)} tokens, where the first prompt has {length}"
            )
    return tuple(prompt.tokens for prompt in prompts)


def replicate(
    built: Built, task: Task, launch: Launch, monitor: Monitor | None = None, bandwidth: float | None = None
) -> Replicate | Failure:
    """What one fresh process measured, or why it measured nothing.

    Args:
        built: The artifact.
        task: What to measure.
        launch: How to start the worker.
        monitor: Who watches the device meanwhile; nobody where `None`.
        bandwidth: What a copy in the device's memory moves, in bytes/s; `None` where it is no roofline or not known.
    """
    if monitor is not None:
        launch = replace(launch, watch=monitor.watching)
    request = {**task.request(built), "warmups": task.measure.warmups, "repeats": task.measure.repeats}
    started_at = datetime.now(timezone.utc)
    with worker_folder() as folder:
        request["scratch"] = str(folder)
        result = supervisor.run_worker(f"bench_{task.harness}", request, launch, stage="bench", folder=folder)
    return result if isinstance(result, Failure) else replicate_of(result, started_at, monitor, bandwidth)


def bandwidth(launch: Launch) -> float | Failure:
    """What a copy in a GPU's memory moves, read and written, in bytes/s; or why it could not be measured."""
    with worker_folder() as folder:
        request = {"device": "cuda", **_COPIED}
        result = supervisor.run_worker("bandwidth_vm", request, launch, stage="bench", folder=folder)
    if isinstance(result, Failure):
        return result
    try:
        return msgspec.convert(result.get("bytes_per_s"), Positive)
    except msgspec.ValidationError as error:
        return impossible(error)


def logits(built: Built, task: Task, token_ids: Sequence[int], launch: Launch) -> NDArray[np.float32] | Failure:
    """A build's logits after the first prompt and after each of the given tokens, or why there are none.

    Args:
        built: The artifact.
        task: What to answer.
        token_ids: Tokens to go on with, one more than the workload's `new_tokens`; the last one is not fed.
        launch: How to start the worker.

    Returns:
        Shape `(new_tokens + 1, vocab_size)`, float32.
    """
    import numpy as np  # noqa: PLC0415  # only where answers differ

    with worker_folder() as folder:
        output = folder / "logits.npy"
        request = {**task.request(built), "token_ids": list(token_ids[:-1]), "output": str(output)}
        result = supervisor.run_worker("logits_vm", request, launch, stage="bench", folder=folder)
        if isinstance(result, Failure):
            return result
        found: NDArray[np.float32] = np.load(output)
    return found


@contextmanager
def worker_folder() -> Iterator[Path]:
    """A folder for a worker's request and log, gone afterwards.

    Raises:
        BenchError: It cannot be made, or what a worker needs cannot be written there.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="regress-bench-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except OSError as error:
        where = error.filename or tempfile.gettempdir()
        raise BenchError(f"{where}: cannot write what a worker needs: {error.strerror or error}") from error


class _Timed(msgspec.Struct, frozen=True):
    """What the worker says besides the replicate.

    Attributes:
        passes: When each was timed.
        read_bytes: What a token takes from memory; 0 where that is not known.
        decode_steps: Of each pass, where the tokens do not tell.
    """

    passes: tuple[Pass, ...] = ()
    read_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    decode_steps: Annotated[int, msgspec.Meta(ge=0)] = 0


class _Told(msgspec.Struct, frozen=True):
    """What a record may leave out of a replicate, and a worker may not."""

    token_ids: tuple[int, ...]


def replicate_of(
    result: dict[str, Any], started_at: datetime, monitor: Monitor | None = None, bandwidth: float | None = None
) -> Replicate | Failure:
    """The worker's result as a replicate; a rate that is no positive number is a failure, not a measurement.

    Args:
        result: What the worker returned.
        started_at: When it was started.
        monitor: Who watched the device meanwhile; nobody where `None`.
        bandwidth: What a copy in the device's memory moves, in bytes/s; `None` where it is no roofline or not known.
    """
    own = {name: value for name, value in result.items() if name not in _Timed.__struct_fields__}
    try:
        msgspec.convert(result, _Told)
        timed = msgspec.convert(result, _Timed)
        taken = msgspec.convert({**own, "started_at": started_at}, Replicate)
    except msgspec.ValidationError as error:
        return impossible(error)
    telemetry = monitor.telemetry(timed.passes) if monitor else None
    energy_j = monitor.decode_energy_j(timed.passes) if monitor else None
    samples = {
        **taken.samples,
        **_roofline(taken, timed, bandwidth),
        **_energy(taken, timed, energy_j),
        **_device_memory(telemetry),
    }
    return msgspec.structs.replace(taken, samples=samples, telemetry=telemetry)


def impossible(error: msgspec.ValidationError) -> Failure:
    """The failure that a worker returned what cannot be."""
    return Failure(stage="bench", cause=publishable(f"impossible result: {error}"), how="exit status 0")


def _roofline(taken: Replicate, timed: _Timed, bandwidth: float | None) -> dict[str, tuple[float, ...]]:
    """The share of the memory's bandwidth that reading the parameters takes, of each timed repeat's decode."""
    rates = taken.samples.get("decode_tokens_per_s", ())
    if not (bandwidth and timed.read_bytes and rates):
        return {}
    return {"roofline_fraction": tuple(timed.read_bytes * rate / bandwidth for rate in rates)}


def _energy(taken: Replicate, timed: _Timed, energy_j: float | None) -> dict[str, tuple[float, ...]]:
    """What a token took, of the replicate as a whole; nothing where the energy is not known."""
    tokens = (timed.decode_steps or len(taken.token_ids) - 1) * len(timed.passes)
    return {"energy_per_token_j": (energy_j / tokens,)} if energy_j and tokens > 0 else {}


def _device_memory(telemetry: Telemetry | None) -> dict[str, tuple[float, ...]]:
    """The most device memory that the worker held; nothing where its device has none of its own, or does not tell."""
    peak_bytes = telemetry.peak_memory_bytes if telemetry else None
    return {"peak_memory_bytes": (float(peak_bytes),)} if peak_bytes else {}
