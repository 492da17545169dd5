"""What a check would do, as a person reads it at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.metric import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regress.prospect import CaseProspect, Obstacle, Prospect

_STATES = {
    "installed": "installed",
    "broken": "installed, but its check failed; it would be checked again",
    "absent": "not installed; it would be resolved and installed first",
    "image": "an image; it would be pulled where it is not here, and checked first",
    "here": "the Python that is there; it would be checked first",
}
_AGAINST = {
    "stored": "the stored reference of {}",
    "published": "what is published: {}",
    "side_by_side": "{}, measured side by side with it",
    "nothing": "nothing",
}


def prospect_text(prospect: Prospect) -> str:
    """What would be done, then what keeps it from a verdict; ends with a newline."""
    return "".join(f"{line}\n" for line in (*_plan(prospect), "", *_conclusion(prospect)))


def _plan(prospect: Prospect) -> Iterator[str]:
    chosen = prospect.toolchain
    packages = f" of {', '.join(chosen.packages)}" if chosen.packages else ""
    yield f"{prospect.baseline}: would measure {chosen.name} as runner {prospect.runner}, on {prospect.device}"
    yield f"toolchain: {chosen.kind}{packages}; {_STATES[chosen.state]}"
    if prospect.required:
        wanted = ", ".join(f"{key} {value}" for key, value in prospect.required.items())
        yield f"device: {wanted}; replicates measured otherwise are discarded"
    for build in dict.fromkeys(case.build for case in prospect.cases):
        yield f"build: {build}"
    for case in prospect.cases:
        yield from _case_lines(case)


def _case_lines(case: CaseProspect) -> Iterator[str]:
    what = "blocks" if case.against == "side_by_side" else "replicates"
    *looks, last = case.looks
    shown = f"{', '.join(map(str, looks))} or {last}" if looks else str(last)
    yield case.key
    yield f"  {shown} {what}, fresh processes; a change is confirmed with more"
    yield f"  against {_AGAINST[case.against].format(case.reference)}"
    for metric, tolerance in case.tolerances.items():
        known = case.published.get(metric)
        level = f" from {known:,.1f} {METRICS[metric].unit}" if known is not None else ""
        yield f"  {METRICS[metric].label.lower()}: a loss of {tolerance:.1%}{level} passes"
    if case.obstacle:
        yield from _obstacle_lines(case.obstacle, "  ")


def _conclusion(prospect: Prospect) -> Iterator[str]:
    for obstacle in prospect.obstacles:
        yield from _obstacle_lines(obstacle, "")
    held = sum(case.obstacle is not None for case in prospect.cases)
    if prospect.possible:
        yield "could judge here; nothing was measured"
    elif prospect.obstacles or held == len(prospect.cases):
        yield "could not judge here"
    else:
        yield f"could not judge {held} of {len(prospect.cases)} cases here"


def _obstacle_lines(obstacle: Obstacle, indent: str) -> Iterator[str]:
    yield f"{indent}no verdict ({obstacle.reason}): {obstacle.text}"
    if obstacle.hint:
        yield f"{indent}  hint: {obstacle.hint}"
