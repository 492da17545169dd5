"""`baselines/<runner>.toml`: the cases of a runner, their references, tolerances, and the machine they hold for."""

from __future__ import annotations

from datetime import date  # noqa: TC003  # msgspec reads the annotations at run time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from regress.artifact import BuildFacts  # noqa: TC001  # msgspec reads the annotations at run time
from regress.config import Table, convert, parse_toml
from regress.decision import FEWEST_BASELINE_RUNS, known_spread
from regress.errors import ConfigError, did_you_mean
from regress.gates import GATES
from regress.guard import Required
from regress.metric import METRICS
from regress.recipe import Builder, check_arch, check_context, check_harness, check_recipe, complete_flags
from regress.record import Environment, Harness, TokenCount, Workload, case_key, digest, first_duplicate
from regress.redact import names_secret
from regress.rule import Parameters
from regress.source import parse_source, peek_name
from regress.stats import Prior  # noqa: TC001  # msgspec reads the annotations at run time
from regress.stored import Instant, Positive, Sha256
from regress.verdict import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.record import CaseResult, Method, Record

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
        retries: How often a replicate is taken again that the guard discards.
        cooldown_s: Seconds that a device is left alone before that.
        environment: Variables set for the workers, such as `TVM_NUM_THREADS`; part of the machine's fingerprint.
    """

    replicates: Annotated[int, msgspec.Meta(ge=1)] = 3
    warmups: Annotated[int, msgspec.Meta(ge=1)] = 2
    repeats: Annotated[int, msgspec.Meta(ge=1)] = 10
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    build_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 3600
    bench_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 600
    retries: Annotated[int, msgspec.Meta(ge=0, le=100)] = 2
    cooldown_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 10.0
    environment: dict[str, str] = {}


Values = dict[str, Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1)]]
"""Metric to the value of each replicate, in order of measurement."""


class Session(Table, frozen=True):
    """`[[cases.reference.sessions]]`: the replicates of one recorded run.

    Attributes:
        record: Id of the record.
        recorded_at: When it was measured.
        values: What its replicates gave.
    """

    record: str
    recorded_at: Instant
    values: Values


class StoredReference(Table, frozen=True):
    """`[cases.reference]`: recorded runs of the case, and why they are the reference.

    Attributes:
        toolchain: Name of the toolchain measured.
        toolchain_fingerprint: Its fingerprint.
        artifact: Digest of the artifact; its facts stand under `[artifacts]`.
        harness: SHA-256 of the worker that measured.
        method: SHA-256 of how the replicates were taken.
        model_digest: SHA-256 of the model's configuration and weights.
        builder: Who built the artifact.
        written_on: The day the reference was made, in UTC.
        reason: Why.
        sessions: The runs, oldest first.
        earlier: Metric to the spread that the reference before this one had.
        token_ids: Greedy tokens of the first prompt; empty where the harness hands out text alone.
        logits_sha256: Digest of the first prompt's logits; `None` where the harness hands out none.
        text_sha256: Digest of the first prompt's text; `None` where its tokens are known.
    """

    toolchain: str
    toolchain_fingerprint: Sha256
    artifact: Sha256
    harness: Sha256
    method: Sha256
    model_digest: Sha256
    written_on: date
    reason: Annotated[str, msgspec.Meta(min_length=1)]
    sessions: Annotated[tuple[Session, ...], msgspec.Meta(min_length=1)]
    builder: Builder = "tvm"
    earlier: dict[str, Prior] = {}
    token_ids: tuple[int, ...] = ()
    logits_sha256: Sha256 | None = None
    text_sha256: Sha256 | None = None

    def values(self, metric: str) -> tuple[tuple[float, ...], ...]:
        """The metric's replicates, one sequence per session that has it."""
        return tuple(session.values[metric] for session in self.sessions if metric in session.values)


