"""The few names that differ between the TVM releases a builder meets: 0.25 to 0.27."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax

StringImm = getattr(relax, "StringImm", None) or tvm.ir.StringImm  # moved in 0.27


def name_of(variable: Any) -> str:  # noqa: ANN401
    """The name of a global variable: `name_hint` until 0.25, `name` since."""
    return str(getattr(variable, "name_hint", None) or variable.name)


def types_of(call: Any) -> Any:  # noqa: ANN401
    """The types a call is told of its result: `sinfo_args` until 0.25, `ty_args` since."""
    return call.sinfo_args if hasattr(call, "sinfo_args") else call.ty_args


def with_body(function: Any, body: Any) -> Any:  # noqa: ANN401
    """A Relax function with another body; what it returns is `ret_struct_info` until 0.25, `ret_ty` since."""
    result = function.ret_struct_info if hasattr(function, "ret_struct_info") else function.ret_ty
    return relax.Function(function.params, body, result, function.is_pure, function.attrs)
