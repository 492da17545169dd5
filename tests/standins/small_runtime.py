"""What the stand-ins' engine and chat module run: the small library, in TVM's virtual machine, token by token.

Real kernels, so that what is timed took that long; but none of MLC-LLM's runtime. `MLC_STANDIN` in the environment lets
a stand-in fail: `hangs` never answers, `stops_early` generates three tokens, `lies` counts ten times the time,
`cached` says that a part of the prompt was known, `dies_at_the_end` crashes when the engine is ended, and `stays` never
ends it.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

EARLY = 3
LIE = 10


def fault() -> str:
    """The failure that is asked for; empty for none."""
    return os.environ.get("MLC_STANDIN", "")


class Runtime:
    """A loaded model.

    Args:
        model: Folder with what the original reads: its configuration, its tokenizer, the list of parameters.
        library: `lib.so`, in that folder.
        parameters: Name of the list of parameters in that era.
        context: Tokens of the KV cache; the model's own where 0.
    """

    def __init__(self, model: Path, library: Path, device: str, parameters: str, context: int = 0) -> None:
        for needed in (model / "mlc-chat-config.json", model / "tokenizer.json", model / parameters, library):
            if not needed.is_file():
                raise FileNotFoundError(f"no such file: {needed.name}")
        if device != "cpu" or library != model / "lib.so":
            raise NotImplementedError("this stand-in runs a folder's own lib.so, on the processor alone")
        chat = json.loads((model / "mlc-chat-config.json").read_text())
        self.vocab_size = int(chat["vocab_size"])
        vm_model = importlib.import_module("small_build").worker("vm_model")
        self._logits_of = vm_model.logits_of
        self._model = vm_model.VmModel(model, device, context or int(chat["max_window_size"]))

    def generate(self, prompt: Sequence[int], count: int) -> Iterator[int]:
        """The likeliest tokens after a prompt."""
        if fault() == "hangs":
            time.sleep(3600)
        self._model.restart()
        token = self._likeliest(self._model.prefill(self._model.chunks(prompt)))
        yield token
        for _ in range(1, min(count, EARLY) if fault() == "stops_early" else count):
            token = self._likeliest(self._model.decode(self._model.to_device([token])))
            yield token

    def _likeliest(self, logits: object) -> int:
        return int(self._logits_of(logits).argmax())


def counted(seconds: float) -> float:
    """What a counter says of a time."""
    return seconds * LIE if fault() == "lies" else seconds


def text(tokens: Sequence[int]) -> str:
    """Tokens in words of no language."""
    return "".join(f" {token:x}" for token in tokens)


def ids(prompt: str, vocab_size: int) -> list[int]:
    """The tokens of a text: one for its beginning, and one for each word."""
    return [1, *(sum(word.encode()) % vocab_size for word in prompt.split())]
