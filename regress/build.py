"""The build stage: from toolchain, model, quantization, target and flags to an artifact, once.

Artifacts lie in `artifacts/<digest>` of the cache folder, each with its manifest. The digest covers everything that
decides the result, so an artifact that is there is the one that is wanted, and a warm rebuild does nothing.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from regress import supervisor
from regress.errors import BuildError, ConfigError, did_you_mean
from regress.record import Artifact, Failure, Kernel, digest, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from regress.model import LocalModel
    from regress.record import Environment
    from regress.supervisor import Progress
    from regress.toolchain import InstalledToolchain

MANIFEST = "manifest.json"
LIBRARY = "lib.so"
BUILDER_MODULES = (
    "build_tvm",
    "compat",
    "cpu_schedule",
    "llama",
    "llama_config",
    "passes",
    "quantize",
    "weights",
)
QUANTIZATIONS = ("q0f32", "q0f16", "q4f32_1", "q4f16_1")
FLAGS: dict[str, str] = {
    "schedule": "tuned",
    "context_window_size": "0",
    "prefill_chunk_size": "4096",
    "cuda_graph": "0",
}
"""Build flags and their defaults.

`schedule` is `tuned`, or `none` to leave matrix kernels as TVM's generic rules do; `context_window_size` 0 stands for
the model's own; `prefill_chunk_size` is the longest prompt piece taken at once; `cuda_graph` 1 captures decode.
"""
_FLAG_VALUES = {"schedule": ("tuned", "none"), "cuda_graph": ("0", "1")}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What an artifact is made of, besides toolchain and machine.

    Attributes:
        model: The weights.
        quantization: MLC's name of it.
        target: `llvm`, `cuda` or `cuda-sm_NN`.
        flags: All build flags, defaults included.
    """

    model: LocalModel
    quantization: str
    target: str
    flags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Built:
    """An artifact that is there: its folder, its manifest, and whether nothing had to be built."""

    folder: Path
    artifact: Artifact
    cached: bool


class _Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the builder's worker returns."""

    resolved_target: str
    param_bytes: int
    param_count: int
    planned_memory_bytes: dict[str, int]
    kv_cache: str
    kernels: dict[str, str]


def complete_flags(flags: Mapping[str, str], where: str) -> dict[str, str]:
    """The flags with the defaults of those not given.

    Args:
        flags: Flags as written.
        where: File and key, for errors.

    Raises:
        ConfigError: A flag is unknown or has a value it cannot have.
    """
    for name, value in flags.items():
        if name not in FLAGS:
            raise ConfigError(f"{where}.{name}: unknown build flag{did_you_mean(name, FLAGS)}")
        if name in _FLAG_VALUES and value not in _FLAG_VALUES[name]:
            raise ConfigError(f"{where}.{name}: '{value}' is not one of {', '.join(_FLAG_VALUES[name])}")
        if name not in _FLAG_VALUES and not value.isdecimal():
            raise ConfigError(f"{where}.{name}: '{value}' is not a number of tokens")
    return {**FLAGS, **flags}


def check_recipe(quantization: str, target: str, where: str) -> None:
    """Raises `ConfigError`, naming the key, where no builder knows the quantization or the target."""
    if quantization not in QUANTIZATIONS:
        raise ConfigError(
            f"{where}.quantization: unknown '{quantization}'{did_you_mean(quantization, QUANTIZATIONS)}",
            hint=f"known: {', '.join(QUANTIZATIONS)}",
        )
    if target not in ("llvm", "cuda") and not target.startswith("cuda-sm_"):
        raise ConfigError(
            f"{where}.target: unknown '{target}'{did_you_mean(target, ('llvm', 'cuda'))}",
            hint="known: llvm, cuda, cuda-sm_NN",
        )


def address(recipe: Recipe, toolchain: InstalledToolchain, machine: Environment) -> str:
    """The artifact's digest: SHA-256 over all that decides what is built."""
    return digest(
        {
            "toolchain": toolchain.identity.fingerprint,
            "model": recipe.model.identity.digest,
            "quantization": recipe.quantization,
            "target": recipe.target,
            "flags": dict(recipe.flags),
            "builder": supervisor.worker_digest(*BUILDER_MODULES),
            # Code is generated for the very processor and device that are here.
            "machine": [machine.machine, machine.cpu, machine.cpu_count, machine.device],
        }
    )


