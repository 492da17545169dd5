"""What got worse and when: the verdicts of a runner's checks, gathered into events with a beginning and a state."""

from __future__ import annotations

import hashlib
from datetime import datetime, time, timezone
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from regress.site.facts import Fact
from regress.site.name import SeriesName
from regress.site.series import Point  # noqa: TC001  # msgspec reads the annotations at run time
from regress.site.units import metric_label, utc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from regress.baseline import Baseline, StoredReference
    from regress.site.facts import Case
    from regress.site.series import Series

Kind = Literal["regressed", "broken", "missing"]
State = Literal["open", "fixed", "accepted"]
_BAD: tuple[Kind, ...] = ("regressed", "broken", "missing")


class Event(SeriesName, frozen=True):
    """One case on one runner, or one metric of it, that got worse.

    Attributes:
        metric: The metric; `None` where it is about build, answers or the whole case.
        kind: What happened.
        text: What the check said of it first.
        loss: How much worse it was then, as a fraction; `None` where there is no number.
        first: The first run that had it.
        last: The last run that had it.
        before: The newest run before that was in order; `None` where there is none.
        fixed: The first run after it that was in order again; `None` where there is none.
        accepted: Why the baseline now takes it for its reference; empty where it does not.
        accepted_at: Since when it does, in UTC; `None` where it does not.
    """

    metric: str | None
    kind: Kind
    text: str
    loss: float | None
    first: Point
    last: Point
    before: Point | None
    fixed: Point | None = None
    accepted: str = ""
    accepted_at: datetime | None = None

    @property
    def about(self) -> str:
        """What of the case it is about."""
        return metric_label(self.metric) if self.metric else "whole case"

    @property
    def state(self) -> State:
        """Whether it still is so."""
        return "fixed" if self.fixed else "accepted" if self.accepted else "open"

    @property
    def updated(self) -> datetime:
        """When its state last changed, in UTC: when it was fixed, else accepted, else when it began."""
        if self.fixed:
            return utc(self.fixed.run.recorded_at)
        return self.accepted_at or utc(self.first.run.recorded_at)

    @property
    def name(self) -> str:
        """A name that never changes, for a feed."""
        identity = "/".join([self.runner, self.key, self.metric or self.kind, self.first.run.id])
        return f"urn:sha256:{hashlib.sha256(identity.encode()).hexdigest()}"


def filters(found: Sequence[Event]) -> list[tuple[str, str, list[str]]]:
    """Name, label and values of what events can be chosen by."""
    return [
        ("runner", "Runner", sorted({event.runner for event in found})),
        ("model", "Model", sorted({event.model for event in found})),
        ("quantization", "Quantization", sorted({event.quantization for event in found})),
        ("metric", "Metric", sorted({event.about for event in found})),
        ("kind", "Verdict", list(_BAD)),
    ]


def events(series: Series, baseline: Baseline | None) -> Iterator[Event]:
    """What happened in a series, as the runner's baseline sees it."""
    bad = [_findings(point.case) if point.usual else {} for point in series.points]
    for metric in dict.fromkeys(metric for findings in bad for metric in findings):
        yield from (_accepted(event, baseline) for event in _of_metric(series, bad, metric))


class _Finding(Fact, frozen=True):
    """What one run says of one metric, or of the rest of the case (`None`)."""

    kind: Kind
    text: str
    loss: float | None


_Findings = dict[str | None, _Finding]
"""What is bad in a run: metric to finding, `None` for the rest of the case."""


def _of_metric(series: Series, bad: Sequence[_Findings], metric: str | None) -> list[Event]:
    found: list[Event] = []
    still: dict[Kind, int] = {}
    older: dict[Kind, set[str]] = {}
    for place, (point, findings) in enumerate(zip(series.points, bad, strict=True)):
        finding = findings.get(metric)
        if not point.usual or point.run.imported or not (finding or still):
            continue
        if finding is None:
            for kind, number in list(still.items()):
                # A toolchain of before that is measured again, as references are, was in order all the time.
                began = found[number]
                alike = point.segment == began.first.segment and point.label not in older[kind]
                if alike and _is_in_order(point.case, metric, began):
                    found[number] = replace(began, fixed=point)
                    del still[kind]
        elif finding.kind in still:
            found[still[finding.kind]] = replace(found[still[finding.kind]], last=point)
        else:
            still[finding.kind] = len(found)
            older[finding.kind] = {each.label for each in series.points[:place]} - {point.label}
            before = _last_in_order(series.points[:place], bad, metric) or _reference(series.points, point)
            found.append(_began(series, metric, finding, point, before))
    return found


def _last_in_order(points: Sequence[Point], bad: Sequence[_Findings], metric: str | None) -> Point | None:
    """The newest of those runs that says that all is well; `None` where none does."""
    for place in reversed(range(len(points))):
        point = points[place]
        if point.usual and not point.run.imported and metric not in bad[place] and _is_in_order(point.case, metric):
            return point
    return None


def _reference(points: Sequence[Point], judged: Point) -> Point | None:
    """The run that a run was compared with; `None` where it is not in the series."""
    usual = (point for point in points if point.usual and not point.run.imported)
    earlier = [point for point in usual if point.run.id != judged.run.id and point.case.values]
    in_turn = [point for point in earlier if point.run.id == judged.run.reference_run]
    stored = [
        point
        for point in earlier
        if point.run.toolchain == judged.run.reference and point.run.recorded_at <= judged.run.recorded_at
    ]
    return next(reversed([*stored, *in_turn]), None)


def _began(series: Series, metric: str | None, finding: _Finding, point: Point, before: Point | None) -> Event:
    return Event(
        runner=series.runner,
        key=series.key,
        metric=metric,
        kind=finding.kind,
        text=finding.text,
        loss=finding.loss,
        first=point,
        last=point,
        before=before,
    )


def _findings(case: Case) -> _Findings:
    """What a run says is bad; nearly always nothing."""
    found: _Findings = {}
    if fault := case.fault:
        found[None] = _Finding("broken", f"{fault.stage} failed, {fault.how}: {fault.cause}", None)
    for said in case.said:
        if said.outcome in _BAD:
            found.setdefault(said.metric, _Finding(said.outcome, said.text, said.loss))
    return found


def _is_in_order(case: Case, metric: str | None, event: Event | None = None) -> bool:
    """Whether the run says that all is well, after that event.

    A run that nobody judged only says that the case is measured: it ends what began with a run without values.
    """
    outcomes = [said.outcome for said in case.said if said.metric == metric]
    if metric is not None:
        return any(outcome in ("pass", "improved") for outcome in outcomes)
    if event is not None and event.first.case.values:
        return bool(case.said) and "inconclusive" not in outcomes
    return bool(case.values)


def _accepted(event: Event, baseline: Baseline | None) -> Event:
    asked = next((case for case in baseline.cases if case.key == event.key), None) if baseline else None
    reference = asked.reference if asked else None
    if reference is None or event.kind != "regressed":
        return event
    # Against itself the accepted toolchain passes from then on.
    mended = event.fixed is not None and event.fixed.run.fingerprint != event.last.run.fingerprint
    if mended or reference.toolchain_fingerprint != event.last.run.fingerprint:
        return event
    return replace(event, fixed=None, accepted=reference.reason, accepted_at=_accepted_at(event, reference))


def _accepted_at(event: Event, reference: StoredReference) -> datetime:
    """When a reference was made, of which only the day is known: not before the event, nor before its own last run."""
    day = datetime.combine(reference.written_on, time(tzinfo=timezone.utc))
    return max(day, utc(event.first.run.recorded_at), *(utc(session.recorded_at) for session in reference.sessions))
