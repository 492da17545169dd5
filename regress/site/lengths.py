"""Rates over the length of the prompt: one model on one runner, with the newest run of each toolchain."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  # msgspec reads the annotations at run time
from typing import TYPE_CHECKING

from regress.site.facts import RATES, Fact, Value
from regress.site.name import SeriesName, tokens
from regress.verdict import Outcome  # noqa: TC001  # as above

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from regress.site.series import Point, Series

MOST_CURVES = 8
"""Toolchains that a page has, the newest ones: one for each colour."""
CHOSEN_CURVES = 4
"""Toolchains that are shown before a visitor chooses others, the newest ones."""


class Length(SeriesName, frozen=True):
    """One length of the prompt, which is a series.

    Attributes:
        prompt_tokens: Tokens of the prompt.
        new_tokens: Tokens generated after it.
        outcome: Broken where its newest run is, else what was said of it last; `None` where it was never judged.
        flags: The build flags of its curves' runs that are not the defaults, as `name=setting`; empty where all are.
    """

    prompt_tokens: int
    new_tokens: int
    outcome: Outcome | None
    flags: str


class Dot(Fact, frozen=True):
    """The newest run of a length with one toolchain: when it was, and metric to rate."""

    recorded_at: datetime
    rates: dict[str, Value]


class Curve(Fact, frozen=True):
    """One toolchain: its label, and what it gave at each length, `None` where it was not measured."""

    label: str
    dots: tuple[Dot | None, ...]


class LengthsName(Fact, frozen=True):
    """Which model, built in which way, on which runner: what the others' pages show of it.

    Attributes:
        runner: Nickname of the machine.
        model: The model's name.
        quantization: The quantization's name.
        target: The target's name.
        device: Name of the device.
    """

    runner: str
    model: str
    quantization: str
    target: str
    device: str

    @property
    def name(self) -> str:
        """Model, quantization and target: what its cases' keys begin with."""
        return f"{self.model}/{self.quantization}/{self.target}"


class Lengths(LengthsName, frozen=True):
    """One model, built in one way, on one runner.

    Attributes:
        lengths: Its lengths, the shortest first.
        curves: Its toolchains on the newest machine, harness and weights, oldest first, the newest `MOST_CURVES`.
        count: How many toolchains there are.
    """

    lengths: tuple[Length, ...]
    curves: tuple[Curve, ...]
    count: int

    @property
    def named(self) -> LengthsName:
        """It without its values."""
        return LengthsName(**{field: getattr(self, field) for field in LengthsName.__struct_fields__})

    @property
    def first_chosen(self) -> int:
        """Place of the first toolchain that is shown before a visitor chooses others."""
        return max(0, len(self.curves) - CHOSEN_CURVES)


def lengths_of(series: Iterable[Series]) -> list[Lengths]:
    """What one runner measured: each model, built in one way, that has more than one length of prompt."""
    groups: dict[str, list[Series]] = {}
    for each in series:
        if each.is_imported:
            continue
        groups.setdefault(each.key.rpartition("/")[0], []).append(each)
    return [
        _lengths(sorted(group, key=lambda each: tokens(each.workload)))
        for group in groups.values()
        if len({tokens(each.workload)[0] for each in group}) > 1
    ]


def _lengths(group: Sequence[Series]) -> Lengths:
    first, comparable = group[0], [each.current for each in group]
    newest = [{point.label: point for point in points} for points in comparable]
    labels = _labels(comparable)
    return Lengths(
        runner=first.runner,
        model=first.model,
        quantization=first.quantization,
        target=first.target,
        device=first.newest.run.environment.device,
        lengths=tuple(_length(each) for each in group),
        curves=tuple(_curve(label, newest) for label in labels[-MOST_CURVES:]),
        count=len(labels),
    )


def _length(series: Series) -> Length:
    prompt, new = tokens(series.workload)
    return Length(
        runner=series.runner,
        key=series.key,
        prompt_tokens=prompt,
        new_tokens=new,
        outcome=series.outcome,
        flags=", ".join(f"{name}={setting}" for name, setting in sorted(series.flags.items())),
    )


def _labels(comparable: Iterable[Sequence[Point]]) -> list[str]:
    """The labels of the toolchains, in order of first appearance."""
    first: dict[str, datetime] = {}
    for points in comparable:
        for point in points:
            first[point.label] = min(point.run.recorded_at, first.get(point.label, point.run.recorded_at))
    return sorted(first, key=first.__getitem__)


def _curve(label: str, newest: Iterable[Mapping[str, Point]]) -> Curve:
    return Curve(label=label, dots=tuple(_dot(each.get(label)) for each in newest))


def _dot(point: Point | None) -> Dot | None:
    if point is None:
        return None
    rates = {metric: value for metric in RATES if (value := point.value(metric))}
    return Dot(recorded_at=point.run.recorded_at, rates=rates)
