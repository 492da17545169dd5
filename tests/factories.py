"""Records and reports for tests: true to the schema, with a plausible value wherever a test names none."""

# ruff: noqa: ANN401  # `changes` are the fields of whatever struct is made
from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from regress.artifact import Artifact, MlcBuild, Model
from regress.baseline import references_of
from regress.imported import SCHEMA as IMPORT_SCHEMA
from regress.imported import Imported, Source, named
from regress.metric import METRICS, Direction
from regress.profile import SCHEMA as PROFILE_SCHEMA
from regress.profile import KernelTime, PhaseTimes, Profile
from regress.recipe import FLAGS
from regress.record import SCHEMA, CaseResult, Environment, Failure, Method, Package, Record, Toolchain, Workload
from regress.replicate import Replicate
from regress.verdict import SCHEMA as REPORT_SCHEMA
from regress.verdict import CheckReport, Reference, Verdict, broken, missing, spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CASE = "tiny/q4f16_1/llvm/p64+16"
NOON = datetime(2026, 10, 3, 12, 0, tzinfo=timezone.utc)
BASELINE_TEXT = """\
# the nightly cases
runner = "cpu"
toolchain = "tvm-0.26.0"
tolerance = { decode_tokens_per_s = 0.05 }  # of the rate

[[cases]]
model = "synthetic:llama-mini"   # small
quantization = "q4f32_1"
target = "llvm"
prompt_tokens = 16
new_tokens = 128
tolerance = { prefill_tokens_per_s = 0.15 }

[[cases]]
model = "synthetic:llama-mini"
name = "other"
quantization = "q4f32_1"
target = "cuda-sm_87"
prompt_tokens = 64
new_tokens = 16
"""
BASELINE_KEYS = ("llama-mini/q4f32_1/llvm/p16+128", "other/q4f32_1/cuda-sm_87/p64+16")
TWO_KEYS = ("llama-mini/q4f32_1/llvm/p16+128", "llama-mini/q4f32_1/llvm/p64+16")
_CASE = """
[[cases]]
model = "synthetic:llama-mini"
quantization = "q4f32_1"
target = "llvm"
prompt_tokens = {}
new_tokens = {}
"""
TWO_CASES = 'runner = "cpu"\ntoolchain = "tvm-0.26.0"\n' + _CASE.format(16, 128) + _CASE.format(64, 16)
TOLERANCES = {"prefill_tokens_per_s": 0.05, "decode_tokens_per_s": 0.05}


def sha(text: str) -> str:
    """A SHA-256 that stands for that text."""
    return hashlib.sha256(text.encode()).hexdigest()


def make_toolchain(name: str = "tvm-0.26.0", **changes: Any) -> Toolchain:
    version = name.removeprefix("tvm-")
    packages = (Package(name="apache-tvm", version=version), Package(name="numpy", version="2.3.1"))
    toolchain = Toolchain(
        name=name,
        kind="venv",
        fingerprint=sha(name),
        python="3.11.7",
        platform="linux-x86_64",
        packages=packages,
    )
    return msgspec.structs.replace(toolchain, **changes)


def make_environment(**changes: Any) -> Environment:
    environment = Environment(
        fingerprint=sha("environment"),
        system="Debian GNU/Linux 12",
        kernel="6.1.0-26-amd64",
        machine="x86_64",
        cpu="AMD EPYC 9654",
        cpu_count=16,
        memory_bytes=64 * 2**30,
        device="AMD EPYC 9654",
        python="3.11",
    )
    return msgspec.structs.replace(environment, **changes)


def make_artifact(key: str = CASE, **changes: Any) -> Artifact:
    name, quantization, target, _ = key.split("/")
    artifact = Artifact(
        digest=sha(f"artifact {key}"),
        toolchain=sha("tvm-0.26.0"),
        model=Model(source=f"synthetic:{name}", name=name, digest=sha("model")),
        quantization=quantization,
        target=target,
        resolved_target=target,
        flags=dict(FLAGS),
        builder=sha("builder"),
        build_duration_s=42.5,
        model_lib_bytes=3 * 2**20,
        model_lib_sha256=sha(f"lib {key}"),
        param_bytes=4500,
        param_count=8000,
        bits_per_param=4.5,
        planned_memory_bytes={"prefill": 2**20},
        kv_cache="create_tir_paged_kv_cache",
        kernels=(),
    )
    return msgspec.structs.replace(artifact, **changes)


