"""The doctor's findings as a person reads them at a terminal, and as a program does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.doctor.facts import Finding


def findings_text(findings: Sequence[Finding]) -> str:
    """One line per finding, its remedy below, and how many of each level; ends with a newline."""
    width = max(len(each.name) for each in findings)
    lines = []
    for each in findings:
        lines.append(f"{each.level:<4}  {each.name:<{width}}  {each.text}")
        if each.remedy:
            lines.append(f"{'':{width + 8}}-> {each.remedy}")
    counts = {level: sum(each.level == level for each in findings) for level in ("ok", "warn", "fail")}
    return "\n".join([*lines, "", "doctor: " + ", ".join(f"{count} {level}" for level, count in counts.items())]) + "\n"


def findings_json(findings: Sequence[Finding]) -> str:
    """The findings as a program reads them; ends with a newline."""
    return msgspec.json.format(msgspec.json.encode(findings), indent=1).decode() + "\n"
