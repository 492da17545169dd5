"""The record: everything one run measured on one machine with one toolchain, as it stands in the history.

A record can be published: it holds the runner's nickname instead of host names, no absolute path and no secret.
Every number in it is checked when it is read, so that a rate of zero or a NaN never reaches a verdict.
"""

from __future__ import annotations

import hashlib
import statistics
from datetime import datetime  # msgspec reads the annotations at run time
from typing import Annotated, Any, Literal

import msgspec

from regress.errors import HistoryError, did_you_mean
from regress.metric import METRICS

SCHEMA = 1
"""Version of the record's shape; a reader refuses a newer one."""

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e18)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Bytes = Annotated[int, msgspec.Meta(ge=0)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]

ToolchainKind = Literal["venv", "current", "source"]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment with its UTC offset."""
Stage = Literal["toolchain", "build", "bench"]


class Stored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written to a file: immutable, and with no field that the schema does not name."""


class Package(Stored, frozen=True):
    """One package of a toolchain.

    Attributes:
        name: Distribution name, normalised.
        version: Its version.
        sha256: Digests of the wheels its lock allows, sorted; empty for the kinds that have no lock.
    """

    name: str
    version: str
    sha256: tuple[str, ...] = ()


class Toolchain(Stored, frozen=True):
    """The identity of a toolchain: what was resolved, and the fingerprint of all of it.

    Attributes:
        name: Its name in `regress.toml`.
        kind: How it came to be.
        fingerprint: SHA-256 over kind, Python, platform, packages and, for a source tree, its content.
        python: Version of its interpreter, such as `3.11.7`.
        platform: Its platform, such as `linux-x86_64`.
        packages: Every package in it, sorted by name.
    """

    name: str
    kind: ToolchainKind
    fingerprint: Sha256
    python: str
    platform: str
    packages: tuple[Package, ...]


class Environment(Stored, frozen=True):
    """The machine as far as it decides the speed.

    Attributes:
        fingerprint: SHA-256 over the fields that must match before two records are compared.
        system: Operating system and its version, such as `Debian GNU/Linux 12`.
        kernel: Kernel release; recorded, but not part of the fingerprint.
        machine: Processor architecture, such as `x86_64`.
        cpu: Model name of the processor.
        cpu_count: Logical processors this process may use.
        memory_bytes: Physical memory.
        device: The accelerator, or the processor where there is none.
        python: Minor version of the Python that drives the model, such as `3.11`: another one moves the same code.
        driver: Version of the accelerator's driver; `None` without one.
        settings: Environment variables that change the speed (thread counts, compiler modes) and are set.
    """

    fingerprint: Sha256
    system: str
    kernel: str
    machine: str
    cpu: str
    cpu_count: Count
    memory_bytes: Bytes
    device: str
    python: Annotated[str, msgspec.Meta(pattern=r"^[0-9]+\.[0-9]+\Z")]
    driver: str | None = None
    settings: dict[str, str] = {}


TokenCount = Annotated[int, msgspec.Meta(ge=1, le=2**24)]
"""A number of tokens that a model could take."""


class Workload(Stored, frozen=True):
    """What a case asks of the model: tokens in the prompt, tokens to generate after it."""

    prompt_tokens: TokenCount
    new_tokens: TokenCount

    @property
    def key(self) -> str:
        """The workload as it stands at the end of a case's key, such as `p1024+128`."""
        return f"p{self.prompt_tokens}+{self.new_tokens}"


class Model(Stored, frozen=True):
    """Where weights came from.

    Attributes:
        source: `hf:REPO@REVISION` with the commit it resolved to, `synthetic:PRESET`, or `path:NAME` (the
            folder's name alone).
        name: Short name for keys and pages, such as `llama-2-7b`.
        digest: SHA-256 over the configuration and the weights.
    """

    source: str
    name: str
    digest: Sha256


class Kernel(Stored, frozen=True):
    """One compiled function of a model library and the SHA-256 of its scheduled source."""

    name: str
    sha256: Sha256


