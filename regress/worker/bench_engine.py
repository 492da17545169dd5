"""Measures a built model through MLC-LLM's `MLCEngine`: one replicate, in this fresh process.

What is timed is what the engine's user waits for: from the request to the first token (queue, threads and prefill), and
from there to the last token (decode, sampling and text). The prompt is given as token ids, the prefix cache is off, the
end-of-sequence token is ignored, and the likeliest token is taken. One token more than `new_tokens` is asked for: the
first comes of the prompt, and each of the others of one decode step, as in harness `vm`.

The clock is ours, and read where the engine hands its tokens to Python. The engine has counters of its own: where both
do not say the same, nothing was measured.
"""

from __future__ import annotations

import importlib
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from regress.worker import mlc_era, mlc_folder, rates
from regress.worker.bench_vm import Prompts, read_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.worker.protocol import Channel
    from regress.worker.rates import Times

_HOOK = "_request_stream_callback_impl"
"""What the engine calls in the caller's thread with each piece of an answer, since 2024-04."""
_ROOM = 64
"""Tokens that the KV cache holds besides: the engine begins no prompt behind which eight more tokens, or a page, do not
fit (`HasPrefillSpace` in cpp/serve), and says nothing then."""


class Answered(NamedTuple):
    """One answer of the engine.

    Attributes:
        began_ns: When it was asked, on the monotonic clock that every process of a system shares.
        prefilled_ns: When the first token was there.
        ended_ns: When the last one was.
        token_ids: All of them.
        counters: What the engine counted of it.
    """

    began_ns: int
    prefilled_ns: int
    ended_ns: int
    token_ids: list[int]
    counters: dict[str, Any]

    @property
    def times(self) -> Times:
        """By our clock."""
        return rates.Times((self.prefilled_ns - self.began_ns) / 1e9, (self.ended_ns - self.prefilled_ns) / 1e9)

    @property
    def counted(self) -> Times:
        """By the engine's."""
        first_s, whole_s = float(self.counters["ttft_s"]), float(self.counters["end_to_end_latency_s"])
        return rates.Times(first_s, whole_s - first_s)


