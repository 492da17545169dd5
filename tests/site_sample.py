"""A history as a user would have it after three bumps: two runners, a broken build with a long log, a regression."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from factories import (
    make_artifact,
    make_broken,
    make_case,
    make_environment,
    make_record,
    make_replicate,
    make_report,
    make_toolchain,
    sha,
)
from site_entries import Entry

from regress.record import Package

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.record import CaseResult, Environment, Record, Toolchain

FIRST = datetime(2026, 6, 26, 3, 15, tzinfo=timezone.utc)


class Rates(NamedTuple):
    """Medians in tokens/s, and the replicates' range as a fraction of them."""

    prefill: float
    decode: float
    range: float = 0.02


LLAMA_2, LLAMA_3, QWEN = (
    "llama-2-7b/q4f16_1/cuda/p1024+128",
    "llama-3.1-8b/q4f16_1/cuda/p1024+128",
    "qwen2.5-1.5b/q0f16/cuda/p512+256",
)
TINY, SMALL, HALF = (
    "llama-micro/q4f16_1/llvm/p64+32",
    "tinyllama-1.1b/q4f16_1/llvm/p128+64",
    "tinyllama-1.1b/q0f16/llvm/p128+64",
)
LOG = "\n".join(
    [
        f"[03:{31 + line // 60:02d}:{line % 60:02d}] dlight: scheduling fused_dequantize{line}_NT_matmul{line}"
        for line in range(80)
    ]
    + [
        "!!!!!!! Segfault encountered !!!!!!!",
        "  tvm::s_tir::Tensorize(tvm::s_tir::ScheduleState, tvm::s_tir::StmtSRef const&)",
        "  tvm::ffi::ToJSONGraph(tvm::ffi::Any const&, tvm::ffi::Any const&)",
    ]
)


LENGTHS = (16, 128, 1024, 4096)


def of_length(tokens: int, build: str = "q4f16_1/cuda") -> str:
    """The key of Llama 2 with a prompt of so many tokens."""
    return f"llama-2-7b/{build}/p{tokens}+128"


def sample_history() -> list[Entry]:
    """The entries, in no particular order."""
    return [*_orin(), *_laptop()]


def wide_history() -> list[Entry]:
    """Beside them a server that measures one model at four lengths of its prompt, with energy; and its processor."""
    return [*sample_history(), *_server(), *_processor()]


def _orin() -> list[Entry]:
    environment = make_environment(
        fingerprint=sha("orin"),
        system="Ubuntu 22.04 (L4T 36.4)",
        kernel="5.15.148-tegra",
        machine="aarch64",
        cpu="Arm Cortex-A78AE",
        cpu_count=12,
        memory_bytes=64_221_000_000,
        device="NVIDIA Jetson AGX Orin 64GB",
        driver="540.4.0 (CUDA 12.6)",
        settings={"NVPMODEL": "MAXN", "CUDA_DEVICE_MAX_CONNECTIONS": "1"},
    )
    old = _record(
        "orin",
        environment,
        0,
        _toolchain("mlc-2026-06", "0.20.0", "0.25.0.post1", "0.1.12"),
        [
            _measured(LLAMA_2, Rates(812.4, 31.62)),
            _measured(LLAMA_3, Rates(741.0, 28.4)),
            _measured(QWEN, Rates(1890, 52.1, 0.03)),
        ],
    )
    middle = _record(
        "orin",
        environment,
        50,
        _toolchain("mlc-2026-08", "0.20.1", "0.26.0", "0.1.13.post3"),
        [
            _measured(LLAMA_2, Rates(830.9, 32.05)),
            make_broken(LLAMA_3, log=LOG),
            _measured(QWEN, Rates(1902, 52.4, 0.03)),
        ],
    )
    new = _record(
        "orin",
        environment,
        99,
        _toolchain("mlc-2026-10", "0.21.0.dev114", "0.27.0.post1", "0.1.14"),
        [
            _measured(LLAMA_2, Rates(835.2, 26.21)),
            _measured(LLAMA_3, Rates(748.8, 28.6)),
            _measured(QWEN, Rates(2071, 52.9, 0.03)),
        ],
    )
    return [_entry(old), _entry(middle, old), _entry(new, old)]