class Published(Table, frozen=True):
    """`[cases.published]`: rates that others published, without their runs.

    Attributes:
        source: Where they stand.
        device: Part of the device's name that they hold for; any device where absent.
        values: Metric to the published value.
        harness: What drove the model, as far as it is said: only a case of the same harness is compared.
    """

    source: Annotated[str, msgspec.Meta(min_length=1)]
    values: Annotated[dict[str, Positive], msgspec.Meta(min_length=1)]
    device: str | None = None
    harness: Harness | None = None


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
        builder: Who builds it; the numbers of two builders are never compared.
        harness: What drives it; the numbers of two harnesses are never compared.
        tolerance: Metric to the largest loss that passes, where it differs from the file's.
        reference: What the case is compared with; `None` until `regress baseline` writes one.
        published: What it is compared with where there is no reference.
    """

    model: str
    quantization: str
    target: str
    prompt_tokens: TokenCount
    new_tokens: TokenCount
    name: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]*\Z")] | None = None
    flags: dict[str, str] = {}
    builder: Builder = "tvm"
    harness: Harness = "vm"
    tolerance: dict[str, Tolerance] = {}
    reference: StoredReference | None = None
    published: Published | None = None

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
        """The case's readable key, such as `llama-2-7b/q4f16_1/cuda/p1024+128`.

        MLC-LLM's builds are series of their own: `llama-2-7b+mlc/...`, and so is each harness but `vm`:
        `llama-2-7b+mlc-engine/...`.
        """
        return case_key(
            model=self.model_name,
            builder=self.builder,
            harness=self.harness,
            quantization=self.quantization,
            target=self.target,
            workload=self.workload,
        )


class Check(Table, frozen=True):
    """`[check]`: how a verdict is come by.

    Attributes:
        budget: Candidate replicates, or blocks of a side-by-side comparison, after which nothing more is looked at;
            a change takes three or four more to be confirmed.
        paired: Whether the baseline's own artifact is measured beside the candidate where the stored references hold:
            `auto` where its sessions differ too much.
        memory_bandwidth_bytes_per_s: What the device's memory moves at best; a decode rate beyond it is not believed.
        top1_agreement: Smallest share of positions at which two builds must find the same token the likeliest.
        kl_nats: Largest mean Kullback-Leibler divergence of their answers, in nats.
    """

    budget: Annotated[int, msgspec.Meta(ge=3, le=12)] = 8
    paired: Literal["auto", "always", "never"] = "auto"
    memory_bandwidth_bytes_per_s: Positive | None = None
    top1_agreement: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.95
    kl_nats: Positive = 0.01


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
        check: How a verdict is come by.
        device: The state that the device must be in.
        gates: Deterministic gate to the largest growth that passes, where it differs from the default.
        artifacts: Digest to the facts of the artifacts that the references are of.
        epochs: Changes that were accepted; the trend's anchor starts anew at each.
    """

    runner: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]*\Z")]
    toolchain: str
    cases: Annotated[tuple[Case, ...], msgspec.Meta(min_length=1)]
    tolerance: dict[str, Tolerance] = msgspec.field(default_factory=lambda: dict(DEFAULT_TOLERANCES))
    measure: Measure = Measure()
    environment: Environment | None = None
    check: Check = Check()
    device: Required = Required()
    gates: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = {}
    artifacts: dict[Sha256, BuildFacts] = {}
    epochs: tuple[Epoch, ...] = ()

    def tolerances(self, case: Case) -> dict[str, float]:
        """Metric to the largest loss that passes, for one case."""
        return {**self.tolerance, **case.tolerance}

    def reference_usable(
        self, case: Case, environment: Environment, harnesses: Mapping[Harness, str], method: Method
    ) -> bool:
        """Whether a case has stored replicates, of that machine and its harness's digest, taken in that way."""
        stored = case.reference
        alike = stored is not None and (stored.harness, stored.method) == (harnesses[case.harness], digest(method))
        return alike and self._is_of(environment)

    def pairs(self) -> bool:
        """Whether verdicts are to come from the reference's own artifact, measured beside the candidate."""
        if self.check.paired != "auto":
            return self.check.paired == "always"
        return any(
            _sessions_differ(case.reference, metric)
            for case in self.cases
            if case.reference
            for metric in self.tolerances(case)
        )

    def _is_of(self, environment: Environment) -> bool:
        return self.environment is not None and self.environment.fingerprint == environment.fingerprint

    def parameters(self, case: Case) -> dict[str, Parameters]:
        """Metric to what its verdict is asked with, for one case; all verdicts share the chance of a false alarm."""
        checks = sum(len(self.tolerances(each)) for each in self.cases)
        return {
            metric: Parameters(tolerance=tolerance, budget=self.check.budget, checks=checks)
            for metric, tolerance in self.tolerances(case).items()
        }

    def holds_for(self, environment: Environment, harnesses: Mapping[Harness, str], method: Method) -> bool:
        """Whether all cases have stored replicates, of that machine and those harnesses, taken in that way."""
        return all(self.reference_usable(case, environment, harnesses, method) for case in self.cases)

    def references(self) -> dict[str, Reference]:
        """Case key to the stored reference, or the published one, for the cases that have any."""
        stored = {case.key: _stored(case.reference, self.artifacts) for case in self.cases if case.reference}
        published = {case.key: _published(case.published, case.harness) for case in self.cases if case.published}
        return {**published, **stored}


def _sessions_differ(reference: StoredReference, metric: str) -> bool:
    """Whether sessions of the stored replicates differ so much that only a comparison on the spot can tell."""
    sessions = reference.values(metric)
    if sum(map(len, sessions)) < FEWEST_BASELINE_RUNS:
        return False
    return known_spread(sessions, higher_is_better=True, prior=reference.earlier.get(metric)).sessions_differ


