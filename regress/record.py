"""The record: everything one run measured on one machine with one toolchain, as it stands in the history.

A record can be published: it holds the runner's nickname instead of host names, no absolute path and no secret.
Every number in it is checked when it is read, so that a rate of zero or a NaN never reaches a verdict.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from regress.artifact import Artifact  # noqa: TC001  # msgspec reads the annotations at run time
from regress.errors import HistoryError, did_you_mean
from regress.metric import METRICS
from regress.redact import without_known
from regress.replicate import Discarded, GuardReason, Replicate  # noqa: TC001  # as above
from regress.stored import DAMAGED, MOST_NAMED, Bytes, Count, Instant, Positive, RunnerName, Sha256, Stored, schema_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SCHEMA = 3
"""Version of the record's shape; a reader refuses a newer one. Since 2: telemetry, discarded replicates, bandwidth.
Since 3: the tokens of a replicate only where they are not those of its case's first one."""

_TOKENS_ONCE = 3
"""The first schema in which a replicate may leave its tokens to the first one of its case."""

_LEVELS = 4
"""How deep a stored object is laid out in lines: of a record, down to one line for each replicate."""


class Versioned(Protocol):
    """What says which version of its shape it has."""

    @property
    def schema(self) -> int:
        """The version."""


S = TypeVar("S", bound=Versioned)
_Tokens = tuple[int, ...]

ToolchainKind = Literal["venv", "current", "source", "container"]
Stage = Literal["toolchain", "build", "bench"]
Harness = Literal["vm", "engine", "chat"]
"""What drives a built model: our own loop over TVM's virtual machine, MLC-LLM's `MLCEngine`, or its `ChatModule` of
before."""


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


class Toolchain(Stored, frozen=True, omit_defaults=True):
    """The identity of a toolchain: what was resolved, and the fingerprint of all of it.

    Attributes:
        name: Its name in `regress.toml`.
        kind: How it came to be.
        fingerprint: SHA-256 over kind, Python, platform, packages and, for a source tree, its content.
        python: Version of its interpreter, such as `3.11.7`.
        platform: Its platform, such as `linux-x86_64`.
        packages: Every package in it, sorted by name.
        image: The image of a `container`, by name and digest.
    """

    name: str
    kind: ToolchainKind
    fingerprint: Sha256
    python: str
    platform: str
    packages: tuple[Package, ...]
    image: str | None = None


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
        power_mode: The power mode in force: of a Jetson `nvpmodel`'s name, of another GPU its power limit; `None`
            where nothing tells.
        mig: Whether the GPU is split into instances; `None` where it could not be.
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
    power_mode: str | None = None
    mig: bool | None = None


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


CaseKey = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[\w.-]+(?:\+mlc(?:-engine|-chat)?)?/[\w.-]+/[\w.-]+/p[1-9][0-9]{0,7}\+[1-9][0-9]{0,7}\Z",
        max_length=MOST_NAMED,
    ),
]
"""`<model>[+mlc[-harness]]/<quantization>/<target>/p<prompt tokens>+<new tokens>`, with numbers of at most as many
digits as `TokenCount`: who reads only the key need not doubt them. `+mlc` stands behind the model that MLC-LLM built,
and what drove it behind that where it is not `vm`; no model's name has a plus."""


def case_key(  # noqa: PLR0913  # the parts of a key
    *, model: str, builder: str, harness: Harness = "vm", quantization: str, target: str, workload: Workload
) -> str:
    """The key of a case by the names of its parts; our own builder, and harness `vm`, are not named."""
    built = "" if builder == "tvm" else f"+{builder}"
    driven = "" if harness == "vm" else f"-{harness}"
    return f"{model}{built}{driven}/{quantization}/{target}/{workload.key}"


