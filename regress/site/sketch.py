"""Facts straight from the files: of a record a tenth is read, in less than half of the time of all of it.

What is read is held to the ranges that the record's own schema gives. More of a record is looked at when its own page
is made.
"""

from __future__ import annotations

from itertools import accumulate
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated

import msgspec

from regress.errors import HistoryError
from regress.guard import discards
from regress.imported import decode_imported
from regress.recipe import own_flags
from regress.record import SCHEMA, CaseKey, Environment, RecordId, Stage, decode_stored, digest, first_duplicate
from regress.replicate import Discarded, GuardReason  # noqa: TC001  # msgspec reads the annotations at run time
from regress.site.facts import SHOWN, Case, Facts, Fault, Run, Said, Value, medians, value_of
from regress.stored import Instant, Part, Positive, RunnerName, Sha256
from regress.verdict import SCHEMA as REPORT_SCHEMA
from regress.verdict import SEVERITY, Outcome, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_Digest = Annotated[str, msgspec.Meta(min_length=64, max_length=64)]
"""A SHA-256, of which only the length is looked at: a record has forty, and a pattern takes long."""


class _Samples(Part, frozen=True):
    """The metrics of `SHOWN`."""

    prefill_tokens_per_s: tuple[Positive, ...] = ()
    decode_tokens_per_s: tuple[Positive, ...] = ()
    energy_per_token_j: tuple[Positive, ...] = ()
    roofline_fraction: tuple[Positive, ...] = ()
    peak_memory_bytes: tuple[Positive, ...] = ()


class _Replicate(Part, frozen=True):
    samples: _Samples


class _Model(Part, frozen=True):
    digest: _Digest


class _Artifact(Part, frozen=True):
    digest: _Digest
    model: _Model
    flags: dict[str, str]


class _Failure(Part, frozen=True):
    stage: Stage
    cause: str
    how: str


class _Case(Part, frozen=True):
    key: CaseKey
    artifact: _Artifact | None = None
    replicates: tuple[_Replicate, ...] = ()
    failure: _Failure | None = None
    harness_digest: Sha256 | None = None
    discarded: tuple[Discarded, ...] = ()
    gave_up: GuardReason | None = None


class _Package(Part, frozen=True):
    name: str
    version: str


class _Toolchain(Part, frozen=True):
    name: str
    fingerprint: Sha256
    packages: tuple[_Package, ...]


class _Record(Part, frozen=True):
    schema: int
    id: RecordId
    recorded_at: Instant
    runner: RunnerName
    harness: Sha256
    toolchain: _Toolchain
    environment: Environment
    cases: tuple[_Case, ...]


class _Decision(Part, frozen=True):
    visible_loss: float | None = None


class _Verdict(Part, frozen=True):
    case: str
    outcome: Outcome
    reason: Reason
    text: str
    metric: str | None = None
    loss: float | None = None
    tolerance: float | None = None
    decision: _Decision | None = None


class _Report(Part, frozen=True):
    schema: int
    baseline: str
    reference_toolchain: str
    verdicts: Annotated[tuple[_Verdict, ...], msgspec.Meta(min_length=1)]
    reference_record: str | None = None


_SAMPLES_OF = attrgetter(*SHOWN)
"""What gives the timed repeats of each metric of `SHOWN`, in its order."""
IMPORTED = "imported"
"""Stands for the digests of what nobody knows of an import: harness, weights and toolchain."""


def sketch(record: bytes, report: bytes | None, name: str, report_name: str) -> Facts:
    """The facts of one run.

    Args:
        record: Content of its record's file.
        report: Content of its report's file; `None` where it was never judged.
        name: Name of the record's file, for errors.
        report_name: Name of the report's file, likewise.

    Raises:
        HistoryError: One of them is truncated, of a newer schema, or what is read of it is missing or out of range.
    """
    seen = decode_stored(record, _Record, newest=SCHEMA, name=name)
    keys = [case.key for case in seen.cases]
    duplicate = first_duplicate(keys)
    if duplicate is not None:
        raise HistoryError(f"{name}: cases: '{duplicate}' stands twice")
    said = None if report is None else _report(report, keys, report_name)
    return Facts(run=_run(seen, said), cases=tuple(_cases(seen.cases, said.verdicts if said else ())))


