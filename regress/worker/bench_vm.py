"""Measures a built model through TVM's virtual machine: one replicate, in this fresh process.

What is timed is the kernel path: embedding, the model and the wait for the device, for the whole prompt (prefill) and
for each further token (decode). The first pass, which is not timed, chooses the tokens; the timed ones are given them,
already on the device. To choose between two steps would leave the processor's caches, or a GPU's clock, to the host's
work: it took 1 to 2 % of a small model's decode rate. llama.cpp's llama-bench gives random tokens for the same reason;
what is computed does not depend on them. The clock is monotonic.
"""

from __future__ import annotations

import hashlib
import re
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from regress.worker.vm_model import VmModel, logits_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.worker.protocol import Channel
    from regress.worker.vm_model import Tokens


class Answer(NamedTuple):
    """What the model says to a prompt.

    Attributes:
        token_ids: The greedy token after the prompt and after each decode step.
        logits_sha256: Digest of all their logits.
    """

    token_ids: list[int]
    logits_sha256: str


class Timing(NamedTuple):
    """One timed pass, on the monotonic clock that every process of a system shares, in ns.

    Attributes:
        began_ns: The prompt's ids are on the device.
        prefilled_ns: Its logits are there.
        ended_ns: The logits of the last decode step are there.
    """

    began_ns: int
    prefilled_ns: int
    ended_ns: int

    @property
    def prefill_s(self) -> float:
        """The prompt, in seconds."""
        return (self.prefilled_ns - self.began_ns) / 1e9

    @property
    def decode_s(self) -> float:
        """All decode steps, in seconds."""
        return (self.ended_ns - self.prefilled_ns) / 1e9


def main(request: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Measures one replicate.

    Args:
        request: `artifact` (folder), `device` (`cpu` or `cuda`), `prompt_tokens`, `new_tokens`, `warmups`, `repeats`,
            `seed`, and `prompts` (lists of token ids, used in turn) or null for seeded random ones.
        channel: For progress.

    Returns:
        `samples` (metric to one value per repeat), `token_ids` and `logits_sha256` of the first prompt, `passes` (when
        each timed pass began, when its prompt was done and when it ended) and `read_bytes` (of parameters, per token).
    """
    prompt_tokens, new_tokens = request["prompt_tokens"], request["new_tokens"]
    channel.progress("load")
    model = VmModel(Path(request["artifact"]), request["device"], prompt_tokens + new_tokens)
    prompts = Prompts(request, vocab_size(model))
    prompts.require_known_tokens()
    answer = answer_of(model, prompts[0], new_tokens)
    steps = [model.to_device([token_id]) for token_id in answer.token_ids[:-1]]
    for index in range(1, request["warmups"]):
        timed_pass(model, model.chunks(prompts[index]), steps)
    timings: list[Timing] = []
    for index in range(request["repeats"]):
        channel.progress("repeat", index, request["repeats"])
        timings.append(timed_pass(model, model.chunks(prompts[index]), steps))
    return {
        "samples": {**_samples(timings, prompt_tokens, new_tokens), **_memory(request["device"])},
        "token_ids": answer.token_ids,
        "logits_sha256": answer.logits_sha256,
        "passes": [list(timing) for timing in timings],
        "read_bytes": read_bytes(model.metadata["params"]),
    }


def vocab_size(model: VmModel) -> int:
    """Rows of the embedding, from the model's own metadata."""
    embedding = next(param for param in model.metadata["params"] if "embed_tokens" in param["name"])
    return int(embedding["shape"][0])


def read_bytes(params: Sequence[dict[str, Any]]) -> int:
    """Bytes of parameters that a decode step reads.

    All but the embedding table, of which it reads one row; and that one, too, where it is the output layer as well.

    Args:
        params: As the model's metadata lists them: name, shape and dtype of each.
    """
    tied = not any("lm_head" in param["name"] for param in params)
    return sum(_bytes_of(param) for param in params if tied or "embed_tokens" not in param["name"])


def _bytes_of(param: dict[str, Any]) -> int:
    bits = re.search(r"\d+", param["dtype"])
    if bits is None:
        raise ValueError(f"{param['name']}: no size in its dtype '{param['dtype']}'")
    return int(np.prod(param["shape"], dtype=np.int64)) * int(bits.group()) // 8


class Prompts:
    """The prompts of a replicate: the given ones in turn, or seeded random ones, no two alike."""

    def __init__(self, request: dict[str, Any], vocab_size: int) -> None:
        self._given: list[list[int]] | None = request["prompts"]
        self._seed, self._length, self._vocab_size = request["seed"], request["prompt_tokens"], vocab_size

    def require_known_tokens(self) -> None:
        """Raises `ValueError` for a given id outside the vocabulary: the lookup would read beyond its table."""
        highest = max((max(prompt) for prompt in self._given or []), default=0)
        if highest >= self._vocab_size:
            raise ValueError(f"token id {highest} is not below the vocabulary's {self._vocab_size}")

    def __getitem__(self, index: int) -> list[int]:
        if self._given:
            return self._given[index % len(self._given)]
        random = np.random.default_rng([self._seed, self._length, index])
        ids: list[int] = random.integers(0, self._vocab_size, self._length).tolist()
        return ids


def answer_of(model: VmModel, prompt: Sequence[int], new_tokens: int) -> Answer:
    """What the model says in `new_tokens` greedy decode steps after a prompt."""
    digest = hashlib.sha256()
    token_ids: list[int] = []
    model.restart()
    logits = model.prefill(model.chunks(prompt))
    for _ in range(new_tokens):
        logits = model.decode(model.to_device([_choose(logits, token_ids, digest)]))
    _choose(logits, token_ids, digest)
    return Answer(token_ids, digest.hexdigest())


def timed_pass(model: VmModel, prompt: Sequence[Tokens], steps: Sequence[Tokens]) -> Timing:
    """How long a prompt and the decode steps after it take.

    Args:
        model: The model.
        prompt: The prompt's tokens, from `chunks`.
        steps: The token of each decode step.
    """
    model.restart()
    model.device.sync()
    started = time.perf_counter_ns()
    model.prefill(prompt)
    prefilled = time.perf_counter_ns()
    model.decode_all(steps)
    ended = time.perf_counter_ns()
    return Timing(started, prefilled, ended)


def _choose(logits: Any, token_ids: list[int], digest: Any) -> int:  # noqa: ANN401
    """The greedy token, noted together with the logits' bytes.

    Raises:
        ValueError: A logit is no finite number: such a model may be fast, but it answers nothing.
    """
    values = logits_of(logits)
    if not np.isfinite(values).all():
        raise ValueError(f"the logits of token {len(token_ids)} are not finite")
    digest.update(values.tobytes())
    token_ids.append(int(values.argmax()))
    return token_ids[-1]


def _samples(timings: Sequence[Timing], prompt_tokens: int, new_tokens: int) -> dict[str, list[float]]:
    return {
        "prefill_tokens_per_s": [prompt_tokens / timing.prefill_s for timing in timings],
        "decode_tokens_per_s": [new_tokens / timing.decode_s for timing in timings],
        "time_to_first_token_s": [timing.prefill_s for timing in timings],
        "time_per_output_token_s": [timing.decode_s / new_tokens for timing in timings],
    }


def _memory(device: str) -> dict[str, list[int]]:
    """The largest resident size of this process; the kernel counts in KiB, macOS in bytes.

    Where a GPU computes, the memory that counts is its own: the orchestrator asks the driver for it.
    """
    if device != "cpu":
        return {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"peak_memory_bytes": [peak if sys.platform == "darwin" else peak * 1024]}
