"""What the bench worker adds to the rates it reports: its own timed pass beside a bare loop, in one process.

Run by a toolchain's Python: `python bare_loop.py WORKERS REQUEST.json`, where WORKERS is the folder `regress/worker`
and the request is that of `bench_vm`, with `rounds` besides. Prints one JSON object: metric to the seconds of each
pass, `worker` and `bare`.

Both loops use the same library, parameters and KV cache, so that neither is luckier with its memory. Rounds run
worker, bare, bare, worker: a machine that slows down meanwhile slows both alike. As in the worker, choosing the next
token is not timed: the tokens are known and on the device.
"""

# ruff: noqa: SLF001  # the bare loop takes the model apart: what it must not use is the model's own steps

from __future__ import annotations

import importlib
import json
import sys
import time
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Pass = tuple[float, float]
"""Seconds of a prefill, and of all decode steps after it."""


def main() -> None:
    """Runs both loops on a request and prints what they took."""
    workers, request = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    bench_vm = _import_worker(workers, "bench_vm")
    model = bench_vm.VmModel(
        Path(request["artifact"]), request["device"], request["prompt_tokens"] + request["new_tokens"]
    )
    prompt = bench_vm.Prompts(request, bench_vm.vocab_size(model))[0]
    answer = bench_vm.answer_of(model, prompt, request["new_tokens"])
    steps = [model.to_device([token_id]) for token_id in answer.token_ids[:-1]]
    chunks = model.chunks(prompt)
    bare = _BareLoop(model, chunks[0].embedded[-1])
    prompt_ids, step_ids = [tokens.ids for tokens in chunks], [tokens.ids for tokens in steps]
    worker_passes, bare_passes = _alternated(
        request["rounds"],
        lambda: _seconds(bench_vm.timed_pass(model, chunks, steps)),
        lambda: bare.run(prompt_ids, step_ids),
    )
    found = {
        metric: {"worker": [one[index] for one in worker_passes], "bare": [one[index] for one in bare_passes]}
        for index, metric in enumerate(("prefill", "decode"))
    }
    sys.stdout.write(json.dumps(found) + "\n")


def _seconds(timing: Any) -> Pass:  # noqa: ANN401  # the worker's own
    return timing.prefill_s, timing.decode_s


def _import_worker(workers: Path, name: str) -> Any:  # noqa: ANN401
    """A worker's module, imported as `regress/worker/__main__.py` does it."""
    package = types.ModuleType("regress")
    package.__path__ = [str(workers.parent)]
    sys.modules["regress"] = package
    return importlib.import_module(f"regress.worker.{name}")


def _alternated(rounds: int, worker: Callable[[], Pass], bare: Callable[[], Pass]) -> tuple[list[Pass], list[Pass]]:
    """The passes of both, two of each per round, after one round that does not count."""
    worker_passes: list[Pass] = []
    bare_passes: list[Pass] = []
    for number in range(rounds + 1):
        first, *middle, last = worker(), bare(), bare(), worker()
        if number:
            worker_passes += [first, last]
            bare_passes += middle
    return worker_passes, bare_passes


class _BareLoop:
    """The library's own functions in a loop, with nothing between them that can be done before it."""

    def __init__(self, model: Any, hidden_size: int) -> None:  # noqa: ANN401
        self._functions = model._embed, model._reshape, model._begin, model._end
        self._prefill, self._decode = model._prefill, model._decode
        self._params, self._cache = model._params, model._cache
        self._restart, self._sync = model.restart, model.device.sync
        self._hidden_size = hidden_size

    def run(self, prompt: list[Any], steps: list[Any]) -> Pass:
        """Seconds of one prefill and of all decode steps, each waited for."""
        self._restart()
        self._sync()
        prefill = self._timed(self._prefill, prompt, sum(ids.shape[0] for ids in prompt))
        return prefill, self._timed(self._decode, steps, 1)

    def _timed(self, function: Any, pieces: list[Any], tokens: int) -> float:  # noqa: ANN401
        shape = importlib.import_module("tvm_ffi").Shape
        embed, reshape, begin, end = self._functions
        params, cache, sync = self._params, self._cache, self._sync
        sequence, count, embedded = shape([0]), shape([tokens]), shape([1, tokens, self._hidden_size])
        started = time.perf_counter()
        for ids in pieces:
            hidden = reshape(embed(ids, params), embedded)
            begin(cache, sequence, count)
            logits = function(hidden, cache, params)[0]  # noqa: F841  # as long alive as whoever reads them needs them
            end(cache)
            sync()
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
