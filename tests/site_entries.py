"""Small histories for the tests of the site, and the steps from an entry to a page."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factories import CASE, NOON, make_case, make_record, make_report, sha

from regress.baseline import Baseline, Session, StoredReference, values_of
from regress.baseline import Case as BaselineCase
from regress.record import digest
from regress.site import Entry
from regress.site.build import _whole
from regress.site.facts import facts, in_order, labels
from regress.site.overview import runner_of
from regress.site.render import Pages
from regress.site.series import series_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.record import CaseResult, Record
    from regress.site.facts import Run
    from regress.site.overview import Runner
    from regress.site.render import Whole
    from regress.site.series import Series
    from regress.verdict import CheckReport

ROOT = Path(__file__).parents[1]
TEMPLATES, ASSETS = ROOT / "templates", ROOT / "site" / "assets"
OTHER = "tiny/q0f16/llvm/p64+16"
HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\'&'
HOSTILE_KEY = "<script>\"'&/<img src=x onerror=alert(1)>/<!--/p1+1"
"""Four parts with markup in them: a stored record cannot have such a key, but a page does not rely on that."""


def entry(record: Record | None = None, report: CheckReport | None = None) -> Entry:
    """A run that nobody judged, or with that report."""
    return Entry(record=record or make_record(), report=report)


def later(days: float, *cases: CaseResult, toolchain: Any = "tvm-0.27.0", **changes: Any) -> Record:  # noqa: ANN401
    """A record so many days after noon of the first."""
    return make_record(*cases, toolchain=toolchain, at=NOON + timedelta(days=days), **changes)


def judged(record: Record, reference: Record | None = None, **how: Any) -> Entry:  # noqa: ANN401
    """A run judged by another, or by the record that a factory makes: 1000 tokens/s prefill and 50 decode."""
    return Entry(record=record, report=make_report(record, reference or make_record(), **how))


def slow(decode: float = 40.0, key: str = CASE) -> CaseResult:
    """A case whose decode rate is that; by default 20 % below what a factory gives."""
    return make_case(key, decode=(decode, decode, decode))


def make_baseline(
    record: Record | None = None,
    *,
    key: str = CASE,
    flags: Mapping[str, str] | None = None,
    tolerance: Mapping[str, float] | None = None,
    reason: str = "wider heads, as agreed",
) -> Baseline:
    """A baseline of one case, with that record for its reference; without a reference for no record."""
    name, quantization, target, workload = key.split("/")
    prompt, _, new = workload.removeprefix("p").partition("+")
    case = BaselineCase(
        model=f"synthetic:{name}",
        name=name,
        quantization=quantization,
        target=target,
        prompt_tokens=int(prompt),
        new_tokens=int(new),
        flags=dict(flags or {}),
        tolerance=dict(tolerance or {}),
        reference=_reference(record, key, reason) if record else None,
    )
    environment = record.environment if record else None
    return Baseline(runner="bench", toolchain="tvm-0.26.0", cases=(case,), environment=environment)


def _reference(record: Record, key: str, reason: str) -> StoredReference:
    result = record.case(key)
    assert result is not None
    assert result.artifact is not None
    session = Session(record=record.id, recorded_at=record.recorded_at, values=values_of(result))
    return StoredReference(
        toolchain=record.toolchain.name,
        toolchain_fingerprint=record.toolchain.fingerprint,
        artifact=sha("artifact"),
        harness=record.harness,
        method=digest(record.method),
        model_digest=result.artifact.model.digest,
        written_on=date(2026, 10, 4),
        reason=reason,
        sessions=(session,),
    )


def runs_of(*entries: Entry) -> list[Run]:
    """The facts of those runs, oldest first."""
    return in_order(facts(each) for each in entries)


def series(*entries: Entry, key: str = CASE, baseline: Baseline | None = None) -> Series:
    """The series of a case over those runs."""
    runs = runs_of(*entries)
    return series_of(runs, key, labels(runs), baseline)


def runner(*entries: Entry, baseline: Baseline | None = None) -> Runner:
    """All of the runner of those runs."""
    return runner_of(runs_of(*entries), baseline)


def whole(*entries: Entry, baselines: Mapping[str, Baseline] | None = None) -> Whole:
    """All of a site of those runs."""
    return _whole(runs_of(*entries), baselines or {})


@cache
def pages(title: str = "Trends") -> Pages:
    """The repository's own templates."""
    return Pages(TEMPLATES, title)
