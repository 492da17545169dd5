"""What stands in a file of ours: the kind of object it is, and the ranges of its numbers."""

from __future__ import annotations

from datetime import datetime  # msgspec reads the annotations at run time
from typing import Annotated

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e18)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Bytes = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
"""What may be zero: seconds of throttling, joules of a counter that did not move."""
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment with its UTC offset."""

MOST_NAMED = 160
"""Longest key, id or name, in characters: each becomes the name of a file."""
RUNNER_NAME = rf"^(?=.{{1,{MOST_NAMED}}}\Z)[0-9A-Za-z][0-9A-Za-z._-]*\Z"
RunnerName = Annotated[str, msgspec.Meta(pattern=RUNNER_NAME)]

DAMAGED = (msgspec.MsgspecError, UnicodeDecodeError)
"""What reading JSON raises that is not what it shall be; msgspec has no error of its own for what is no UTF-8."""


class Stored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written to a file: immutable, and with no field that the schema does not name."""


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of what stands in a file: fields that it does not name are skipped."""


class _SchemaOnly(msgspec.Struct):
    schema: int


def schema_of(data: bytes) -> int:
    """The version of its shape that a file says it is of.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError: It says none.
    """
    return msgspec.json.decode(data, type=_SchemaOnly).schema
