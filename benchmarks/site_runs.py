"""The runs of a synthetic history: what they are of, and their records."""

from __future__ import annotations

import math
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import msgspec
from site_machines import CASES, MACHINES, MODELS, NEW_TOKENS
from site_plan import CHANGE, NEWEST, TOKENS, sha
from site_rates import REPLICATES, Rates, param_bytes

from regress.artifact import Artifact, Kernel, Model
from regress.guard import Required, disturbed
from regress.recipe import FLAGS
from regress.record import SCHEMA, CaseResult, Environment, Failure, Method, Package, Record, Toolchain, digest
from regress.replicate import Discarded, Replicate
from regress.telemetry import Range, Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import numpy as np
    from site_machines import Case
    from site_plan import Plan
    from site_rates import Measured

WARMUPS = 2
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
        self.rates = Rates(plan, number)
        self.artifact = lru_cache(maxsize=32)(self._artifact)

    def toolchain(self, run: int) -> int:
        """Number of the toolchain of a run."""
        return run // self.plan.runs_per_toolchain

    @cached_property
    def changed_at(self) -> int:
        """The first run in the runner's second environment."""
        return max(1, int(self.plan.nights * self.plan.random(CHANGE, self.number).uniform(0.4, 0.8)))

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
        weights_bytes = param_bytes(machine, model)
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
            param_bytes=weights_bytes,
            param_count=count,
            bits_per_param=8 * weights_bytes / count,
            planned_memory_bytes={
                "create_tir_paged_kv_cache": 0,
                "decode": 112_152,
                "embed": 33_554_432,
                "prefill": 371_204_096,
            },
            kv_cache="create_tir_paged_kv_cache",
            kernels=kernels,
        )

    # The record.

    def run(self, run: int, drawn: np.random.Generator) -> tuple[Measured, Record]:
        """What a run measured, and its record."""
        machine, number = self.machine, self.toolchain(run)
        jitter = timedelta(minutes=7 * self.number, microseconds=int(drawn.integers(60_000_000)))
        at = NEWEST - self.plan.step * (self.plan.nights - 1 - run) + jitter
        toolchain, measured = (
            toolchain_of(number, machine.architecture),
            self.rates.measure(number, self.epoch(run), drawn),
        )
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
                yield CaseResult(key=key, workload=case.workload, failure=crash())
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
                        token_ids=self.tokens[place],
                        logits_sha256=self.logits(toolchain, place),
                        telemetry=self._telemetry(power_w[place][each], each, self.rates.peak_memory_bytes[place]),
                    )
                    for each, start in enumerate(starts)
                ),
                discarded=(self._discarded(begun),) if place == disturbed_case and self.machine.is_gpu else (),
            )

    @cached_property
    def tokens(self) -> list[tuple[int, ...]]:
        """The greedy tokens of each case."""
        drawn = self.plan.random(TOKENS, self.number).integers(0, 32_000, (len(self.cases), NEW_TOKENS + 1))
        return [tuple(row) for row in drawn.tolist()]

    def logits(self, toolchain: int, case: int) -> str:
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


def crash() -> Failure:
    """A compiler that died, as TVM 0.27 does on an ffi that is too new for it."""
    return Failure(
        stage="build",
        cause="crashed in tvm::s_tir::Tensorize -> tvm::ffi::ToJSONGraph",
        how="killed by SIGSEGV",
        signal="SIGSEGV",
        log=CRASH,
    )
