"""A decision as one sentence: loss with its interval, replicates used, and the smallest loss that could be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regress.decision import Decision
    from regress.metric import Metric

_REASONS = {
    "within_tolerance": "",
    "measurably_slower_inside_tolerance": "measurably slower, inside the tolerance: ",
    "slower_than_tolerance": "confirmed slower than the tolerance: ",
    "measurably_slower_tolerance_not_excluded": "confirmed slower, and a loss beyond the tolerance is not excluded: ",
    "faster_than_tolerance": "confirmed faster: ",
    "not_confirmed": "new processes did not show the change again, so the host was disturbed: ",
    "unstable_host": "the replicates scatter more than the baseline's, so the host is disturbed: ",
    "too_noisy": "too noisy to decide: ",
    "undecided": "the budget ended before the interval left the tolerance: ",
    "no_variance": "replicates of one and the same value were not measured apart: ",
    "needs_more_replicates": "not decided yet: ",
}
_NOTHING_COMPUTED = {
    "too_few_baseline_runs": "{n} stored replicates are too few to judge by, 5 are the least",
    "impossible_value": "a value is not a positive finite number",
    "mixed_units": "the values differ by a power of a thousand: are the units the same?",
    "no_variance": "the stored replicates are all of one value: nothing is known of the noise",
}


def sentence(metric: Metric, decision: Decision) -> str:
    """Why the decision is what it is."""
    label = metric.label.lower()
    if decision.loss is None:
        return f"{label}: {_nothing(decision)}"
    return f"{label}: {_REASONS[decision.reason]}{loss_text(decision)}, {_replicates(decision)}{_visible(decision)}"


def _nothing(decision: Decision) -> str:
    known = _NOTHING_COMPUTED.get(decision.reason)
    if known:
        return known.format(n=decision.baseline_replicates)
    return f"{decision.more} more {_unit(decision, decision.more)} needed before a first look"


def loss_text(decision: Decision) -> str:
    """The loss with its interval and the tolerance."""
    loss, low, high = (percent(each or 0.0) for each in (decision.loss, decision.low, decision.high))
    return f"loss {loss} [{low}, {high}], tolerance {percent(decision.tolerance)}"


def percent(fraction: float) -> str:
    """With one digit behind the point, and no minus before a zero."""
    text = f"{fraction:.1%}"
    return "0.0%" if text == "-0.0%" else text


def _replicates(decision: Decision) -> str:
    count = f"{decision.replicates} {_unit(decision, decision.replicates)}"
    again = f" and {decision.confirming} to confirm" if decision.confirming else ""
    against = {
        "two_sample": f" against {decision.baseline_replicates} stored",
        "one_sample": " against a published value whose spread is not known",
        "paired": " side by side",
    }[decision.form]
    return f"{count}{again}{against}"


def _visible(decision: Decision) -> str:
    seen = "" if decision.visible_loss is None else f", smallest visible loss {decision.visible_loss:.1%}"
    if decision.reason in ("too_noisy", "undecided"):
        if decision.needed:
            return f"{seen}; a budget of {decision.needed} would see the tolerance"
        if decision.form == "two_sample" and (decision.visible_loss or 0) > decision.tolerance:
            return f"{seen}; only more stored replicates would help"
    return seen


def _unit(decision: Decision, count: int) -> str:
    name = "block" if decision.form == "paired" else "replicate"
    return name if count == 1 else f"{name}s"
