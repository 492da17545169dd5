"""MLC-LLM's builds through the real command line, both eras of its commands, with stand-ins for its packages."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from integration.workshop import REPOSITORY

from regress import process
from regress.record import decode_record

if TYPE_CHECKING:
    from pathlib import Path

    from integration.workshop import Workshop

    from regress.artifact import Artifact
    from regress.record import CaseResult, Record

STANDINS = REPOSITORY / "tests" / "standins"
CONFIG = """\
[run]
baseline = "here.toml"
toolchains = ["mlc-legacy", "mlc-now"]

[toolchains.mlc-legacy]
kind = "source"
packages = ["apache-tvm==0.26.0", "numpy"]
as_of = 2026-08-15
path = "{standins}/legacy"

[toolchains.mlc-now]
kind = "source"
packages = ["apache-tvm==0.27.0.post1", "numpy"]
as_of = 2026-10-03
path = "{standins}/now"

[toolchains."tvm-0.27.0.post1"]
packages = ["apache-tvm==0.27.0.post1", "numpy"]
as_of = 2026-10-03
"""
BASELINE = """\
runner = "here"
toolchain = "mlc-legacy"

# Wide: what is tested is the path of a verdict, not this machine's noise.
[tolerance]
prefill_tokens_per_s = 0.9
decode_tokens_per_s = 0.9

[measure]
replicates = 3
warmups = 1
repeats = 2

[measure.environment]
TVM_NUM_THREADS = "1"
"""
CASE = """
[[cases]]
model = "{model}"
quantization = "{quantization}"
target = "llvm"
builder = "{builder}"
prompt_tokens = 16
new_tokens = 8
"""
KEY = "llama-mini+mlc/q4f32_1/llvm/p16+8"
TVM_KEY = "llama-mini/q4f32_1/llvm/p16+8"

# llama-mini: an embedding and a head of 2048 x 256; in each of 4 layers 4 matrices of 256 x 256, 2 of 688 x 256, and
# one of 256 x 688, whose rows take 22 groups of 32; 9 norms of 256. A group takes 16 bytes of words and 4 of its scale.
_QUANTIZED = (2 * 2048 * 256 + 4 * (4 * 256 * 256 + 2 * 688 * 256)) // 32 + 4 * 256 * 22
PARAMS = 2 * 2048 * 256 + 4 * (4 * 256 * 256 + 3 * 688 * 256) + 9 * 256
BITS = 8 * (20 * _QUANTIZED + 4 * 9 * 256) / PARAMS


class Machine:
    """A working folder with both toolchains, and the command line in it."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home
        self.env = {**os.environ, "REGRESS_HOME": str(home), "COLUMNS": "200"}
        (folder / "regress.toml").write_text(CONFIG.format(standins=STANDINS), encoding="utf-8")

    def regress(self, *arguments: str | Path) -> process.Output:
        """What `regress ARGUMENTS` did."""
        return process.run([sys.executable, "-m", "regress", *arguments], cwd=self.folder, env=self.env, timeout_s=600)

    def tokenizer_of(self, artifact: Artifact) -> object:
        """What the configuration of an artifact in the cache says of its tokenizer."""
        chat = json.loads((self.home / "artifacts" / artifact.digest / "mlc-chat-config.json").read_text())
        return chat["tokenizer_info"]["token_postproc_method"]

    def baseline(
        self,
        *builders: str,
        model: str = "synthetic:llama-mini",
        quantization: str = "q4f32_1",
        fault: str = "",
    ) -> Path:
        """A baseline with a case per builder."""
        cases = [CASE.format(model=model, quantization=quantization, builder=builder) for builder in builders]
        setting = f'MLC_STANDIN = "{fault}"\n' if fault else ""
        path = self.folder / "here.toml"
        path.write_text(BASELINE + setting + "".join(cases), encoding="utf-8")
        return path

    def build(self, toolchain: str, *flags: str) -> tuple[process.Output, Record]:
        """A build anew, whatever an earlier session left in the cache: a stand-in is more than its own files."""
        given = [argument for flag in flags for argument in ("--flag", flag)]
        output = self.regress("build", "--toolchain", toolchain, "--rebuild", "--json", *given)
        return output, decode_record(output.printed, "printed")


