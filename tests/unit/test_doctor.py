"""What the doctor says of a machine: each line, at each level, with its remedy."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from factories import BASELINE_TEXT

from regress.baseline import parse_baseline
from regress.config import parse_config
from regress.doctor import examine
from regress.doctor.facts import Disk, Facts, Finding, GpuState, Holder, JetsonState, Needs, ToolchainState, needs_of
from regress.guard import Required
from regress.report.doctor import findings_json, findings_text
from regress.telemetry import Reading

if TYPE_CHECKING:
    from regress.doctor.facts import Level

CONFIG = """\
[run]
baseline = "b.toml"
toolchains = ["tvm-0.26.0"]

[toolchains."tvm-0.26.0"]
packages = ["apache-tvm==0.26.0"]
"""
READING = Reading(
    at_ns=0,
    clock_hz=345e6,
    clock_max_hz=1980e6,
    reasons=frozenset({"gpu_idle"}),
    power_limit_w=700.0,
    power_limit_default_w=700.0,
    power_mode="700 W",
    others=0,
    mig=False,
)
GPU = GpuState(
    name="NVIDIA H200",
    driver="580.82.07",
    cuda="13.0",
    compute_capability="9.0",
    memory_bytes=140 * 2**30,
    reading=READING,
    persistence=True,
    ecc=True,
    ecc_pending=True,
    clock_application_hz=1980e6,
)
JETSON = JetsonState(
    model="NVIDIA Jetson AGX Orin Developer Kit",
    release="R38.2.0",
    cuda=13,
    power_mode="MAXN",
    reading=Reading(at_ns=0, clock_hz=1300.5e6, clock_max_hz=1300.5e6, reasons=frozenset()),
)
FACTS = Facts(
    needs=Needs(
        gpu=True,
        cuda_compiler=True,
        hub=("hf:meta-llama/Llama-2-7b-hf",),
        model_bytes=30_000_000_000,
        toolchains=frozenset({"tvm-0.27"}),
    ),
    cuda_needed=13,
    gpu=GPU,
    jetson=None,
    disk=Disk(home="/cache", free_bytes=100_000_000_000, sizes_bytes={"toolchains": 2_000_000_000, "models": 0}),
    toolchains=(ToolchainState(name="tvm-0.27", state="installed", nvrtc=True),),
    hub_token=True,
    services={"actions.runner.org-repo.gpu.service": "active"},
    holder=None,
    linker="/usr/bin/g++",
    nvcc=None,
)
IDLE_NEEDS = replace(FACTS.needs, gpu=False, cuda_compiler=False, hub=())
OLD = ToolchainState(name="tvm-0.25", state="broken", cause="undefined symbol: x")


def gpu(**changes: Any) -> Facts:  # noqa: ANN401
    return replace(FACTS, gpu=replace(GPU, **changes))


def reading(**changes: Any) -> Facts:  # noqa: ANN401
    return gpu(reading=replace(READING, **changes))


def jetson(**changes: Any) -> Facts:  # noqa: ANN401
    return replace(FACTS, gpu="no NVIDIA driver here", jetson=replace(JETSON, **changes))


def required(facts: Facts, **state: Any) -> Facts:  # noqa: ANN401
    return replace(facts, needs=replace(facts.needs, device=Required(**state)))


def finding(facts: Facts, name: str) -> Finding:
    return next(each for each in examine(facts) if each.name == name)


def test_a_good_machine_has_nothing_to_remedy() -> None:
    """Every line is there, none wants anything."""
    found = examine(FACTS)
    assert {each.level for each in found} == {"ok"}
    assert [each.remedy for each in found] == [None] * len(found)
    assert len({each.name for each in found}) == len(found)


@pytest.mark.parametrize(
    ("facts", "name", "level", "text"),
    [
        (FACTS, "gpu", "ok", "NVIDIA H200, compute capability 9.0, 140 GiB"),
        (replace(FACTS, gpu="no driver"), "gpu", "fail", "no driver"),
        (replace(FACTS, gpu="no driver", needs=IDLE_NEEDS), "gpu", "ok", "not needed, no case targets cuda: no driver"),
        (FACTS, "driver", "ok", "driver 580.82.07, CUDA up to 13.0"),
        (gpu(cuda="12.4"), "driver", "fail", "CUDA up to 12.4: the toolchains are of CUDA 13, and see no device on it"),
        (replace(gpu(cuda="12.4"), needs=IDLE_NEEDS), "driver", "warn", "CUDA up to 12.4: the toolchains"),
        (replace(gpu(cuda="12.4"), cuda_needed=12), "driver", "ok", "CUDA up to 12.4"),
        (gpu(cuda=None, driver=None), "driver", "warn", "driver of unknown version, CUDA up to unknown"),
        (reading(mig=True), "mig", "fail", "on: an instance is a part of the GPU"),
        (replace(reading(mig=True), needs=IDLE_NEEDS), "mig", "warn", "on: an instance is a part of the GPU"),
        (required(reading(mig=True), mig=True), "mig", "ok", "on, as the baseline has it"),
        (reading(mig=None), "mig", "ok", "not a GPU that can be split"),
        (reading(others=1), "tenants", "warn", "1 other process computes on the GPU"),
        (reading(others=3), "tenants", "warn", "3 other processes compute on the GPU"),
        (reading(others=None), "tenants", "warn", "cannot be told"),
        (FACTS, "clocks", "ok", "345 MHz now, at most 1,980 MHz"),
        (gpu(clock_application_hz=1200e6), "clocks", "warn", "at most 1,980 MHz, but told to run at 1,200 MHz"),
        (gpu(clock_application_hz=None), "clocks", "ok", "345 MHz now"),
        (reading(clock_hz=None, clock_max_hz=None), "clocks", "ok", "unknown now, at most unknown"),
        (FACTS, "throttling", "ok", "nothing holds the clocks down"),
        (
            reading(reasons=frozenset({"hw_thermal_slowdown", "gpu_idle", "sw_power_cap"})),
            "throttling",
            "warn",
            "held down now by hw_thermal_slowdown, sw_power_cap",
        ),
        (reading(reasons=None), "throttling", "warn", "cannot be told"),
        (reading(power_limit_w=500.0), "power limit", "warn", "500 W, by default it is 700 W"),
        (reading(power_limit_w=None), "power limit", "ok", "none that can be read"),
        (reading(power_limit_default_w=None), "power limit", "ok", "700 W"),
        (required(FACTS, power_mode="700 W"), "power limit", "ok", "700 W, the baseline requires 700 W"),
        (required(FACTS, power_mode="500 W"), "power limit", "fail", "700 W, the baseline requires 500 W"),
        (gpu(persistence=False), "persistence", "warn", "off: the driver unloads between workers"),
        (gpu(persistence=None), "persistence", "ok", "cannot be told"),
        (FACTS, "ecc", "ok", "on"),
        (gpu(ecc=None, ecc_pending=None), "ecc", "ok", "the GPU has none"),
        (gpu(ecc_pending=False), "ecc", "warn", "on, but off after the next boot"),
        (gpu(ecc=False, ecc_pending=False), "ecc", "ok", "off"),
        (gpu(unreadable={"energy": "Not Supported"}), "counters", "ok", "cannot be read: energy (Not Supported)"),
        (gpu(unreadable={"mig": "Not Supported"}), "counters", "ok", "all can be read"),
        (gpu(unreadable={"processes": "gone"}), "counters", "warn", "cannot be read: processes (gone)"),
        (reading(unreadable={"reasons": "No Permission"}), "counters", "warn", "reasons (No Permission)"),
        (jetson(), "gpu", "ok", "NVIDIA Jetson AGX Orin Developer Kit"),
        (jetson(), "driver", "ok", "Jetson Linux R38.2.0, CUDA up to 13"),
        (jetson(release="R36.4.0", cuda=12), "driver", "warn", "CUDA up to 12: the toolchains are of CUDA 13"),
        (jetson(release=None, cuda=None), "driver", "ok", "Jetson Linux of unknown release, CUDA up to unknown"),
        (jetson(), "power mode", "ok", "MAXN"),
        (jetson(power_mode="MAXN_SUPER"), "power mode", "ok", "MAXN_SUPER"),
        (jetson(power_mode="MODE_30W"), "power mode", "warn", "MODE_30W, not MAXN: it can halve every rate"),
        (required(jetson(power_mode="MODE_30W"), power_mode="MODE_30W"), "power mode", "ok", "requires MODE_30W"),
        (required(jetson(), power_mode="MODE_30W"), "power mode", "fail", "MAXN, the baseline requires MODE_30W"),
        (jetson(power_mode=None), "power mode", "warn", "cannot be told"),
        (jetson(), "clocks", "ok", "1,300 MHz now, at most 1,300 MHz"),
        (
            jetson(reading=replace(JETSON.reading, clock_hz=306e6)),
            "clocks",
            "warn",
            "306 MHz now, at most 1,300 MHz: not pinned",
        ),
        (jetson(reading=replace(JETSON.reading, unreadable={"clock": "gone"})), "counters", "warn", "clock (gone)"),
        (FACTS, "linker", "ok", "/usr/bin/g++"),
        (replace(FACTS, linker=None), "linker", "fail", "no C++ compiler"),
        (FACTS, "cuda compiler", "ok", "NVRTC in the toolchains"),
        (replace(FACTS, nvcc="/usr/bin/nvcc"), "cuda compiler", "ok", "/usr/bin/nvcc"),
        (
            replace(FACTS, toolchains=(ToolchainState(name="tvm-0.27", state="absent"),)),
            "cuda compiler",
            "fail",
            "no nvcc, and no NVRTC in tvm-0.27",
        ),
        (
            replace(FACTS, needs=replace(IDLE_NEEDS, toolchains=frozenset({"tvm-0.25"})), toolchains=(OLD,)),
            "cuda compiler",
            "ok",
            "not needed, no case targets cuda: none",
        ),
        (FACTS, "toolchain tvm-0.27", "ok", "installed, imports and builds"),
        (replace(FACTS, toolchains=(OLD,)), "toolchain tvm-0.25", "warn", "does not work: undefined symbol: x"),
        (
            replace(FACTS, needs=replace(FACTS.needs, toolchains=frozenset({"tvm-0.25"})), toolchains=(OLD,)),
            "toolchain tvm-0.25",
            "fail",
            "does not work: undefined symbol: x",
        ),
        (
            replace(FACTS, toolchains=(ToolchainState(name="new", state="absent"),)),
            "toolchain new",
            "warn",
            "not installed, which takes network",
        ),
        (replace(FACTS, toolchains=(ToolchainState(name="own", state="here"),)), "toolchain own", "ok", "this Python"),
        (
            FACTS,
            "disk",
            "ok",
            "100.0 GB free for /cache, the baseline's synthetic models take 30.0 GB",
        ),
        (replace(FACTS, disk=replace(FACTS.disk, free_bytes=20_000_000_000)), "disk", "fail", "20.0 GB free"),
        (
            # Half of what is wanted may be there: 20 free and 15 cached are more than 30.
            replace(FACTS, disk=Disk(home="/c", free_bytes=20 * 10**9, sizes_bytes={"models": 15 * 10**9})),
            "disk",
            "warn",
            "20.0 GB free",
        ),
        (FACTS, "cache", "ok", "2.0 GB: toolchains 2.0 GB"),
        (replace(FACTS, disk=Disk(home="/c", free_bytes=1, sizes_bytes={})), "cache", "ok", "0 MB"),
        (
            replace(FACTS, disk=Disk(home="/c", free_bytes=10**9, sizes_bytes={"artifacts": 10**10})),
            "cache",
            "warn",
            "10.0 GB: artifacts 10.0 GB, more than is free",
        ),
        (FACTS, "hub token", "ok", "yes, for hf:meta-llama/Llama-2-7b-hf"),
        (replace(FACTS, hub_token=False), "hub token", "warn", "no, for hf:meta-llama/Llama-2-7b-hf"),
        (replace(FACTS, hub_token=False, needs=IDLE_NEEDS), "hub token", "ok", "no, and no case needs the hub"),
        (FACTS, "measuring", "ok", "no other regress measures here"),
        (replace(FACTS, holder=Holder(process=812)), "measuring", "warn", "process 812 holds measuring.lock"),
        (replace(FACTS, holder=Holder(process=None)), "measuring", "warn", "another process holds measuring.lock"),
        (FACTS, "runner", "ok", "actions.runner.org-repo.gpu.service is active"),
        (replace(FACTS, services={"actions.runner.a.service": "failed"}), "runner", "warn", "is failed: its jobs wait"),
        (replace(FACTS, services={}), "runner", "ok", "no GitHub runner is a service here"),
        (replace(FACTS, services=None), "runner", "warn", "cannot be told without systemd"),
    ],
)
def test_each_line_says_what_it_found(facts: Facts, name: str, level: Level, text: str) -> None:
    """A remedy stands beside whatever is not well, and beside nothing else."""
    found = finding(facts, name)
    assert found.level == level, found
    assert text in found.text
    assert (found.remedy is None) == (level == "ok")


@pytest.mark.parametrize(
    ("facts", "name", "remedy"),
    [
        (gpu(cuda="12.4"), "driver", "install a driver of NVIDIA's that runs CUDA 13, 580 or newer"),
        (jetson(power_mode="MODE_30W"), "power mode", "sudo nvpmodel -m 0, then sudo jetson_clocks"),
        (reading(power_limit_w=500.0), "power limit", "sudo nvidia-smi -pl 700"),
        (gpu(ecc_pending=False), "ecc", "sudo nvidia-smi -e 1, or boot before references are taken"),
    ],
)
def test_a_remedy_is_a_command_where_there_is_one(facts: Facts, name: str, remedy: str) -> None:
    assert finding(facts, name).remedy == remedy


def test_needs_are_those_of_all_cases() -> None:
    """A case for another device wants a compiler, not a GPU; a model that is built twice is one download."""
    config = parse_config(CONFIG, "regress.toml")
    needs = needs_of(parse_baseline(BASELINE_TEXT, "b.toml"), config)
    assert (needs.gpu, needs.cuda_compiler, needs.hub) == (False, True, ())
    assert needs.toolchains == {"tvm-0.26.0"}
    # llama-mini: 2 * 2048 * 256 of embedding and head, 4 layers of 4 * 256^2 + 3 * 256 * 688 + 2 * 256, 256
    parameters = 2 * 2048 * 256 + 4 * (4 * 256**2 + 3 * 256 * 688 + 2 * 256) + 256
    # once as float16, and two artifacts (two targets) of 5 bits
    assert needs.model_bytes == parameters * 2 + 2 * (parameters * 5 // 8)


@pytest.mark.parametrize(("quantization", "bits"), [("q0f32", 32), ("q0f16", 16), ("q4f16_1", 5)])
def test_what_is_built_takes_what_its_quantization_says(quantization: str, bits: int) -> None:
    text = BASELINE_TEXT.replace('target = "cuda-sm_87"', 'target = "cuda"').replace("q4f32_1", quantization)
    needs = needs_of(parse_baseline(text, "b.toml"), parse_config(CONFIG, "regress.toml"))
    assert needs.gpu
    parameters = 2 * 2048 * 256 + 4 * (4 * 256**2 + 3 * 256 * 688 + 2 * 256) + 256
    assert needs.model_bytes == parameters * 2 + 2 * (parameters * bits // 8)


def test_models_of_the_hub_are_named_and_not_counted() -> None:
    """Nobody knows their size before they are here."""
    text = BASELINE_TEXT.replace("synthetic:llama-mini", "hf:Qwen/Qwen2.5-7B")
    needs = needs_of(parse_baseline(text, "b.toml"), parse_config(CONFIG, "regress.toml"))
    assert (needs.hub, needs.model_bytes) == (("hf:Qwen/Qwen2.5-7B",), 0)


def test_the_lines_are_read_by_a_person_and_by_a_program() -> None:
    found = [
        Finding(name="gpu", level="ok", text="NVIDIA H200"),
        Finding(name="power limit", level="warn", text="500 W", remedy="sudo nvidia-smi -pl 700"),
    ]
    assert findings_text(found) == (
        "ok    gpu          NVIDIA H200\n"
        "warn  power limit  500 W\n"
        "                   -> sudo nvidia-smi -pl 700\n"
        "\n"
        "doctor: 1 ok, 1 warn, 0 fail\n"
    )
    assert json.loads(findings_json(found))[1] == {
        "name": "power limit",
        "level": "warn",
        "text": "500 W",
        "remedy": "sudo nvidia-smi -pl 700",
    }
