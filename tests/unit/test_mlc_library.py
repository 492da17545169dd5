"""What an MLC-LLM build really made, held against what was asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from regress.recipe import MLC_FLAGS
from regress.worker.mlc_library import (
    Seen,
    calls_faster_transformer,
    findings,
    in_force,
    kernels,
    kernels_in,
    target_in_force,
    with_numbers,
    write_numbers,
)

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """\
# from tvm.script import ir as I
@I.ir_module
class Module:
    I.module_attrs({"external_mods": []})
    @T.prim_func(private=True)
    def fused_dequantize_NT_matmul(x: T.Buffer((T.int64(1), T.int64(8)), "float16")):
        T.func_attr({"tir.is_scheduled": 1})
        T.evaluate(0)

    @T.prim_func(private=True)
    def dequantize3(x: T.Buffer((8,), "float16")):
        T.evaluate(1)

    @R.function
    def decode(x: R.Tensor((1, 8), dtype="float16")) -> R.Tensor((1, 8), dtype="float16"):
        cls = Module
        with R.dataflow():
            lv = R.call_tir(cls.dequantize3, (x,), out_sinfo=R.Tensor((8,), dtype="float16"))
            lv1 = R.call_tir(cls.fused_dequantize_NT_matmul, (lv,), out_sinfo=R.Tensor((8,), dtype="float16"))
            gv = cls.helper(lv1)
            R.output(gv)
        return gv

    @R.function
    def prefill(x: R.Tensor((1, 8), dtype="float16")) -> R.Tensor((1, 8), dtype="float16"):
        cls = Module
        return R.call_tir(cls.only_prefill, (x,), out_sinfo=R.Tensor((8,), dtype="float16"))

    @T.prim_func
    def only_prefill(x: T.Buffer((8,), "float16")):
        T.evaluate(2)
