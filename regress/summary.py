"""What readings of a device say of the timed passes between them."""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from regress.telemetry import Pass, Range, Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from regress.telemetry import DeviceKind, Reading

T = TypeVar("T")

SHORTEST_DECODE_S = 1.0
"""Decode time below which no energy is given: NVML's counter moves every 20 to 100 ms: 1 s is 10 steps."""


def summary(kind: DeviceKind, readings: Sequence[Reading], passes: Sequence[Pass]) -> Telemetry:
    """What the readings say of the timed passes.

    Args:
        kind: What kind of device they are of.
        readings: In order of time, from before the worker was started until after it ended.
        passes: The timed passes, in order; where there are none, all readings count.
    """
    timed = [reading for reading in readings if _is_timed(reading, passes)]
    around = _around(readings, passes)
    last = timed[-1] if timed else readings[-1] if readings else None
    return _checked(
        device=kind,
        samples=len(timed),
        clock_hz=_range(_known(reading.clock_hz for reading in timed)),
        clock_max_hz=max(_known(reading.clock_max_hz for reading in readings), default=None),
        memory_clock_hz=_median(_known(reading.memory_clock_hz for reading in timed)),
        reasons=_shares([reading.reasons for reading in timed if reading.reasons is not None]),
        violations_s=_differences([reading.violations_s for reading in around]),
        throttles={cause: int(n) for cause, n in _differences([reading.throttles for reading in around]).items()},
        power_w=_mean(_known(reading.power_w for reading in timed)),
        power_limit_w=min(_known(reading.power_limit_w for reading in timed), default=None),
        power_limit_default_w=max(_known(reading.power_limit_default_w for reading in readings), default=None),
        energy_j=_over(_energy(readings), passes),
        temperature_celsius=max(_known(reading.temperature_celsius for reading in timed), default=None),
        peak_memory_bytes=max(_known(reading.memory_own_bytes for reading in readings), default=None),
        memory_others_bytes=max(_known(reading.memory_others_bytes for reading in timed), default=None),
        memory_others_growth_bytes=_growth(readings, timed),
        others=max(_known(reading.others for reading in timed), default=None),
        others_busy=_rate([(reading.at_ns, reading.others_busy_s) for reading in readings], passes),
        stolen=_rate([(reading.at_ns, reading.stolen_s) for reading in readings], passes),
        utilisation=_mean(_known(reading.utilisation for reading in timed)),
        power_mode=last.power_mode if last else None,
        mig=last.mig if last else None,
        unreadable=_unreadable(readings, timed),
    )


def decode_energy_j(readings: Sequence[Reading], passes: Sequence[Pass]) -> float | None:
    """Energy that the device drew while tokens were decoded, in joules; `None` where it is not known.

    A counter moves in steps, so that one pass alone says little: all decode steps of the replicate are summed, and they
    must last `SHORTEST_DECODE_S`.
    """
    decodes = [Pass(each.prefilled_ns, each.prefilled_ns, each.ended_ns) for each in passes]
    if sum(each.ended_ns - each.began_ns for each in decodes) < SHORTEST_DECODE_S * 1e9:
        return None
    energy = _energy(readings)
    parts = [_over(energy, [each]) for each in decodes]
    known = [part for part in parts if part is not None]
    total = sum(known)
    return total if len(known) == len(decodes) and total > 0 else None


def _checked(**said: Any) -> Telemetry:  # noqa: ANN401  # fields of Telemetry, each of its type
    """What a device said, without what cannot be: a record that holds it could not be read again."""
    types = {each.name: each.type for each in msgspec.structs.fields(Telemetry)}
    kept: dict[str, Any] = {}
    impossible: dict[str, str] = {}
    for name, value in said.items():
        try:
            kept[name] = msgspec.convert(msgspec.to_builtins(value), types[name])
        except msgspec.ValidationError as error:  # noqa: PERF203  # two dozen fields, and each may be the one
            impossible[name] = f"impossible: {error}"
    return Telemetry(**{**kept, "unreadable": {**kept["unreadable"], **impossible}})


