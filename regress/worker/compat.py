"""The few names that differ between the TVM releases a builder meets: 0.25 to 0.27."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax

StringImm = getattr(relax, "StringImm", None) or tvm.ir.StringImm  # moved in 0.27


def name_of(variable: Any) -> str:  # noqa: ANN401
    """The name of a global variable: `name_hint` until 0.25, `name` since."""
    return str(getattr(variable, "name_hint", None) or variable.name)
