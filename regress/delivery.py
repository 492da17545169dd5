"""What the runners of a plan delivered: their newest report each, or why there is none.

Artifacts of other machines are not to be trusted: whatever does not lie where its own content says, does not decode, or
holds what no report can hold is damaged, and said to be so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from regress import errors, inspection
from regress.errors import ConfigError, HistoryError
from regress.history import Entry
from regress.layout import decode_report
from regress.metric import METRICS
from regress.record import decode_record, first_duplicate
from regress.stored import DAMAGED, RunnerName
from regress.verdict import SEVERITY, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regress.layout import Place
    from regress.record import Record
    from regress.verdict import CheckReport

State = Literal[Outcome, "no data", "damaged"]
"""What is said of a runner: the gravest of its verdicts, or that there is none."""

GRAVITY: tuple[State, ...] = (*SEVERITY[:-2], "no data", "damaged", *SEVERITY[-2:])
"""States, the gravest last: a loss that was measured is not hidden by a machine that is away."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A runner that a plan expects a report of; what else stands there is for others.

    Attributes:
        runner: Its nickname.
        baseline: Path of its baseline file in the repository.
        toolchain: Name of the toolchain that its verdicts shall be about; `None` for any.
    """

    runner: RunnerName
    baseline: str
    toolchain: str | None = None


class _Plan(msgspec.Struct, frozen=True):
    include: tuple[Planned, ...]


@dataclass(frozen=True, kw_only=True)
class Damage:
    """A file that says nothing: its name in the folder, and what is wrong with it."""

    name: str
    problem: str


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What one runner delivered.

    Attributes:
        planned: The runner.
        entry: The newest run that was judged; `None` where there is none.
        note: Why there is none; `None` where there is one.
        damaged: Its files that say nothing.
    """

    planned: Planned
    entry: Entry | None
    note: str | None
    damaged: tuple[Damage, ...] = ()

    @property
    def report(self) -> CheckReport | None:
        """Its verdicts."""
        return self.entry.report if self.entry else None

    @property
    def record(self) -> Record | None:
        """What they are about."""
        return self.entry.record if self.entry else None

    @property
    def state(self) -> State:
        """The gravest of all that can be said of it."""
        found: list[State] = ["damaged"] * bool(self.damaged)
        found.append(self.report.outcome if self.report else "no data")
        return max(found, key=GRAVITY.index)

    @property
    def gravity(self) -> int:
        """Its state's place among all states, the gravest last."""
        return GRAVITY.index(self.state)

    @property
    def exit_code(self) -> int:
        """The exit code that says it."""
        if self.report is not None and self.state == self.report.outcome:
            return self.report.exit_code
        return errors.EXIT_HISTORY


@dataclass(frozen=True, kw_only=True)
class Deliveries:
    """What all runners delivered.

    Attributes:
        runners: One entry per runner of the plan, in its order.
        unplanned: Names of the records of runners that nobody planned.
        strays: Files that say nothing and lie with no runner of the plan.
    """

    runners: tuple[Delivery, ...]
    unplanned: tuple[str, ...] = ()
    strays: tuple[Damage, ...] = ()

    @property
    def state(self) -> State:
        """The gravest of all runners'; `no data` where there is none."""
        strays: list[State] = ["damaged"] * bool(self.strays)
        return max([*strays, *(each.state for each in self.runners)], key=GRAVITY.index, default="no data")

    @property
    def gravest(self) -> Delivery | None:
        """The first of the runners that are the worst off; `None` where there is none."""
        return max(self.runners, key=lambda each: each.gravity, default=None)

    @property
    def exit_code(self) -> int:
        """The exit code of the gravest."""
        if self.gravest is None or self.gravest.gravity < GRAVITY.index(self.state):
            return errors.EXIT_HISTORY
        return self.gravest.exit_code


def parse_plan(data: bytes, name: str) -> tuple[Planned, ...]:
    """The runners of a plan, as `regress plan --json` prints it.

    Args:
        data: JSON.
        name: The file's name, for errors.

    Raises:
        ConfigError: It is no plan, expects nothing, or one runner twice.
    """
    try:
        planned = msgspec.json.decode(data, type=_Plan).include
    except DAMAGED as error:
        raise ConfigError(f"{name}: not a plan: {error}", hint="regress plan --json > plan.json") from error
    if not planned:
        raise ConfigError(f"{name}: include: no runner is planned, so nothing could be found missing")
    if (twice := first_duplicate(each.runner for each in planned)) is not None:
        raise ConfigError(f"{name}: include: runner '{twice}' stands twice")
    return planned


