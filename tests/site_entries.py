"""Small histories for the tests of the site, and the steps from an entry to a page."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factories import CASE, NOON, make_case, make_record, make_report, sha

from regress.baseline import Baseline, Session, StoredReference, values_of
from regress.baseline import Case as BaselineCase
from regress.history import REPORT_SUFFIX
from regress.imported import Imported
from regress.record import digest, encode
from regress.site.build import _whole, build
from regress.site.chapter import Chapter
from regress.site.extract import extract
from regress.site.facts import in_order
from regress.site.index import CSV
from regress.site.overview import view_of
from regress.site.render import Pages
from regress.site.run import RunPage, run_page
from regress.site.sketch import sketch, sketch_import

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regress.errors import HistoryError
    from regress.record import CaseResult, Record
    from regress.site.facts import Facts
    from regress.site.overview import Runner, View
    from regress.site.render import Whole
    from regress.site.series import Series
    from regress.verdict import CheckReport

ROOT = Path(__file__).parents[1]
TEMPLATES, ASSETS = ROOT / "templates", ROOT / "site" / "assets"
OTHER = "tiny/q0f16/llvm/p64+16"
HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\'&'
HOSTILE_KEY = "<script>\"'&/<img src=x onerror=alert(1)>/<!--/p1+1"
"""Four parts with markup in them: a stored record cannot have such a key, but a page does not rely on that."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run as it stands in a history: its record, and the report on it where it was judged."""

    record: Record
    report: CheckReport | None


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


def facts(each: Entry | Imported) -> Facts:
    """What the site reads of the run or the import, from what would stand in its files."""
    if isinstance(each, Imported):
        return sketch_import(encode(each), "import.json")
    report = encode(each.report) if each.report else None
    return sketch(encode(each.record), report, "record.json", f"record{REPORT_SUFFIX}")


def run_page_of(each: Entry, asked: Mapping[str, Sequence[str]] | None = None) -> RunPage:
    """What the page of the run shows, from what would stand in its files, beside baselines with those cases."""
    return run_page(extract(encode(each.record), "record.json"), each.report, asked or {})


def runs_of(*entries: Entry | Imported) -> list[Facts]:
    """The facts of those runs, oldest first."""
    return in_order(facts(each) for each in entries)


def view(*entries: Entry | Imported, baseline: Baseline | None = None) -> View:
    """All that is shown of the runner of those runs."""
    return view_of(runs_of(*entries), baseline)


def series(*entries: Entry | Imported, key: str = CASE, baseline: Baseline | None = None) -> Series:
    """The series of a case over those runs."""
    return next(each for each in view(*entries, baseline=baseline).series if each.key == key)


def runner(*entries: Entry | Imported, baseline: Baseline | None = None) -> Runner:
    """What the pages over all runners show of the runner of those runs."""
    return view(*entries, baseline=baseline).runner


def whole(*entries: Entry, baselines: Mapping[str, Baseline] | None = None) -> Whole:
    """All of a site of those runs."""
    names = sorted({each.record.runner for each in entries})
    runners = [
        runner(*(each for each in entries if each.record.runner == name), baseline=(baselines or {}).get(name))
        for name in names
    ]
    return _whole([Chapter(of="", made={}, runner=each, section="", items={}, unusable=()) for each in runners], (CSV,))


def store(entries: Sequence[Entry], folder: Path) -> Path:
    """The folder with those runs in it and nothing else, as a history has them; their files are called by number."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, each in enumerate(entries):
        path = folder / each.record.runner / "2026" / "10" / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(each.record))
        if each.report:
            path.with_name(f"{number}{REPORT_SUFFIX}").write_bytes(encode(each.report))
    return folder


def refuse(error: HistoryError) -> None:
    """For a history in which all is in order."""
    raise error


def built(  # noqa: PLR0913  # what a site is made of
    destination: Path,
    entries: Sequence[Entry] | None,
    *,
    title: str = "Trends",
    templates: Path = TEMPLATES,
    assets: Path = ASSETS,
    baselines: Mapping[str, Baseline] | None = None,
    parquet: bool = False,
) -> Path:
    """The `index.html` of a site of those runs, or of those of before; history and cache lie beside it."""
    records = destination.with_name(f"{destination.name}-history")
    return build(
        records if entries is None else store(entries, records),
        destination,
        title=title,
        templates=templates,
        assets=assets,
        cache=destination.with_name(f"{destination.name}-cache"),
        baselines=baselines,
        parquet=parquet,
        on_bad=refuse,
    )


@cache
def pages(title: str = "Trends") -> Pages:
    """The repository's own templates."""
    return Pages(TEMPLATES, title)
