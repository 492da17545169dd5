"""All values in one table: that of the series, once each, as CSV and as Parquet."""

from __future__ import annotations

import csv
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from factories import CASE, make_broken, make_environment, make_record
from html_page import read_html
from pyarrow import parquet
from site_entries import OTHER, built, entry, judged, later, slow

from regress.site.index import CSV, PARQUET

if TYPE_CHECKING:
    from pathlib import Path

TWO_RUNNERS = [
    judged(later(1, slow())),
    entry(later(2, make_broken(cause="=1+1, and\nanother line"))),
    entry(make_record(slow(key=OTHER), runner="other", environment=make_environment(device="another"))),
]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return built(tmp_path / "site", TWO_RUNNERS, parquet=True).parent


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_index_is_all_series_one_after_the_other(site: Path) -> None:
    """Each line as in the series' own file, with its runner and case in front."""
    expected = [
        {"runner": path.parent.name, "case": path.stem.replace("~", "/"), **row}
        for path in sorted((site / "series").glob("*/*.csv"))
        for row in rows(path)
    ]
    assert rows(site / CSV) == expected
    assert {(row["runner"], row["case"]) for row in expected} == {("bench", CASE), ("other", OTHER)}
    assert "=1+1" in next(row["failure"] for row in expected if row["failure"])


def test_parquet_says_the_same_with_types(site: Path) -> None:
    found: list[dict[str, Any]] = parquet.read_table(site / PARQUET).to_pylist()
    for row, text in zip(found, rows(site / CSV), strict=True):
        assert row["recorded_at"] == datetime.fromisoformat(text["recorded_at"]).astimezone(timezone.utc)
        assert row["replicates"] == int(text["replicates"])
        for column in ("median", "low", "high", "loss"):
            assert row[column] == (float(text[column]) if text[column] else None)
        for column in ("runner", "case", "run", "toolchain", "flags", "metric", "verdict", "failure"):
            assert (row[column] or "") == text[column]


def test_the_first_page_leads_to_both(site: Path) -> None:
    page = read_html((site / "index.html").read_text(encoding="utf-8"))
    links = {link.get("href"): link.text for link in page.all("a") if "download" in link.attributes}
    own = {f"data/{runner}/index.csv": f"All values of {runner} as CSV" for runner in ("bench", "other")}
    assert links == {CSV: "CSV", PARQUET: "Parquet", **own}


def test_parquet_is_written_where_it_is_asked_for_alone(tmp_path: Path) -> None:
    site = built(tmp_path / "site", TWO_RUNNERS).parent
    assert (site / CSV).is_file()
    assert not (site / PARQUET).exists()
    assert PARQUET not in (site / "index.html").read_text(encoding="utf-8")

    built(tmp_path / "site", None, parquet=True)
    assert (site / PARQUET).is_file()
    assert PARQUET in (site / "index.html").read_text(encoding="utf-8")


def test_an_empty_history_has_an_index_of_its_head_alone(tmp_path: Path) -> None:
    site = built(tmp_path / "site", [], parquet=True).parent
    assert rows(site / CSV) == []
    assert parquet.read_table(site / PARQUET).num_rows == 0


def test_each_runner_has_its_part(site: Path) -> None:
    parts = [rows(site / "data" / runner / "index.csv") for runner in ("bench", "other")]
    assert parts[0] + parts[1] == rows(site / CSV)