def _laptop() -> list[Entry]:
    environment = make_environment(
        fingerprint=sha("laptop"),
        cpu="AMD Ryzen 7 7840U",
        device="AMD Ryzen 7 7840U",
        settings={"TVM_NUM_THREADS": "8"},
    )
    old = _record(
        "laptop",
        environment,
        0,
        make_toolchain("tvm-0.25.0.post1"),
        [
            _measured(TINY, Rates(2104, 388, 0.05)),
            _measured(SMALL, Rates(96.1, 21.3, 0.04)),
            _measured(HALF, Rates(71.7, 9.84, 0.04)),
        ],
    )
    middle = _record(
        "laptop",
        environment,
        51,
        make_toolchain("tvm-0.26.0"),
        [
            _measured(TINY, Rates(2151, 391, 0.05)),
            _measured(SMALL, Rates(97.4, 21.1, 0.04)),
            _measured(HALF, Rates(72.3, 9.91, 0.04)),
        ],
    )
    new = _record(
        "laptop",
        environment,
        100,
        make_toolchain("tvm-0.27.0.post1"),
        [
            _measured(TINY, Rates(2139, 402, 0.05)),
            _measured(SMALL, Rates(98.2, 21.5, 0.04)),
            _measured(HALF, Rates(72.0, 9.88, 0.04)),
        ],
    )
    return [_entry(old), _entry(middle, old, stored=True), _entry(new, middle, stored=True)]


def _server() -> list[Entry]:
    environment = make_environment(
        fingerprint=sha("server"),
        device="NVIDIA H200",
        driver="580.65 (CUDA 13.0)",
        settings={"CUDA_DEVICE_MAX_CONNECTIONS": "1"},
    )
    old, new = (
        _record(
            "server",
            environment,
            day,
            _toolchain(name, "0.21.0", tvm, "0.1.14"),
            [
                _of_gpu(_measured(of_length(tokens), Rates(prefill * factor, decode * factor)))
                for tokens, prefill, decode in zip(
                    LENGTHS, (890, 6800, 15000, 13500), (550, 540, 475, 405), strict=True
                )
            ],
        )
        for day, name, tvm, factor in ((50, "mlc-2026-08", "0.26.0", 1.0), (99, "mlc-2026-10", "0.27.0.post1", 1.02))
    )
    return [_entry(old), _entry(new, old)]


def _processor() -> list[Entry]:
    environment = make_environment(fingerprint=sha("processor"))
    rates = {16: Rates(95, 9.1), 1024: Rates(140, 8.6)}
    cases = [_measured(of_length(tokens, "q4f32_1/llvm"), each) for tokens, each in rates.items()]
    return [_entry(_record("processor", environment, 51, make_toolchain("tvm-0.26.0"), cases))]


def _of_gpu(case: CaseResult) -> CaseResult:
    """With what a GPU tells of itself: 500 W, and a memory that would allow 1,200 tokens/s."""
    replicates = []
    for replicate in case.replicates:
        (decode,) = replicate.samples["decode_tokens_per_s"]
        samples = {**replicate.samples, "energy_per_token_j": (500 / decode,), "roofline_fraction": (decode / 1200,)}
        replicates.append(msgspec.structs.replace(replicate, samples=samples))
    return msgspec.structs.replace(case, replicates=tuple(replicates))


def _toolchain(name: str, mlc: str, tvm: str, ffi: str) -> Toolchain:
    versions = {"apache-tvm": tvm, "apache-tvm-ffi": ffi, "mlc-llm": mlc, "numpy": "2.3.1"}
    return make_toolchain(name, packages=tuple(Package(name=key, version=each) for key, each in versions.items()))


def _measured(key: str, rates: Rates) -> CaseResult:
    billions = float(key.split("b/", maxsplit=1)[0].rsplit("-", 1)[-1]) if "b/" in key else 0.015
    bits = 16.0 if "q0f16" in key else 4.5
    count = int(billions * 1e9)
    param_bytes = int(count * bits / 8)
    artifact = make_artifact(
        key,
        param_count=count,
        param_bytes=param_bytes,
        bits_per_param=bits,
        model_lib_bytes=2_600_000 + len(key) * 31_000,
    )
    replicates = tuple(
        make_replicate(
            rates.prefill * (1 + step * rates.range),
            rates.decode * (1 + step * rates.range / 2),
            peak_memory_bytes=int(param_bytes * 1.2) + 180_000_000,
        )
        for step in (-0.5, 0.1, 0.0, -0.2, 0.5)
    )
    return make_case(key, artifact=artifact, replicates=replicates)


def _record(
    runner: str, environment: Environment, day: int, toolchain: Toolchain, cases: Sequence[CaseResult]
) -> Record:
    at = FIRST + timedelta(days=day)
    return make_record(*cases, toolchain=toolchain, runner=runner, at=at, environment=environment)


def _entry(record: Record, reference: Record | None = None, *, stored: bool = False) -> Entry:
    against = "stored" if stored else "measured"
    return Entry(record=record, report=make_report(record, reference, against=against) if reference else None)  # type: ignore[arg-type]
