"""What the page of one run takes of its record: not its tokens, and once the kernels that several cases share.

What is shown is held to the ranges of the record's own schema, and each case must agree with itself. What is not shown
is not looked at: that is for `regress history verify`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from regress.artifact import Kernel, Model
from regress.errors import HistoryError
from regress.record import (
    SCHEMA,
    CaseKey,
    Environment,
    Failure,
    Method,
    RecordId,
    Toolchain,
    Workload,
    case_contradiction,
    decode_stored,
)
from regress.replicate import Discarded, GuardReason  # noqa: TC001  # msgspec reads the annotations at run time
from regress.stored import DAMAGED, Amount, Bytes, Count, Instant, Part, Positive, RunnerName, Sha256, Share
from regress.telemetry import Celsius, Range  # noqa: TC001  # as above

_KEPT = 128
"""Lists of kernels that are kept as they were read: runs of one toolchain have the same ones."""


class Telemetry(Part, frozen=True):
    """What the page shows of `regress.telemetry.Telemetry`."""

    clock_hz: Range | None = None
    reasons: dict[str, Share] = {}
    power_w: Amount | None = None
    temperature_celsius: Celsius | None = None


class Replicate(Part, frozen=True):
    """What the page shows of `regress.replicate.Replicate`."""

    started_at: Instant
    samples: dict[str, Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1)]]
    logits_sha256: Sha256 | None = None
    telemetry: Telemetry | None = None


class Artifact(Part, frozen=True):
    """What the page shows of `regress.artifact.Artifact`."""

    digest: Sha256
    model: Model
    quantization: str
    target: str
    flags: dict[str, str]
    build_duration_s: Positive
    model_lib_bytes: Count
    model_lib_sha256: Sha256
    param_bytes: Count
    param_count: Count
    bits_per_param: Positive
    planned_memory_bytes: dict[str, Bytes]
    stored_kernels: msgspec.Raw = msgspec.field(name="kernels")

    def __post_init__(self) -> None:
        """Raises `ValueError` where the kernels are not what they shall be: who decodes adds file and place."""
        try:
            _ = self.kernels
        except DAMAGED as error:
            raise ValueError(f"kernels: {error}") from error

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Its compiled functions, sorted by name."""
        return _kernels(bytes(self.stored_kernels))


class CaseResult(Part, frozen=True):
    """What the page shows of `regress.record.CaseResult`."""

    key: CaseKey
    workload: Workload
    harness_digest: Sha256 | UnsetType = UNSET
    artifact: Artifact | None = None
    replicates: tuple[Replicate, ...] = ()
    failure: Failure | None = None
    discarded: tuple[Discarded, ...] = ()
    gave_up: GuardReason | None = None


class Extract(Part, frozen=True):
    """What the page shows of `regress.record.Record`."""

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

    def harness_of(self, result: CaseResult) -> str:
        """SHA-256 of the worker that measured one of its cases."""
        return self.harness if result.harness_digest is UNSET else result.harness_digest


def extract(data: bytes, name: str) -> Extract:
    """What the page shows of a record.

    Args:
        data: Content of its file.
        name: The file's name, for errors.

    Raises:
        HistoryError: It is truncated, of a newer schema, what is shown of it is missing or out of range, or one of its
            cases contradicts itself.
    """
    found = decode_stored(data, Extract, newest=SCHEMA, name=name)
    for index, case in enumerate(found.cases):
        if problem := case_contradiction(case):
            raise HistoryError(f"{name}: cases[{index}]{problem}")
    return found


@lru_cache(_KEPT)
def _kernels(stored: bytes) -> tuple[Kernel, ...]:
    return msgspec.json.decode(stored, type=tuple[Kernel, ...])