def _report(data: bytes, keys: Sequence[str], name: str) -> _Report:
    """What was said of a record with those cases; only the keys of others are looked at, as theirs were already."""
    said = decode_stored(data, _Report, newest=REPORT_SCHEMA, name=name)
    try:
        msgspec.convert({verdict.case for verdict in said.verdicts}.difference(keys), set[CaseKey])
    except msgspec.ValidationError as error:
        raise HistoryError(f"{name}: verdicts: {error}") from error
    return said


def sketch_import(data: bytes, name: str) -> Facts:
    """The facts of an import, as a run of one case and one sample, of a machine of which the device alone is known.

    Args:
        data: Content of its file.
        name: The file's name, for errors.

    Raises:
        HistoryError: It is truncated, of a newer schema, or a field is missing, unknown or out of range.
    """
    found = decode_imported(data, name)
    machine = Environment(
        fingerprint=digest(found.device),
        system="not known",
        kernel="not known",
        machine="not known",
        cpu="not known",
        cpu_count=1,
        memory_bytes=0,
        device=found.device,
        python="0.0",
    )
    averaged = f", average of {found.runs} runs" if found.runs else ""
    run = Run(
        id=found.id,
        runner=found.runner,
        recorded_at=found.recorded_at,
        toolchain=found.toolchain,
        fingerprint=IMPORTED,
        packages=(),
        environment=machine,
        harness=IMPORTED,
        imported=f"{found.source.file}, row {found.source.row} ({found.source.format}){averaged}",
    )
    values = {metric: value_of([value]) for metric, value in found.values.items() if metric in SHOWN}
    return Facts(run=run, cases=(Case(key=found.case, values=values, model_digest=IMPORTED),))


def _run(record: _Record, report: _Report | None) -> Run:
    toolchain = record.toolchain
    return Run(
        id=record.id,
        runner=record.runner,
        recorded_at=record.recorded_at,
        toolchain=toolchain.name,
        fingerprint=toolchain.fingerprint,
        packages=tuple((package.name, package.version) for package in toolchain.packages),
        environment=record.environment,
        harness=record.harness,
        outcome=max((verdict.outcome for verdict in report.verdicts), key=SEVERITY.index) if report else None,
        baseline=report.baseline if report else None,
        reference=report.reference_toolchain if report else None,
        reference_run=report.reference_record if report else None,
    )


def _cases(results: Sequence[_Case], verdicts: Sequence[_Verdict]) -> Iterator[Case]:
    said: dict[str, list[Said]] = {}
    for verdict in verdicts:
        said.setdefault(verdict.case, []).append(_said(verdict))
    for result, values in zip(results, _values(results), strict=True):
        yield _case(result, values, tuple(said.pop(result.key, ())))
    for key, of_vanished in said.items():
        yield Case(key=key, said=tuple(of_vanished))


def _said(verdict: _Verdict) -> Said:
    return Said(
        outcome=verdict.outcome,
        reason=verdict.reason,
        text=verdict.text,
        metric=verdict.metric,
        loss=verdict.loss,
        tolerance=verdict.tolerance,
        visible_loss=verdict.decision.visible_loss if verdict.decision else None,
    )


def _case(result: _Case, values: dict[str, Value], said: tuple[Said, ...]) -> Case:
    built, failure = result.artifact, result.failure
    return Case(
        key=result.key,
        values=values,
        model_digest=built.model.digest if built else "",
        artifact=built.digest if built else "",
        flags=own_flags(built.flags) if built else {},
        fault=Fault(stage=failure.stage, how=failure.how, cause=failure.cause) if failure else None,
        discarded=discards(result),
        harness=result.harness_digest,
        said=said,
    )


def _values(results: Sequence[_Case]) -> list[dict[str, Value]]:
    """Metric to its value, of each case; what it is of are the medians of each replicate's timed repeats."""
    found: list[dict[str, Value]] = [{} for _ in results]
    ends = list(accumulate(len(result.replicates) for result in results))
    every = [replicate.samples for result in results for replicate in result.replicates]
    for metric, samples in zip(SHOWN, zip(*map(_SAMPLES_OF, every), strict=True), strict=False):
        measured = medians(samples)
        for values, begin, end in zip(found, [0, *ends], ends, strict=False):
            if ordered := sorted(filter(None, measured[begin:end])):  # none is zero
                values[metric] = value_of(ordered)
    return found
