"""What the harnesses of MLC-LLM make of a pass's times, and of the process that took them.

`bench_vm` has its own of these: its source is its identity, by which stored references of before still hold.
"""

from __future__ import annotations

import resource
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARE, SLACK_S = 0.1, 0.005
"""What our clock and the counters of others may differ by: a call does more than it counts, and Python's threads wait
for each other for up to 5 ms (`sys.getswitchinterval`)."""


class Times(NamedTuple):
    """How long the two parts of a pass took, in seconds."""

    prefill_s: float
    decode_s: float


def samples(taken: Sequence[Times], prompt_tokens: int, new_tokens: int, device: str) -> dict[str, list[float]]:
    """Metric to its value in each pass, and to the memory of this process where the processor is what computes.

    Args:
        taken: Each pass.
        prompt_tokens: Tokens of the prompt.
        new_tokens: Decode steps.
        device: `cpu` or `cuda`.
    """
    found = {
        "prefill_tokens_per_s": [prompt_tokens / each.prefill_s for each in taken],
        "decode_tokens_per_s": [new_tokens / each.decode_s for each in taken],
        "time_to_first_token_s": [each.prefill_s for each in taken],
        "time_per_output_token_s": [each.decode_s / new_tokens for each in taken],
    }
    return {**found, "peak_memory_bytes": [peak_memory_bytes()]} if device == "cpu" else found


def peak_memory_bytes() -> float:
    """The largest resident size of this process; the kernel counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)


def differ(one_s: float, other_s: float) -> bool:
    """Whether two measurements of one span are further apart than a share of the longer and a slack, or no numbers."""
    return not abs(one_s - other_s) <= SLACK_S + SHARE * max(one_s, other_s)