def _is_timed(reading: Reading, passes: Sequence[Pass]) -> bool:
    return not passes or any(each.began_ns <= reading.at_ns <= each.ended_ns for each in passes)


def _around(readings: Sequence[Reading], passes: Sequence[Pass]) -> Sequence[Reading]:
    """The readings from the last one before the timed passes to the first one after them."""
    if not passes:
        return readings
    moments = [reading.at_ns for reading in readings]
    first = max(0, bisect_right(moments, passes[0].began_ns) - 1)
    return readings[first : bisect_left(moments, passes[-1].ended_ns) + 1]


def _energy(readings: Sequence[Reading]) -> list[tuple[int, float]]:
    """Moments and the energy drawn until then: the counter's, else the sum of the power, by the trapezoid rule.

    A counter that began anew meanwhile, as one does when a driver is loaded again, says nothing.
    """
    counted = [(reading.at_ns, reading.energy_j) for reading in readings if reading.energy_j is not None]
    if counted and all(late >= early for (_, early), (_, late) in pairwise(counted)):
        return counted
    powers = [(reading.at_ns, reading.power_w) for reading in readings if reading.power_w is not None]
    summed, total = [(at, 0.0) for at, _ in powers[:1]], 0.0
    for (before, low), (after, high) in pairwise(powers):
        total += (low + high) / 2 * (after - before) * 1e-9
        summed.append((after, total))
    return summed


def _over(accumulated: Sequence[tuple[int, float]], passes: Sequence[Pass]) -> float | None:
    """How much an accumulated quantity grew from the first pass to the last; `None` without readings around.

    Between two readings it is taken to grow evenly.
    """
    if not accumulated or not passes:
        return None
    began, ended = passes[0].began_ns, passes[-1].ended_ns
    if began < accumulated[0][0] or ended > accumulated[-1][0]:
        return None
    return max(0.0, _at(accumulated, ended) - _at(accumulated, began))


def _at(accumulated: Sequence[tuple[int, float]], moment: int) -> float:
    after = bisect_left([at for at, _ in accumulated], moment)
    (late, high) = accumulated[after]
    (early, low) = accumulated[max(0, after - 1)]
    return high if late == early else low + (high - low) * (moment - early) / (late - early)


def _rate(accumulated: Sequence[tuple[int, float | None]], passes: Sequence[Pass]) -> float | None:
    """Growth per second of accumulated seconds: how many processors were busy."""
    grown = _over([(at, value) for at, value in accumulated if value is not None], passes)
    duration_s = (passes[-1].ended_ns - passes[0].began_ns) * 1e-9 if passes else 0.0
    return None if grown is None or not duration_s else grown / duration_s


def _differences(accumulated: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """How much each counter grew; one that began anew says nothing."""
    if not accumulated:
        return {}
    first, last = accumulated[0], accumulated[-1]
    return {name: last[name] - first[name] for name in sorted(first) if last.get(name, -1) >= first[name]}


def _shares(reasons: Sequence[frozenset[str]]) -> dict[str, float]:
    names = sorted(frozenset[str]().union(*reasons))
    return {name: sum(name in each for each in reasons) / len(reasons) for name in names}


def _growth(readings: Sequence[Reading], timed: Sequence[Reading]) -> int | None:
    """How much more memory others held while it was timed.

    While a worker starts or ends, what is in use and what is told of its own do not always match.
    """
    before = _known(reading.memory_others_bytes for reading in readings[:1])
    meanwhile = _known(reading.memory_others_bytes for reading in timed)
    return max(0, max(meanwhile) - before[0]) if before and meanwhile else None


def _unreadable(readings: Sequence[Reading], timed: Sequence[Reading]) -> dict[str, str]:
    """Why counters could not be read, of the last reading; and that none was taken in time, where it is so."""
    found = dict(readings[-1].unreadable) if readings else {}
    return found if timed else {**found, "samples": "no reading was taken during the timed passes"}


def _known(values: Iterable[T | None]) -> list[T]:
    return [value for value in values if value is not None]


def _range(values: Sequence[float]) -> Range | None:
    if not values:
        return None
    return Range(min=min(values), median=statistics.median(values), max=max(values))


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
