"""What the pages need of a run: its record and report without telemetry, tokens and logs.

    files ─► sketch ─► facts ─► pages

Pages over many runs are made of facts; only the page of one run reads its record.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime  # noqa: TC003  # msgspec reads the annotations at run time
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from regress.record import Environment, Stage  # noqa: TC001  # as above
from regress.verdict import SEVERITY, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PREFILL = "prefill_tokens_per_s"
DECODE = "decode_tokens_per_s"
RATES = (PREFILL, DECODE)
PEAK_MEMORY = "peak_memory_bytes"
ENERGY = "energy_per_token_j"
ROOFLINE = "roofline_fraction"
SHOWN = (*RATES, ENERGY, ROOFLINE, PEAK_MEMORY)
"""The metrics that pages over many runs show."""


class Fact(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Immutable, and an array where it is stored: a history has millions. Nothing leads back to what holds it.

    What pages are made of is of this kind, too: a dataclass takes forty times as long to define.
    """


class Value(Fact, frozen=True):
    """A metric of one run: the median of its replicates, the least and the greatest, and how many they are."""

    median: float
    low: float
    high: float
    count: int


def median(values: Sequence[float]) -> float:
    """The median of at least one value; `statistics.median` takes twice as long, and a history has millions."""
    return values[0] if len(values) == 1 else _middle(sorted(values))


def medians(samples: Sequence[Sequence[float]]) -> list[float | None]:
    """The median of each of several lists of values; `None` where there are none."""
    counts = set(map(len, samples))
    if len(counts) != 1:
        return [median(values) if values else None for values in samples]
    count = counts.pop()  # nearly always there is one, and it takes half the time
    if not count:
        return [None] * len(samples)
    ordered = samples if count == 1 else map(sorted, samples)
    after = count // 2
    if count % 2:
        return list(map(itemgetter(after), ordered))
    return [(values[after - 1] + values[after]) / 2 for values in ordered]


def value_of(ordered: Sequence[float]) -> Value:
    """What at least one replicate's values come to, the least first."""
    return Value(median=_middle(ordered), low=ordered[0], high=ordered[-1], count=len(ordered))


def _middle(ordered: Sequence[float]) -> float:
    """The median of values in order."""
    count = len(ordered)
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2


class Said(Fact, frozen=True):
    """What a check said of a case.

    Attributes:
        outcome: The verdict.
        reason: Why, as a code.
        text: Why, as one sentence.
        metric: The metric judged; `None` where it is about the build, the answers or the whole case.
        loss: How much worse the run was, as a fraction; negative is better.
        tolerance: The largest loss that passes, as a fraction.
        visible_loss: The smallest loss that would have been seen, as a fraction.
    """

    outcome: Outcome
    reason: str
    text: str
    metric: str | None
    loss: float | None
    tolerance: float | None
    visible_loss: float | None


class Fault(Fact, frozen=True):
    """Why a case has no numbers: the stage that failed, how its process ended, and the telling line of what it said."""

    stage: Stage
    how: str
    cause: str


class Case(Fact, frozen=True):
    """One case of a run.

    Attributes:
        key: Its key, `<model>/<quantization>/<target>/p<prompt tokens>+<new tokens>`.
        values: Metric to its value; empty, as all that follows but the verdicts is, where the case vanished.
        model_digest: SHA-256 of the model.
        artifact: Digest of what was built; empty where nothing was.
        flags: Build flags that are not the defaults.
        fault: Why there are no numbers; `None` where there are.
        discarded: How many replicates were not kept, and why; empty where all were.
        harness: SHA-256 of the worker that measured; `None` where it is the run's.
        said: The verdicts on it, in the report's order.
    """

    key: str
    values: dict[str, Value] = {}
    model_digest: str = ""
    artifact: str = ""
    flags: dict[str, str] = {}
    fault: Fault | None = None
    discarded: str = ""
    harness: str | None = None
    said: tuple[Said, ...] = ()

    def verdict(self, metric: str) -> Said | None:
        """What was said of that metric; `None` where it was not judged."""
        for said in self.said:  # `next` of a generator takes twice as long, and a history has millions
            if said.metric == metric:
                return said
        return None

    @property
    def outcome(self) -> Outcome | None:
        """The gravest of its verdicts; `None` where it was not judged and is not broken."""
        outcomes = [said.outcome for said in self.said]
        return max(outcomes, key=SEVERITY.index) if outcomes else "broken" if self.fault else None


class Run(Fact, frozen=True):
    """One run.

    Attributes:
        id: Id of its record.
        runner: Nickname of the machine.
        recorded_at: When it started, with its UTC offset.
        toolchain: Name of its toolchain.
        fingerprint: Fingerprint of the toolchain: two of one name are the same only with the same one.
        packages: Name and version of every package of the toolchain.
        environment: The machine.
        harness: SHA-256 of the worker that measures by harness `vm`.
        imported: Where the figures were imported from; empty for a run of our own.
        outcome: The gravest verdict; `None` where it was not judged.
        baseline: Name of the baseline file it was judged by.
        reference: Name of the toolchain it was compared with.
        reference_run: Id of the run it was compared with, where that was measured in turn with it.
    """

    id: str
    runner: str
    recorded_at: datetime
    toolchain: str
    fingerprint: str
    packages: tuple[tuple[str, str], ...]
    environment: Environment
    harness: str
    imported: str = ""
    outcome: Outcome | None = None
    baseline: str | None = None
    reference: str | None = None
    reference_run: str | None = None

    def harness_of(self, case: Case) -> str:
        """SHA-256 of the worker that measured one of its cases."""
        return case.harness or self.harness


class Facts(Fact, frozen=True):
    """A run and what was measured in it.

    Attributes:
        run: The run.
        cases: Its cases in the baseline's order; those that vanished come last.
    """

    run: Run
    cases: tuple[Case, ...]


def in_order(found: Iterable[Facts]) -> list[Facts]:
    """The runs, oldest first; one that another was judged by, measured in turn with it, never behind that one."""
    of_run = {each.run.id: each for each in found}
    runs = [each.run for each in of_run.values()]
    moments, judging = _moments(runs), {run.reference_run for run in runs}
    return [of_run[run.id] for run in sorted(runs, key=lambda run: (moments[run.id], run.id not in judging, run.id))]


def labels(runs: Sequence[Run]) -> dict[tuple[str, str], str]:
    """Name and fingerprint of every toolchain to its label: its name, with the fingerprint where two share it.

    In order of first appearance, those of one moment by the numbers in their names.
    """
    moments = _moments(runs)
    first: dict[tuple[str, str], datetime] = {}
    for run in runs:
        identity = (run.toolchain, run.fingerprint)
        first[identity] = min(moments[run.id], first.get(identity, moments[run.id]))
    identities = sorted(first, key=lambda each: (first[each], numbered(each[0]), each[1]))
    names = Counter(name for name, _ in identities)
    return {
        (name, fingerprint): name if names[name] == 1 else f"{name} ({fingerprint[:8]})"
        for name, fingerprint in identities
    }


def _moments(runs: Sequence[Run]) -> dict[str, datetime]:
    """A run's id to when it was, which for a reference is not after the first run that was judged by it."""
    found = {run.id: run.recorded_at for run in runs}
    for run in runs:
        if run.reference_run in found:
            found[run.reference_run] = min(found[run.reference_run], run.recorded_at)
    return found


def numbered(name: str) -> list[tuple[int, int, str]]:
    """A name as people sort it: `0.9` before `0.26`."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
