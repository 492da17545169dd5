"""Cases that MLC-LLM's own runtime is measured by, through the real command line, with stand-ins for its packages."""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import pytest
from integration.workshop import REPOSITORY

from regress import process
from regress.bench import harness_digest
from regress.record import decode_record, encode

if TYPE_CHECKING:
    from integration.workshop import Workshop

    from regress.record import CaseResult, Harness, Record

    Toolchain = Literal["now", "legacy"]

STANDINS = REPOSITORY / "tests" / "standins"
CONFIG = """\
[run]
baseline = "here.toml"
toolchains = ["now"]

[toolchains.now]
kind = "source"
packages = ["apache-tvm==0.27.0.post1", "numpy"]
as_of = 2026-10-03
path = "{standins}/now"

[toolchains.now-before]
kind = "source"
packages = ["apache-tvm==0.26.0", "numpy"]
as_of = 2026-08-15
path = "{standins}/now"

[toolchains.legacy-next]
kind = "source"
packages = ["apache-tvm==0.27.0.post1", "numpy"]
as_of = 2026-10-03
path = "{standins}/legacy"

[toolchains.legacy]
kind = "source"
packages = ["apache-tvm==0.26.0", "numpy"]
as_of = 2026-08-15
path = "{standins}/legacy"
"""
BASELINE = """\
runner = "here"
toolchain = "{toolchain}"

# Wide: what is tested is the path of a verdict, not this machine's noise.
[tolerance]
prefill_tokens_per_s = 0.9
decode_tokens_per_s = 0.9

[measure]
replicates = {replicates}
warmups = 1
repeats = 2
bench_timeout_s = {limit_s}

[measure.environment]
TVM_NUM_THREADS = "1"
{setting}
"""
CASE = """
[[cases]]
model = "{model}"
quantization = "q4f32_1"
target = "llvm"
builder = "mlc"
harness = "{harness}"
prompt_tokens = 16
new_tokens = 8
"""
VM_KEY = "mini+mlc/q4f32_1/llvm/p16+8"
ENGINE_KEY = "mini+mlc-engine/q4f32_1/llvm/p16+8"
CHAT_KEY = "mini+mlc-chat/q4f32_1/llvm/p16+8"
RATES = {"prefill_tokens_per_s", "decode_tokens_per_s", "time_to_first_token_s", "time_per_output_token_s"}


class Machine:
    """A working folder with both toolchains, a model with a tokenizer, and the command line in it."""

    def __init__(self, folder: Path, home: Path, model: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "REGRESS_HOME": str(home), "COLUMNS": "200"}
        (folder / "regress.toml").write_text(CONFIG.format(standins=STANDINS), encoding="utf-8")
        self._original = model
        self.model("with a tokenizer")
        (folder / "mini" / "tokenizer.json").write_text("{}")

    def model(self, name: str) -> None:
        """A model of that name in its configuration: artifacts of models that are alike are one and the same."""
        shutil.rmtree(self.folder / "mini", ignore_errors=True)
        (self.folder / "mini").mkdir()
        (self.folder / "mini" / "model.safetensors").symlink_to(self._original / "model.safetensors")
        config = {**json.loads((self._original / "config.json").read_text()), "_name_or_path": name}
        (self.folder / "mini" / "config.json").write_text(json.dumps(config))

    def regress(self, *arguments: str | Path) -> process.Output:
        """What `regress ARGUMENTS` did."""
        return process.run([sys.executable, "-m", "regress", *arguments], cwd=self.folder, env=self.env, timeout_s=600)

    def baseline(
        self,
        *harnesses: Harness,
        toolchain: str = "now",
        fault: str = "",
        limit_s: float = 120,
        replicates: int = 3,
    ) -> None:
        """A baseline with a case per harness."""
        head = BASELINE.format(
            toolchain=toolchain,
            replicates=replicates,
            limit_s=limit_s,
            setting=f'MLC_STANDIN = "{fault}"' if fault else "",
        )
        cases = (CASE.format(model=f"path:{self.folder / 'mini'}", harness=harness) for harness in harnesses)
        (self.folder / "here.toml").write_text(head + "".join(cases), encoding="utf-8")

    def bench(self, toolchain: str) -> tuple[process.Output, Record]:
        """A record of one toolchain."""
        output = self.regress("bench", "--toolchain", toolchain, "--json")
        return output, decode_record(output.printed, "printed")