@pytest.fixture
def machine(tmp_path: Path, test_home: Path) -> Machine:
    return Machine(tmp_path, test_home)


def built(case: CaseResult) -> Artifact:
    assert case.artifact is not None, case.failure
    return case.artifact


def cause(record: Record) -> str:
    (case,) = record.cases
    assert case.failure is not None
    assert case.failure.stage == "build"
    return case.failure.cause


# The whole flow


def test_both_eras_are_built_measured_recorded_and_judged(machine: Machine) -> None:
    """A bump from one era to the next, side by side; the stand-ins hold the same model, so the answers are the same."""
    machine.baseline("mlc")
    output = machine.regress("run", "--rebuild")
    assert output.exit.code == 0, output.stdout + output.stderr
    assert f"{KEY}\n" in output.stdout
    assert "mlc-now on here, against mlc-legacy, measured side by side" in output.stdout
    assert "answers: the logits are the reference's, bit for bit" in output.stdout
    paths = [path for path in (machine.folder / "history").rglob("*.json") if not path.name.endswith(".check.json")]
    records = [decode_record(path.read_bytes(), path.name) for path in paths]
    legacy, now = sorted(records, key=lambda record: record.toolchain.name)
    assert [record.cases[0].key for record in (legacy, now)] == [KEY, KEY]
    assert all(len(record.cases[0].replicates) >= 3 for record in (legacy, now))
    assert "llama-mini+mlc" in (machine.folder / "site" / "index.html").read_text(encoding="utf-8")


def test_two_builders_of_one_model_are_two_cases(machine: Machine) -> None:
    """The stand-in's library is of our own model: what the bench worker reads of it, it reads right."""
    machine.baseline("tvm", "mlc")
    output = machine.regress("bench", "--toolchain", "mlc-now", "--json")
    assert output.exit.ok, output.stderr
    record = decode_record(output.printed, "printed")
    assert [case.key for case in record.cases] == [TVM_KEY, KEY]
    ours, theirs = record.cases
    assert ours.replicates[0].token_ids == theirs.replicates[0].token_ids
    assert ours.replicates[0].logits_sha256 == theirs.replicates[0].logits_sha256
    assert (built(ours).mlc, built(ours).builder != built(theirs).builder) == (None, True)
    assert '"mlc"' not in json.dumps(json.loads(output.printed)["cases"][0]), "records of before stay as they were"


# What is known of a build


def test_a_present_day_build_is_known_in_full(machine: Machine) -> None:
    machine.baseline("mlc")
    output, record = machine.build("mlc-now")
    assert output.exit.ok, output.stderr
    artifact = built(record.cases[0])
    assert artifact.mlc is not None
    assert (artifact.mlc.era, artifact.mlc.findings, artifact.mlc.patched) == ("now", (), {})
    assert [command.split()[1] for command in artifact.mlc.commands] == ["convert_weight", "gen_config", "compile"]
    assert artifact.mlc.optimisations["flashinfer"] == "0"
    assert artifact.kv_cache == "create_tir_paged_kv_cache"
    assert artifact.bits_per_param == pytest.approx(BITS, rel=1e-9)
    assert artifact.param_count == PARAMS
    assert artifact.planned_memory_bytes["prefill"] > artifact.planned_memory_bytes["decode"] > 0
    names = [kernel.name for kernel in artifact.kernels]
    assert sum("dequantize" in name and "matmul" in name.lower() for name in names) == 9
    assert "'kind': 'llvm'" in artifact.resolved_target
    assert str(machine.folder) not in output.stdout