class CaseResult(Stored, frozen=True):
    """What one case of the run gave: an artifact and replicates, or the failure that stands in their place.

    Attributes:
        key: The case's key.
        workload: What was asked of the model.
        harness: What drove it.
        harness_digest: SHA-256 of the worker that measured it; absent for `vm`, whose digest is the record's.
        artifact: What was measured; `None` where it does not build.
        replicates: What was measured, in order.
        failure: Why there is nothing.
        discarded: Replicates that were not kept, in order.
        gave_up: Why no more replicates were taken, after as many in a row were not kept as may be; `None` where
            it was not so.
    """

    key: CaseKey
    workload: Workload
    harness: Harness = "vm"
    harness_digest: Sha256 | UnsetType = UNSET
    artifact: Artifact | None = None
    replicates: tuple[Replicate, ...] = ()
    failure: Failure | None = None
    discarded: tuple[Discarded, ...] = ()
    gave_up: GuardReason | None = None

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


RecordId = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z._+-]+\Z", max_length=MOST_NAMED)]


class Record(Stored, frozen=True):
    """Everything one run measured on one machine with one toolchain.

    Attributes:
        schema: Version of this shape.
        id: `<time>-<toolchain>-<random>`, the stem of its file's name.
        recorded_at: When the run started, with its UTC offset.
        runner: Nickname of the machine.
        regress: Version of `regress` that wrote it.
        harness: SHA-256 of the worker that measures by harness `vm`; rates of different harnesses are not compared.
        toolchain: What was measured.
        environment: On what.
        method: How.
        cases: The results, in the baseline's order.
        memory_bandwidth_bytes_per_s: What a copy in the GPU's memory moved, bytes read and written; `None` where it was
            not measured.
    """

    schema: Annotated[int, msgspec.Meta(ge=1)]
    id: RecordId
    recorded_at: Instant
    runner: RunnerName
    regress: str
    harness: Sha256
    toolchain: Toolchain
    environment: Environment
    method: Method
    cases: tuple[CaseResult, ...]
    memory_bandwidth_bytes_per_s: Positive | None = None

    def case(self, key: str) -> CaseResult | None:
        """The result of that case; `None` where the run did not have it."""
        return next((case for case in self.cases if case.key == key), None)

    def harness_of(self, result: CaseResult) -> str:
        """SHA-256 of the worker that measured one of its cases."""
        return self.harness if result.harness_digest is UNSET else result.harness_digest


def encode(stored: Stored) -> bytes:
    """The JSON text of a stored object: `_LEVELS` of it in lines, the rest dense, keys in schema order, newline last.

    Whatever it holds, a secret that this process was given is not in it: a worker can read what it was never told.
    """
    if isinstance(stored, Record):
        stored = replace(_with_tokens(stored, _once), schema=SCHEMA)
    whole = msgspec.json.decode(msgspec.json.encode(stored))
    return without_known(_laid_out(whole, _LEVELS)).encode() + b"\n"


def _laid_out(value: Any, levels: int, line: str = "\n") -> str:  # noqa: ANN401
    """JSON of which so many levels stand in lines: with all of them a fifth of a record would be blanks."""
    if not value or not levels or not isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    entry = f"{line} "
    if isinstance(value, list):
        entries, (first, last) = (_laid_out(each, levels - 1, entry) for each in value), "[]"
    else:
        named = ((msgspec.json.encode(name).decode(), each) for name, each in value.items())
        entries, (first, last) = (f"{name}: {_laid_out(each, levels - 1, entry)}" for name, each in named), "{}"
    return f"{first}{entry}{f',{entry}'.join(entries)}{line}{last}"


def _with_tokens(record: Record, told: Callable[[_Tokens, _Tokens], _Tokens]) -> Record:
    """The record with the tokens of all replicates but the first of each case told by that one's and their own."""
    cases = []
    for case in record.cases:
        first, others = case.replicates[:1], case.replicates[1:]
        others = tuple(replace(each, token_ids=told(first[0].token_ids, each.token_ids)) for each in others)
        cases.append(replace(case, replicates=first + others))
    return replace(record, cases=tuple(cases))


def _once(first: _Tokens, own: _Tokens) -> _Tokens:
    """Greedy tokens as they are stored: nearly always those of the first replicate, which has them."""
    return () if own == first else own


def _again(first: _Tokens, stored: _Tokens) -> _Tokens:
    """Greedy tokens as they were: each replicate of a harness that tells tokens has some."""
    return stored or first