@pytest.fixture
def machine(tmp_path: Path, test_home: Path, workshop: Workshop) -> Machine:
    return Machine(tmp_path, test_home, workshop.model("llama-mini"))


def measured(case: CaseResult) -> CaseResult:
    assert case.failure is None, case.failure
    assert case.replicates
    return case


def left_running(folder: Path) -> list[str]:
    """Command lines of processes whose environment or arguments name that folder."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (each / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "regress/worker" in arguments and str(folder) in environment:
            found.append(arguments)
    return found


# The whole flow


def test_two_harnesses_of_one_build_are_two_series(machine: Machine) -> None:
    """One artifact; the engine's tokens are those of our own loop, and its case names its own worker."""
    machine.baseline("vm", "engine")
    output, record = machine.bench("now")
    assert output.exit.ok, output.stderr
    assert [case.key for case in record.cases] == [VM_KEY, ENGINE_KEY]
    ours, engines = map(measured, record.cases)
    assert ours.artifact == engines.artifact
    assert record.harness_of(ours) == record.harness == harness_digest("vm")
    assert record.harness_of(engines) == harness_digest("engine") != record.harness
    assert ours.replicates[0].token_ids == engines.replicates[0].token_ids
    assert (len(engines.replicates[0].token_ids), engines.replicates[0].logits_sha256) == (9, None)
    assert RATES | {"peak_memory_bytes"} <= engines.replicates[0].samples.keys()
    vm_text = json.dumps(json.loads(output.printed)["cases"][0])
    assert "harness_digest" not in vm_text, "records of before stay as they were"
    assert "text_sha256" not in vm_text


@pytest.mark.parametrize(
    ("harness", "toolchains", "key", "answers"),
    [
        ("engine", ("now-before", "now"), ENGINE_KEY, "the same 9 greedy tokens, of which the harness tells no logits"),
        ("chat", ("legacy", "legacy-next"), CHAT_KEY, "the same text; the harness tells neither tokens nor logits"),
    ],
)
def test_two_toolchains_are_judged_side_by_side(
    machine: Machine, harness: Harness, toolchains: tuple[str, str], key: str, answers: str
) -> None:
    """The whole flow; on a busy machine the stand-ins' rates may leave a verdict open, and nothing else may."""
    machine.baseline(harness, toolchain=toolchains[0])
    output = machine.regress("run", *(argument for name in toolchains for argument in ("--toolchain", name)))
    assert output.exit.code in {0, 8}, output.stdout + output.stderr
    assert f"{key}\n" in output.stdout
    assert f"answers: {answers}" in output.stdout
    assert "decode" in output.stdout
    assert not {"broken", "missing"} & set(output.stdout.split())
    assert key.partition("/")[0] in (machine.folder / "site" / "index.html").read_text(encoding="utf-8")


def steady(record: Record, day: int, digest: str | None = None) -> Record:
    """The record as a machine without noise would have measured it on another day, and another worker."""
    at = record.recorded_at.replace(day=day)
    (taken,) = record.cases[0].replicates
    replicates = tuple(
        msgspec.structs.replace(
            taken,
            started_at=at + timedelta(minutes=number),
            samples=dict.fromkeys(RATES, (100 + number / 10 + day / 100,)),
        )
        for number in range(4)
    )
    case = msgspec.structs.replace(record.cases[0], replicates=replicates)
    if digest is not None:
        case = msgspec.structs.replace(case, harness_digest=digest)
    return msgspec.structs.replace(record, id=f"{day}-{record.id}", recorded_at=at, cases=(case,))


@pytest.mark.parametrize(("harness", "toolchain"), [("engine", "now"), ("chat", "legacy")])
def test_references_of_a_harness_hold_for_its_own_worker(
    machine: Machine, harness: Harness, toolchain: Toolchain
) -> None:
    """They are written with its digest; a record of the same worker passes, one of another is not compared."""
    machine.baseline(harness, toolchain=toolchain, replicates=1)
    _, record = machine.bench(toolchain)
    measured(record.cases[0])
    paths = [machine.folder / f"{day}.json" for day in range(1, 6)]
    for day, path in enumerate(paths, 1):
        path.write_bytes(encode(steady(record, day, "0" * 64 if day == 5 else None)))
    given = [argument for path in paths[:3] for argument in ("--record", path)]
    written = machine.regress("baseline", *given)
    assert written.exit.ok, written.stderr
    assert f'harness = "{harness_digest(harness)}"' in (machine.folder / "here.toml").read_text()
    same, other = (machine.regress("check", "--record", path) for path in paths[3:])
    assert same.exit.code == 0, same.stdout + same.stderr
    assert other.exit.code == 8
    assert "the reference was measured by another version of the bench worker" in other.stdout