"""
FUSED = frozenset({"fused_dequantize1_NT_matmul5", "dequantize_take", "rms_norm"})


def seen(**changes: Any) -> Seen:  # noqa: ANN401
    fields: dict[str, Any] = {
        "in_force": {},
        "kv_cache": "create_tir_paged_kv_cache",
        "called": FUSED,
        "faster_transformer": False,
        "cutlass": False,
        **changes,
    }
    return Seen(**fields)


def found(build: Seen, quantization: str = "q4f16_1", target: str = "cuda", **flags: str) -> list[tuple[str, str]]:
    each = findings({**MLC_FLAGS, **flags}, quantization, target, build)
    return [(finding["code"], finding["text"]) for finding in each]


# Kernels


def test_kernels_are_the_functions_of_tir_and_those_that_decode_calls_are_known() -> None:
    digests, called = kernels_in(SCRIPT)
    assert sorted(digests) == ["dequantize3", "fused_dequantize_NT_matmul", "only_prefill"]
    assert called == {"dequantize3", "fused_dequantize_NT_matmul"}


def test_a_kernels_digest_follows_its_own_source_alone() -> None:
    before = kernels_in(SCRIPT).digests
    after = kernels_in(SCRIPT.replace("T.evaluate(1)", "T.evaluate(7)")).digests
    assert [name for name in before if before[name] != after[name]] == ["dequantize3"]
    shuffled = SCRIPT.replace("\n    @T.prim_func\n    def only_prefill", "\n\n    @T.prim_func\n    def only_prefill")
    assert kernels_in(shuffled).digests == before


def test_the_last_dump_before_lowering_is_read(tmp_path: Path) -> None:
    assert kernels(tmp_path).digests == {}
    (tmp_path / "debug-phase3.py").write_text(SCRIPT.replace("only_prefill", "earlier"))
    assert "earlier" in kernels(tmp_path).digests
    (tmp_path / "debug-phase4.py").write_text(SCRIPT)
    assert "earlier" not in kernels(tmp_path).digests


# What is printed


def test_flags_and_target_in_force_are_those_that_compile_prints_last() -> None:
    lines = [
        "Compiling with arguments:",
        "  --target                  {'kind': 'cuda', 'arch': 'sm_90'}",
        "  --opt                     flashinfer=0;cudagraph=1;ipc_allreduce_strategy=NONE",
        '  --system-lib-prefix       ""',
    ]
    assert in_force(lines) == {"flashinfer": "0", "cudagraph": "1", "ipc_allreduce_strategy": "NONE"}
    assert target_in_force(lines) == "{'kind': 'cuda', 'arch': 'sm_90'}"
    assert (in_force([]), target_in_force(["--opt was dropped"])) == ({}, None)


# Findings


def test_a_build_as_asked_has_no_findings() -> None:
    assert found(seen(in_force={"flashinfer": "0", "cudagraph": "1"})) == []
    everything = seen(
        in_force=dict.fromkeys(("flashinfer", "faster_transformer", "cutlass", "cudagraph"), "1"),
        kv_cache="create_flashinfer_paged_kv_cache",
        faster_transformer=True,
        cutlass=True,
    )
    asked = dict.fromkeys(("flashinfer", "faster_transformer", "cutlass", "flash_attn_mqa"), "1")
    assert found(everything, "q4f16_ft", **asked) == []


@pytest.mark.parametrize(
    ("build", "quantization", "flags", "text"),
    [
        (
            seen(in_force={"flashinfer": "1"}),  # it thinks that it is on
            "q4f16_1",
            {"flashinfer": "1"},
            "flashinfer was asked for, and the KV cache is made by create_tir_paged_kv_cache",
        ),
        (
            seen(in_force={"faster_transformer": "1"}),
            "q4f16_1",
            {"faster_transformer": "1"},
            "faster_transformer was asked for, and the library calls none of its kernels",
        ),
        (seen(), "q4f16_ft", {}, "faster_transformer was asked for, and the library calls none of its kernels"),
        (
            seen(in_force={"cublas_gemm": "0"}),
            "q4f16_1",
            {"cublas_gemm": "1"},
            "cublas_gemm was asked for, and MLC-LLM switched it off",
        ),
        (
            seen(in_force={"cudagraph": "0"}),
            "q4f16_1",
            {},
            "cudagraph was asked for, and MLC-LLM switched it off",
        ),
        (
            seen(),
            "q4f16_1",
            {"flash_attn_mqa": "1"},
            "flash_attn_mqa was asked for, and TVM is built without CUTLASS, which has these kernels",
        ),
    ],
)
def test_each_fall_back_is_found(build: Seen, quantization: str, flags: dict[str, str], text: str) -> None:
    assert found(build, quantization, **flags) == [("fell_back", text)]


def test_a_processor_has_no_cuda_graphs_to_fall_back_from() -> None:
    assert found(seen(in_force={"cudagraph": "0"}), target="llvm") == []


@pytest.mark.parametrize("name", ["dequantize", "dequantize12", "fused_dequantize3"])
def test_a_dequantization_that_decode_calls_by_itself_is_found(name: str) -> None:
    text = f"decode dequantizes apart from the matrix product: it calls {name}"
    assert found(seen(called=FUSED | {name})) == [("unfused_dequantize", text)]


def test_faster_transformers_kernels_are_told_by_their_names(tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    library.write_bytes(b"\x7fELF" + bytes(100) + b"fastertransformer.gemm_fp16_int" + bytes(8))
    assert calls_faster_transformer(library)
    library.write_bytes(b'\x7fELF "faster_transformer"' + bytes(100))
    assert not calls_faster_transformer(library)


# Sizes that the metadata names

METADATA = json.dumps(
    {"model_type": "llama", "params": [{"name": "vocab_size", "shape": ["vocab_size", 512], "dtype": "uint32"}]}
)


def test_a_named_size_becomes_a_number_of_the_same_length() -> None:
    """`"vocab_size"` has 12 characters. What is no shape keeps its words."""
    numbered = with_numbers(METADATA, {"vocab_size": 32000})
    assert len(numbered) == len(METADATA)
    assert "[32000       , 512]" in numbered
    assert json.loads(numbered)["params"] == [{"name": "vocab_size", "shape": [32000, 512], "dtype": "uint32"}]


@pytest.mark.parametrize("sizes", [{}, {"vocab_size": "many"}, {"vocab_size": 10**13}])
def test_a_size_that_nobody_tells_is_refused(sizes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the size 'vocab_size' in its metadata has no number"):
        with_numbers(METADATA, sizes)


def test_only_the_metadata_of_a_library_changes(tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    library.write_bytes(b"code" + METADATA.encode() + b"data")
    library.chmod(0o755)
    assert write_numbers(library, METADATA, {"vocab_size": 7})["params"][0]["shape"] == [7, 512]
    assert library.read_bytes() == b"code" + METADATA.replace('["vocab_size"', "[7           ").encode() + b"data"
    assert library.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["lib.so"]


def test_a_library_without_that_text_is_refused(tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    for content in (b"code", 2 * METADATA.encode()):
        library.write_bytes(content)
        with pytest.raises(ValueError, match="is not found in it exactly once"):
            write_numbers(library, METADATA, {"vocab_size": 7})
        assert library.read_bytes() == content
