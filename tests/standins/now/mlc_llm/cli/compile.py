"""`mlc_llm compile`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mlc_llm.cli import shared
from mlc_llm.interface import compiler_flags


def main(argv: list[str]) -> None:
    """Compiles the library that a folder's `mlc-chat-config.json` describes."""
    parser = argparse.ArgumentParser("mlc_llm compile")
    parser.add_argument("model", type=_chat_config)
    parser.add_argument("--quantization", choices=shared.QUANTIZATIONS)
    parser.add_argument("--model-type", default="auto", choices=shared.MODEL_TYPES)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--host", default="auto")
    parser.add_argument("--enable-subgroups", action="store_true")
    parser.add_argument("--opt", type=compiler_flags.from_str, default="O2")
    parser.add_argument("--system-lib-prefix", default="auto")
    parser.add_argument("--output", "-o", type=_new_file, required=True)
    parser.add_argument("--overrides", default="")
    parser.add_argument("--debug-dump", type=shared.new_folder, default=None)
    parsed = parser.parse_args(argv)
    target = json.loads(parsed.device) if parsed.device.startswith("{") else {"kind": parsed.device}
    if target["kind"] != "llvm":
        raise NotImplementedError("this stand-in compiles for the processor alone")
    print("\x1b[1mCompiling with arguments:\x1b[0m")  # noqa: T201
    print(f"  \x1b[1m--target\x1b[0m                  {target}")  # noqa: T201
    print(f"  \x1b[1m--opt\x1b[0m                     {compiler_flags.corrected(parsed.opt, target['kind'])}")  # noqa: T201
    chat = json.loads(parsed.model.read_text())
    limits = {name: chat[name] for name in ("context_window_size", "prefill_chunk_size")}
    quantization = parsed.quantization or chat["quantization"]
    build = shared.small_build()
    build.write_library(chat["model_config"], quantization, limits, parsed.output, dump=parsed.debug_dump, named=True)


def _chat_config(text: str) -> Path:
    path = Path(text) / "mlc-chat-config.json"
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"mlc-chat-config.json not found in {text}")
    return path


def _new_file(text: str) -> Path:
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"Output cannot be a directory: {path}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"Directory does not exist: {path.parent}")
    return path
