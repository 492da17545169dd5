"""Where the native library lies, as MLC-LLM's own file of this name tells: it is run by itself, too."""

from __future__ import annotations

import os


def find_lib_path(name: str, optional: bool = False) -> list[str]:  # noqa: FBT001, FBT002  # as MLC-LLM has it
    """The libraries of that name; this file stands for one, unless `MLC_STANDIN` says that none was built."""
    if os.environ.get("MLC_STANDIN") != "no-library":
        return [__file__]
    if optional:
        return []
    raise RuntimeError(f"Cannot find libraries: lib{name}.so")
