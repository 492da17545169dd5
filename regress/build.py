"""The build stage: from toolchain, model, quantization, target and flags to an artifact, once.

Artifacts lie in `artifacts/<digest>` of the cache folder, each with its manifest. The digest covers everything that
decides the result, so an artifact that is there is the one that is wanted, and a warm rebuild does nothing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from regress import supervisor
from regress.artifact import Artifact, Kernel, MlcBuild
from regress.errors import BuildError
from regress.model.folder import read_shape
from regress.record import Failure, digest, encode
from regress.shape import LLAVA
from regress.stored import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from regress.model import LocalModel
    from regress.recipe import Builder, Recipe
    from regress.record import Environment
    from regress.supervisor import Launch
    from regress.toolchain import InstalledToolchain

MANIFEST = "manifest.json"
LIBRARY = "lib.so"
BUILDER_MODULES: dict[Builder, tuple[str, ...]] = {
    "tvm": (
        "build_tvm",
        "compat",
        "cpu_schedule",
        "cuda/attention_decode.cu",
        "cuda/attention_prefill.cu",
        "cuda/decoder_step.cu",
        "cuda/gemv_q4.cu",
        "cuda/rope.cu",
        "cuda_attention",
        "cuda_sources",
        "cuda_toolkit",
        "fused_decode",
        "llama",
        "llama_config",
        "passes",
        "quantize",
        "step_graph",
        "vm_model",
        "weights",
    ),
    "mlc": ("alone/sitecustomize.py", "build_mlc", "mlc_command", "mlc_era", "mlc_library", "mlc_model"),
}
"""The modules of each builder's worker, `build_<builder>` and what it imports."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """All that decides what a build gives.

    Attributes:
        recipe: What to build.
        local: Its model's weights.
        toolchain: What to build it with.
        machine: This machine: code is generated for the very processor and device that are here.
    """

    recipe: Recipe
    local: LocalModel
    toolchain: InstalledToolchain
    machine: Environment

    @property
    def address(self) -> str:
        """The artifact's digest."""
        machine = self.machine
        here = [machine.machine, machine.cpu, machine.cpu_count, machine.device]
        if self.recipe.target == "cuda":
            # A kernel is made for as many multiprocessors as there are, and a Jetson's power mode switches some off.
            here += [machine.power_mode, machine.mig]
        return digest(
            {
                "toolchain": self.toolchain.identity.fingerprint,
                "model": self.local.identity.digest,
                "quantization": self.recipe.quantization,
                "target": self.recipe.target,
                "flags": dict(self.recipe.flags),
                "builder": builder_digest(self.recipe.builder),
                "machine": here,
                "settings": {name: value for name, value in machine.settings.items() if name not in _THREADS},
            }
        )


@dataclass(frozen=True, kw_only=True)
class Built:
    """An artifact that is there: its folder, its manifest, and whether nothing had to be built."""

    folder: Path
    artifact: Artifact
    cached: bool


_THREADS = ("TVM_NUM_THREADS", "OMP_NUM_THREADS", "TVM_BIND_THREADS")
"""Settings that change how fast an artifact runs, but not what it is."""


class _Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the builder's worker returns."""

    resolved_target: str
    param_bytes: int
    param_count: int
    planned_memory_bytes: dict[str, int]
    kv_cache: str
    kernels: dict[str, str]
    bits_per_param: float | None = None
    mlc: MlcBuild | None = None


def builder_digest(builder: Builder) -> str:
    """SHA-256 of a builder's own source: another one builds another artifact."""
    return supervisor.worker_digest(*BUILDER_MODULES[builder])


def build(order: Order, home: Path, launch: Launch, *, anew: bool = False) -> Built | Failure:
    """The artifact of an order: found, or built, or why it cannot be built.

    Args:
        order: What to build.
        home: Cache folder.
        launch: How to start the worker.
        anew: Build also where there is an artifact.

    Raises:
        BuildError: The cache cannot be written.
    """
    if order.toolchain.failure is not None:
        return order.toolchain.failure
    if launch.container is None:
        _require_linker(launch.env)
    folder = home / "artifacts" / order.address
    try:
        if not anew and (found := _found(folder)) is not None:
            return found
        with _lock(folder):
            return (None if anew else _found(folder)) or _build_into(folder, order, launch)
    except OSError as error:
        raise BuildError(
            f"{error.filename or folder}: cannot write the artifact: {error.strerror or error}",
            hint="free space there, or set REGRESS_HOME to a folder that can be written",
        ) from error


