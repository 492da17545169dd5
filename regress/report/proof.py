"""Drills and calibrations as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.calibration import Calibration
    from regress.fault import Fault


def faults_text(faults: Sequence[Fault]) -> str:
    """One entry per fault, and how many were seen; ends with a newline."""
    lines = [
        line for each in faults for line in (f"{each.found:<10} {each.name}: {each.outcome}", f"{'':10} {each.text}")
    ]
    counts = {found: sum(each.found == found for each in faults) for found in _FOUND}
    end = ", ".join(f"{counts[found]} {words}" for found, words in _FOUND.items() if counts[found])
    return "\n".join([*lines, "", f"drill: {end}"]) + "\n"


_FOUND = {
    "seen": "seen",
    "tolerated": "inside the tolerance",
    "hidden": "hidden by the noise of this machine",
    "green": "NOT SEEN: the gate is green where it must be red",
}


def faults_json(faults: Sequence[Fault]) -> str:
    """The faults as a program reads them; ends with a newline."""
    return msgspec.json.format(msgspec.json.encode(faults), indent=1).decode() + "\n"


def calibration_text(found: Calibration) -> str:
    """What the rule said of identical builds; ends with a newline."""
    if not found.verdicts:
        return "no verdict on identical builds in this history\n"
    lines = [
        f"{found.verdicts} verdicts on identical builds, in {found.reports} checks",
        f"false fails         {found.false_fails} (95 % bound {found.false_fails_bound:.2%})",
        f"  by stored alone   {found.first_fails}, before the reference was measured beside",
        f"false improvements  {found.false_improvements}",
        f"inconclusive        {found.inconclusive} ({found.inconclusive_share:.1%})",
        f"  of these blind    {found.blind}, where the smallest visible loss exceeds the tolerance",
        f"replicates          {found.mean_replicates:.2f} a verdict",
        "p-values below      " + ", ".join(f"{level.level:g}: {level.share:.1%}" for level in found.levels),
    ]
    return "\n".join(lines) + "\n"
