"""The index: every value of every series in one file, as CSV, and as Parquet where that is asked for."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from regress.site.table import INDEX_HEAD, text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CSV, PARQUET = "data/index.csv", "data/index.parquet"
_ROWS_AT_ONCE_BYTES = 1 << 24
_COPIED_AT_ONCE_BYTES = 1 << 20


def join(parts: Sequence[Path], path: Path) -> None:
    """Writes the index from those of all runners, as CSV.

    Args:
        parts: Files with a head, and columns, of `INDEX_HEAD`.
        path: Where to.
    """
    with path.open("wb") as whole:
        whole.write(text([INDEX_HEAD]))
        for part in parts:
            with part.open("rb") as lines:
                lines.readline()
                shutil.copyfileobj(lines, whole, _COPIED_AT_ONCE_BYTES)


def convert(source: Path, path: Path) -> None:
    """Writes the index from CSV as Parquet, some rows at a time: it may be larger than memory.

    Args:
        source: The index as CSV.
        path: Where to.
    """
    import pyarrow as pa  # noqa: PLC0415  # optional
    from pyarrow import csv, parquet  # noqa: PLC0415

    columns = dict.fromkeys(INDEX_HEAD.split(","), pa.string())
    columns |= dict.fromkeys(("median", "low", "high", "loss"), pa.float64())
    columns |= {"recorded_at": pa.timestamp("s", tz="UTC"), "replicates": pa.int32()}
    reading = csv.ReadOptions(block_size=_ROWS_AT_ONCE_BYTES)
    parsing = csv.ParseOptions(newlines_in_values=True)
    converting = csv.ConvertOptions(column_types=columns, strings_can_be_null=True)
    with (
        csv.open_csv(source, reading, parsing, converting) as batches,
        parquet.ParquetWriter(path, batches.schema, compression="zstd") as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)