def main(request: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Measures one replicate.

    Args:
        request: As `bench_vm` takes it, and `scratch` (existing folder).
        channel: For progress.

    Returns:
        What `bench_vm` returns, without the digest of logits: the engine tells none.
    """
    engine_class = _engine_class(mlc_era.package())
    folder = mlc_folder.lay_out(Path(request["artifact"]), Path(request["scratch"]))
    channel.progress("load the engine")
    engine = engine_class(
        str(folder),
        request["device"],
        model_lib=str(folder / "lib.so"),
        mode="local",
        engine_config=_engine_config(request, mlc_folder.chat_config(folder)),
    )
    try:
        return _measured(Asker(engine), request, folder, channel)
    finally:
        channel.progress("end the engine")
        engine.terminate()


def _engine_class(package: Path) -> Any:  # noqa: ANN401
    """`MLCEngine` of the toolchain.

    Raises:
        RuntimeError: It has none, by its files.
    """
    if not (package / "serve" / "engine.py").is_file():
        raise RuntimeError("this toolchain's MLC-LLM is of before MLCEngine: harness 'chat' drives its ChatModule")
    return importlib.import_module("mlc_llm").MLCEngine


def _engine_config(request: dict[str, Any], chat: dict[str, Any]) -> Any:  # noqa: ANN401
    """One sequence, as long as is asked for, and no cache between prompts."""
    return importlib.import_module("mlc_llm.serve.config").EngineConfig(
        max_num_sequence=1,
        max_total_sequence_length=request["prompt_tokens"] + request["new_tokens"] + 1 + _ROOM,
        prefill_chunk_size=int(chat["prefill_chunk_size"]),
        prefix_cache_mode="disable",
        verbose=False,
    )


def _measured(asker: Asker, request: dict[str, Any], folder: Path, channel: Channel) -> dict[str, Any]:
    prompt_tokens, new_tokens = request["prompt_tokens"], request["new_tokens"]
    prompts = Prompts(request, int(mlc_folder.chat_config(folder)["vocab_size"]))
    prompts.require_known_tokens()
    count = request["warmups"] + request["repeats"]
    answers: list[Answered] = []
    for index in range(count):
        channel.progress("wait for the engine's answer", index, count)
        # As in harness `vm`: the first timed prompt is the one that is answered first.
        number = index if index < request["warmups"] else index - request["warmups"]
        answers.append(asker.ask(prompts[number], new_tokens + 1))
    timed = answers[request["warmups"] :]
    _require_one_clock(timed)
    return {
        "samples": rates.samples([each.times for each in timed], prompt_tokens, new_tokens, request["device"]),
        "token_ids": answers[0].token_ids,
        "passes": [[each.began_ns, each.prefilled_ns, each.ended_ns] for each in timed],
        "read_bytes": read_bytes(mlc_folder.parameters(folder)),
    }


class Asker:
    """An engine whose tokens are noted as they come.

    Raises:
        RuntimeError: It hands them out in another way than those that are known.
    """

    def __init__(self, engine: Any) -> None:  # noqa: ANN401
        hand_out = getattr(engine, _HOOK, None)
        if hand_out is None:
            raise RuntimeError(f"this toolchain's MLCEngine has no {_HOOK}: its tokens cannot be timed")
        self._engine = engine
        self._came: list[tuple[int, Any]] = []

        def noted(deltas: Any) -> Any:  # noqa: ANN401
            self._came.append((time.perf_counter_ns(), deltas))
            return hand_out(deltas)

        setattr(engine, _HOOK, noted)

    def ask(self, prompt: Sequence[int], count: int) -> Answered:
        """The engine's answer to a prompt, in so many tokens.

        Raises:
            RuntimeError: It generated another number of tokens, or all at once; it tells no counters, or took a part of
                the prompt from a cache.
        """
        self._came.clear()
        began_ns, usage = time.perf_counter_ns(), None
        for response in self._engine.completions.create(
            prompt=list(prompt),
            max_tokens=count,
            temperature=0.0,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"debug_config": {"ignore_eos": True}},
        ):
            usage = response.usage or usage
        pieces = [(at_ns, ids) for at_ns, deltas in self._came for ids in map(_token_ids, deltas) if ids]
        token_ids = [token_id for _, ids in pieces for token_id in ids]
        _require_whole(token_ids, count, [at_ns for at_ns, ids in pieces for _ in ids])
        counters = dict(getattr(usage, "extra", None) or {})
        _require_prefilled(counters, len(prompt))
        return Answered(began_ns, pieces[0][0], pieces[-1][0], token_ids, counters)


def _token_ids(delta: Any) -> list[int]:  # noqa: ANN401
    """The tokens in one piece of an answer."""
    _, streams = delta.unpack()
    return [int(token_id) for token_id in streams[0].delta_token_ids]


def _require_whole(token_ids: Sequence[int], count: int, arrivals_ns: Sequence[int]) -> None:
    if len(token_ids) != count:
        raise RuntimeError(f"the engine generated {len(token_ids)} tokens, where {count} were asked for")
    # The engine hands out in one piece whatever came while Python was busy.
    if first := arrivals_ns[1:].count(arrivals_ns[0]):
        raise RuntimeError(
            f"the engine handed out {first + 1} tokens at once, the first among them: "
            "its prefill cannot be told from its decode"
        )


def _require_prefilled(counters: dict[str, Any], prompt_tokens: int) -> None:
    missing = {"prefill_tokens", "ttft_s", "end_to_end_latency_s"} - counters.keys()
    if missing:
        raise RuntimeError(f"the engine's answer ends without its counter {min(missing)}")
    if counters["prefill_tokens"] != prompt_tokens:
        raise RuntimeError(
            f"the engine prefilled {counters['prefill_tokens']:g} of the prompt's {prompt_tokens} tokens: "
            "the others came from a cache"
        )


def _require_one_clock(answers: Sequence[Answered]) -> None:
    """Raises `RuntimeError` where the medians of our clock and of the engine's counters differ."""
    for part in rates.Times._fields:
        clock_s = statistics.median(getattr(each.times, part) for each in answers)
        counted_s = statistics.median(getattr(each.counted, part) for each in answers)
        if rates.differ(clock_s, counted_s):
            what = part.removesuffix("_s")
            raise RuntimeError(
                f"the engine's counters say that its {what} took {counted_s:.4f} s, our clock says {clock_s:.4f} s"
            )
