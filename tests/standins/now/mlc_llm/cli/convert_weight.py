"""`mlc_llm convert_weight`."""

from __future__ import annotations

import argparse
import subprocess  # noqa: TID251  # the stand-in is no part of regress
import sys

from mlc_llm.cli import shared


def main(argv: list[str]) -> None:
    """Quantizes a checkpoint."""
    parser = argparse.ArgumentParser("MLC AutoLLM Quantization Framework")
    parser.add_argument("config", type=shared.config_of)
    parser.add_argument("--quantization", required=True, choices=shared.QUANTIZATIONS)
    parser.add_argument("--model-type", default="auto", choices=shared.MODEL_TYPES)
    parser.add_argument("--device", type=_device, default="cpu:0")
    parser.add_argument("--source", default="auto")
    formats = ["auto", "huggingface-torch", "huggingface-safetensor", "awq"]
    parser.add_argument("--source-format", choices=formats, default="auto")
    parser.add_argument("--output", "-o", type=shared.new_folder, required=True)
    parser.add_argument("--lora-adapter", default=None)
    parsed = parser.parse_args(argv)
    shared.require_model_type(parsed.config)
    shared.small_build().write_weights(parsed.config.parent, parsed.quantization, parsed.output)
    print(f"Saved to directory: {parsed.output}")  # noqa: T201


def _device(text: str) -> str:
    kind, _, number = text.partition(":")
    asked = [sys.executable, "-m", "mlc_llm.cli.check_device", kind]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603  # as MLC-LLM asks
    if f"check_device:{number}" not in found.stdout.split():
        raise argparse.ArgumentTypeError(f"invalid detect_device value: '{text}'")
    return text
