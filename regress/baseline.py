"""`baselines/<runner>.toml`: the cases of a runner, their references, tolerances, and the machine they hold for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from regress.config import Table, convert, parse_toml
from regress.errors import ConfigError, did_you_mean
from regress.metric import METRICS
from regress.recipe import check_context, check_recipe, complete_flags
from regress.record import (
    CaseResult,
    Environment,
    Instant,
    Positive,
    Record,
    Sha256,
    TokenCount,
    Workload,
    first_duplicate,
)
from regress.source import parse_source, peek_name
from regress.verdict import Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

Tolerance = Annotated[float, msgspec.Meta(gt=0, lt=1)]

DEFAULT_TOLERANCES = {"prefill_tokens_per_s": 0.05, "decode_tokens_per_s": 0.05}


class Measure(Table, frozen=True):
    """`[measure]`: how a replicate is taken.

    Attributes:
        replicates: Fresh processes per case.
        warmups: Untimed passes at the start of each; the first one also gives the tokens and the logits digest.
        repeats: Timed passes in each.
        seed: Seed of the random prompts.
        build_timeout_s: Seconds after which a build is killed.
        bench_timeout_s: Seconds after which a replicate is killed.
        environment: Variables set for the workers, such as `TVM_NUM_THREADS`; part of the machine's fingerprint.
    """

    replicates: Annotated[int, msgspec.Meta(ge=1)] = 3
    warmups: Annotated[int, msgspec.Meta(ge=1)] = 2
    repeats: Annotated[int, msgspec.Meta(ge=1)] = 10
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    build_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 3600
    bench_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 600
    environment: dict[str, str] = {}


class StoredReference(Table, frozen=True):
    """`[cases.reference]`: a recorded run of the case.

    Attributes:
        toolchain: Name of the toolchain measured.
        toolchain_fingerprint: Its fingerprint.
        record: Id of the record the values are from.
        recorded_at: When it was measured.
        harness: SHA-256 of the worker that measured.
        model_digest: SHA-256 of the model's configuration and weights.
        values: Metric to the value of each replicate.
        token_ids: Greedy tokens of the first prompt.
        logits_sha256: Digest of the first prompt's logits.
    """

    toolchain: str
    toolchain_fingerprint: Sha256
    record: str
    recorded_at: Instant
    harness: Sha256
    model_digest: Sha256
    values: dict[str, Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1)]]
    token_ids: tuple[int, ...] = ()
    logits_sha256: Sha256 | None = None


class Case(Table, frozen=True):
    """`[[cases]]`: one artifact recipe and one workload.

    Attributes:
        model: Model source.
        name: The model's short name, where the one from its source shall not be used.
        quantization: MLC's name of it.
        target: `llvm`, `cuda`, or `cuda-sm_NN`.
        prompt_tokens: Length of the prompt.
        new_tokens: Tokens generated after it.
        flags: Build flags that differ from the default.
        tolerance: Metric to the largest loss that passes, where it differs from the file's.
        reference: What the case is compared with; `None` until `regress baseline` writes one.
    """

    model: str
    quantization: str
    target: str
    prompt_tokens: TokenCount
    new_tokens: TokenCount
    name: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]*\Z")] | None = None
    flags: dict[str, str] = {}
    tolerance: dict[str, Tolerance] = {}
    reference: StoredReference | None = None

    @property
    def workload(self) -> Workload:
        """What is asked of the model."""
        return Workload(prompt_tokens=self.prompt_tokens, new_tokens=self.new_tokens)

    @property
    def model_name(self) -> str:
        """The model's short name, in keys and on pages."""
        return self.name or peek_name(self.model)

    @property
    def key(self) -> str:
        """The case's readable key, such as `llama-2-7b/q4f16_1/cuda/p1024+128`."""
        return f"{self.model_name}/{self.quantization}/{self.target}/{self.workload.key}"