class BuildFacts(Stored, frozen=True):
    """What is known of a build without running it; the fields are those of `Artifact`.

    Attributes:
        model_lib_bytes: Size of `lib.so`.
        model_lib_sha256: Digest of `lib.so`.
        param_bytes: Size of all parameters as stored.
        bits_per_param: Bits that one parameter takes.
        planned_memory_bytes: Temporary memory the compiler planned, per exported function.
        kv_cache: Name of the exported function that makes the KV cache.
        kernels: Name to SHA-256 of the scheduled source.
        resolved_target: The whole target the compiler was given.
    """

    model_lib_bytes: Count
    model_lib_sha256: Sha256
    param_bytes: Count
    bits_per_param: Positive
    planned_memory_bytes: dict[str, Bytes]
    kv_cache: str
    kernels: dict[str, Sha256]
    resolved_target: str


class Artifact(Stored, frozen=True):
    """What a build made, and of what: the manifest that lies beside the model library.

    Attributes:
        digest: The artifact's address: SHA-256 over toolchain, model, quantization, target, flags and builder.
        toolchain: Fingerprint of the toolchain.
        model: The weights.
        quantization: As MLC names it, such as `q4f16_1`.
        target: As the case names it, such as `llvm` or `cuda`.
        resolved_target: The whole target the compiler was given.
        flags: Build flags in force.
        builder: SHA-256 of the builder's own source.
        build_duration_s: Wall time of quantization and compilation, in seconds.
        model_lib_bytes: Size of `lib.so`.
        model_lib_sha256: Digest of `lib.so`.
        param_bytes: Size of all parameters as stored.
        param_count: Number of parameters before quantization.
        bits_per_param: `8 * param_bytes / param_count`.
        planned_memory_bytes: Temporary memory the compiler planned, per exported function.
        kv_cache: Name of the exported function that makes the KV cache.
        kernels: Compiled functions, sorted by name.
    """

    digest: Sha256
    toolchain: Sha256
    model: Model
    quantization: str
    target: str
    resolved_target: str
    flags: dict[str, str]
    builder: Sha256
    build_duration_s: Positive
    model_lib_bytes: Count
    model_lib_sha256: Sha256
    param_bytes: Count
    param_count: Count
    bits_per_param: Positive
    planned_memory_bytes: dict[str, Bytes]
    kv_cache: str
    kernels: tuple[Kernel, ...]

    @property
    def facts(self) -> BuildFacts:
        """What the deterministic gates compare."""
        return BuildFacts(
            model_lib_bytes=self.model_lib_bytes,
            model_lib_sha256=self.model_lib_sha256,
            param_bytes=self.param_bytes,
            bits_per_param=self.bits_per_param,
            planned_memory_bytes=self.planned_memory_bytes,
            kv_cache=self.kv_cache,
            kernels={kernel.name: kernel.sha256 for kernel in self.kernels},
            resolved_target=self.resolved_target,
        )


class Failure(Stored, frozen=True):
    """Why a stage gave no result.

    Attributes:
        stage: Where it failed.
        cause: The telling line of what the failing process said, without paths or secrets.
        how: How the process ended, such as `exit status 1` or `killed by SIGSEGV`.
        signal: Name of the signal that ended it; `None` where it exited by itself.
        log: The last lines of its log, without paths or secrets.
    """

    stage: Stage
    cause: str
    how: str
    signal: str | None = None
    log: str = ""

    @property
    def was_built(self) -> bool:
        """Whether there was an artifact, which then could not be loaded or measured."""
        return self.stage == "bench"


class Replicate(Stored, frozen=True):
    """One fresh process that loaded the artifact, warmed up and measured.

    Attributes:
        started_at: When it started, with its UTC offset.
        samples: Metric name to the value of each timed repeat, in order.
        token_ids: The greedy tokens it generated.
        logits_sha256: Digest of the logits of the prefill and of each decode step (little-endian float32).
    """

    started_at: Instant
    samples: dict[str, Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1)]]
    token_ids: tuple[int, ...]
    logits_sha256: Sha256

    def value(self, metric: str) -> float | None:
        """The median of the metric's timed repeats: the unit of statistics; `None` where it was not measured."""
        samples = self.samples.get(metric)
        return statistics.median(samples) if samples else None


CaseKey = Annotated[str, msgspec.Meta(pattern=r"^[\w.-]+/[\w.-]+/[\w.-]+/p[0-9]+\+[0-9]+\Z")]
"""`<model>/<quantization>/<target>/p<prompt tokens>+<new tokens>`."""