def decode_stored(data: bytes, kind: type[S], *, newest: int, name: str) -> S:
    """The stored object in a file's content.

    Args:
        data: The file's content.
        kind: What it shall be, with a `schema`.
        newest: The newest schema that is read.
        name: The file's name, for errors.

    Raises:
        HistoryError: It is truncated, of a newer schema, or a field is missing, unknown or out of range.
    """
    try:
        try:
            found = msgspec.json.decode(data, type=kind)
        except DAMAGED:
            _refuse_newer(schema_of(data), newest, name)  # what a newer schema adds is damage in the eyes of this one
            raise
    except DAMAGED as error:
        raise HistoryError(f"{name}: {error}") from error
    _refuse_newer(found.schema, newest, name)
    return found


def _refuse_newer(schema: int, newest: int, name: str) -> None:
    if schema > newest:
        raise HistoryError(
            f"{name}: schema {schema} is newer than this regress reads ({newest})", hint="update regress"
        )


def decode_record(data: bytes, name: str) -> Record:
    """The record in a file's content.

    Args:
        data: The file's content.
        name: The file's name, for errors.

    Raises:
        HistoryError: It is truncated, of a newer schema, or a field is missing, unknown or out of range.
    """
    record = decode_stored(data, Record, newest=SCHEMA, name=name)
    if record.schema >= _TOKENS_ONCE:
        record = _with_tokens(record, _again)
    if problem := _contradiction(record):
        raise HistoryError(f"{name}: {problem}")
    return record


def _contradiction(record: Record) -> str | None:
    """What a record says that cannot be, the key in front; `None` where it is consistent."""
    duplicate = first_duplicate(case.key for case in record.cases)
    if duplicate is not None:
        return f"cases: '{duplicate}' stands twice"
    for index, case in enumerate(record.cases):
        if problem := case_contradiction(case) or _harness_contradiction(case):
            return f"cases[{index}]{problem}"
    return None


class _HasSamples(Protocol):
    @property
    def samples(self) -> Mapping[str, object]: ...


class Measured(Protocol):
    """What is known of a case, whether all of it was read or a part."""

    @property
    def key(self) -> str:
        """The case's key."""

    @property
    def workload(self) -> Workload:
        """What was asked of the model."""

    @property
    def replicates(self) -> Sequence[_HasSamples]:
        """What was measured."""

    @property
    def failure(self) -> Failure | None:
        """Why there is nothing."""

    @property
    def discarded(self) -> Sequence[Discarded]:
        """Replicates that were not kept."""

    @property
    def gave_up(self) -> GuardReason | None:
        """Why no more were taken."""


def case_contradiction(case: Measured) -> str | None:
    """What a case says that cannot be, behind the case's own place; `None` where it is consistent."""
    if not case.key.endswith(f"/{case.workload.key}"):
        return f".key: '{case.key}' contradicts the workload {case.workload.key}"
    if case.failure and case.replicates:
        return ": has both a failure and replicates"
    if case.gave_up and not case.discarded:
        return ": gave up, and nothing was discarded"
    unknown = sorted({name for replicate in case.replicates for name in replicate.samples} - set(METRICS))
    if unknown:
        return f".replicates: unknown metric '{unknown[0]}'{did_you_mean(unknown[0], METRICS)}"
    return None


def _harness_contradiction(case: CaseResult) -> str | None:
    """The same of its harness."""
    if _harness_in(case.key) != case.harness:
        return f".key: '{case.key}' contradicts the harness '{case.harness}'"
    if (case.harness_digest is UNSET) != (case.harness == "vm"):
        return f".harness_digest: that of 'vm' is the record's own, every other stands here; this is '{case.harness}'"
    if not all(_tells(replicate, case.harness) for replicate in case.replicates):
        return f".replicates: one lacks the answer that the harness '{case.harness}' tells"
    return None


def _tells(replicate: Replicate, harness: Harness) -> bool:
    """Whether a replicate says what was answered, as finely as its harness can."""
    told: dict[Harness, object] = {
        "vm": replicate.logits_sha256,
        "engine": replicate.token_ids,
        "chat": replicate.text_sha256,
    }
    return bool(told[harness])


def _harness_in(key: str) -> str:
    """The harness that a case's key names."""
    _, _, builder = key.partition("/")[0].partition("+")
    return builder.partition("-")[2] or "vm"


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