def build(
    recipe: Recipe,
    toolchain: InstalledToolchain,
    machine: Environment,
    home: Path,
    *,
    env: Mapping[str, str],
    timeout_s: float,
    on_progress: Callable[[Progress], None],
) -> Built | Failure:
    """The artifact of a recipe: found, or built, or why it cannot be built.

    Args:
        recipe: What to build.
        toolchain: What to build it with.
        machine: This machine.
        home: Cache folder.
        env: The whole environment of the worker.
        timeout_s: Seconds after which the build is killed.
        on_progress: Called as the worker gets on.

    Raises:
        BuildError: The cache cannot be written.
    """
    if toolchain.failure is not None:
        return toolchain.failure
    key = address(recipe, toolchain, machine)
    folder = home / "artifacts" / key
    try:
        if (found := _found(folder)) is not None:
            return found
        with _lock(folder):
            return _found(folder) or _build_into(
                folder, recipe, toolchain, env=env, timeout_s=timeout_s, on_progress=on_progress
            )
    except OSError as error:
        raise BuildError(
            f"{error.filename or folder}: cannot write the artifact: {error.strerror or error}",
            hint="free space there, or set REGRESS_HOME to a folder that can be written",
        ) from error


def _found(folder: Path) -> Built | None:
    """The artifact in a folder; `None` where there is none, or one that is not whole."""
    try:
        artifact = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Artifact)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return Built(folder=folder, artifact=artifact, cached=True) if (folder / LIBRARY).exists() else None


def _lock(folder: Path) -> Any:  # noqa: ANN401
    import filelock  # noqa: PLC0415  # only where something is built

    folder.parent.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(folder.with_suffix(".lock"))


def _build_into(
    folder: Path,
    recipe: Recipe,
    toolchain: InstalledToolchain,
    *,
    env: Mapping[str, str],
    timeout_s: float,
    on_progress: Callable[[Progress], None],
) -> Built | Failure:
    work = Path(tempfile.mkdtemp(prefix=f"{folder.name[:16]}-", dir=folder.parent))
    try:
        output = work / "artifact"
        output.mkdir()
        started = time.monotonic()
        result = supervisor.run_worker(
            "build_tvm",
            {
                "model": str(recipe.model.folder),
                "output": str(output),
                "quantization": recipe.quantization,
                "target": recipe.target,
                "flags": dict(recipe.flags),
            },
            python=toolchain.python,
            env=env,
            stage="build",
            timeout_s=timeout_s,
            folder=work,
            on_progress=on_progress,
        )
        if isinstance(result, Failure):
            return result
        artifact = _manifest(folder.name, recipe, toolchain, result, output, time.monotonic() - started)
        (output / MANIFEST).write_bytes(encode(artifact))
        shutil.rmtree(folder, ignore_errors=True)
        output.replace(folder)
        return Built(folder=folder, artifact=artifact, cached=False)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _manifest(
    key: str,
    recipe: Recipe,
    toolchain: InstalledToolchain,
    result: dict[str, Any],
    output: Path,
    duration_s: float,
) -> Artifact:
    facts = msgspec.convert(result, _Facts)
    library = output / LIBRARY
    return Artifact(
        digest=key,
        toolchain=toolchain.identity.fingerprint,
        model=recipe.model.identity,
        quantization=recipe.quantization,
        target=recipe.target,
        resolved_target=facts.resolved_target,
        flags=dict(recipe.flags),
        builder=supervisor.worker_digest(*BUILDER_MODULES),
        build_duration_s=duration_s,
        model_lib_bytes=library.stat().st_size,
        model_lib_sha256=hashlib.sha256(library.read_bytes()).hexdigest(),
        param_bytes=facts.param_bytes,
        param_count=facts.param_count,
        bits_per_param=8 * facts.param_bytes / facts.param_count,
        planned_memory_bytes=facts.planned_memory_bytes,
        kv_cache=facts.kv_cache,
        kernels=tuple(Kernel(name=name, sha256=facts.kernels[name]) for name in sorted(facts.kernels)),
    )
