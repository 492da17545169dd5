"""`python -m mlc_llm.build`."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

QUANTIZATIONS = [
    *("autogptq_llama_q4f16_0", "q0f16", "q0f32", "q3f16_0", "q3f16_1", "q4f16_0", "q4f16_1", "q4f16_2", "q4f16_ft"),
    *("q4f32_0", "q4f32_1", "q8f16_ft", "q8f16_1"),
]
MODEL_TYPES = ["llama", "gpt_neox", "gpt_bigcode", "minigpt", "moss", "rwkv", "gptj", "chatglm", "mistral"]
TOKENIZER_FILES = ["tokenizer.model", "tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json"]
TEXTS = {"--hf-path": None, "--target": "auto", "--reuse-lib": None, "--artifact-path": "dist", "--llvm-mingw": ""}
NUMBERS = {"--max-seq-len": -1, "--use-cache": 1, "--num-shards": 1, "--sliding-window": -1, "--chunk-size": -1}
SWITCHES = [
    *("--convert-weight-only", "--build-model-only", "--debug-dump", "--debug-load-script", "--system-lib"),
    *("--sep-embed", "--use-safetensors", "--enable-batching", "--no-cutlass-attn", "--no-cutlass-norm"),
    *("--no-cublas", "--use-cuda-graph", "--use-flash-attn-mqa", "--pdb", "--use-vllm-attention"),
]


def main() -> None:
    """Builds a model of `ARTIFACT_PATH/models` into `ARTIFACT_PATH/MODEL-QUANTIZATION`."""
    parsed = _parser().parse_args()
    folder = Path(parsed.artifact_path) / "models" / parsed.model
    config = _config(folder)
    if not parsed.use_safetensors and not list(folder.glob("*.bin")):
        raise FileNotFoundError(f"{folder}/pytorch_model.bin")
    output = Path(parsed.artifact_path) / f"{parsed.model}-{parsed.quantization}"
    (output / "params").mkdir(parents=True)
    for name in TOKENIZER_FILES:
        if (folder / name).exists():
            shutil.copy(folder / name, output / "params" / name)
    build = _small_build()
    build.write_weights(folder, parsed.quantization, output / "params")
    _as_of_then(output / "params")
    context = parsed.max_seq_len if parsed.max_seq_len > 0 else config["max_position_embeddings"]
    chat = {
        "local_id": output.name,
        "conv_template": "LM",
        "max_window_size": context,
        "vocab_size": config["vocab_size"],
    }
    (output / "params" / "mlc-chat-config.json").write_text(json.dumps(chat, indent=4))
    limits = {"context_window_size": context, "prefill_chunk_size": context}
    library = output / f"{output.name}-cpu.so"
    build.write_library(config, parsed.quantization, limits, library, dump=None, named=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="auto")
    parser.add_argument("--quantization", default="q4f16_1", choices=QUANTIZATIONS)
    for name, text in TEXTS.items():
        parser.add_argument(name, default=text)
    for name, number in NUMBERS.items():
        parser.add_argument(name, type=int, default=number)
    for name in SWITCHES:
        parser.add_argument(name, action="store_true")
    return parser


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise AssertionError(f"Expecting HuggingFace config, but file not found: {path}.")
    config: dict[str, Any] = json.loads(path.read_text())
    if config["model_type"] not in MODEL_TYPES:
        raise AssertionError(f"Model type {config['model_type']} not supported.")
    return config


def _as_of_then(params: Path) -> None:
    """The list of parameters under its name of then, and without the bits per parameter, which nobody counted."""
    listed = params / "tensor-cache.json"
    cache = json.loads(listed.read_text())
    cache["metadata"] = {"ParamSize": cache["metadata"]["ParamSize"]}
    (params / "ndarray-cache.json").write_text(json.dumps(cache))
    listed.unlink()


def _small_build() -> Any:  # noqa: ANN401
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    return importlib.import_module("small_build")


if __name__ == "__main__":
    main()
