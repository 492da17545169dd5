"""A built artifact as each era of MLC-LLM's own runtime looks for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

CHAT_CONFIG = "mlc-chat-config.json"
_LISTS = ("tensor-cache.json", "ndarray-cache.json")
"""Names of the list of parameters: since 2025-09, and before."""
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_model", "vocab.json")
"""What MLC-LLM makes a tokenizer of: one of these."""


def lay_out(artifact: Path, scratch: Path) -> Path:
    """A folder of links to an artifact's files, with the list of parameters under both of its names.

    Args:
        artifact: What was built.
        scratch: Existing folder, in which it is made.

    Raises:
        RuntimeError: The artifact has no tokenizer.
    """
    if not any((artifact / name).is_file() for name in _TOKENIZERS):
        raise RuntimeError(
            "the model has no tokenizer, without which MLC-LLM loads no model; once its folder has one, build it anew "
            "with --rebuild, or measure it by harness 'vm'"
        )
    folder = scratch / "model"
    folder.mkdir()
    for file in artifact.iterdir():
        (folder / file.name).symlink_to(file.resolve())
    listed = next(artifact / name for name in _LISTS if (artifact / name).is_file())
    for name in _LISTS:
        if not (folder / name).exists():
            (folder / name).symlink_to(listed.resolve())
    return folder


def chat_config(folder: Path) -> dict[str, Any]:
    """What the model's own configuration says."""
    config: dict[str, Any] = json.loads((folder / CHAT_CONFIG).read_text(encoding="utf-8"))
    return config


def parameters(folder: Path) -> list[dict[str, Any]]:
    """Name, shape and dtype of each parameter."""
    shards = json.loads((folder / _LISTS[0]).read_text(encoding="utf-8"))["records"]
    return [parameter for shard in shards for parameter in shard["records"]]
