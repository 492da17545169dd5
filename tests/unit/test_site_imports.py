"""Imported figures on the site: points of a trace of their own, which nothing is judged by."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from factories import CASE, NOON, make_broken, make_case, make_import, make_record
from html_page import read_html
from site_entries import built, entry, judged, later, make_baseline, pages, runner, series, slow, store, view

from regress import history
from regress.errors import HistoryError
from regress.record import encode
from regress.site.audit import Audit
from regress.site.payload import payload
from regress.site.sketch import sketch_import
from regress.site.svg import chart
from regress.site.table import lines

if TYPE_CHECKING:
    from pathlib import Path

    from regress.imported import Imported

DECODE = "decode_tokens_per_s"
AFTER = make_import(at=NOON + timedelta(days=9))
"""Imported figures that are newer than all runs."""


def test_an_import_is_a_point_of_a_trace_of_its_own() -> None:
    found = series(make_import(at=NOON - timedelta(days=9)), entry(), entry(later(1)))
    assert [bool(point.run.imported) for point in found.points] == [True, False, False]
    assert [found.trace(point) for point in found.points] == [0, 1, 1]
    assert found.traces[0] == "imported, NVIDIA Jetson AGX Orin"
    value = found.points[0].value(DECODE)
    assert value is not None
    assert (value.median, value.low, value.high, value.count) == (45.0, 45.0, 45.0, 1)


def test_imports_of_one_device_are_one_trace_whatever_was_measured() -> None:
    """Two toolchains and two files are two points, not two machines."""
    found = series(make_import(), make_import(46.0, at=NOON + timedelta(days=1), toolchain="mlc-2024"))
    assert found.traces == ("imported, NVIDIA Jetson AGX Orin",)
    assert found.is_imported


def test_a_newer_import_moves_nothing_that_was_measured() -> None:
    """Newest run, verdict, band and comparable runs are those of before."""
    record = make_record()
    runs = [entry(record), judged(later(1, slow()))]
    without, with_import = (series(*runs, *more, baseline=make_baseline(record)) for more in ((), (AFTER,)))
    assert with_import.newest == without.newest
    assert with_import.outcome == without.outcome == "regressed"
    assert with_import.bands == without.bands != {}
    assert with_import.current == without.current


def test_imports_do_not_stand_in_for_runs_that_broke() -> None:
    """The case is broken, and has no step and nothing to be compared with."""
    levels = [40.0] * 6 + [80.0] * 6
    found = [make_import(level, at=NOON + timedelta(days=day)) for day, level in enumerate(levels)]
    shown = series(*found, entry(make_record(make_broken())))
    assert (shown.outcome, shown.current, shown.steps) == ("broken", (), ())


def test_a_newer_import_is_no_bump_no_event_and_no_run() -> None:
    runs = [entry(), judged(later(1, slow()))]
    without, with_import = runner(*runs), runner(*runs, AFTER)
    for field in ("newest", "count", "judged", "good", "bump", "events", "choices", "devices", "lengths"):
        assert getattr(with_import, field) == getattr(without, field), field
    first = runner(make_import(at=NOON - timedelta(days=9)), entry())
    assert first.bump is None
    assert first.count == 1


def test_an_import_neither_begins_nor_ends_what_got_worse() -> None:
    """The first build of our own may break after others' figures were imported: those are no run that was in order."""
    before, broken = make_import(at=NOON - timedelta(days=9)), judged(later(1, make_broken(), toolchain="b"))

    (bad,) = runner(before, broken).events
    (still,) = runner(before, broken, AFTER).events
    (mended,) = runner(before, broken, judged(later(2, toolchain="c"))).events

    assert (bad.before, bad.state, still.state) == (None, "open", "open")
    assert mended.fixed is not None
    assert (mended.state, mended.fixed.label) == ("fixed", "c")


def test_a_build_that_broke_before_all_others_is_with_the_first_that_did_not() -> None:
    found = series(make_import(at=NOON - timedelta(days=9)), entry(make_record(make_broken())), entry(later(1)))

    assert [point.segment for point in found.points] == [0, 1, 1]


