"""Figures that others measured, as they stand in the history: one case, one sample, and where it comes from.

An import is no record: it has no replicates, no artifact and no telemetry, so that nothing is ever judged by it. It is
written once and the same everywhere, whoever imports it: what it is called follows from what it says.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from regress.errors import HistoryError
from regress.metric import METRICS
from regress.record import RecordId, decode_stored, digest
from regress.stored import MOST_NAMED, Count, Instant, Positive, RunnerName, Sha256, Stored

SCHEMA = 1

Format = Literal["benchmark.py csv", "benchmark.py text", "llama-bench json"]
NAME = r"[0-9A-Za-z][\w.-]*"
"""A model, a quantization, a builder or a target, as it stands in a key."""
_KEY = rf"^{NAME}(?:\+{NAME})?/{NAME}/{NAME}/p[1-9][0-9]{{0,7}}\+[1-9][0-9]{{0,7}}\Z"
Key = Annotated[str, msgspec.Meta(pattern=_KEY, max_length=MOST_NAMED)]
"""The key of the case that was measured; `+NAME` says who built it."""
Words = Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]+\Z", max_length=200)]
"""Text for people, with nothing that a terminal would obey."""
TOOLCHAIN = r"[0-9A-Za-z][0-9A-Za-z._+-]*"
ToolchainName = Annotated[str, msgspec.Meta(pattern=rf"^{TOOLCHAIN}\Z", max_length=MOST_NAMED // 2)]


class Source(Stored, frozen=True):
    """Where figures come from.

    Attributes:
        file: Name of the file, without its folder.
        sha256: Digest of its content.
        format: What it was.
        row: Number of the row among all of the file, from 1.
    """

    file: Words
    sha256: Sha256
    format: Format
    row: Count


class Imported(Stored, frozen=True):
    """One case's figures, of others' making.

    Attributes:
        schema: Version of this shape.
        id: `<time>-<toolchain>-<digest>`, the beginning of its file's name.
        recorded_at: When it was measured, as the source or whoever imported it says.
        runner: Nickname of the machine.
        source: Where it comes from.
        toolchain: What was measured, by name alone.
        device: Name of the device.
        case: Key of the case.
        runs: Of how many runs the values are the averages; `None` where nothing says so.
        values: Metric to the one value that is known.
        said: What the source says besides, by its own names.
    """

    schema: Annotated[int, msgspec.Meta(ge=1)]
    id: RecordId
    recorded_at: Instant
    runner: RunnerName
    source: Source
    toolchain: ToolchainName
    device: Words
    case: Key
    values: Annotated[dict[str, Positive], msgspec.Meta(min_length=1)]
    runs: Count | None = None
    said: dict[str, str] = {}


def named(imported: Imported) -> Imported:
    """The import with the id that follows from what it says; the file that it comes from may have grown since."""
    identity = [
        imported.recorded_at,
        imported.runner,
        imported.source.format,
        imported.toolchain,
        imported.device,
        imported.case,
        imported.values,
        imported.runs,
        imported.said,
    ]
    name = f"{imported.recorded_at:%Y%m%dT%H%M%SZ}-{imported.toolchain}-{digest(identity)[:8]}"
    return msgspec.structs.replace(imported, id=name)


def as_name(text: str) -> str:
    """A text as a part of a key: the last part of a path, with a dash for what cannot stand there; may be empty."""
    return re.sub(r"[^\w.-]+", "-", text.strip().rstrip("/").rpartition("/")[2], flags=re.ASCII).strip("-.")


def decode_imported(data: bytes, name: str) -> Imported:
    """The import in a file's content.

    Args:
        data: The file's content.
        name: The file's name, for errors.

    Raises:
        HistoryError: It is truncated, of a newer schema, or a field is missing, unknown or out of range.
    """
    found = decode_stored(data, Imported, newest=SCHEMA, name=name)
    unknown = sorted(set(found.values) - set(METRICS))
    if unknown:
        raise HistoryError(f"{name}: values.{unknown[0]}: unknown metric")
    return found