def make_mlc_build(**changes: Any) -> MlcBuild:
    """A build as it was asked for."""
    build = MlcBuild(era="now", commands=("mlc_llm compile",), optimisations={}, patched={}, findings=())
    return msgspec.structs.replace(build, **changes)


def make_replicate(prefill: float, decode: float, *, peak_memory_bytes: int = 2**30, at: datetime = NOON) -> Replicate:
    """A replicate of one timed repeat, so that its values are exactly the ones given."""
    samples: dict[str, tuple[float, ...]] = {
        "prefill_tokens_per_s": (prefill,),
        "decode_tokens_per_s": (decode,),
        "peak_memory_bytes": (float(peak_memory_bytes),),
    }
    return Replicate(started_at=at, samples=samples, token_ids=(1, 2, 3), logits_sha256=sha("logits"))


def make_case(
    key: str = CASE,
    *,
    prefill: Sequence[float] = (1000.0, 990.0, 1010.0),
    decode: Sequence[float] = (50.0, 49.5, 50.5),
    **changes: Any,
) -> CaseResult:
    """A case that was measured: one replicate per pair of rates."""
    case = CaseResult(
        key=key,
        workload=make_workload(key),
        artifact=make_artifact(key),
        replicates=tuple(
            make_replicate(*rates, at=NOON + timedelta(minutes=number))
            for number, rates in enumerate(zip(prefill, decode, strict=True))
        ),
    )
    return msgspec.structs.replace(case, **changes)


def make_broken(key: str = CASE, **changes: Any) -> CaseResult:
    """A case whose compilation died."""
    failure = Failure(
        stage="build",
        cause="tvm::s_tir::Tensorize -> tvm::ffi::ToJSONGraph",
        how="killed by SIGSEGV",
        signal="SIGSEGV",
        log="scheduling prefill\nSegmentation fault",
    )
    failure = msgspec.structs.replace(failure, **changes)
    return CaseResult(key=key, workload=make_workload(key), failure=failure)


def make_workload(key: str = CASE) -> Workload:
    prompt, _, new = key.rpartition("/")[2].removeprefix("p").partition("+")
    return Workload(prompt_tokens=int(prompt), new_tokens=int(new))


def make_record(
    *cases: CaseResult,
    toolchain: str | Toolchain = "tvm-0.26.0",
    runner: str = "bench",
    at: datetime = NOON,
    **changes: Any,
) -> Record:
    """A record of those cases, or of one plausible case."""
    toolchain = make_toolchain(toolchain) if isinstance(toolchain, str) else toolchain
    record = Record(
        schema=SCHEMA,
        id=f"{at:%Y%m%dT%H%M%SZ}-{sha(toolchain.name)[:4]}-{sha(runner)[:8]}",
        recorded_at=at,
        runner=runner,
        regress="0.1.0",
        harness=sha("harness"),
        toolchain=toolchain,
        environment=make_environment(),
        method=Method(warmups=1, repeats=1, seed=0),
        cases=cases or (make_case(),),
    )
    return msgspec.structs.replace(record, **changes)


def make_import(decode: float = 45.0, at: datetime = NOON, **changes: Any) -> Imported:
    """Figures that somebody else measured of the case."""
    imported = Imported(
        schema=IMPORT_SCHEMA,
        id="-",
        recorded_at=at,
        runner="bench",
        source=Source(file="table.csv", sha256=sha("table"), format="benchmark.py csv", row=1),
        toolchain="mlc-2023",
        device="NVIDIA Jetson AGX Orin",
        case=CASE,
        values={"prefill_tokens_per_s": 900.0, "decode_tokens_per_s": decode},
        runs=10,
    )
    return named(msgspec.structs.replace(imported, **changes))


