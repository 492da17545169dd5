"""JUnit XML, read back by another library's eyes: the standard library's."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from delivered import OTHER, deliver, gathered, judged, slow
from factories import CASE, make_broken, make_record, make_report

from regress.report.junit import junit
from regress.verdict import missing

if TYPE_CHECKING:
    from pathlib import Path


def test_failures_errors_and_what_cannot_be_told_are_kept_apart(tmp_path: Path) -> None:
    """A suite per runner, a case per case and metric."""
    judged(tmp_path, make_record(slow(), make_broken(OTHER), runner="orin"), make_record(runner="orin"))
    record = make_record(runner="unlike")
    deliver(tmp_path, record, make_report(record, record, verdicts=[missing(CASE, "no_reference", "no reference")]))
    (tmp_path / "stray.json").write_text("{")
    root = ET.fromstring(junit(gathered(tmp_path, ["orin", "unlike", "away"])))  # noqa: S314  # our own
    suites = {each.get("name"): each for each in root}
    counts = {
        name: [each.get(key) for key in ("tests", "failures", "errors", "skipped")] for name, each in suites.items()
    }
    assert counts == {
        "orin": ["2", "1", "0", "0"],
        "unlike": ["1", "0", "0", "1"],
        "away": ["1", "0", "1", "0"],
        "of no runner": ["1", "0", "1", "0"],
    }
    failed = suites["orin"].find("testcase/failure")
    assert failed is not None
    assert failed.get("message") == "regressed: decode rate: loss 20.0%, tolerance 5.0%"
    assert [each.get("name") for each in suites["orin"]] == [f"{CASE}: prefill rate", f"{CASE}: decode rate"]


def test_a_broken_case_has_its_log(tmp_path: Path) -> None:
    """As an error, which is no failure."""
    judged(tmp_path, make_record(make_broken(), runner="orin"), make_record(runner="orin"))
    root = ET.fromstring(junit(gathered(tmp_path, ["orin"])))  # noqa: S314  # our own
    error = root.find("testsuite/testcase/error")
    assert error is not None
    assert "Segmentation fault" in (error.text or "")
