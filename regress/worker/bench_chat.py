"""Measures a built model through `ChatModule`, as MLC-LLM had it until 2024-05: one replicate, in this fresh process.

`benchmark_generate` takes a text, warms up, and generates so many tokens whatever the model says. What took how long
it tells in its statistics alone, so that the rates here are by its counters, and our clock only sees that they can be
true: it times the whole call, and one that ends with the prompt.

The module counts one decode step too many: the first token comes of the prompt. One more token than `new_tokens` is
asked for, so that there are `new_tokens` steps, which is what the rate here is of; its own, as people published it
then, is higher by one step's share.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from regress.worker import mlc_folder, rates

if TYPE_CHECKING:
    from regress.worker.protocol import Channel

_PACKAGES = ("mlc_chat", "mlc_llm")
"""Where the class was: the first until 2024-03, the second after that."""
_WORD = "the"
"""One token of most vocabularies, however often it stands in a row."""
_TRIES = 8
_SHORT_CALLS = 3
"""Calls that end with the prompt: any one may be held up for longer than a whole short answer takes."""


class Said(NamedTuple):
    """The module's statistics of one call.

    Attributes:
        prompt_tokens: Tokens of the prompt.
        prefill_s: What they took, in seconds.
        generated: Tokens generated.
        decode_s: What they took, in seconds.
    """

    prompt_tokens: int
    prefill_s: float
    generated: int
    decode_s: float


class Called(NamedTuple):
    """One call.

    Attributes:
        began_ns: When it began, on the monotonic clock that every process of a system shares.
        ended_ns: When it ended.
        text: What was generated.
        said: Its statistics.
    """

    began_ns: int
    ended_ns: int
    text: str
    said: Said

    @property
    def wall_s(self) -> float:
        """The whole call by our clock, in seconds."""
        return (self.ended_ns - self.began_ns) / 1e9


def main(request: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Measures one replicate.

    Args:
        request: As `bench_vm` takes it, without `prompts`, and `scratch` (existing folder).
        channel: For progress.

    Returns:
        `samples` and `passes` as `bench_vm` returns them, `text_sha256` of the first answer, and `decode_steps`.
    """
    module = _module()
    folder = mlc_folder.lay_out(Path(request["artifact"]), Path(request["scratch"]))
    channel.progress("load the chat module")
    chat = _chat(module, folder, request["device"])
    channel.progress("look for a prompt")
    prompt = _prompt(chat, request["prompt_tokens"])
    count = request["warmups"] + request["repeats"]
    calls: list[Called] = []
    for index in range(count):
        channel.progress("wait for the chat module's answer", index, count)
        calls.append(_call(chat, prompt, request["new_tokens"] + 1))
        _require_asked(calls[-1].said, request)
    timed = calls[request["warmups"] :]
    _require_possible(timed, _short_s(chat, prompt))
    times = [rates.Times(each.said.prefill_s, each.said.decode_s) for each in timed]
    return {
        "samples": rates.samples(times, request["prompt_tokens"], request["new_tokens"], request["device"]),
        "token_ids": [],
        "text_sha256": hashlib.sha256(calls[0].text.encode()).hexdigest(),
        "passes": [[each.began_ns, each.ended_ns - int(each.said.decode_s * 1e9), each.ended_ns] for each in timed],
        "decode_steps": request["new_tokens"],
    }


def _module() -> Any:  # noqa: ANN401
    """The module with the class.

    Raises:
        RuntimeError: The toolchain has none, by its files.
    """
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        if any((Path(folder) / "chat_module.py").is_file() for folder in folders):
            return importlib.import_module(f"{name}.chat_module")
    raise RuntimeError(
        "this toolchain has no ChatModule, in neither mlc_chat nor mlc_llm: harness 'engine' drives what followed it"
    )


