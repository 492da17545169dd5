"""`MLCEngine`: a thread that generates, and a queue by which its tokens come to the caller."""

from __future__ import annotations

import importlib
import os
import queue
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlc_llm.serve.config import EngineConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

END = 3
"""The model says so many tokens, and then that it has ended: who does not want that has to say so."""
WATERMARK = 8
"""Tokens that must fit behind a prompt, else the engine does not begin it, and waits."""


def small_runtime() -> Any:  # noqa: ANN401
    """The module of that name, three folders up."""
    sys.path.append(str(Path(__file__).resolve().parents[3]))
    return importlib.import_module("small_runtime")


@dataclass
class Streamed:
    """What one request got since the last time."""

    delta_token_ids: list[int]
    finish_reason: str | None = None
    request_final_usage: dict[str, Any] | None = None


@dataclass
class RequestStreamOutput:
    """A piece of an answer, as the engine's threads hand it out."""

    request_id: str
    streamed: Streamed

    def unpack(self) -> tuple[str, list[Streamed]]:
        return self.request_id, [self.streamed]


@dataclass
class Usage:
    """The end of an answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    extra: dict[str, Any] | None


@dataclass
class Choice:
    """One of an answer's texts."""

    text: str
    finish_reason: str | None
    index: int = 0


@dataclass
class CompletionResponse:
    """A piece of an answer, as the caller gets it."""

    choices: list[Choice] = field(default_factory=list)
    usage: Usage | None = None


class Completion:
    """`engine.completions`."""

    def __init__(self, engine: MLCEngine) -> None:
        self.engine = engine

    def create(  # noqa: PLR0913  # the original's
        self,
        *,
        prompt: str | list[int],
        model: str | None = None,  # noqa: ARG002  # this one and what follows: taken, and of no effect here
        best_of: int = 1,  # noqa: ARG002
        echo: bool = False,  # noqa: ARG002
        frequency_penalty: float | None = None,  # noqa: ARG002
        presence_penalty: float | None = None,  # noqa: ARG002
        logprobs: int | None = None,  # noqa: ARG002
        logit_bias: dict[int, float] | None = None,  # noqa: ARG002
        max_tokens: int | None = None,
        n: int = 1,  # noqa: ARG002
        seed: int | None = None,  # noqa: ARG002
        stop: str | list[str] | None = None,  # noqa: ARG002
        stream: bool = False,
        stream_options: dict[str, Any] | None = None,
        suffix: str | None = None,  # noqa: ARG002
        temperature: float | None = None,
        top_p: float | None = None,  # noqa: ARG002
        user: str | None = None,  # noqa: ARG002
        response_format: dict[str, Any] | None = None,  # noqa: ARG002
        request_id: str | None = None,
        extra_body: dict[str, Any] | None = None,
    ) -> Iterator[CompletionResponse]:
        """The pieces of an answer."""
        if not stream or not isinstance(prompt, list) or temperature != 0 or max_tokens is None:
            raise NotImplementedError("this stand-in streams the likeliest tokens behind token ids, so many")
        debug = (extra_body or {}).get("debug_config") or {}
        if unknown := debug.keys() - {"ignore_eos", "pinned_system_prompt", "special_request", "disagg_config"}:
            raise ValueError(f"debug_config: {sorted(unknown)}")
        told = bool((stream_options or {}).get("include_usage"))
        wanted = (request_id or "cmpl-0", prompt, max_tokens, bool(debug.get("ignore_eos")))
        return self.engine._generate(wanted, include_usage=told)


