"""How runners compare: of each model and workload, what every runner last measured in order, and its roofline."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003  # msgspec reads the annotations at run time
from functools import cached_property
from typing import TYPE_CHECKING

from regress.site.facts import DECODE, ENERGY, PEAK_MEMORY, PREFILL, RATES, ROOFLINE, SHOWN, Value
from regress.site.name import SeriesName, tokens
from regress.site.strips import Axis
from regress.verdict import Outcome  # noqa: TC001  # as above

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from regress.site.series import Point, Series

SORTABLE = {"prefill": PREFILL, "decode": DECODE, "roofline": ROOFLINE, "energy": ENERGY, "memory": PEAK_MEMORY}
"""What devices are sorted by, and the metric."""
_WORSE = ("regressed", "broken")


class Device(SeriesName, frozen=True):
    """One case on one runner.

    Attributes:
        name: Name of the device.
        toolchain: Label of the toolchain that the values are of.
        recorded_at: When they were measured.
        values: Metric to its value.
        outcome: What is said of the case now; `None` where it was never judged.
        is_newest: Whether the values are of the newest run of the case, which one that got worse is not.
    """

    name: str
    toolchain: str
    recorded_at: datetime
    values: dict[str, Value]
    outcome: Outcome | None
    is_newest: bool

    @property
    def roofline(self) -> float | None:
        """The decode rate that the device's memory allows, in tokens/s; `None` where that is not known."""
        decode, share = self.values.get(DECODE), self.values.get(ROOFLINE)
        return decode.median / share.median if decode and share else None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A model and a workload on the runners that have it, the fastest decode first."""

    model: str
    workload: str
    devices: tuple[Device, ...]

    @cached_property
    def axes(self) -> dict[str, Axis]:
        """Rate to an axis for all of its values, with the rooflines for decode; without one that nobody has."""
        return {metric: axis for metric in RATES if (axis := self._axis(metric))}

    def _axis(self, metric: str) -> Axis | None:
        values = [value for device in self.devices if (value := device.values.get(metric))]
        if not values:
            return None
        rooflines = [device.roofline for device in self.devices if device.roofline and metric == DECODE]
        return Axis(min(value.low for value in values), max([*rooflines, *(value.high for value in values)]))


def device_of(series: Series) -> Device | None:
    """What a runner last measured of a case and was not worse for; its newest values where all are; `None` without any.

    Of runs that can be compared with the newest one: on the same machine, with the same harness and weights.
    """
    current = series.current
    if not current or series.is_imported:
        return None
    point = next((point for point in reversed(current) if point.outcome not in _WORSE), current[-1])
    return Device(
        runner=series.runner,
        key=series.key,
        name=point.run.environment.device,
        toolchain=point.label,
        recorded_at=point.run.recorded_at,
        values=_values(point),
        outcome=series.outcome,
        is_newest=point.run.id == series.newest.run.id,
    )


def comparisons(devices: Iterable[Device]) -> Iterator[Comparison]:
    """The devices of each model and workload, the models by name, the shortest prompt first."""
    ordered = sorted(devices, key=lambda each: (each.model, tokens(each.workload), -_decode(each), each.runner))
    for (model, workload), found in itertools.groupby(ordered, key=lambda each: (each.model, each.workload)):
        yield Comparison(model=model, workload=workload, devices=tuple(found))


def filters(devices: Sequence[Device]) -> list[tuple[str, str, list[str]]]:
    """Name, label and values of what devices can be chosen by."""
    return [
        ("runner", "Runner", sorted({each.runner for each in devices})),
        ("model", "Model", sorted({each.model for each in devices})),
        ("quantization", "Quantization", sorted({each.quantization for each in devices})),
        ("workload", "Tokens", sorted({each.workload for each in devices}, key=tokens)),
    ]


def _values(point: Point) -> dict[str, Value]:
    return {metric: value for metric in SHOWN if (value := point.value(metric))}


def _decode(device: Device) -> float:
    value = device.values.get(DECODE)
    return value.median if value else 0.0