def gather(folder: Path, planned: Sequence[Planned] | None) -> Deliveries:
    """What lies in a folder of the history's layout.

    Args:
        folder: The folder; one that is not there is empty.
        planned: Who was to deliver; whoever did where `None`.

    Raises:
        HistoryError: The folder itself cannot be read.
    """
    entries, damaged = _read(folder)
    expected = planned if planned is not None else _as_found(entries, damaged)
    names = {each.runner for each in expected}
    return Deliveries(
        runners=tuple(_delivery(each, entries, damaged) for each in expected),
        unplanned=tuple(_name(each, folder) for each in entries if each.record.runner not in names),
        strays=tuple(each for each in damaged if _folder(each) not in names),
    )


def _as_found(entries: Sequence[Entry], damaged: Sequence[Damage]) -> list[Planned]:
    """The runners that delivered, as a plan would name them."""
    baselines = {each.record.runner: each.report.baseline for each in _in_order(entries) if each.report}
    runners = sorted({*(each.record.runner for each in entries), *(_folder(each) for each in damaged)} - {""})
    return [
        # What a report calls its baseline is a name without a folder.
        Planned(runner=each, baseline=f"baselines/{Path(baselines.get(each, f'{each}.toml')).name}")
        for each in runners
    ]


def _delivery(planned: Planned, entries: Sequence[Entry], damaged: Sequence[Damage]) -> Delivery:
    own = [each for each in _in_order(entries) if each.record.runner == planned.runner]
    judged = [each for each in own if each.report]
    wanted = [each for each in judged if planned.toolchain in (None, each.record.toolchain.name)]
    bad = tuple(each for each in damaged if _folder(each) == planned.runner)
    return Delivery(
        planned=planned,
        entry=wanted[-1] if wanted else None,
        note=None if wanted else _why_nothing(planned, own, judged, bad),
        damaged=bad,
    )


def _why_nothing(planned: Planned, own: Sequence[Entry], judged: Sequence[Entry], bad: Sequence[Damage]) -> str:
    if judged:
        return f"it judged {judged[-1].record.toolchain.name}, and not {planned.toolchain}, which was planned"
    if own:
        return f"it delivered the record {own[-1].record.id} without verdicts: its job ended before it was judged"
    if bad:
        return "nothing arrived that could be used"
    return "nothing arrived: its job did not start, failed before it measured, or was cancelled"


def _in_order(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda each: (each.record.recorded_at, each.record.id))


def _folder(damage: Damage) -> str:
    """The runner in whose folder a file lies; empty where it lies in none."""
    first, slash, _ = damage.name.partition("/")
    return first if slash else ""


def _name(entry: Entry, folder: Path) -> str:
    return entry.path.relative_to(folder).as_posix()


def _read(folder: Path) -> tuple[list[Entry], list[Damage]]:
    """Every run of a folder that can be used, and every file that cannot."""
    found = inspection.contents(folder)
    entries: list[Entry] = []
    damaged = [_damage(each) for each in found.strays]
    for name, place in sorted(found.places.items()):
        try:
            if place.is_import:
                continue  # figures of others, of which no runner is asked
            if not place.is_report:
                entries.append(_entry(folder, place, found.places))
            elif place.record.name not in found.places:
                damaged.append(Damage(name=name, problem="its record did not arrive"))
        except HistoryError as error:  # each file for itself
            damaged.append(_damage(error))
    return entries, damaged


def _damage(error: HistoryError) -> Damage:
    """The file that an error of a history names first."""
    name, _, problem = str(error).partition(": ")
    return Damage(name=name, problem=problem)


def _entry(folder: Path, place: Place, there: Mapping[str, Place]) -> Entry:
    """One run, after a look at all that decides whether it may be shown.

    Raises:
        HistoryError: It cannot be used.
    """
    record = decode_record(inspection.read_checked(folder, place.name), place.name)
    name = place.report.name
    report = decode_report(inspection.read_checked(folder, name), name) if name in there else None
    if report is not None and (problem := _contradiction(record, report)):
        raise HistoryError(f"{name}: {problem}")
    return Entry(path=folder / place.name, record=record, report=report)


def _contradiction(record: Record, report: CheckReport) -> str | None:
    """What verdicts say that cannot be of their record, or cannot be shown; `None` where they are consistent."""
    if report.toolchain != record.toolchain.name:
        return f"toolchain: '{report.toolchain}' is not '{record.toolchain.name}', which the record is of"
    for index, verdict in enumerate(report.verdicts):
        if verdict.metric is not None and verdict.metric not in METRICS:
            return f"verdicts[{index}].metric: unknown metric '{verdict.metric}'"
        spreads = [each for each in (verdict.baseline, verdict.candidate) if each]
        if any(each.median <= 0 or not each.values for each in spreads):
            return f"verdicts[{index}]: a median that is not positive"
    return None