class MLCEngine:
    """The model in a thread of its own."""

    def __init__(  # noqa: PLR0913  # the original's
        self,
        model: str,
        device: str = "auto",
        *,
        model_lib: str | None = None,
        mode: str = "local",
        engine_config: EngineConfig | None = None,
        enable_tracing: bool = False,  # noqa: ARG002
    ) -> None:
        if mode not in ("local", "interactive", "server") or model_lib is None:
            raise NotImplementedError("this stand-in compiles nothing by itself")
        self.engine_config = engine_config or EngineConfig()
        self._small = small_runtime()
        # The original's threads do without Python's lock; here they hand it over as soon as they can.
        sys.setswitchinterval(1e-5)
        context = self.engine_config.max_total_sequence_length or 0
        self._runtime = self._small.Runtime(Path(model), Path(model_lib), device, "tensor-cache.json", context)
        self._requests: queue.Queue[Any] = queue.Queue()
        self._handed_out: queue.Queue[list[RequestStreamOutput]] = queue.Queue()
        self._known: list[list[int]] = []
        self._thread = threading.Thread(target=self._background)
        self._thread.start()
        self.completions = Completion(self)

    def terminate(self) -> None:
        """Ends the thread; who leaves it out waits for ever when the interpreter ends."""
        if self._small.fault() == "dies_at_the_end":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self._small.fault() != "stays":
            self._requests.put(None)
        self._thread.join()

    def _background(self) -> None:
        try:
            while (wanted := self._requests.get()) is not None:
                self._answer(*wanted)
        except BaseException:  # noqa: BLE001  # as in the original, nobody is there to catch it
            traceback.print_exc()
            os._exit(70)

    def _answer(self, request_id: str, prompt: list[int], count: int, ignore_eos: bool) -> None:  # noqa: FBT001
        limit = self.engine_config.max_total_sequence_length
        if limit is not None and len(prompt) + WATERMARK > limit:
            return  # and nobody is told
        began, first, tokens = time.perf_counter(), 0.0, 0
        held: list[RequestStreamOutput] = []
        for token in self._runtime.generate(prompt, count):
            if tokens == END and not ignore_eos:
                break
            first, tokens = first or time.perf_counter(), tokens + 1
            held.append(RequestStreamOutput(request_id, Streamed([token])))
            # The original hands out in one piece what came while nobody took it.
            if self._small.fault() != "in_bursts" or tokens % 3 == 0:
                self._handed_out.put(held)
                held = []
        known = self.engine_config.prefix_cache_mode != "disable" and prompt in self._known
        self._known.append(prompt)
        prefilled = 1 if known or self._small.fault() == "cached" else len(prompt)
        counters = self._counters(len(prompt), prefilled, tokens, (first - began, time.perf_counter() - first))
        reason = "length" if tokens == count else "stop"
        usage = {"prompt_tokens": len(prompt), "completion_tokens": tokens, "extra": counters}
        last = [Streamed([], reason), Streamed([], None, usage)]
        self._handed_out.put([*held, *(RequestStreamOutput(request_id, each) for each in last)])

    def _counters(
        self, prompt_tokens: int, prefilled: int, tokens: int, took_s: tuple[float, float]
    ) -> dict[str, float]:
        first_s, rest_s = map(self._small.counted, took_s)
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": tokens,
            "prefill_tokens": prefilled,
            "decode_tokens": tokens - 1,
            "jump_forward_tokens": 0,
            "prefill_tokens_per_s": prefilled / first_s,
            "decode_tokens_per_s": (tokens - 1) / rest_s,
            "end_to_end_latency_s": first_s + rest_s,
            "ttft_s": first_s,
            "inter_token_latency_s": (first_s + rest_s) / tokens,
        }

    def _generate(self, wanted: tuple[Any, ...], *, include_usage: bool) -> Iterator[CompletionResponse]:
        self._requests.put(wanted)
        usage = None
        while usage is None:
            pieces, usage = self._request_stream_callback_impl(self._handed_out.get())
            for piece in pieces:
                text = self._small.text(piece.delta_token_ids)
                if text or piece.finish_reason:
                    yield CompletionResponse([Choice(text, piece.finish_reason)])
        if include_usage:
            yield CompletionResponse(usage=Usage(total_tokens=sum(list(usage.values())[:2]), **usage))

    def _request_stream_callback_impl(
        self, delta_outputs: list[RequestStreamOutput]
    ) -> tuple[list[Streamed], dict[str, Any] | None]:
        """The pieces of an answer, and its end where it is there; called in the caller's thread, by this name."""
        streams = [each.unpack()[1][0] for each in delta_outputs]
        usage = next((each.request_final_usage for each in streams if each.request_final_usage), None)
        return [each for each in streams if each.request_final_usage is None], usage
