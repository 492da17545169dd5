"""Times each kernel of a built model through the instrument of TVM's virtual machine.

The virtual machine calls the instrument before and after each call instruction, and both wait for the device, so that
a kernel's time ends where its work does. That costs: the device idles between kernels, and each call carries some
microseconds of the instrument itself. So the same phases are timed without it as well, and neither is ever a rate.

What the KV cache starts inside its own code (append, rotate, attend, merge) is one call of one of its builtins.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from regress.worker.bench_vm import Prompts, answer_of, timed_pass, vocab_size
from regress.worker.stopwatch import Spent, Stopwatch
from regress.worker.vm_model import VmModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from regress.worker.protocol import Channel
    from regress.worker.vm_model import Tokens


class Seen(NamedTuple):
    """One phase under the instrument.

    Attributes:
        duration_s: The whole phase, in seconds.
        calls: Name to what its calls took.
    """

    duration_s: float
    calls: dict[str, Spent]


def main(request: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Profiles the prompt and the decode steps after it.

    Args:
        request: As `bench_vm` takes it; `new_tokens` is how many steps are seen in each repeat.
        channel: For progress.

    Returns:
        `prefill` (the whole prompt) and `decode` (one step), each with `plain_s` and `instrumented_s`, its median
        duration without and with the instrument, and `kernels`.
    """
    prompt_tokens, steps, repeats = request["prompt_tokens"], request["new_tokens"], request["repeats"]
    channel.progress("load")
    model = ProfiledModel(Path(request["artifact"]), request["device"], prompt_tokens + steps)
    prompts = Prompts(request, vocab_size(model))
    prompts.require_known_tokens()
    answer = answer_of(model, prompts[0], steps)
    tokens = [model.to_device([token_id]) for token_id in answer.token_ids[:-1]]
    for index in range(1, request["warmups"]):
        timed_pass(model, model.chunks(prompts[index]), tokens)
    plain = [timed_pass(model, model.chunks(prompts[index]), tokens) for index in range(repeats)]
    model.instrument()
    prefills: list[Seen] = []
    decodes: list[Seen] = []
    for index in range(repeats):
        channel.progress("repeat", index, repeats)
        _profiled_pass(model, model.chunks(prompts[index]), tokens, (prefills, decodes))
    return {
        "prefill": _phase([timing.prefill_s for timing in plain], prefills),
        "decode": _phase([timing.decode_s / steps for timing in plain], decodes),
    }


class ProfiledModel(VmModel):
    """A built model whose calls can be timed one by one; from then on it is slower."""

    def instrument(self) -> None:
        """Begins to time every call."""
        self._stopwatch = Stopwatch(self.device.sync)
        self._vm.set_instrument(self._stopwatch)

    def seen(self, phase: Callable[[], object]) -> Seen:
        """What the calls of a phase take."""
        self._stopwatch.take()
        started = time.perf_counter_ns()
        phase()
        return Seen((time.perf_counter_ns() - started) / 1e9, self._stopwatch.take())


def _profiled_pass(
    model: ProfiledModel, prompt: Sequence[Tokens], tokens: Sequence[Tokens], seen: tuple[list[Seen], list[Seen]]
) -> None:
    """One prompt and the steps after it, each noted with its phase."""
    prefills, decodes = seen
    model.restart()
    prefills.append(model.seen(lambda: model.prefill(prompt)))
    decodes.extend(model.seen(lambda token=token: model.decode(token)) for token in tokens)  # type: ignore[misc]


def _phase(plain_s: Sequence[float], seen: Sequence[Seen]) -> dict[str, Any]:
    names = dict.fromkeys(name for each in seen for name in each.calls)
    kernels = {name: _median([each.calls.get(name, Spent(0, 0.0)) for each in seen]) for name in names}
    total_s = sum(spent.time_s for spent in kernels.values())
    return {
        "plain_s": statistics.median(plain_s),
        "instrumented_s": statistics.median(each.duration_s for each in seen),
        "kernels": [
            {"kernel": name, "calls": spent.calls, "time_s": spent.time_s, "share": spent.time_s / total_s}
            for name, spent in sorted(kernels.items(), key=lambda item: -item[1].time_s)
            if spent.calls
        ],
    }


def _median(spent: Sequence[Spent]) -> Spent:
    return Spent(statistics.median_high(each.calls for each in spent), statistics.median(each.time_s for each in spent))
