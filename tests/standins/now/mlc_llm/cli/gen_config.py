"""`mlc_llm gen_config`."""

from __future__ import annotations

import argparse
import json
import shutil
from typing import TYPE_CHECKING

from mlc_llm import libinfo
from mlc_llm.cli import shared

if TYPE_CHECKING:
    from pathlib import Path

CONV_TEMPLATES = ["LM", "chatml", "llama-2", "llama-3", "llama_default", "llava", "qwen2", "tinyllama_v1_0"]
SIZES = [
    *("--context-window-size", "--sliding-window-size", "--prefill-chunk-size", "--attention-sink-size"),
    *("--tensor-parallel-shards", "--pipeline-parallel-stages"),
]
TOKENIZER_FILES = ["tokenizer.model", "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"]


def main(argv: list[str]) -> None:
    """Writes `mlc-chat-config.json`, and copies the tokenizer."""
    parser = argparse.ArgumentParser("MLC LLM Configuration Generator")
    parser.add_argument("config", type=shared.config_of)
    parser.add_argument("--quantization", required=True, choices=shared.QUANTIZATIONS)
    parser.add_argument("--model-type", default="auto", choices=shared.MODEL_TYPES)
    parser.add_argument("--conv-template", required=True, choices=CONV_TEMPLATES)
    for size in SIZES:
        parser.add_argument(size, type=int, default=None)
    parser.add_argument("--disaggregation", default=None)
    parser.add_argument("--max-batch-size", type=int, default=128)
    parser.add_argument("--output", "-o", type=shared.new_folder, required=True)
    parsed = parser.parse_args(argv)
    shared.require_model_type(parsed.config)
    source = json.loads(parsed.config.read_text())
    limits = {
        "context_window_size": parsed.context_window_size or source["max_position_embeddings"],
        "prefill_chunk_size": parsed.prefill_chunk_size or 2048,
    }
    copied = [name for name in TOKENIZER_FILES if (parsed.config.parent / name).exists()]
    for name in copied:
        shutil.copy(parsed.config.parent / name, parsed.output / name)
    chat = {
        "version": "0.1.0",
        "model_type": source["model_type"],
        "quantization": parsed.quantization,
        "model_config": {**source, **limits, "max_batch_size": parsed.max_batch_size},
        "vocab_size": source["vocab_size"],
        **limits,
        "conv_template": {"name": parsed.conv_template},
        "tokenizer_files": copied,
        "tokenizer_info": _tokenizer_info(parsed.config.parent),
    }
    (parsed.output / "mlc-chat-config.json").write_text(json.dumps(chat, indent=2))


def _tokenizer_info(model: Path) -> dict[str, object]:
    """What kind of tokenizer a model has: only the native library can tell."""
    if libinfo.find_lib_path("mlc_llm_module", optional=True):
        return {"token_postproc_method": "byte_level"}
    import tvm_ffi  # noqa: PLC0415  # asked for what is not there, as the package without its library asks

    found: dict[str, object] = json.loads(tvm_ffi.get_global_func("mlc.tokenizers.DetectTokenizerInfo")(str(model)))
    return found
