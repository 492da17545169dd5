"""A synthetic history of the shape that real ones have, to measure the site with.

    python benchmarks/site_history.py FOLDER --values 100000

Ten runners measure twenty cases every night, ten replicates of each, with toolchains that are bumped every two weeks.
A value is what a run says of one rate of one case, so that a record holds 40 of them, and 100,000 are 2,500 records;
a case that did not build holds none of its two. Beside what was measured there is what happens to histories:

- noise from run to run of 0.3 to 1 %, by the runner, and from replicate to replicate;
- toolchains that lose 4 to 15 % in some cases until one to three toolchains later, and some that gain for good;
- builds that crash in the compiler for one model, and replicates that the guard discards;
- one change of each runner's environment, after which its references are made anew;
- a check report beside all but one run of twenty, with verdicts by the project's own rule.

The history is a function of its size and seed alone: run `n` of a runner is the same whatever was written before it.
Everything is built with the structs that `regress` reads it with, so that it cannot drift from the schema.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from site_machines import CASES, MACHINES, MODELS, NEW_TOKENS, ROOT, Case

sys.path.insert(0, str(ROOT))

from regress.answers import Limits, judge_answers  # of this checkout
from regress.artifact import Artifact, Kernel, Model
from regress.comparison import standard_error, two_sample
from regress.decision import Decision
from regress.gates import GATES, judge_build
from regress.guard import Required, disturbed
from regress.history import REPORT_SUFFIX
from regress.metric import METRICS
from regress.recipe import FLAGS
from regress.record import (
    SCHEMA,
    CaseResult,
    Environment,
    Failure,
    Method,
    Package,
    Record,
    Toolchain,
    digest,
    encode,
)
from regress.replicate import Discarded, Replicate
from regress.rule import REASONS, Parameters, visible_change, walk
from regress.sentence import sentence
from regress.stats import Evidence, evidence
from regress.telemetry import Range, Telemetry
from regress.verdict import SCHEMA as REPORT_SCHEMA
from regress.verdict import CheckReport, Reference, Spread, Verdict, broken, missing, spread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from regress.rule import Walk

    Floats = NDArray[np.float64]

RATES = ("prefill_tokens_per_s", "decode_tokens_per_s")
REPLICATES = 10
REFERENCE_SESSIONS, REFERENCE_REPLICATES = 5, 3
WARMUPS = 2
PARAMETERS = Parameters(tolerance=0.05, budget=5, checks=40)

NEWEST = datetime(2026, 11, 20, 1, 0, tzinfo=timezone.utc)
"""The last night."""
LONGEST = timedelta(days=2500)
"""The longest history; one with more runs has several in a night."""
BUMP = timedelta(days=14)
"""From one toolchain to the next."""
BETWEEN_REPLICATES = timedelta(seconds=20)

KERNELS = """
    batch_decode_paged_kv batch_decode_paged_kv_sliding_window batch_prefill_paged_kv
    batch_prefill_paged_kv_sliding_window batch_prefill_ragged_kv batch_tree_attn compact_kv_copy copy_single_page
    decoder_entry decoder_step decoder_step1 dequantize_take fused_dequantize1_fused_NT_matmul1_add
    fused_dequantize2_NT_matmul2 fused_dequantize3_fused_NT_matmul3_add fused_dequantize4_fused_NT_matmul4_cast
    fused_dequantize_NT_matmul fused_reshape2_reshape3 fused_reshape_reshape1 fused_rope fused_split_silu_multiply
    last_token reshape4 reshape5 reshape6 reshape7 rms_norm tir_attention_merge_state tir_kv_cache_debug_get_kv
    tir_kv_cache_transpose_append tir_kv_cache_transpose_append_mla tree_attn_paged_kv
""".split()  # noqa: SIM905  # one name a line would fill a page
PACKAGES = {"apache-tvm": 4, "apache-tvm-ffi": 29, "ml-dtypes": 40, "numpy": 66, "typing-extensions": 2}
"""Package to the number of wheels that a lock allows."""
CRASH = (
    """\
!!!!!!! Segfault encountered !!!!!!!
  File "<unknown>", line 0, in tvm::ffi::ToJSONGraph(tvm::ffi::Any const&, tvm::ffi::Any const&)
  File "<unknown>", line 0, in tvm::s_tir::Tensorize(tvm::s_tir::ScheduleState, tvm::tirx::StmtSRef const&)
