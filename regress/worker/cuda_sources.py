"""The text of the CUDA device functions in `cuda/`.

TIR functions call them as their whole body. TVM compiles, launches and links such a function like every other kernel of
the library; only what a thread does is ours.
"""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "cuda"
_NEEDS = {"decoder_step": ("gemv_q4",)}


def source_of(name: str) -> str:
    """The source of `cuda/<name>.cu` behind that of the files it uses; guards let it stand in a module twice."""
    files = (*_NEEDS.get(name, ()), name)
    return "\n".join((_FOLDER / f"{file}.cu").read_text(encoding="utf-8") for file in files)
