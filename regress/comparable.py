"""Whether what is measured somewhere can be compared with a reference: machine, bench worker, method and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regress.baseline import Baseline
    from regress.record import Environment
    from regress.verdict import Reason, Reference

_BESIDES = {"fingerprint", "system", "kernel", "memory_bytes"}
"""Of a machine, what does not decide whether it is the same, or is not the same to the byte."""


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """How something was measured, or would be.

    Attributes:
        subject: What it is, for sentences.
        environment: The machine.
        harness: SHA-256 of the bench worker.
        method: SHA-256 of how replicates are taken.
        model_digest: SHA-256 of the model; `None` where it is not known.
    """

    subject: str
    environment: Environment
    harness: str
    method: str
    model_digest: str | None


def incomparable(found: Circumstances, baseline: Baseline, reference: Reference) -> tuple[Reason, str] | None:
    """Why something cannot be compared with a reference, as a code and a sentence; `None` where it can be."""
    return _other_machine(found, baseline, reference) or _otherwise(found, reference)


def _other_machine(found: Circumstances, baseline: Baseline, reference: Reference) -> tuple[Reason, str] | None:
    here, expected = found.environment, baseline.environment
    if reference.form == "two_sample" and (expected is None or expected.fingerprint != here.fingerprint):
        described = expected.device if expected else "no machine"
        text = f"{baseline.runner}'s references are of {described}, {found.subject} is of {here.device}"
        return "other_environment", f"{text} with another configuration"
    if reference.device is not None and reference.device not in here.device:
        text = f"the published rates are of {reference.device}, {found.subject} is of {here.device}"
        return "other_environment", text
    return None


def _otherwise(found: Circumstances, reference: Reference) -> tuple[Reason, str] | None:
    if reference.other_driver is not None:
        text = f"the published rates are of harness '{reference.other_driver}', and this case has another"
        return "other_harness", text
    if reference.harness not in (None, found.harness):
        return "other_harness", "the reference was measured by another version of the bench worker"
    if reference.method not in (None, found.method):
        return "other_method", "the reference was measured with other warm-ups, repeats, seed or prompts"
    if found.model_digest and reference.model_digest not in (None, found.model_digest):
        return "other_model", "the reference is of other weights under the same name"
    return None


def differences(there: Environment, here: Environment) -> Iterator[str]:
    """What of two machines differs, one sentence each; memory only where it differs in two significant figures."""
    for field in msgspec.structs.fields(here):
        before, after = getattr(there, field.name), getattr(here, field.name)
        if field.name not in _BESIDES and before != after:
            yield f"{field.name}: {_shown(before)} there, {_shown(after)} here"
    if f"{there.memory_bytes:.1e}" != f"{here.memory_bytes:.1e}":
        yield f"memory: {there.memory_bytes / 1e9:.0f} GB there, {here.memory_bytes / 1e9:.0f} GB here"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={each}" for name, each in sorted(value.items())) or "none"
    return "not known" if value is None else str(value)