class Epoch(Table, frozen=True):
    """`[[epochs]]`: a change that someone accepted; the trend starts anew at it.

    Attributes:
        since: The first run that belongs to it is the first one measured at or after this moment.
        reason: Why the change was accepted.
        cases: Keys of the cases it holds for; all where empty.
    """

    since: Instant
    reason: Annotated[str, msgspec.Meta(min_length=1)]
    cases: tuple[str, ...] = ()


class Baseline(Table, frozen=True):
    """All of a baseline file.

    Attributes:
        runner: Nickname of the machine.
        toolchain: The toolchain its references are of; measured anew where the machine is another one.
        cases: What is measured.
        tolerance: Metric to the largest loss that passes; these metrics are the ones judged.
        measure: How a replicate is taken.
        environment: The machine the references hold for; `None` until `regress baseline` writes one.
        epochs: Changes that were accepted; the trend's anchor starts anew at each.
    """

    runner: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]*\Z")]
    toolchain: str
    cases: Annotated[tuple[Case, ...], msgspec.Meta(min_length=1)]
    tolerance: dict[str, Tolerance] = msgspec.field(default_factory=lambda: dict(DEFAULT_TOLERANCES))
    measure: Measure = Measure()
    environment: Environment | None = None
    epochs: tuple[Epoch, ...] = ()

    def tolerances(self, case: Case) -> dict[str, float]:
        """Metric to the largest loss that passes, for one case."""
        return {**self.tolerance, **case.tolerance}

    def holds_for(self, environment: Environment, harness: str) -> bool:
        """Whether the stored references are of that machine, and measured by that worker."""
        same_machine = self.environment is not None and self.environment.fingerprint == environment.fingerprint
        return same_machine and all(reference.harness == harness for reference in self.references().values())

    def references(self) -> dict[str, Reference]:
        """Case key to the stored reference, for the cases that have one."""
        return {
            case.key: Reference(
                toolchain=case.reference.toolchain,
                harness=case.reference.harness,
                model_digest=case.reference.model_digest,
                values=case.reference.values,
                logits_sha256=case.reference.logits_sha256,
                token_ids=case.reference.token_ids,
            )
            for case in self.cases
            if case.reference
        }


def parse_baseline(text: str, name: str) -> Baseline:
    """The baseline in a file's text.

    Args:
        text: TOML.
        name: The file's name, for errors.

    Raises:
        ConfigError: It is not TOML, a key is unknown, missing or out of range, or a case stands twice.
    """
    baseline = convert(parse_toml(text, name), Baseline, name)
    _check_metrics(baseline.tolerance, f"{name}: tolerance")
    for index, case in enumerate(baseline.cases):
        try:
            parse_source(case.model)
        except ConfigError as error:
            raise ConfigError(f"{name}: cases[{index}].model: {error}", hint=error.hint) from error
        _check_metrics(case.tolerance, f"{name}: cases[{index}].tolerance")
        check_recipe(case.quantization, case.target, f"{name}: cases[{index}]")
        flags = complete_flags(case.flags, f"{name}: cases[{index}].flags")
        check_context(case.workload, flags, f"{name}: cases[{index}]")
        if case.reference:
            _check_metrics(case.reference.values, f"{name}: cases[{index}].reference.values")
    duplicate = first_duplicate(case.key for case in baseline.cases)
    if duplicate is not None:
        raise ConfigError(f"{name}: cases: '{duplicate}' stands twice")
    return baseline


def references_of(record: Record) -> dict[str, Reference]:
    """Case key to what the record measured, for the cases that gave replicates: the record as a reference."""
    return {
        case.key: Reference(
            toolchain=record.toolchain.name,
            harness=record.harness,
            model_digest=case.artifact.model.digest,
            values=_values([case]),
            logits_sha256=case.replicates[0].logits_sha256,
            token_ids=case.replicates[0].token_ids,
        )
        for case in record.cases
        if case.replicates and case.artifact
    }