class CaseResult(Stored, frozen=True):
    """What one case of the run gave: an artifact and replicates, or the failure that stands in their place."""

    key: CaseKey
    workload: Workload
    harness: Literal["vm"] = "vm"
    artifact: Artifact | None = None
    replicates: tuple[Replicate, ...] = ()
    failure: Failure | None = None

    def values(self, metric: str) -> list[float]:
        """The metric's value in each replicate, in order of measurement; empty where it was not measured."""
        values = (replicate.value(metric) for replicate in self.replicates)
        return [value for value in values if value is not None]


class Method(Stored, frozen=True):
    """How the replicates of a run were taken.

    Attributes:
        warmups: Untimed passes at the start of each.
        repeats: Timed passes in each.
        seed: Seed of the random prompts.
        prompts_sha256: Digest of the token ids that were given instead; `None` for random ones.
    """

    warmups: Count
    repeats: Count
    seed: Annotated[int, msgspec.Meta(ge=0)]
    prompts_sha256: Sha256 | None = None


class Record(Stored, frozen=True):
    """Everything one run measured on one machine with one toolchain.

    Attributes:
        schema: Version of this shape.
        id: `<time>-<toolchain>-<random>`, the stem of its file's name.
        recorded_at: When the run started, with its UTC offset.
        runner: Nickname of the machine.
        regress: Version of `regress` that wrote it.
        harness: SHA-256 of the worker that measured; rates of different harnesses are not compared.
        toolchain: What was measured.
        environment: On what.
        method: How.
        cases: The results, in the baseline's order.
    """

    schema: Annotated[int, msgspec.Meta(ge=1)]
    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z._+-]+\Z")]
    recorded_at: Instant
    runner: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]*\Z")]
    regress: str
    harness: Sha256
    toolchain: Toolchain
    environment: Environment
    method: Method
    cases: tuple[CaseResult, ...]

    def case(self, key: str) -> CaseResult | None:
        """The result of that case; `None` where the run did not have it."""
        return next((case for case in self.cases if case.key == key), None)


def encode(stored: Stored) -> bytes:
    """The JSON text of a stored object: indented, keys in schema order, newline at the end."""
    return msgspec.json.format(msgspec.json.encode(stored), indent=1) + b"\n"


def decode_record(data: bytes, name: str) -> Record:
    """The record in a file's content.

    Args:
        data: The file's content.
        name: The file's name, for errors.

    Raises:
        HistoryError: It is truncated, of a newer schema, or a field is missing, unknown or out of range.
    """
    try:
        version = msgspec.json.decode(data, type=_SchemaOnly).schema
        if version > SCHEMA:
            raise HistoryError(
                f"{name}: schema {version} is newer than this regress reads ({SCHEMA})", hint="update regress"
            )
        record = msgspec.json.decode(data, type=Record)
    except msgspec.MsgspecError as error:
        raise HistoryError(f"{name}: {error}") from error
    if problem := _contradiction(record):
        raise HistoryError(f"{name}: {problem}")
    return record


def _contradiction(record: Record) -> str | None:
    """What a record says that cannot be, the key in front; `None` where it is consistent."""
    duplicate = first_duplicate(case.key for case in record.cases)
    if duplicate is not None:
        return f"cases: '{duplicate}' stands twice"
    for index, case in enumerate(record.cases):
        where = f"cases[{index}]"
        if not case.key.endswith(f"/{case.workload.key}"):
            return f"{where}.key: '{case.key}' contradicts the workload {case.workload.key}"
        if case.failure and case.replicates:
            return f"{where}: has both a failure and replicates"
        for replicate in case.replicates:
            unknown = sorted(set(replicate.samples) - set(METRICS))
            if unknown:
                return f"{where}.replicates: unknown metric '{unknown[0]}'{did_you_mean(unknown[0], METRICS)}"
    return None


def first_duplicate(keys: Any) -> str | None:  # noqa: ANN401
    """The first key that was seen before; `None` where all differ."""
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            return str(key)
        seen.add(key)
    return None


def digest(value: object) -> str:
    """SHA-256, in hexadecimal, over the canonical JSON text of a value (keys sorted)."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


class _SchemaOnly(msgspec.Struct):
    schema: int