def _chat(module: Any, folder: Path, device: str) -> Any:  # noqa: ANN401
    """The model, loaded; the likeliest token is taken."""
    known = inspect.signature(module.ChatModule).parameters
    library = "model_lib_path" if "model_lib_path" in known else "model_lib"
    config = module.ChatConfig(temperature=0.0)
    return module.ChatModule(str(folder), device, config, **{library: str(folder / "lib.so")})


def _prompt(chat: Any, tokens: int) -> str:  # noqa: ANN401
    """A text of that many tokens, by the module's own count.

    Raises:
        RuntimeError: None was found.
    """
    words, counted = tokens, 0
    for _ in range(_TRIES):
        text = " ".join([_WORD] * words)
        counted = _call(chat, text, 1).said.prompt_tokens
        if counted == tokens:
            return text
        words = max(1, words + tokens - counted)
    raise RuntimeError(f"no text of {tokens} tokens was found: '{_WORD}' repeated makes {counted}")


def _call(chat: Any, prompt: str, count: int) -> Called:  # noqa: ANN401
    began_ns = time.perf_counter_ns()
    text = chat.benchmark_generate(prompt, count)
    ended_ns = time.perf_counter_ns()
    return Called(began_ns, ended_ns, str(text), said(str(chat.stats(verbose=True))))


def _short_s(chat: Any, prompt: str) -> float:  # noqa: ANN401
    """What a call takes that ends with the prompt: the median of several, in seconds."""
    return statistics.median(_call(chat, prompt, 1).wall_s for _ in range(_SHORT_CALLS))


_PART = re.compile(r"-+ (prefill|decode) -+\s+throughput: (\S+) tok/s\s+total tokens: (\d+) tok")


def said(text: str) -> Said:
    """The verbose statistics: a part for the prompt and one for what followed, a line for each of their numbers.

    Times are made of the rates, which have more digits than the times printed beside them.

    Raises:
        RuntimeError: They are of another form.
    """
    parts = {name: (float(rate), int(tokens)) for name, rate, tokens in _PART.findall(text)}
    if parts.keys() != {"prefill", "decode"}:
        raise RuntimeError(f"the chat module's statistics are of another form: {text.splitlines()[:1]}")
    (prefill, prompt_tokens), (decode, generated) = parts["prefill"], parts["decode"]
    return Said(
        prompt_tokens,
        prompt_tokens / prefill if prefill else 0.0,
        generated,
        generated / decode if decode else 0.0,
    )


def _require_asked(told: Said, request: dict[str, Any]) -> None:
    for what, got, asked in (
        ("took a prompt of", told.prompt_tokens, request["prompt_tokens"]),
        ("generated", told.generated, request["new_tokens"] + 1),
    ):
        if got != asked:
            raise RuntimeError(f"the chat module {what} {got} tokens, where {asked} were asked for")
    if not (told.prefill_s > 0 and told.decode_s > 0):
        raise RuntimeError(
            f"the chat module's counters say that its prefill took {told.prefill_s:g} s, its decode {told.decode_s:g} s"
        )


def _require_possible(calls: list[Called], short_s: float) -> None:
    """Raises `RuntimeError` where the medians of the module's counters cannot be true by our clock.

    Args:
        calls: The timed ones.
        short_s: What a call takes that ends with the prompt: its warm-up and its prefill.
    """
    prefill_s = statistics.median(each.said.prefill_s for each in calls)
    decode_s = statistics.median(each.said.decode_s for each in calls)
    wall_s = statistics.median(each.wall_s for each in calls)
    if prefill_s > short_s and rates.differ(prefill_s, short_s):
        raise RuntimeError(
            f"the chat module's counters say that its prefill took {prefill_s:.4f} s, our clock says at most "
            f"{short_s:.4f} s"
        )
    if rates.differ(short_s + decode_s, wall_s):
        raise RuntimeError(
            f"the chat module's counters say that its decode took {decode_s:.4f} s, our clock says "
            f"{wall_s - short_s:.4f} s"
        )