def test_imports_alone_are_shown_and_nothing_is_said_of_them() -> None:
    """No verdict, no step, no page of a run, no place among devices."""
    levels = [40.0] * 6 + [80.0] * 6
    found = [make_import(level, at=NOON + timedelta(days=day)) for day, level in enumerate(levels)]
    shown = view(*found)
    assert (shown.runner.count, shown.runner.judged, shown.runner.choices) == (0, None, ())
    assert (shown.runner.devices, shown.runner.lengths, shown.runner.events) == ((), (), ())
    assert shown.series[0].steps == ()
    assert shown.series[0].outcome is None


def test_the_chart_tells_imports_apart() -> None:
    """In the script's data by their source, in the drawing as a ring."""
    found = series(make_import(at=NOON - timedelta(days=1)), entry())
    data = json.loads(payload(found, ()).decode().partition("(")[2].rpartition(")")[0])
    assert data["imported"] == [[0, "table.csv, row 1 (benchmark.py csv), average of 10 runs"]]
    drawing = str(chart(found, DECODE, "x"))
    assert drawing.count(" other") == 1
    assert "imported from table.csv, row 1" in drawing


def test_the_page_says_where_they_come_from() -> None:
    """In the row's verdict; a name with markup in it is text."""
    source = AFTER.source
    hostile = make_import(source=type(source)(file="<b>&.csv", sha256=source.sha256, format=source.format, row=2))
    text = pages().series(series(hostile, entry(later(1))), [], [], frozenset())
    page = read_html(text)
    assert "imported, not judged" in page.text
    assert "<b>&.csv, row 2 (benchmark.py csv)" in page.text
    assert "<b>&" not in text
    assert "<strong>45.00</strong>" in text
    assert "45.00\N{EN DASH}45.00" not in text  # no range of one sample


def test_the_table_of_all_values_names_them() -> None:
    """One sample, and `imported` in place of a harness."""
    rows = [line.split(",") for line in lines(series(make_import()))]
    assert [(row[5], row[6], row[7], row[10]) for row in rows] == [
        ("imported", "prefill_tokens_per_s", "900.0", "1"),
        ("imported", DECODE, "45.0", "1"),
    ]


def test_a_site_is_built_of_both_and_of_imports_alone(tmp_path: Path) -> None:
    """Every link of it leads somewhere, and a second build changes nothing."""
    records = store([entry(), judged(later(1, make_case(decode=(40.0, 40.0, 40.0))))], tmp_path / "site-history")
    for imported in (make_import(), AFTER, make_import(runner="orin")):
        history.append_import(imported, records)
    index = built(tmp_path / "site", None)
    assert list(Audit(index.parent).problems()) == []
    text = index.read_text(encoding="utf-8")
    assert "Nothing was measured here yet; what is shown was imported." in text
    assert (index.parent / "series" / "orin" / f"{CASE.replace('/', '~')}.html").exists()
    before = {path: path.stat().st_mtime_ns for path in index.parent.rglob("*")}
    built(tmp_path / "site", None)
    assert {path: path.stat().st_mtime_ns for path in index.parent.rglob("*")} == before


@pytest.mark.parametrize("data", [b"{", b"{}", encode(make_record()), encode(AFTER).replace(b"45.0", b"0.0")])
def test_a_damaged_import_is_named(data: bytes) -> None:
    with pytest.raises(HistoryError, match=r"^x\.import\.json: "):
        sketch_import(data, "x.import.json")


def test_what_an_import_says_is_what_it_is_called_by() -> None:
    """Another value, runner or device is another import; another file with the same row is not."""

    def ids(*made: Imported) -> set[str]:
        return {each.id for each in made}

    first = make_import()
    assert len(ids(first, make_import(46.0), make_import(runner="x"), make_import(device="y"))) == 4
    grown = type(first.source)(file="grown.csv", sha256="0" * 64, format="benchmark.py csv", row=7)
    assert ids(first) == ids(make_import(source=grown))
