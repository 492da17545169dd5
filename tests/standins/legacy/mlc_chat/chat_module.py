"""`ChatModule`, as far as benchmarks use it."""

from __future__ import annotations

import importlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def small_runtime() -> Any:  # noqa: ANN401
    """The module of that name, two folders up."""
    sys.path.append(str(Path(__file__).resolve().parents[2]))
    return importlib.import_module("small_runtime")


@dataclass
class ChatConfig:
    """What a conversation can be told; every other field is a TypeError."""

    model_lib: str | None = None
    local_id: str | None = None
    conv_template: str | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None
    top_p: float | None = None
    mean_gen_len: int | None = None
    max_gen_len: int | None = None
    shift_fill_factor: float | None = None
    tokenizer_files: list[str] | None = None
    conv_config: Any = None
    model_category: str | None = None
    model_name: str | None = None
    num_shards: int | None = None
    use_presharded_weights: bool | None = None
    max_window_size: int | None = None


class ChatModule:
    """The model, and the statistics of the last call."""

    def __init__(
        self,
        model: str,
        device: str = "auto",
        chat_config: ChatConfig | None = None,
        model_lib_path: str | None = None,
    ) -> None:
        if chat_config is None or chat_config.temperature != 0 or model_lib_path is None:
            raise NotImplementedError("this stand-in takes the likeliest token, from the library that it is given")
        self._small = small_runtime()
        self._runtime = self._small.Runtime(Path(model), Path(model_lib_path), device, "ndarray-cache.json")
        self._stats = (0, 0.0, 0, 0.0)

    def benchmark_generate(self, prompt: str, generate_length: int) -> str:
        """A text of so many tokens, after a warm-up of one step."""
        ids = self._small.ids(prompt, self._runtime.vocab_size)
        list(self._runtime.generate(ids, 2))
        began, first, tokens = time.perf_counter(), 0.0, []
        for token in self._runtime.generate(ids, generate_length):
            first = first or time.perf_counter()
            tokens.append(token)
        decode_s = time.perf_counter() - first
        # As the original: the first token is counted among those that were decoded.
        self._stats = (len(ids), self._small.counted(first - began), len(tokens), self._small.counted(decode_s))
        return str(self._small.text(tokens))

    def stats(self, verbose: bool = False) -> str:  # noqa: FBT001, FBT002  # the original's
        """The statistics of the last call."""
        prompt_tokens, prefill_s, tokens, decode_s = self._stats
        prefill, decode = prompt_tokens / prefill_s, tokens / decode_s
        if not verbose:
            return f"prefill: {prefill:.1f} tok/s, decode: {decode:.1f} tok/s"
        return (
            f"----------- prefill -----------\nthroughput: {prefill:.3f} tok/s\n"
            f"total tokens: {prompt_tokens} tok\ntotal time: {prefill_s:.3f} s\n"
            f"------------ decode ------------\nthroughput: {decode:.3f} tok/s\n"
            f"total tokens: {tokens} tok\ntotal time: {decode_s:.3f} s\n"
        )
