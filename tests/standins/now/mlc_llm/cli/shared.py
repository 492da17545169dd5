"""Argument types that the commands share, and the way to what builds."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

QUANTIZATIONS = [
    *("q0f16", "q0bf16", "q0f32", "q3f16_0", "q3f16_1", "q4f16_0", "q4f16_1", "q4bf16_0", "q4bf16_1", "q4f32_1"),
    *("q4f16_2", "q4f16_autoawq", "q4f16_ft", "e5m2_e5m2_f16", "e4m3_e4m3_f16", "e4m3_e4m3_f16_max_calibrate"),
]
MODEL_TYPES = ["auto", "llama", "mistral", "llava", "qwen2"]


def small_build() -> Any:  # noqa: ANN401
    """The module of that name, three folders up."""
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    return importlib.import_module("small_build")


def config_of(text: str) -> Path:
    """A model's `config.json`, of a folder or itself."""
    path = Path(text)
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"config.json not found: {path}")
    return path


def new_folder(text: str) -> Path:
    path = Path(text)
    path.mkdir(parents=True, exist_ok=True)
    return path


def require_model_type(path: Path) -> None:
    model_type = json.loads(path.read_text()).get("model_type")
    if model_type not in MODEL_TYPES[1:]:
        raise ValueError(f"Unknown model type: {model_type}")