"""
    + 14 * '  File "<unknown>", line 0, in _PyEval_EvalFrameDefault\n'
)


def sha(*parts: object) -> str:
    """A SHA-256 that stands for those things."""
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What decides a history.

    Attributes:
        values: How many values it holds, all runners together.
        seed: Of all that is drawn.
        runners: How many of `MACHINES`.
        cases: How many of `CASES`.
    """

    values: int
    seed: int = 0
    runners: int = len(MACHINES)
    cases: int = len(CASES)

    @property
    def nights(self) -> int:
        """Runs of the runner that has most."""
        return max(1, math.ceil(self._records / self.runners))

    @property
    def _records(self) -> int:
        return max(1, self.values // (len(RATES) * self.cases))

    def runs(self, runner: int) -> int:
        """Runs of a runner, by its place in `MACHINES`."""
        return self._records // self.runners + (runner < self._records % self.runners)

    @property
    def step(self) -> timedelta:
        """From one run of a runner to its next."""
        return min(timedelta(days=1), LONGEST / self.nights)

    @property
    def runs_per_toolchain(self) -> int:
        """Runs until a toolchain is bumped; fewer in a short history, so that it has some toolchains, too."""
        return max(1, min(self.nights // 3, round(BUMP / self.step)))

    def random(self, *what: int) -> np.random.Generator:
        """Random numbers for one thing alone, whatever was drawn for others."""
        return np.random.default_rng([self.seed, *what])


_LEVELS, _RUN, _REFERENCE, _CHANGE, _TOKENS = range(5)
"""What random numbers are drawn for."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a toolchain does to the rates, as differences of logarithms of shape `(cases, rates)`.

    Attributes:
        lasting: What stays for good.
        passing: What is gone some toolchains later.
        toolchains: How many toolchains that lasts.
    """

    lasting: Floats
    passing: Floats
    toolchains: int


class Measured(NamedTuple):
    """What a run measured, as arrays of shape `(cases, replicates, repeats)` or `(cases, replicates)`."""

    samples: dict[str, Floats]
    power_w: Floats

    def logarithms(self) -> Floats:
        """The replicates' rates, shape `(cases * rates, replicates)`."""
        medians = np.stack([np.median(self.samples[rate], axis=2) for rate in RATES], axis=1)
        logarithms: Floats = np.log(medians).reshape(-1, REPLICATES)
        return logarithms


@dataclass(frozen=True, kw_only=True)
class Known:
    """A runner's references in one of its environments.

    Attributes:
        toolchain: Number of the toolchain that they are of.
        rates: Tokens/s, shape `(cases * rates, replicates)`.
        evidence: Their sums.
        visible: The smallest loss that shows, as a fraction, of each rate of each case.
    """

    toolchain: int
    rates: Floats
    evidence: Evidence
    visible: Floats

    @cached_property
    def spreads(self) -> list[Spread]:
        """The rates as reports hold them."""
        return [spread(values) for values in self.rates.tolist()]


def toolchain_name(number: int) -> str:
    """Name of the toolchain of that number, oldest first."""
    return f"tvm-0.{20 + number // 4}.{number % 4}"


@lru_cache(maxsize=32)
def toolchain_of(number: int, architecture: str) -> Toolchain:
    """The toolchain of that number; TVM itself is new in each, the other packages in every third to fifth."""
    name, packages = toolchain_name(number), []
    for place, (package, wheels) in enumerate(PACKAGES.items()):
        release = number - number % (place + 1)
        version = name.removeprefix("tvm-") if not place else f"{place}.{release}"
        sha256 = tuple(sorted(sha(package, version, wheel) for wheel in range(wheels)))
        packages.append(Package(name=package, version=version, sha256=sha256))
    return Toolchain(
        name=name,
        kind="venv",
        fingerprint=sha(name, architecture),
        python="3.12.3",
        platform=f"linux-{architecture}",
        packages=tuple(packages),
    )


class Runner:
    """A runner of a history, and all its runs.

    Args:
        plan: The history.
        number: The runner's place in `MACHINES`.
    """

    def __init__(self, plan: Plan, number: int) -> None:
        self.plan, self.number, self.machine = plan, number, MACHINES[number]
        self.cases = CASES[: plan.cases]
        self.keys = [case.key(self.machine) for case in self.cases]
        self.artifact = lru_cache(maxsize=32)(self._artifact)
        self._lasting: list[Floats] = [np.zeros((plan.cases, len(RATES)))]
        self._effect = lru_cache(maxsize=8)(self._draw_effect)
        self._known = lru_cache(maxsize=2)(self._draw_known)

    def write(self, folder: Path) -> None:
        """Writes all its runs."""
        for run in range(self.plan.runs(self.number)):
            self.write_run(folder, run)

    def write_run(self, folder: Path, run: int) -> Path:
        """Writes the record of one run, and its report where it has one; the record's path."""
        drawn = self.plan.random(_RUN, self.number, run)
        measured, record = self.run(run, drawn)
        path = folder / record.runner / f"{record.recorded_at:%Y}" / f"{record.recorded_at:%m}" / f"{record.id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(record))  # not `history.append`: nobody waits for 2,500 of them to be flushed to disk
        if drawn.random() >= 1 / 20:
            report = self.report(run, record, measured)
            path.with_name(record.id + REPORT_SUFFIX).write_bytes(encode(report))
        return path

    # What the run is of.

    def toolchain(self, run: int) -> int:
        """Number of the toolchain of a run."""
        return run // self.plan.runs_per_toolchain

    @cached_property
    def changed_at(self) -> int:
        """The first run in the runner's second environment."""
        return max(1, int(self.plan.nights * self.plan.random(_CHANGE, self.number).uniform(0.4, 0.8)))

    def epoch(self, run: int) -> int:
        """Which of its two environments a run was measured in: 0 or 1."""
        return int(run >= self.changed_at)

    def environment(self, epoch: int) -> Environment:
        """The runner's environment: a new driver, or a new system where it has none, makes another one of it."""
        machine = self.machine
        release = {"nvidia": ("580.159.04", "590.44.01"), "jetson": ("R36.4.0", "R36.4.4"), "cpu": (None, None)}
        environment = Environment(
            fingerprint=sha(),
            system="Ubuntu 24.04.3 LTS" if machine.is_gpu or epoch else "Ubuntu 22.04.5 LTS",
            kernel=("6.8.0-64-generic", "6.14.0-29-generic")[epoch],
            machine=machine.architecture,
            cpu=machine.host,
            cpu_count=16,
            memory_bytes=270_334_464_000,
            device=machine.device,
            python="3.12",
            driver=release[machine.kind][epoch],
            settings={} if machine.is_gpu else {"TVM_NUM_THREADS": "16"},
            power_mode=None if not machine.is_gpu else self._power_mode,
            mig=False if machine.kind == "nvidia" else None,
        )
        return msgspec.structs.replace(environment, fingerprint=digest(environment))

    @property
    def _power_mode(self) -> str:
        return "MAXN" if self.machine.kind == "jetson" else f"{self._power_limit_w:.0f} W"

    @property
    def _power_limit_w(self) -> float:
        return math.ceil(self.machine.power_w * 1.3 / 50) * 50.0

    def is_broken(self, toolchain: int, case: Case) -> bool:
        """Whether a toolchain cannot build a case: one toolchain of twelve fails for one model."""
        models = list(MODELS)
        broken_ = toolchain and (toolchain + self.number) % 12 == 5  # noqa: PLR2004  # never the first one
        return bool(broken_) and case.model == models[(toolchain + self.number) // 12 % len(models)]

    def _artifact(self, toolchain: int, model: str) -> Artifact:
        """What a toolchain builds of a model: of the kernels, a third is new in each."""
        machine, count = self.machine, MODELS[model]
        kernels = tuple(
            Kernel(name=name, sha256=sha(name, model, machine.target, toolchain - (toolchain + place) % 3))
            for place, name in enumerate(KERNELS)
        )
        param_bytes = int(count * (4.5 if machine.is_gpu else 5.03) / 8)
        identity = toolchain_of(toolchain, machine.architecture)
        return Artifact(
            digest=sha("artifact", identity.fingerprint, model, machine.target),
            toolchain=identity.fingerprint,
            model=Model(source=f"synthetic:{model}", name=model, digest=sha("weights", model)),
            quantization=machine.quantization,
            target=machine.target,
            resolved_target=msgspec.json.encode(
                {"kind": machine.target, "tag": "", "keys": [machine.target], "mcpu": machine.host, "device": "found"}
            ).decode(),
            flags=dict(FLAGS),
            builder=sha("builder"),
            build_duration_s=40 + count / 1e9 + toolchain % 7,
            model_lib_bytes=1_464_416 + 512 * (toolchain % 9),
            model_lib_sha256=sha("library", identity.fingerprint, model, machine.target),
            param_bytes=param_bytes,
            param_count=count,
            bits_per_param=8 * param_bytes / count,
            planned_memory_bytes={
                "create_tir_paged_kv_cache": 0,
                "decode": 112_152,
                "embed": 33_554_432,
                "prefill": 371_204_096,
            },
            kv_cache="create_tir_paged_kv_cache",
            kernels=kernels,
        )

    # How fast it is.

    @cached_property
    def _rates(self) -> Floats:
        """Tokens/s of the first toolchain, shape `(cases, rates)`: decode by bandwidth, prefill by compute."""
        rates = np.empty((len(self.cases), len(RATES)))
        for place, case in enumerate(self.cases):
            param_bytes = self.artifact(0, case.model).param_bytes
            decode = 0.47 * self.machine.bandwidth_bytes_per_s / param_bytes / (1 + case.prompt_tokens / 20_000)
            computed_s = 2 * case.param_count * case.prompt_tokens / self.machine.flop_per_s
            rates[place] = case.prompt_tokens / (computed_s + 5 / decode), decode
        return rates

    def _draw_effect(self, toolchain: int) -> Effect:
        """What a toolchain does: it moves each model a little, and one of four moves some cases much."""
        drawn = self.plan.random(_LEVELS, self.number, toolchain)
        shape = (len(self.cases), len(RATES))
        lasting, passing = drawn.normal(0, 0.001, shape), np.zeros(shape)
        if drawn.random() < 1 / 4:
            where = self._some(drawn)
            if drawn.random() < 2 / 3:
                passing[where] = -drawn.uniform(0.04, 0.15)
            else:
                lasting[where] += drawn.uniform(0.03, 0.08)
        return Effect(lasting=lasting, passing=passing, toolchains=int(drawn.integers(1, 4)))

    def _some(self, drawn: np.random.Generator) -> NDArray[np.bool_]:
        """Which rates of which cases: those of one model or of one length of prompt, of one rate or of both."""
        pick = self.cases[int(drawn.integers(len(self.cases)))]
        by_model = drawn.random() < 1 / 2
        cases = [
            case.model == pick.model if by_model else case.prompt_tokens == pick.prompt_tokens for case in self.cases
        ]
        rates = ((True, True), (True, False), (False, True))[int(drawn.integers(3))]
        return np.outer(cases, rates)

    def level(self, toolchain: int, epoch: int) -> Floats:
        """Tokens/s without noise, shape `(cases, rates)`."""
        while len(self._lasting) <= toolchain:
            self._lasting.append(self._lasting[-1] + self._effect(len(self._lasting)).lasting)
        recent = range(max(1, toolchain - 2), toolchain + 1)
        passing = sum(self._effect(each).passing for each in recent if toolchain < each + self._effect(each).toolchains)
        shift = epoch * self.plan.random(_CHANGE, self.number, epoch).uniform(-0.01, 0.03)
        level: Floats = self._rates * np.exp(self._lasting[toolchain] + passing + shift)
        return level

    def measure(self, run: int, drawn: np.random.Generator) -> Measured:
        """What a run measures of all cases, also of those that turn out not to build."""
        machine, noise = self.machine, self.machine.noise
        shape = (len(self.cases), len(RATES), REPLICATES, machine.repeats)
        logarithms = drawn.normal(0, noise, shape)
        logarithms += drawn.normal(0, noise, shape[:2])[:, :, None, None] + drawn.normal(0, noise / 2, (*shape[:3], 1))
        rates = self.level(self.toolchain(run), self.epoch(run))[:, :, None, None] * np.exp(logarithms)
        prompt = np.array([case.prompt_tokens for case in self.cases])[:, None, None]
        prefill_ns, decode_ns = np.rint(1e9 * prompt / rates[:, 0]), np.rint(1e9 * NEW_TOKENS / rates[:, 1])
        samples = {
            "prefill_tokens_per_s": 1e9 * prompt / prefill_ns,
            "decode_tokens_per_s": 1e9 * NEW_TOKENS / decode_ns,
            "time_to_first_token_s": prefill_ns / 1e9,
            "time_per_output_token_s": decode_ns / 1e9 / NEW_TOKENS,
        }
        power_w = machine.power_w * drawn.normal(1, 0.01, shape[0:3:2])
        if machine.is_gpu:
            samples.update(self._of_gpu(samples["decode_tokens_per_s"], power_w))
        pages = drawn.integers(0, 200, shape[0:3:2]) * (not machine.is_gpu)
        samples["peak_memory_bytes"] = (self._peak_memory_bytes[:, None] + 4096.0 * pages)[:, :, None]
        return Measured(samples, power_w)

    @cached_property
    def _param_bytes(self) -> Floats:
        return np.array([float(self.artifact(0, case.model).param_bytes) for case in self.cases])

    @cached_property
    def _peak_memory_bytes(self) -> Floats:
        prompts = np.array([case.prompt_tokens for case in self.cases])
        return np.rint(self._param_bytes * 1.35 + 600_000.0 * prompts)

    def _of_gpu(self, decode: Floats, power_w: Floats) -> dict[str, Floats]:
        return {
            "roofline_fraction": decode * self._param_bytes[:, None, None] / self.machine.bandwidth_bytes_per_s,
            "energy_per_token_j": (power_w / np.median(decode, axis=2))[:, :, None],
        }

    # The record.

    def run(self, run: int, drawn: np.random.Generator) -> tuple[Measured, Record]:
        """What a run measured, and its record."""
        machine, number = self.machine, self.toolchain(run)
        jitter = timedelta(minutes=7 * self.number, microseconds=int(drawn.integers(60_000_000)))
        at = NEWEST - self.plan.step * (self.plan.nights - 1 - run) + jitter
        toolchain, measured = toolchain_of(number, machine.architecture), self.measure(run, drawn)
        record = Record(
            schema=SCHEMA,
            id=f"{at:%Y%m%dT%H%M%SZ}-{toolchain.name}-{sha(self.plan.seed, machine.name, run)[:8]}",
            recorded_at=at,
            runner=machine.name,
            regress="0.1.0",
            harness=sha("harness"),
            toolchain=toolchain,
            environment=self.environment(self.epoch(run)),
            method=Method(warmups=WARMUPS, repeats=machine.repeats, seed=0),
            cases=tuple(self._results(number, measured, at, drawn)),
            memory_bandwidth_bytes_per_s=machine.bandwidth_bytes_per_s if machine.is_gpu else None,
        )
        return measured, record

    def _results(
        self, toolchain: int, measured: Measured, at: datetime, drawn: np.random.Generator
    ) -> Iterator[CaseResult]:
        samples = {name: values.tolist() for name, values in measured.samples.items()}
        power_w, disturbed_case = measured.power_w.tolist(), int(drawn.integers(20 * len(self.cases)))
        for place, (case, key) in enumerate(zip(self.cases, self.keys, strict=True)):
            if self.is_broken(toolchain, case):
                yield CaseResult(key=key, workload=case.workload, failure=_crash())
                continue
            begun = at + timedelta(minutes=1) + place * BETWEEN_REPLICATES
            starts = [begun + each * len(self.cases) * BETWEEN_REPLICATES for each in range(REPLICATES)]
            yield CaseResult(
                key=key,
                workload=case.workload,
                artifact=self.artifact(toolchain, case.model),
                replicates=tuple(
                    Replicate(
                        started_at=start,
                        samples={name: tuple(values[place][each]) for name, values in samples.items()},
                        token_ids=self._tokens[place],
                        logits_sha256=self._logits(toolchain, place),
                        telemetry=self._telemetry(power_w[place][each], each, self._peak_memory_bytes[place]),
                    )
                    for each, start in enumerate(starts)
                ),
                discarded=(self._discarded(begun),) if place == disturbed_case and self.machine.is_gpu else (),
            )

    @cached_property
    def _tokens(self) -> list[tuple[int, ...]]:
        """The greedy tokens of each case."""
        drawn = self.plan.random(_TOKENS, self.number).integers(0, 32_000, (len(self.cases), NEW_TOKENS + 1))
        return [tuple(row) for row in drawn.tolist()]

    def _logits(self, toolchain: int, case: int) -> str:
        """Digest of a case's logits, which every fourth toolchain changes in their last bits."""
        return sha("logits", self.machine.name, case, toolchain // 4)

    def _telemetry(self, power_w: float, replicate: int, peak_memory_bytes: float) -> Telemetry:
        if not self.machine.is_gpu:
            unreadable = ("clock", "clock_max", "throttles", "energy", "temperature")
            return Telemetry(
                device="cpu",
                samples=6,
                others_busy=0.0,
                stolen=0.0,
                unreadable=dict.fromkeys(unreadable, "no such file"),
            )
        clock_hz = 1.98e9 if self.machine.kind == "nvidia" else 1.3e9
        return Telemetry(
            device=self.machine.kind,
            samples=10 + replicate % 4,
            clock_hz=Range(min=clock_hz, median=clock_hz, max=clock_hz),
            clock_max_hz=clock_hz,
            memory_clock_hz=3.201e9,
            violations_s=dict.fromkeys(("board_limit", "power", "reliability", "sync_boost", "thermal"), 0.0),
            power_w=power_w,
            power_limit_w=self._power_limit_w,
            power_limit_default_w=self._power_limit_w,
            energy_j=power_w * 1.4,
            temperature_celsius=49.0 + replicate,
            peak_memory_bytes=int(peak_memory_bytes),
            memory_others_bytes=654_180_352,
            memory_others_growth_bytes=9_240_576,
            others=0,
            utilisation=0.92,
            power_mode=self._power_mode,
            mig=False if self.machine.kind == "nvidia" else None,
        )

    def _discarded(self, started_at: datetime) -> Discarded:
        """A replicate that heat slowed down, in the guard's own words."""
        telemetry = msgspec.structs.replace(
            self._telemetry(self.machine.power_w, 0, 0), reasons={"sw_thermal_slowdown": 0.6}, temperature_celsius=91.0
        )
        objection = disturbed(telemetry, Required())
        assert objection is not None  # noqa: S101  # throttled as it is
        started_at -= BETWEEN_REPLICATES / 2
        return Discarded(started_at=started_at, reason=objection.reason, text=objection.text, telemetry=telemetry)

    # What is said of it.

    def _draw_known(self, epoch: int) -> Known:
        """The references of an environment: of the toolchain with which it began."""
        toolchain, noise = self.toolchain(self.changed_at * epoch), self.machine.noise
        drawn = self.plan.random(_REFERENCE, self.number, epoch)
        shape = (len(self.cases) * len(RATES), REFERENCE_SESSIONS, REFERENCE_REPLICATES)
        logarithms = drawn.normal(0, noise, (*shape[:2], 1)) + drawn.normal(0, noise / 2, shape)
        logarithms += np.log(self.level(toolchain, epoch)).reshape(-1, 1, 1)
        sessions = [session for session in range(REFERENCE_SESSIONS) for _ in range(REFERENCE_REPLICATES)]
        flat = logarithms.reshape(shape[0], -1)
        known = evidence(flat, sessions)
        error, degrees = standard_error(known, PARAMETERS.looks("two_sample")[-1])
        visible = -np.expm1(-visible_change(error, degrees, PARAMETERS, "two_sample"))
        return Known(toolchain=toolchain, rates=np.exp(flat), evidence=known, visible=visible)

    def report(self, run: int, record: Record, measured: Measured) -> CheckReport:
        """What was said of a run: of the first one in a new environment, that nothing can be compared."""
        known = self._known(self.epoch(run))
        if run == self.changed_at:
            verdicts = [
                missing(key, "other_environment", "the references hold for another machine") for key in self.keys
            ]
        else:
            verdicts = list(self._verdicts(record, known, measured.logarithms()))
        return CheckReport(
            schema=REPORT_SCHEMA,
            record=record.id,
            runner=record.runner,
            toolchain=record.toolchain.name,
            baseline=f"{record.runner}.toml",
            against="stored",
            reference_toolchain=toolchain_name(known.toolchain),
            verdicts=tuple(verdicts),
        )

    def _verdicts(self, record: Record, known: Known, logarithms: Floats) -> Iterator[Verdict]:
        walked = walk(two_sample(known.evidence, logarithms), PARAMETERS)
        judged = Judged(known=known, walked=walked, rates=np.exp(logarithms).tolist())
        for place, (case, result) in enumerate(zip(self.cases, record.cases, strict=True)):
            if result.artifact is None:
                yield broken(result.key, _crash())
                continue
            build = self.artifact(known.toolchain, case.model)
            yield from judge_build(result.key, build.facts, result.artifact.facts, GATES)
            yield from judge_answers(self._answers(known, place), result, None, Limits())
            for row, rate in enumerate(RATES, start=place * len(RATES)):
                yield judged.verdict(result.key, rate, row)

    def _answers(self, known: Known, place: int) -> Reference:
        """The reference, as far as it holds answers."""
        return Reference(
            form="two_sample",
            name=toolchain_name(known.toolchain),
            sessions=(),
            token_ids=self._tokens[place],
            logits_sha256=self._logits(known.toolchain, place),
        )


def _crash() -> Failure:
    """A compiler that died, as TVM 0.27 does on an ffi that is too new for it."""
    return Failure(
        stage="build",
        cause="crashed in tvm::s_tir::Tensorize -> tvm::ffi::ToJSONGraph",
        how="killed by SIGSEGV",
        signal="SIGSEGV",
        log=CRASH,
    )


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the rule says of all rates of a run at once: one at a time, 100,000 of them would take minutes.

    Attributes:
        known: What they were compared with.
        walked: How the rule walked through them.
        rates: Tokens/s, one row of replicates for each rate of each case.
    """

    known: Known
    walked: Walk
    rates: list[list[float]]

    def verdict(self, case: str, rate: str, row: int) -> Verdict:
        """The verdict on one rate."""
        decision = self.decision(row)
        return Verdict(
            case=case,
            outcome=decision.outcome,
            reason=decision.reason,
            text=sentence(METRICS[rate], decision),
            metric=rate,
            baseline=self.known.spreads[row],
            candidate=spread(self.rates[row][: decision.replicates + decision.confirming]),
            loss=decision.loss,
            tolerance=decision.tolerance,
            decision=decision,
        )

    def decision(self, row: int) -> Decision:
        """What the rule said of one rate, as `regress.decision` says it of a single check."""
        known, walked = self.known.evidence, self.walked
        outcome, reason = REASONS[int(walked.code[row])]
        look = int(walked.look[row])
        return Decision(
            form="two_sample",
            outcome=outcome,
            reason=reason,
            tolerance=PARAMETERS.tolerance,
            loss=-math.expm1(-float(walked.change[row])),
            low=-math.expm1(-float(walked.low[row])),
            high=-math.expm1(-float(walked.high[row])),
            replicates=look,
            confirming=int(walked.used[row]) - look,
            baseline_replicates=known.runs,
            sessions=known.sessions,
            sd=float(known.sd[row]),
            session_sd=math.sqrt(float(known.session_variance[row])),
            p_value=float(walked.p_value[row]),
            visible_loss=float(self.known.visible[row]),
        )


def write_history(folder: Path, values: int, seed: int = 0) -> Plan:
    """Writes a history of all runners and cases; what decided it.

    Args:
        folder: Where; folders that are missing are made.
        values: How many values it shall hold: one for each rate of each case of each run.
        seed: Another one gives another history.
    """
    plan = Plan(values=values, seed=seed)
    write_plan(folder, plan)
    return plan


def write_plan(folder: Path, plan: Plan) -> None:
    """Writes the history that a plan decides, the runners side by side."""
    with ProcessPoolExecutor(max_workers=min(os.cpu_count() or 1, plan.runners)) as pool:
        for done in [pool.submit(_write_runner, plan, number, folder) for number in range(plan.runners)]:
            done.result()


def _write_runner(plan: Plan, number: int, folder: Path) -> None:
    Runner(plan, number).write(folder)


def append_run(folder: Path, plan: Plan, runner: int = 0) -> Path:
    """Writes exactly one more run of one runner to a history; its record's path.

    Args:
        folder: The history.
        plan: What decided it.
        runner: The runner's place in `MACHINES`.
    """
    there = [path for path in (folder / MACHINES[runner].name).rglob("*.json") if not path.name.endswith(REPORT_SUFFIX)]
    return Runner(plan, runner).write_run(folder, len(there))


def main() -> int:
    """Writes a history."""
    parser = argparse.ArgumentParser(description="Writes a synthetic history.")
    parser.add_argument("folder", type=Path, help="where to")
    parser.add_argument("--values", type=int, required=True, help="how many: 40 in a record")
    parser.add_argument("--seed", type=int, default=0, help="another one gives another history")
    parser.add_argument("--runners", type=int, default=10, choices=range(1, 11), metavar="1..10", help="default: 10")
    parser.add_argument("--cases", type=int, default=20, choices=range(1, 21), metavar="1..20", help="default: 20")
    args = parser.parse_args()
    write_plan(args.folder, Plan(values=args.values, seed=args.seed, runners=args.runners, cases=args.cases))
    return 0


if __name__ == "__main__":
    sys.exit(main())
