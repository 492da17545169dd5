"""What jetson-containers' `benchmark.py` prints at its end: the averages over its runs, two lines per case."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from regress.errors import ConfigError
from regress.foreign.figures import Figures, positive, quoted, require_agreement, tokens
from regress.record import Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAD = re.compile(
    r"AVERAGE OVER (?P<runs>[0-9]+) RUNS"
    # Early versions say no more; later ones `  (input_tokens=16, output_tokens=128)`.
    r"(?:,? +\(?input(?:_tokens)?=(?P<input>[^,\s]+), output(?:_tokens)?=(?P<output>[^,\s:)]+)\)?)?:?"
)
_NUMBER = r"(?P<{}>[^\s,]+|[0-9]+,[0-9]+) "
_LINE = re.compile(
    "prefill_time "
    + _NUMBER.format("prefill_time")
    + r"sec, prefill_rate "
    + _NUMBER.format("prefill_rate")
    + r"tokens/sec, decode_time "
    + _NUMBER.format("decode_time")
    + r"sec, decode_rate "
    + _NUMBER.format("decode_rate")
    + r"tokens/sec"
)


def is_so(text: str) -> bool:
    """Whether a text is such output: its averages are in it, whatever stands around them."""
    return _HEAD.search(text) is not None


def read(text: str, name: str, workload: Workload | None = None) -> Sequence[Figures]:
    """The averages in a text.

    Args:
        text: What was printed.
        name: The file's name, for errors.
        workload: What was asked of the model, for early versions, which do not print it.

    Raises:
        ConfigError: The line that belongs to a head is missing, or a number in it cannot be.
    """
    lines = text.splitlines()
    heads = [(number, head) for number, line in enumerate(lines, start=1) if (head := _HEAD.search(line))]
    return [
        _figures(head, lines[number : number + 1], f"{name}: line {number + 1}", workload) for number, head in heads
    ]


def _figures(head: re.Match[str], following: Sequence[str], where: str, workload: Workload | None) -> Figures:
    found = _LINE.search(following[0]) if following else None
    if found is None:
        raise ConfigError(
            f"{where}: no averages after {quoted(head[0])}",
            hint="expected: NAME: prefill_time T sec, prefill_rate R tokens/sec, decode_time ...",
        )
    asked = _workload(head, where, workload)
    numbers = {key: positive(text, f"{where}: {key}") for key, text in found.groupdict().items()}
    for what, count in (("prefill", asked.prompt_tokens), ("decode", asked.new_tokens)):
        require_agreement(numbers[f"{what}_rate"], count, numbers[f"{what}_time"], f"{where}: {what}_rate")
    return Figures(
        where=where,
        prompt_tokens=asked.prompt_tokens,
        new_tokens=asked.new_tokens,
        values={f"{what}_tokens_per_s": numbers[f"{what}_rate"] for what in ("prefill", "decode")},
        builder="mlc",
        runs=tokens(head["runs"], f"{where}: RUNS"),
        said={"printed": f"{head[0]} {found.string[: found.end()].strip()}"},
    )


def _workload(head: re.Match[str], where: str, given: Workload | None) -> Workload:
    """What was asked of the model: by the head, else by whoever imports it."""
    if head["input"] is not None:
        return Workload(
            prompt_tokens=tokens(head["input"], f"{where}: input"),
            new_tokens=tokens(head["output"], f"{where}: output"),
        )
    if given is None:
        raise ConfigError(
            f"{where}: nothing says how many tokens went in and out", hint="say it: --prompt-tokens N --new-tokens N"
        )
    return given