def linker(env: Mapping[str, str]) -> str | None:
    """The C++ compiler that links libraries, as found on the path; `None` where there is none.

    Args:
        env: With `PATH`, and `CXX` where one is named.
    """
    found = (shutil.which(compiler, path=env.get("PATH")) for compiler in _linkers(env))
    return next((path for path in found if path), None)


def _linkers(env: Mapping[str, str]) -> tuple[str, ...]:
    return (env["CXX"],) if env.get("CXX") else ("g++", "gcc", "clang++", "clang", "c++", "cc")


def _require_linker(env: Mapping[str, str]) -> None:
    """Raises `BuildError` where nothing can link a library: that says nothing about the toolchain."""
    if linker(env) is None:
        raise BuildError(
            f"no C++ compiler to link model libraries with (looked for {', '.join(_linkers(env))})",
            hint="install g++ or clang++, or name one in CXX",
        )


def _found(folder: Path) -> Built | None:
    """The artifact in a folder; `None` where there is none, or one that is not whole."""
    try:
        artifact = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Artifact)
    except (FileNotFoundError, *DAMAGED):
        return None
    return Built(folder=folder, artifact=artifact, cached=True) if _is_whole(folder, artifact) else None


def _is_whole(folder: Path, artifact: Artifact) -> bool:
    """Whether the files still have the sizes that the manifest says: a damaged artifact is built again."""
    library = folder / LIBRARY
    shards = sum(shard.stat().st_size for shard in folder.glob("params_shard_*.bin"))
    return library.exists() and library.stat().st_size == artifact.model_lib_bytes and shards == artifact.param_bytes


def _lock(folder: Path) -> AbstractContextManager[object]:
    import filelock  # noqa: PLC0415  # only where something is built

    folder.parent.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(folder.with_suffix(".lock"))


def _build_into(folder: Path, order: Order, launch: Launch) -> Built | Failure:
    """Builds beside the folder and renames: what is there is whole."""
    shape = read_shape(order.local.folder)
    if shape.model_type == LLAVA and order.recipe.builder == "tvm":
        raise BuildError(
            f"{order.local.identity.source}: config.json: model_type: '{LLAVA}' is built by MLC-LLM alone",
            hint='write builder = "mlc" in its cases',
        )
    work = Path(tempfile.mkdtemp(prefix=f"{folder.name[:16]}-", dir=folder.parent))
    try:
        output = work / "artifact"
        output.mkdir()
        started = time.monotonic()
        request = {
            "model": str(order.local.folder),
            "name": order.local.identity.name,
            "param_count": shape.param_count,
            "output": str(output),
            "quantization": order.recipe.quantization,
            "target": order.recipe.target,
            "flags": dict(order.recipe.flags),
        }
        result = supervisor.run_worker(f"build_{order.recipe.builder}", request, launch, stage="build", folder=work)
        if isinstance(result, Failure):
            _refuse_full_disk(result, folder)
            return result
        artifact = _manifest(order, msgspec.convert(result, _Facts), output, time.monotonic() - started)
        (output / MANIFEST).write_bytes(encode(artifact))
        shutil.rmtree(folder, ignore_errors=True)
        output.replace(folder)
        return Built(folder=folder, artifact=artifact, cached=False)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _refuse_full_disk(failure: Failure, folder: Path) -> None:
    """Raises `OSError` where a build failed for want of space: that says nothing about the toolchain."""
    if os.strerror(errno.ENOSPC) in failure.cause:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _manifest(order: Order, facts: _Facts, output: Path, duration_s: float) -> Artifact:
    library = output / LIBRARY
    return Artifact(
        digest=order.address,
        toolchain=order.toolchain.identity.fingerprint,
        model=order.local.identity,
        quantization=order.recipe.quantization,
        target=order.recipe.target,
        resolved_target=facts.resolved_target,
        flags=dict(order.recipe.flags),
        builder=builder_digest(order.recipe.builder),
        build_duration_s=duration_s,
        model_lib_bytes=library.stat().st_size,
        model_lib_sha256=hashlib.sha256(library.read_bytes()).hexdigest(),
        param_bytes=facts.param_bytes,
        param_count=facts.param_count,
        bits_per_param=facts.bits_per_param or 8 * facts.param_bytes / facts.param_count,
        planned_memory_bytes=facts.planned_memory_bytes,
        kv_cache=facts.kv_cache,
        kernels=tuple(Kernel(name=name, sha256=facts.kernels[name]) for name in sorted(facts.kernels)),
        mlc=facts.mlc,
    )