def with_references(text: str, name: str, records: Sequence[Record], *, runner: str | None = None) -> str:
    """The baseline file's text with recorded runs as references; comments and layout stay.

    Args:
        text: The file as it is.
        name: Its name, for errors.
        records: Records of one toolchain on one machine; each case's replicates are taken together.
        runner: Nickname to write; the one in the file where `None`.

    Raises:
        ConfigError: The file is wrong, the records are of different toolchains or machines, or lack a case of it.
    """
    import tomlkit  # noqa: PLC0415  # 30 ms that only this one writer needs

    baseline = parse_baseline(text, name)
    records = list({record.id: record for record in records}.values())
    newest = max(records, key=lambda record: record.recorded_at)
    _require_alike(records, name)
    document = tomlkit.parse(text)
    if runner is not None:
        document["runner"] = runner
    document["toolchain"] = newest.toolchain.name
    document["environment"] = _toml(msgspec.to_builtins(newest.environment))
    for table, case in zip(document["cases"], baseline.cases, strict=True):
        results = [result for record in records if (result := record.case(case.key)) and result.replicates]
        if not results:
            raise ConfigError(
                f"{name}: no replicates of '{case.key}' in {newest.id}",
                hint="measure all cases of the file, then write the baseline from that record",
            )
        _require_flags(case, results, name)
        table["reference"] = _reference_table(newest, results)
    written = _spaced(tomlkit.dumps(document))
    parse_baseline(written, name)
    return written


_HEADER = re.compile(r"^(?P<before>[^#\n].*\n)(?=\[{1,2}[\w.\"-]+\]{1,2}$)", re.MULTILINE)


def _spaced(text: str) -> str:
    """The text with an empty line before each table that follows a line of another; writing again changes nothing."""
    return _HEADER.sub(r"\g<before>\n", text)


def _require_flags(case: Case, results: Sequence[CaseResult], name: str) -> None:
    """Refuses runs of a build that is not the case's: a slow reference would make every loss a gain."""
    wanted = complete_flags(case.flags, f"{name}: flags")
    for result in results:
        built = result.artifact.flags if result.artifact else {}
        differing = sorted(flag for flag in wanted if built.get(flag) != wanted[flag])
        if differing:
            flag = differing[0]
            raise ConfigError(
                f"{name}: '{case.key}' was measured with {flag}={built.get(flag)}, the case says {wanted[flag]}"
            )


def _require_alike(records: Sequence[Record], name: str) -> None:
    for record in records[1:]:
        for what, first, other in (
            ("toolchain", records[0].toolchain.fingerprint, record.toolchain.fingerprint),
            ("machine", records[0].environment.fingerprint, record.environment.fingerprint),
            ("harness", records[0].harness, record.harness),
        ):
            if first != other:
                raise ConfigError(f"{name}: the records {records[0].id} and {record.id} are of different {what}s")


def _reference_table(record: Record, results: Sequence[CaseResult]) -> Any:  # noqa: ANN401
    first = results[0].replicates[0]
    return _toml(
        {
            "toolchain": record.toolchain.name,
            "toolchain_fingerprint": record.toolchain.fingerprint,
            "record": record.id,
            "recorded_at": record.recorded_at,
            "harness": record.harness,
            "model_digest": results[0].artifact.model.digest if results[0].artifact else None,
            "logits_sha256": first.logits_sha256,
            "token_ids": list(first.token_ids),
            "values": {metric: list(values) for metric, values in _values(results).items()},
        }
    )


def _values(results: Sequence[CaseResult]) -> dict[str, tuple[float, ...]]:
    replicates = [replicate for result in results for replicate in result.replicates]
    names = sorted({name for replicate in replicates for name in replicate.samples})
    return {name: tuple(value for result in results for value in result.values(name)) for name in names}


def _toml(value: dict[str, Any]) -> Any:  # noqa: ANN401
    """A TOML table of a mapping; keys without a value are left out, as TOML has no null."""
    import tomlkit  # noqa: PLC0415  # as above

    table = tomlkit.table()
    for key, item in value.items():
        if isinstance(item, dict):
            table[key] = _toml(item)
        elif item is not None:
            table[key] = item
    return table


def _check_metrics(names: Any, where: str) -> None:  # noqa: ANN401
    for name in names:
        if name not in METRICS:
            raise ConfigError(f"{where}.{name}: unknown metric{did_you_mean(name, METRICS)}")