def test_a_legacy_build_is_known_as_far_as_it_tells(machine: Machine) -> None:
    """Its bits per parameter are counted, as nobody did then; its kernels are listed nowhere."""
    machine.baseline("mlc")
    output, record = machine.build("mlc-legacy", "cudagraph=0")
    assert output.exit.ok, output.stderr
    artifact = built(record.cases[0])
    assert artifact.mlc is not None
    assert artifact.mlc.era == "legacy"
    (command,) = artifact.mlc.commands
    assert command == (
        "mlc_llm.build --model llama-mini --quantization q4f32_1 --artifact-path dist --max-seq-len 4096 "
        "--target llvm --use-cache 0 --use-safetensors"
    )
    assert artifact.bits_per_param == pytest.approx(BITS, rel=1e-9)
    assert artifact.kernels == ()


def test_a_checkout_that_nobody_compiled_is_built_and_measured(machine: Machine) -> None:
    """Without its native library MLC-LLM's package cannot be imported, nor in the processes that its commands start."""
    machine.baseline("mlc", fault="no-library")
    output = machine.regress("bench", "--toolchain", "mlc-now", "--json")
    assert output.exit.code == 0, output.stderr
    artifact = built(decode_record(output.printed, "printed").cases[0])
    assert artifact.mlc is not None
    assert not artifact.mlc.native_library
    assert machine.tokenizer_of(artifact) == "byte_fallback"


def test_a_native_library_is_used_where_there_is_one(machine: Machine) -> None:
    machine.baseline("mlc")
    output, record = machine.build("mlc-now")
    assert output.exit.ok, output.stderr
    artifact = built(record.cases[0])
    assert artifact.mlc is not None
    assert artifact.mlc.native_library
    assert machine.tokenizer_of(artifact) == "byte_level"


@pytest.mark.parametrize(
    ("fault", "flags", "text"),
    [
        (
            "flashinfer",
            ["flashinfer=1"],
            "flashinfer was asked for, and the KV cache is made by create_tir_paged_kv_cache",
        ),
        ("", ["faster_transformer=1"], "faster_transformer was asked for, and the library calls none of its kernels"),
        ("", ["cublas_gemm=1"], "cublas_gemm was asked for, and MLC-LLM switched it off"),
        ("unfused", [], "decode dequantizes apart from the matrix product: it calls dequantize, dequantize1,"),
    ],
)
def test_a_silent_fall_back_is_in_the_record_and_red(machine: Machine, fault: str, flags: list[str], text: str) -> None:
    """The build itself ends well: MLC-LLM says nothing."""
    machine.baseline("mlc", fault=fault)
    output, record = machine.build("mlc-now", *flags)
    assert output.exit.ok, output.stderr
    artifact = built(record.cases[0])
    assert artifact.mlc is not None
    assert [finding.text.startswith(text) for finding in artifact.mlc.findings] == [True]
    given = [argument for flag in flags for argument in ("--flag", flag)]
    judged = machine.regress("build", "--toolchain", "mlc-now", "--check", *given)
    assert judged.exit.code == 1
    assert f"regressed    build: {text}" in judged.stdout
    assert f"\n  {text}" in machine.regress("build", "--toolchain", "mlc-now", *given).stdout


# What fails


@pytest.mark.parametrize(
    ("toolchain", "quantization", "fault", "flags", "expected"),
    [
        ("mlc-now", "q4f16_ft", "", [], "q4f16_ft needs a TVM built with CUTLASS, and this toolchain's is not"),
        ("mlc-legacy", "q4f16_ft", "", [], "q4f16_ft needs a TVM built with CUTLASS, and this toolchain's is not"),
        (
            "mlc-now",
            "q8f16_1",
            "",
            [],
            "mlc_llm convert_weight: this MLC-LLM knows no quantization 'q8f16_1'; it knows",
        ),
        ("mlc-now", "q4f32_1", "killed", [], "mlc_llm compile was killed by SIGKILL, as the kernel does when memory"),
        ("mlc-legacy", "q4f32_1", "killed", [], "mlc_llm.build was killed by SIGKILL, as the kernel does when memory"),
        ("mlc-now", "q4f32_1", "nothing", [], "mlc_llm compile ended well, and wrote no lib.so"),
        ("mlc-legacy", "q4f32_1", "nothing", [], "mlc_llm.build ended well, and wrote no lib.so"),
        ("mlc-legacy", "q4f32_1", "", ["flashinfer=1"], "flag flashinfer=1: this MLC-LLM, of the era 'legacy', has no"),
        ("mlc-now", "q4f32_1", "", ["conv_template=nobody"], "argument --conv-template: invalid choice: 'nobody'"),
        ("tvm-0.27.0.post1", "q4f32_1", "", [], "this toolchain has no MLC-LLM: its Python finds no package mlc_llm"),
    ],
)
def test_what_does_not_build_says_why(  # noqa: PLR0913, PLR0917  # one per part of a recipe
    machine: Machine, toolchain: str, quantization: str, fault: str, flags: list[str], expected: str
) -> None:
    machine.baseline("mlc", quantization=quantization, fault=fault)
    output, record = machine.build(toolchain, *flags)
    assert output.exit.code == 5
    assert expected in cause(record)
    assert "\x1b" not in output.stderr


