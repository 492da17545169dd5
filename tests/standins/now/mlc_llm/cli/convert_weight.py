"""`mlc_llm convert_weight`."""

from __future__ import annotations

import argparse

from mlc_llm.cli import shared


def main(argv: list[str]) -> None:
    """Quantizes a checkpoint."""
    parser = argparse.ArgumentParser("MLC AutoLLM Quantization Framework")
    parser.add_argument("config", type=shared.config_of)
    parser.add_argument("--quantization", required=True, choices=shared.QUANTIZATIONS)
    parser.add_argument("--model-type", default="auto", choices=shared.MODEL_TYPES)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--source", default="auto")
    formats = ["auto", "huggingface-torch", "huggingface-safetensor", "awq"]
    parser.add_argument("--source-format", choices=formats, default="auto")
    parser.add_argument("--output", "-o", type=shared.new_folder, required=True)
    parser.add_argument("--lora-adapter", default=None)
    parsed = parser.parse_args(argv)
    shared.require_model_type(parsed.config)
    shared.small_build().write_weights(parsed.config.parent, parsed.quantization, parsed.output)
    print(f"Saved to directory: {parsed.output}")  # noqa: T201