def make_reference(record: Record, key: str = CASE, **changes: Any) -> Reference:
    """What that record says of the case, as a stored reference of one session."""
    return msgspec.structs.replace(references_of(record)[key], **{"form": "two_sample", **changes})


def make_verdicts(
    key: str, old: CaseResult | None, new: CaseResult | None, tolerances: Mapping[str, float]
) -> list[Verdict]:
    """Verdicts on a case by the medians alone: what pages and texts show needs no statistics."""
    if new is None:
        return [missing(key, "case_vanished", "the record does not have this case")]
    if new.failure:
        return [broken(key, new.failure)]
    if old is None or not old.replicates:
        return [missing(key, "no_reference", "the baseline has no reference for this case")]
    return [
        make_verdict(key, metric, old.values(metric), new.values(metric), tolerances[metric]) for metric in tolerances
    ]


def make_verdict(
    key: str, metric: str, old: Sequence[float], new: Sequence[float], tolerance: float, **changes: Any
) -> Verdict:
    """A verdict by the medians alone."""
    before, after = spread(old), spread(new)
    ratio = after.median / before.median
    loss = 1 - ratio if METRICS[metric].better is Direction.HIGHER else 1 - 1 / ratio
    outcome, reason = (
        ("regressed", "slower_than_tolerance")
        if loss > tolerance
        else ("improved", "faster_than_tolerance")
        if loss < -tolerance
        else ("pass", "within_tolerance")
    )
    verdict = Verdict(
        case=key,
        outcome=outcome,  # type: ignore[arg-type]
        reason=reason,  # type: ignore[arg-type]
        text=f"{METRICS[metric].label.lower()}: loss {loss:.1%}, tolerance {tolerance:.1%}",
        metric=metric,
        baseline=before,
        candidate=after,
        loss=loss,
        tolerance=tolerance,
    )
    return msgspec.structs.replace(verdict, **changes)


def make_report(
    record: Record,
    reference: Record,
    *,
    against: Literal["stored", "measured"] = "measured",
    tolerances: Mapping[str, float] = TOLERANCES,
    verdicts: Sequence[Verdict] | None = None,
) -> CheckReport:
    """The report of comparing two records over the reference's cases, or one of those verdicts."""
    if verdicts is None:
        verdicts = [
            verdict
            for case in reference.cases
            for verdict in make_verdicts(case.key, case, record.case(case.key), tolerances)
        ]
    return CheckReport(
        schema=REPORT_SCHEMA,
        record=record.id,
        runner=record.runner,
        toolchain=record.toolchain.name,
        baseline=record.runner,
        against=against,
        reference_toolchain=reference.toolchain.name,
        reference_record=reference.id if against == "measured" else None,
        verdicts=tuple(verdicts),
    )


def make_times(kernels: Mapping[str, float], *, plain_s: float = 100e-6, instrumented_s: float = 200e-6) -> PhaseTimes:
    """A phase of four calls each of kernels that take so long, in seconds."""
    total_s = sum(kernels.values())
    rows = [
        KernelTime(kernel=name, calls=4, time_s=time_s, share=time_s / total_s if total_s else 0.0)
        for name, time_s in sorted(kernels.items(), key=lambda item: -item[1])
    ]
    return PhaseTimes(plain_s=plain_s, instrumented_s=instrumented_s, kernels=tuple(rows))


def make_profile(**changes: Any) -> Profile:
    """A profile of two kernels."""
    times = {"matmul": 40e-6, "norm": 10e-6}
    profile = Profile(
        schema=PROFILE_SCHEMA,
        profiled_at=NOON,
        regress="0.1.0",
        harness=sha("profile worker"),
        case=CASE,
        runner="bench",
        toolchain=make_toolchain(),
        environment=make_environment(),
        method=Method(warmups=1, repeats=3, seed=0),
        steps=16,
        artifact=sha("artifact"),
        flags=dict(FLAGS),
        sources={name: sha(name) for name in times},
        prefill=make_times(times),
        decode=make_times(times),
    )
    return msgspec.structs.replace(profile, **changes)
