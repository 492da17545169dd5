"""The bench stage: one fresh process per replicate, driving the built model through TVM's virtual machine."""

from __future__ import annotations

import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from regress import supervisor
from regress.errors import BenchError, ConfigError
from regress.record import Failure, Replicate, publishable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.baseline import Measure
    from regress.build import Built
    from regress.record import Workload
    from regress.supervisor import Launch

HARNESS_MODULES = ("bench_vm", "vm_model", "weights")

TokenId = Annotated[int, msgspec.Meta(ge=0)]


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt of a file in the format of jetson-containers: its text, its token ids and how many they are."""

    tokens: Annotated[tuple[TokenId, ...], msgspec.Meta(min_length=1)]
    text: str = ""
    num_tokens: int | None = None


def harness_digest() -> str:
    """SHA-256 of the measuring worker: rates of different harnesses are not compared."""
    return supervisor.worker_digest(*HARNESS_MODULES)


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
    except msgspec.MsgspecError as error:
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
    built: Built,
    workload: Workload,
    measure: Measure,
    launch: Launch,
    prompts: Sequence[Sequence[int]] | None = None,
) -> Replicate | Failure:
    """What one fresh process measured, or why it measured nothing.

    Args:
        built: The artifact.
        workload: Prompt length and tokens to generate.
        measure: Warm-ups, repeats and seed.
        launch: How to start the worker.
        prompts: Token ids, all of the workload's prompt length; seeded random ones where `None`.
    """
    request = {
        "artifact": str(built.folder),
        "device": "cuda" if built.artifact.target.startswith("cuda") else "cpu",
        "prompt_tokens": workload.prompt_tokens,
        "new_tokens": workload.new_tokens,
        "warmups": measure.warmups,
        "repeats": measure.repeats,
        "seed": measure.seed,
        "prompts": [list(prompt) for prompt in prompts] if prompts else None,
    }
    started_at = datetime.now(timezone.utc)
    try:
        with tempfile.TemporaryDirectory(prefix="regress-bench-", ignore_cleanup_errors=True) as folder:
            result = supervisor.run_worker("bench_vm", request, launch, stage="bench", folder=Path(folder))
    except OSError as error:
        where = error.filename or tempfile.gettempdir()
        raise BenchError(f"{where}: cannot write what a worker needs: {error.strerror or error}") from error
    return result if isinstance(result, Failure) else _replicate(result, started_at)


def _replicate(result: dict[str, Any], started_at: datetime) -> Replicate | Failure:
    """The worker's result as a replicate; a rate that is no positive number is a failure, not a measurement."""
    try:
        return msgspec.convert({**result, "started_at": started_at}, Replicate)
    except msgspec.ValidationError as error:
        return Failure(stage="bench", cause=publishable(f"impossible result: {error}"), how="exit status 0")
