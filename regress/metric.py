"""The metrics a record may hold: their names, units, and which direction is better."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Direction(Enum):
    """Which way a metric improves."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measured quantity.

    Attributes:
        name: Its key in records, baselines and JSON; ends in its base SI unit.
        label: How a page or a table calls it.
        unit: The unit as people write it.
        better: Which direction is better.
    """

    name: str
    label: str
    unit: str
    better: Direction


def _metric(name: str, label: str, unit: str, better: Direction = Direction.LOWER) -> tuple[str, Metric]:
    return name, Metric(name=name, label=label, unit=unit, better=better)


METRICS: dict[str, Metric] = dict(
    (
        _metric("prefill_tokens_per_s", "Prefill rate", "tokens/s", Direction.HIGHER),
        _metric("decode_tokens_per_s", "Decode rate", "tokens/s", Direction.HIGHER),
        _metric("time_to_first_token_s", "Time to first token", "s"),
        _metric("time_per_output_token_s", "Time per output token", "s"),
        _metric("peak_memory_bytes", "Peak memory", "bytes"),
        _metric("model_lib_bytes", "Model library size", "bytes"),
        _metric("param_bytes", "Parameter size", "bytes"),
        _metric("bits_per_param", "Bits per parameter", "bit"),
        _metric("build_duration_s", "Build duration", "s"),
        _metric("energy_per_token_j", "Energy per token", "J"),
        _metric("roofline_fraction", "Share of the memory roofline", "fraction", Direction.HIGHER),
    )
)
