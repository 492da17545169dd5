"""The doctor: what stands between a machine and rates that can be compared, each line with its remedy.

It only looks, and sets nothing: clocks, power modes and services want root, and a person who knows the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.doctor.device import device
from regress.doctor.host import host

if TYPE_CHECKING:
    from regress.doctor.facts import Facts, Finding


def examine(facts: Facts) -> list[Finding]:
    """Every finding about a machine, the device's first."""
    return [*device(facts), *host(facts)]