@pytest.mark.parametrize(
    ("toolchain", "arguments"),
    [
        ("now", "mlc_llm convert_weight MODEL --quantization q4f16_1 --output out"),
        ("now", "mlc_llm gen_config MODEL --quantization q4f16_1 --conv-template LM --output out"),
        ("now", "mlc_llm compile MODEL --output lib.so"),
        ("legacy", "mlc_llm.build --model MODEL --quantization q4f16_1"),
    ],
)
def test_a_stand_in_refuses_arguments_that_its_original_does_not_have(
    tmp_path: Path, toolchain: str, arguments: str
) -> None:
    """Else a command that MLC-LLM does not understand would pass every test here."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "mlc-chat-config.json").write_text("{}")
    argv = [sys.executable, "-m", *arguments.replace("MODEL", str(tmp_path)).split(), "--cuda-graphs"]
    env = {**os.environ, "PYTHONPATH": str(STANDINS / toolchain)}
    output = process.run(argv, cwd=tmp_path, env=env, timeout_s=60)
    assert output.exit.code == 2
    assert "error: unrecognized arguments: --cuda-graphs" in output.stderr


# Models


def mini_config(workshop: Workshop) -> dict[str, object]:
    config: dict[str, object] = json.loads((workshop.model("llama-mini") / "config.json").read_text())
    return config


def model_of(machine: Machine, workshop: Workshop, config: dict[str, object]) -> Path:
    """A folder with llama-mini's weights and another configuration."""
    folder = machine.folder / "other-mini"
    folder.mkdir()
    (folder / "model.safetensors").symlink_to(workshop.model("llama-mini") / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_model_that_does_not_say_how_long_its_context_is_needs_the_flag(machine: Machine, workshop: Workshop) -> None:
    config = {key: value for key, value in mini_config(workshop).items() if key != "max_position_embeddings"}
    machine.baseline("mlc", model=f"path:{model_of(machine, workshop, config)}")
    expected = "config.json: max_position_embeddings: missing; set the flag context_window_size"
    assert expected in cause(machine.build("mlc-now")[1])


@pytest.mark.parametrize("toolchain", ["mlc-now", "mlc-legacy"])
def test_llava_is_built_as_a_llama_and_the_record_says_so(machine: Machine, workshop: Workshop, toolchain: str) -> None:
    """The checkpoint stays as it is; our own builder refuses it in a line."""
    config = {**mini_config(workshop), "model_type": "llava", "mm_hidden_size": 1024}
    llava = model_of(machine, workshop, config)
    machine.baseline("mlc", model=f"path:{llava}")
    output, record = machine.build(toolchain)
    assert output.exit.ok, output.stderr
    mlc = built(record.cases[0]).mlc
    assert mlc is not None
    assert mlc.patched == {"config.json: model_type": "llava -> llama"}
    assert json.loads((llava / "config.json").read_text()) == config
    machine.baseline("tvm", model=f"path:{llava}")
    refused = machine.regress("build", "--toolchain", toolchain)
    assert refused.exit.code == 5
    assert "path:other-mini: config.json: model_type: 'llava' is built by MLC-LLM alone" in refused.stderr
    assert not (machine.folder / "history").exists(), "that says nothing of the toolchain"
