"""Which MLC-LLM a toolchain has, and the commands it is given: read off its files, never off its version."""

from __future__ import annotations

from pathlib import Path

import pytest

from regress.recipe import MLC_FLAGS
from regress.worker.mlc_era import OPTIMISATIONS, Era, Wanted, commands, has_native_library, probe

STANDINS = Path(__file__).parents[1] / "standins"
NOW, LEGACY = Era("now", OPTIMISATIONS), Era("legacy")


def wanted(flags: dict[str, str] | None = None, *, safetensors: bool = True) -> Wanted:
    return Wanted(
        model="Llama-2-7b-chat-hf",
        quantization="q4f16_ft",
        target="cuda",
        device="cuda:0",
        flags={**MLC_FLAGS, **(flags or {})},
        context=4096,
        chunk=2048,
        safetensors=safetensors,
    )


def package(folder: Path, *files: str, flags: str = "class OptimizationFlags:\n    flashinfer: bool = False\n") -> Path:
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(flags if name.endswith("compiler_flags.py") else "")
    return folder


def test_the_era_is_what_the_package_can_do() -> None:
    assert probe(STANDINS / "now" / "mlc_llm") == NOW
    assert probe(STANDINS / "legacy" / "mlc_llm") == LEGACY


def test_one_command_per_step_makes_the_era_even_where_the_old_one_is_still_there(tmp_path: Path) -> None:
    found = probe(package(tmp_path, "build.py", "cli/compile.py", "interface/compiler_flags.py"))
    assert found == Era("now", ("flashinfer",))


LIBINFO = """
def find_lib_path(name, optional=False):
    assert optional
    return [path for path in {found} if path == f"lib{{name}}.so"]
"""


@pytest.mark.parametrize(
    ("found", "there"),
    [
        ([], False),
        (["libmlc_llm_module.so"], True),
        (["libmlc_llm.so"], True),
        (["libtvm.so"], False),
    ],
)
def test_the_native_library_is_where_the_package_itself_looks(tmp_path: Path, found: list[str], there: bool) -> None:  # noqa: FBT001
    (tmp_path / "libinfo.py").write_text(LIBINFO.format(found=found))
    assert has_native_library(tmp_path) == there


def test_a_package_that_does_not_tell_is_taken_to_have_its_library(tmp_path: Path) -> None:
    assert has_native_library(tmp_path)
    (tmp_path / "libinfo.py").write_text("__version__ = '0.1.dev0'\n")
    assert has_native_library(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("serve.py",), "neither cli/compile.py nor build.py"),
        (("cli/compile.py",), "compiler_flags.py names no optimisation flags"),
    ],
)
def test_a_package_without_commands_is_refused(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        probe(package(tmp_path, *files))


def test_flags_that_moved_elsewhere_are_not_guessed(tmp_path: Path) -> None:
    folder = package(tmp_path, "cli/compile.py", "interface/compiler_flags.py", flags="FLAGS = ()\n")
    with pytest.raises(RuntimeError, match="names no optimisation flags"):
        probe(folder)


def test_the_legacy_command_is_that_of_the_published_rates() -> None:
    """Word for word as the rates of 2023-10 and 2024-06 on the Orin were built."""
    (command,) = commands(LEGACY, wanted({"flash_attn_mqa": "1"}))
    assert " ".join(command.arguments) == (
        "mlc_llm.build --model Llama-2-7b-chat-hf --quantization q4f16_ft --artifact-path dist --max-seq-len 4096 "
        "--target cuda --use-cache 0 --use-cuda-graph --use-flash-attn-mqa --use-safetensors"
    )


def test_what_is_not_wanted_is_not_switched_on() -> None:
    (command,) = commands(LEGACY, wanted({"cudagraph": "0"}, safetensors=False))
    assert command.arguments[-2:] == ("--use-cache", "0")


def test_now_every_optimisation_is_named() -> None:
    """What `-O2` stands for has changed often."""
    convert, configure, compile_ = commands(NOW, wanted({"flashinfer": "1", "conv_template": "llama-2"}))
    model = "dist/models/Llama-2-7b-chat-hf --quantization q4f16_ft"
    assert " ".join(convert.arguments) == (
        f"mlc_llm convert_weight {model} --device cuda:0 --source-format huggingface-safetensor --output artifact"
    )
    assert " ".join(configure.arguments) == (
        f"mlc_llm gen_config {model} --conv-template llama-2 --context-window-size 4096 "
        "--prefill-chunk-size 2048 --max-batch-size 1 --output artifact"
    )
    assert " ".join(compile_.arguments) == (
        "mlc_llm compile artifact --device cuda --opt flashinfer=1;cublas_gemm=0;faster_transformer=0;cudagraph=1;"
        "cutlass=0;ipc_allreduce_strategy=NONE --debug-dump debug --output artifact/lib.so"
    )


def test_pytorch_files_are_named_as_such() -> None:
    assert "huggingface-torch" in commands(NOW, wanted(safetensors=False))[0].arguments


def test_a_flag_that_the_era_does_not_have_is_left_out_where_it_asks_for_nothing() -> None:
    opt = commands(Era("now", ("flashinfer", "cudagraph")), wanted())[-1].arguments
    assert "flashinfer=0;cudagraph=1" in opt


@pytest.mark.parametrize(
    ("era", "flags", "message"),
    [
        (LEGACY, {"flashinfer": "1"}, "flag flashinfer=1: this MLC-LLM, of the era 'legacy', has no such thing"),
        (LEGACY, {"ipc_allreduce_strategy": "AUTO"}, "flag ipc_allreduce_strategy=AUTO"),
        (NOW, {"flash_attn_mqa": "1"}, "flag flash_attn_mqa=1: this MLC-LLM, of the era 'now'"),
        (Era("now", ("flashinfer", "cudagraph")), {"cutlass": "1"}, "flag cutlass=1"),
    ],
)
def test_a_flag_that_the_era_does_not_have_is_refused(era: Era, flags: dict[str, str], message: str) -> None:
    """It would be dropped without a word, and the numbers would be of something else."""
    with pytest.raises(ValueError, match=message):
        commands(era, wanted(flags))
