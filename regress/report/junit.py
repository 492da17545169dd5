"""What all runners delivered as JUnit XML: a test suite per runner, a test case per case and metric."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from regress.redact import struck
from regress.report.finding import findings, stray_findings
from regress.report.markup import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.delivery import Deliveries, State
    from regress.record import Record
    from regress.report.finding import Finding

_ELEMENTS: dict[State, str] = {
    "regressed": "failure",
    "broken": "error",
    "damaged": "error",
    "no data": "error",
    "inconclusive": "skipped",
    "missing": "skipped",
}
"""A case that cannot be told is skipped: it is neither a failure nor a pass."""
_COUNTS = {"failure": "failures", "error": "errors", "skipped": "skipped"}
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(deliveries: Deliveries) -> str:
    """The XML; ends with a newline."""
    suites = ET.Element("testsuites", {"name": "regress"})
    for each in deliveries.runners:
        suites.append(_suite(each.planned.runner, findings(each), each.record))
    if strays := stray_findings(deliveries):
        suites.append(_suite("of no runner", strays, None))
    ET.indent(suites)
    return f"{ET.tostring(suites, encoding='unicode')}\n"


def _suite(name: str, found: Sequence[Finding], record: Record | None) -> ET.Element:
    kinds = [_ELEMENTS.get(each.state) for each in found]
    counts = {count: str(kinds.count(kind)) for kind, count in _COUNTS.items()}
    suite = ET.Element("testsuite", {"name": name, "tests": str(len(found)), **counts})
    if record is not None:
        suite.set("timestamp", record.recorded_at.isoformat())
    suite.extend(_case(name, each) for each in found)
    return suite


def _case(suite: str, found: Finding) -> ET.Element:
    case = ET.Element("testcase", {"classname": f"regress.{suite}", "name": _text(f"{found.subject}: {found.aspect}")})
    kind = _ELEMENTS.get(found.state)
    message = {"type": found.state, "message": _text(plain(f"{found.state}: {found.text}"))} if kind else {}
    said = ET.SubElement(case, kind or "system-out", message)
    said.text = _text(f"{found.text}\n{found.log}" if found.log else found.text)
    return case


def _text(text: str) -> str:
    """What XML can hold of a text."""
    return _NOT_IN_XML.sub("\ufffd", struck(text))