# What fails


@pytest.mark.parametrize(
    ("harness", "toolchain", "fault", "cause"),
    [
        ("engine", "now", "hangs", "no answer within 15 s, in the step 'wait for the engine's answer'"),
        ("engine", "now", "stays", "no answer within 15 s, in the step 'end the engine'"),
        ("engine", "now", "stops_early", "RuntimeError: the engine generated 3 tokens, where 9 were asked for"),
        ("engine", "now", "lies", "RuntimeError: the engine's counters say that its"),
        ("engine", "now", "in_bursts", "RuntimeError: the engine handed out 3 tokens at once, the first among them"),
        ("engine", "now", "cached", "RuntimeError: the engine prefilled 1 of the prompt's 16 tokens"),
        ("engine", "now", "dies_at_the_end", "!!!!!!! Segfault encountered !!!!!!!, in the step 'end the engine'"),
        ("chat", "legacy", "hangs", "no answer within 15 s, in the step 'look for a prompt'"),
        ("chat", "legacy", "stops_early", "RuntimeError: the chat module generated 3 tokens, where 9 were asked for"),
        ("chat", "legacy", "lies", "RuntimeError: the chat module's counters say that its"),
        ("chat", "now", "", "RuntimeError: this toolchain has no ChatModule, in neither mlc_chat nor mlc_llm"),
        ("engine", "legacy", "", "RuntimeError: this toolchain's MLC-LLM is of before MLCEngine"),
    ],
)
def test_what_cannot_be_measured_says_why_and_leaves_nothing_behind(  # a row of a table
    machine: Machine, harness: Harness, toolchain: Toolchain, fault: str, cause: str
) -> None:
    machine.baseline(harness, toolchain=toolchain, fault=fault, limit_s=15, replicates=1)
    output, record = machine.bench(toolchain)
    assert output.exit.code == 6
    (case,) = record.cases
    assert case.failure is not None
    assert case.failure.stage == "bench"
    assert case.failure.cause.startswith(cause)
    assert left_running(machine.folder) == []


def test_a_model_without_a_tokenizer_is_told_apart(machine: Machine) -> None:
    """Our own loop takes token ids; MLC-LLM loads no model without its tokenizer."""
    machine.model("without a tokenizer")
    machine.baseline("vm", "engine", replicates=1)
    _, record = machine.bench("now")
    measured(record.cases[0])
    failure = record.cases[1].failure
    assert failure is not None
    assert failure.cause.startswith("RuntimeError: the model has no tokenizer")


def test_a_prompt_of_token_ids_is_refused_for_what_takes_text(machine: Machine) -> None:
    machine.baseline("chat", toolchain="legacy")
    (machine.folder / "prompt.json").write_text('[{"text": "a b", "tokens": [1, 2], "num_tokens": 2}]')
    output = machine.regress("bench", "--toolchain", "legacy", "--prompt", "prompt.json")
    assert output.exit.code == 2
    assert f"--prompt: '{CHAT_KEY}' is driven by ChatModule, which takes text and no token ids" in output.stderr


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("now", "from mlc_llm import MLCEngine; MLCEngine('m', model_library='lib.so')"),
        ("now", "from mlc_llm.serve import EngineConfig; EngineConfig(max_batch_size=1)"),
        ("legacy", "from mlc_chat import ChatModule; ChatModule('m', model_lib='lib.so')"),
        ("legacy", "from mlc_chat import ChatConfig; ChatConfig(temp=0)"),
    ],
)
def test_a_stand_in_refuses_what_its_original_does_not_take(path: str, code: str) -> None:
    """Else a call that MLC-LLM does not understand would pass every test here."""
    env = {**os.environ, "PYTHONPATH": str(STANDINS / path)}
    output = process.run([sys.executable, "-c", code], env=env, timeout_s=60)
    assert output.exit.code == 1
    assert "TypeError" in output.stderr
    assert "unexpected keyword argument" in output.stderr
