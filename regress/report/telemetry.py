"""How a device fared while a case was measured, in a line."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from regress.guard import discards

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from regress.record import CaseResult
    from regress.telemetry import Telemetry

_MHZ = 1e6


def telemetry_line(case: CaseResult) -> str:
    """Clocks, power, heat and company over all kept replicates, and what was discarded; empty where nothing tells."""
    seen = [replicate.telemetry for replicate in case.replicates if replicate.telemetry is not None]
    parts = [*_clocks(seen), *_powers(seen), *_company(seen), *_shares(case)]
    if case.discarded:
        parts.append(discards(case))
    whose = "device" if case.replicates else f"{case.key}: not measured"
    return f"{whose}: {', '.join(parts)}\n" if parts else ""


def _clocks(seen: Sequence[Telemetry]) -> Iterator[str]:
    clocks = [each.clock_hz for each in seen if each.clock_hz is not None]
    if clocks:
        highest = max((each.clock_max_hz or 0.0 for each in seen), default=0.0)
        median = statistics.median(clock.median for clock in clocks)
        of = f" of {highest / _MHZ:,.0f}" if highest else ""
        yield f"clock {median / _MHZ:,.0f}{of} MHz (lowest {min(clock.min for clock in clocks) / _MHZ:,.0f})"


def _powers(seen: Sequence[Telemetry]) -> Iterator[str]:
    powers = [each.power_w for each in seen if each.power_w is not None]
    if powers:
        limit = next((f" of {each.power_limit_w:,.0f}" for each in seen if each.power_limit_w), "")
        yield f"power {statistics.fmean(powers):,.0f}{limit} W"
    heat = [each.temperature_celsius for each in seen if each.temperature_celsius is not None]
    if heat:
        yield f"at most {max(heat):.0f} °C"
    reasons = sorted({reason for each in seen for reason in each.reasons})
    if reasons:
        yield f"clock events {' '.join(reasons)}"


def _company(seen: Sequence[Telemetry]) -> Iterator[str]:
    busy = [(each.others_busy or 0.0) + (each.stolen or 0.0) for each in seen if each.others_busy is not None]
    if busy:
        yield f"others kept up to {max(busy):.1f} processors busy"


def _shares(case: CaseResult) -> Iterator[str]:
    energy, roofline = case.values("energy_per_token_j"), case.values("roofline_fraction")
    if energy:
        yield f"{statistics.median(energy):.3g} J per token"
    if roofline:
        yield f"{statistics.median(roofline):.0%} of the memory roofline"
