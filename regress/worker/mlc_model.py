"""The model's folder as MLC-LLM wants it, and the weights as MLC-LLM writes them.

Weights that MLC-LLM wrote have the packing that the bench worker reads; only their list is called `ndarray-cache.json`
until 2025-09, and `tensor-cache.json` since, which is the name that the bench worker knows.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CACHES = ("tensor-cache.json", "ndarray-cache.json")
_CONFIG = "config.json"


class Weights(NamedTuple):
    """What the list of a build's parameters says.

    Attributes:
        stored_bytes: Size of all shards.
        loaded_bytes: Size of all parameters in memory; larger where float32 is stored as bfloat16.
        bits_per_param: As MLC-LLM counted it; `None` where it did not, as until 2024.
    """

    stored_bytes: int
    loaded_bytes: int
    bits_per_param: float | None


def place(source: Path, folder: Path) -> dict[str, str]:
    """Puts a model where the commands look for it, as links; what was changed in it, by file and key.

    A Llava checkpoint is a Llama with a few tensors more, which are not read. Where it has no configuration of its own
    for the language model, MLC-LLM builds it as what it is once its `model_type` says so.

    Args:
        source: The model's folder, which stays as it is.
        folder: Where it shall be; it and those above it are made.
    """
    folder.mkdir(parents=True)
    for file in source.iterdir():
        if file.name != _CONFIG:
            (folder / file.name).symlink_to(file.absolute())
    config = json.loads((source / _CONFIG).read_text(encoding="utf-8"))
    changed = {}
    if config.get("model_type") == "llava" and "text_config" not in config:
        config["model_type"] = "llama"
        changed["config.json: model_type"] = "llava -> llama"
    (folder / _CONFIG).write_text(json.dumps(config, indent=2), encoding="utf-8")
    return changed


def has_safetensors(folder: Path) -> bool:
    """Whether a checkpoint is safetensors; where it is both, it is read as these."""
    return any(folder.glob("*.safetensors"))


def read_weights(folder: Path) -> Weights:
    """What was written of a model's weights; their list gets the name that the bench worker knows.

    Raises:
        RuntimeError: There is no list, or a shard is not as long as it says.
    """
    found = [folder / name for name in CACHES if (folder / name).is_file()]
    if not found:
        raise RuntimeError(f"the build wrote no list of its parameters: neither {' nor '.join(CACHES)}")
    cache = json.loads(found[0].read_text(encoding="utf-8"))
    found[0].rename(folder / CACHES[0])
    for shard in cache["records"]:
        path = folder / shard["dataPath"]
        size = path.stat().st_size if path.is_file() else None
        if size != shard["nbytes"]:
            said = "is not there" if size is None else f"has {size} bytes"
            raise RuntimeError(f"{shard['dataPath']} {said}, {found[0].name} says {shard['nbytes']} bytes")
    entries = [entry for shard in cache["records"] for entry in shard["records"]]
    return Weights(
        stored_bytes=sum(shard["nbytes"] for shard in cache["records"]),
        loaded_bytes=sum(math.prod(entry["shape"]) * _item_bytes(entry) for entry in entries),
        bits_per_param=cache.get("metadata", {}).get("BitsPerParam"),
    )


def _item_bytes(entry: Mapping[str, Any]) -> int:
    bits = re.search(r"\d+", entry["dtype"])
    if bits is None:
        raise RuntimeError(f"{entry['name']}: no size in its dtype '{entry['dtype']}'")
    return int(bits.group()) // 8
