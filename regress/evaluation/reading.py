"""Benchmark series from files: tables of one run per row, and JMH results of forks and iterations."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from regress.errors import ConfigError, UsageError
from regress.evaluation.columns import find_columns
from regress.evaluation.series import Series, Source
from regress.evaluation.table import Table, series_of, units_of, without_measurements

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from regress.evaluation.columns import Choice

_ENDINGS = (".csv", ".csv.gz", ".json", ".json.gz")


class _Forks(msgspec.Struct, frozen=True):
    """Results of a fork and iteration hierarchy: benchmark -> forks -> iterations."""

    data: dict[str, list[list[float | None]]]
    origin: str = ""


def read_sources(paths: Sequence[Path], choice: Choice, where: tuple[str, str] | None = None) -> list[Source]:
    """The series of files and of the files in folders, one source per file, in order of their names.

    Args:
        paths: Files and folders.
        choice: What the command line says of columns.
        where: A column, of a table or of the table that describes its series, and a text that must be in it.

    Raises:
        UsageError: A path is not there, holds no series file, or a named column is nowhere.
        ConfigError: A file cannot be read, or a row of it is wrong.
    """
    files = [file for path in paths for file in _files(path)]
    texts = {file: _text(file) for file in files}
    tables = {file: _table(file, text) for file, text in texts.items() if not _is_json(file)}
    points, described = {}, []
    for file, table in tables.items():
        columns = find_columns(table.header, choice, table.name)
        if columns is None:
            described.append(table)
        else:
            points[file] = columns if choice.key else without_measurements(columns, table)
    if where is not None and not any(where[0] in table.header for table in tables.values()):
        raise UsageError(f"evaluate: no table has the column '{where[0]}' of --where")
    sources = []
    for file in files:
        if file in points:
            known = units_of(described, points[file])
            sources.append(series_of(tables[file], points[file], known, choice, where))
        elif _is_json(file):
            sources.append(_forks(file.name, texts[file], choice))
        else:
            sources.append(Source(file=file.name, remark="no column of times and values: describes series"))
    return sources


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.name.endswith(_ENDINGS) and file.is_file())
        if not found:
            raise UsageError(f"evaluate: {path}: no {', '.join(_ENDINGS)} in this folder")
        return found
    if not path.exists():
        raise UsageError(f"evaluate: {path}: no such file or folder")
    if not path.name.endswith(_ENDINGS):
        raise UsageError(f"evaluate: {path}: not one of {', '.join(_ENDINGS)}")
    return [path]


def _is_json(file: Path) -> bool:
    return file.name.endswith((".json", ".json.gz"))


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
        return (gzip.decompress(content) if file.name.endswith(".gz") else content).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file.name}: not UTF-8 text") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{file.name}: cannot be read", cause=str(error)) from error


def _table(file: Path, text: str) -> Table:
    """The rows of a CSV file; each has as many fields as the header."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise ConfigError(f"{file.name}: no CSV", cause=str(error)) from error
    if not rows:
        raise ConfigError(f"{file.name}: row 1: no header")
    header = tuple(rows[0])
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise ConfigError(f"{file.name}: row {number}: {len(row)} fields, the header has {len(header)}")
    return Table(name=file.name, header=header, rows=tuple(map(tuple, rows[1:])))


def _forks(name: str, text: str, choice: Choice) -> Source:
    """One series per benchmark: a fork is a fresh process, so that its median is one run."""
    try:
        forks = msgspec.json.decode(text, type=_Forks)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{name}: not benchmark -> forks -> iterations under 'data'", cause=str(error)) from error
    higher = choice.higher_is_better
    if higher is None:
        higher = "ops/" in forks.origin  # JMH's modes: throughput is ops/s, the others are a time per operation
    series, dropped = [], 0
    for benchmark, runs in forks.data.items():
        medians = np.array([np.median(usable) for run in runs if (usable := _usable(run))])
        dropped += len(runs) - len(medians)
        speeds = np.log(medians) if higher else -np.log(medians)
        series.append(Series(file=name, key=benchmark, speeds=speeds))
    return Source(file=name, series=tuple(series), remark=f"{dropped} forks without values" if dropped else "")


def _usable(iterations: Sequence[float | None]) -> list[float]:
    return [value for value in iterations if value is not None and np.isfinite(value) and value > 0]