def _stored(reference: StoredReference, artifacts: Mapping[str, BuildFacts]) -> Reference:
    return Reference(
        form="two_sample",
        name=reference.toolchain,
        sessions=tuple(session.values for session in reference.sessions),
        harness=reference.harness,
        method=reference.method,
        model_digest=reference.model_digest,
        toolchain_fingerprint=reference.toolchain_fingerprint,
        build=artifacts.get(reference.artifact),
        earlier=reference.earlier,
        logits_sha256=reference.logits_sha256,
        token_ids=reference.token_ids,
        text_sha256=reference.text_sha256,
    )


def _published(published: Published, harness: Harness) -> Reference:
    values: dict[str, tuple[float, ...]] = {metric: (value,) for metric, value in published.values.items()}
    return Reference(
        form="one_sample",
        name=published.source,
        sessions=(values,),
        device=published.device,
        other_driver=None if published.harness in (None, harness) else published.harness,
    )


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
    for gate in baseline.gates:
        if gate not in GATES:
            raise ConfigError(f"{name}: gates.{gate}: unknown gate{did_you_mean(gate, GATES)}")
    for variable in filter(names_secret, baseline.measure.environment):
        raise ConfigError(f"{name}: measure.environment.{variable}: its name says secret: workers get no such variable")
    for index, case in enumerate(baseline.cases):
        try:
            parse_source(case.model)
        except ConfigError as error:
            raise ConfigError(f"{name}: cases[{index}].model: {error}", hint=error.hint) from error
        _check_metrics(case.tolerance, f"{name}: cases[{index}].tolerance")
        check_recipe(case.quantization, case.target, f"{name}: cases[{index}]", case.builder)
        check_harness(case.harness, case.builder, f"{name}: cases[{index}]")
        flags = complete_flags(case.flags, f"{name}: cases[{index}].flags", case.builder)
        check_context(case.workload, flags, f"{name}: cases[{index}]")
        check_arch(case.target, flags, f"{name}: cases[{index}]")
        if not baseline.tolerances(case):
            raise ConfigError(f"{name}: cases[{index}]: no metric has a tolerance, so nothing could be judged")
        _check_reference(baseline, case, f"{name}: cases[{index}]")
    _check_epochs(baseline, name)
    duplicate = first_duplicate(case.key for case in baseline.cases)
    if duplicate is not None:
        raise ConfigError(f"{name}: cases: '{duplicate}' stands twice")
    return baseline


def references_of(record: Record) -> dict[str, Reference]:
    """Case key to what the record measured, for the cases that gave replicates: measured beside the candidate."""
    return {
        case.key: Reference(
            form="paired",
            name=record.toolchain.name,
            sessions=(values_of(case),),
            harness=record.harness_of(case),
            method=digest(record.method),
            model_digest=case.artifact.model.digest,
            toolchain_fingerprint=record.toolchain.fingerprint,
            build=case.artifact.facts,
            logits_sha256=case.replicates[0].logits_sha256,
            token_ids=case.replicates[0].token_ids,
            text_sha256=case.replicates[0].text_sha256 or None,
        )
        for case in record.cases
        if case.replicates and case.artifact
    }


def values_of(result: CaseResult) -> dict[str, tuple[float, ...]]:
    """Metric to the value of each replicate, sorted; metrics that only some replicates have are left out."""
    names = sorted({name for replicate in result.replicates for name in replicate.samples})
    values = {name: tuple(result.values(name)) for name in names}
    return {name: each for name, each in values.items() if len(each) == len(result.replicates)}


def _check_epochs(baseline: Baseline, name: str) -> None:
    keys = [case.key for case in baseline.cases]
    for index, epoch in enumerate(baseline.epochs):
        for key in epoch.cases:
            if key not in keys:
                raise ConfigError(f"{name}: epochs[{index}].cases: no case '{key}'{did_you_mean(key, keys)}")


def _check_reference(baseline: Baseline, case: Case, where: str) -> None:
    if case.published:
        _check_metrics(case.published.values, f"{where}.published.values")
    if case.reference is None:
        return
    if case.reference.builder != case.builder:
        built = f"the reference was built by '{case.reference.builder}', the case asks for '{case.builder}'"
        raise ConfigError(
            f"{where}.reference.builder: {built}", hint="take the reference out, measure anew, and write it from that"
        )
    for index, session in enumerate(case.reference.sessions):
        _check_metrics(session.values, f"{where}.reference.sessions[{index}].values")
    _check_metrics(case.reference.earlier, f"{where}.reference.earlier")
    twice = first_duplicate(session.record for session in case.reference.sessions)
    if twice is not None:
        raise ConfigError(f"{where}.reference.sessions: the record {twice} stands twice")
    if case.reference.artifact not in baseline.artifacts:
        raise ConfigError(f"{where}.reference.artifact: no such digest under [artifacts]")


def _check_metrics(names: Any, where: str) -> None:  # noqa: ANN401
    for name in names:
        if name not in METRICS:
            raise ConfigError(f"{where}.{name}: unknown metric{did_you_mean(name, METRICS)}")
