"""A case's rates and times over all its timed repeats, as benchmarks print them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regress.record import CaseResult


@dataclass(frozen=True, kw_only=True)
class Averages:
    """What a case took on average.

    Attributes:
        runs: Timed repeats, of all replicates.
        prefill_time_s: Mean time of the prompt.
        prefill_tokens_per_s: Its tokens over that time.
        decode_time_s: Mean time of all new tokens.
        decode_tokens_per_s: The new tokens over that time.
        peak_memory_bytes: The most that any replicate held; `None` where it was not measured.
    """

    runs: int
    prefill_time_s: float
    prefill_tokens_per_s: float
    decode_time_s: float
    decode_tokens_per_s: float
    peak_memory_bytes: float | None


def averages_of(case: CaseResult) -> Averages | None:
    """The averages of a case; `None` where it was not measured.

    A rate is the work over the mean time: the mean of rates would count fast runs twice.
    """
    prompt, new = case.workload.prompt_tokens, case.workload.new_tokens
    prefill_times = _times(case, "prefill_tokens_per_s", prompt)
    decode_times = _times(case, "decode_tokens_per_s", new)
    if not prefill_times or not decode_times:
        return None
    prefill_time_s, decode_time_s = statistics.fmean(prefill_times), statistics.fmean(decode_times)
    return Averages(
        runs=len(prefill_times),
        prefill_time_s=prefill_time_s,
        prefill_tokens_per_s=prompt / prefill_time_s,
        decode_time_s=decode_time_s,
        decode_tokens_per_s=new / decode_time_s,
        peak_memory_bytes=max(case.values("peak_memory_bytes"), default=None),
    )


def _times(case: CaseResult, metric: str, tokens: int) -> list[float]:
    """Seconds that each timed repeat took, in all replicates."""
    return [tokens / rate for replicate in case.replicates for rate in replicate.samples.get(metric, ())]
