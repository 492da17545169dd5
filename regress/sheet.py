"""The table that users of jetson-containers' `benchmark.py` keep: a CSV file that grows by a line for each case."""

from __future__ import annotations

import csv
import io
import os
from datetime import timezone
from typing import TYPE_CHECKING

from regress.averages import averages_of
from regress.errors import ConfigError, HistoryError
from regress.foreign.table import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from regress.record import CaseResult, Record


def require_appendable(path: Path) -> None:
    """Refuses a file that lines of ours would not fit into, before anything is measured for it.

    Raises:
        ConfigError: It has other columns, or cannot be written.
    """
    head = _first_line(path)
    found = tuple(name.strip() for name in head.lstrip("\ufeff").split(","))
    if head.strip() and found != COLUMNS:
        raise ConfigError(
            f"{path}: line 1: other columns than {', '.join(COLUMNS)}", hint="name another file with --save"
        )


def _first_line(path: Path) -> str:
    """The first line of a file that may be appended to; empty where it is yet to be made."""
    try:
        if not path.exists():
            if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
                raise ConfigError(f"{path}: cannot be made: {path.parent} is no folder that can be written")
            return ""
        with path.open("r+b") as file:
            return file.readline().decode(errors="replace")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error


def append(path: Path, record: Record) -> int:
    """Appends a line for each measured case of a record, the columns in front of the first one; how many.

    Raises:
        HistoryError: It cannot be written.
    """
    rows = [row for case in record.cases if (row := _row(record, case))]
    try:
        before = path.read_bytes() if path.exists() else b""
        head = [] if before.strip() else [list(COLUMNS)]
        start = "\n" if before.strip() and not before.endswith(b"\n") else ""
        with path.open("ab") as file:  # in one piece, behind whatever another process has written meanwhile
            file.write((start + _text([*head, *rows])).encode())
    except OSError as error:
        raise HistoryError(f"{path}: cannot be written: {error.strerror or error}") from error
    return len(rows)


def _text(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _row(record: Record, case: CaseResult) -> list[str] | None:
    """The line of a case; `None` where it was not measured."""
    found = averages_of(case)
    if found is None:
        return None
    model, quantization, _, _ = case.key.split("/")
    name, _, builder = model.partition("+")
    memory = found.peak_memory_bytes
    return [
        record.recorded_at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        record.runner,
        # benchmark.py writes `mlc` for whatever drove it; what we drive says so.
        {"": "tvm", "mlc": "mlc-vm"}.get(builder, builder),
        name,
        quantization,
        str(case.workload.prompt_tokens),
        str(case.workload.new_tokens),
        f"{found.prefill_time_s:.6g}",
        f"{found.prefill_tokens_per_s:.6g}",
        f"{found.decode_time_s:.6g}",
        f"{found.decode_tokens_per_s:.6g}",
        "" if memory is None else f"{memory / 2**20:.1f}",
    ]
