"""A fault that was put in on purpose, and what the gate made of it."""

from __future__ import annotations

from typing import Literal

from regress.stored import Stored
from regress.verdict import Outcome  # noqa: TC001  # msgspec reads the annotations at run time

Found = Literal["seen", "hidden", "tolerated", "green"]
"""Seen as it must be; hidden by noise, and said to be; inside the tolerance; or taken in, which is never right."""


class Fault(Stored, frozen=True):
    """One fault and what became of it.

    Attributes:
        name: What was put in.
        outcome: What the gate said; `read` of a rate that should have been refused.
        text: Why, in the gate's words.
        found: What that means.
    """

    name: str
    outcome: Outcome | Literal["read"]
    text: str
    found: Found
