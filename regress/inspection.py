"""What lies in a history folder, and what is wrong with it: every file is looked into before it is believed."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from regress import history, layout
from regress.errors import HistoryError
from regress.history import Stamp
from regress.redact import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What lies in a history folder, by names alone.

    Attributes:
        stamps: Name to stamp of each file that lies where one can lie.
        places: Name to place of the same.
        strays: What cannot lie there: links, and JSON files elsewhere.
        others: Names of other files, which a history does not see.
    """

    stamps: dict[str, Stamp] = field(default_factory=dict)
    places: dict[str, layout.Place] = field(default_factory=dict)
    strays: list[HistoryError] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def contents(root: Path) -> Contents:
    """What lies in a history folder; one that is not there is empty. Hidden files are none of its own.

    Raises:
        HistoryError: A folder of it cannot be read.
    """
    found = Contents()
    try:
        for name, each in _below(root, "") if root.is_dir() else ():
            _sort_in(found, name, each)
    except OSError as error:
        raise HistoryError(f"{error.filename}: {error.strerror}") from error
    return found


def _below(folder: Path | str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Name and entry of all that is no folder below one; a link to a folder is no folder."""
    with os.scandir(folder) as entries:
        for each in entries:
            if each.name.startswith("."):
                continue
            if each.is_dir(follow_symlinks=False):
                yield from _below(each.path, f"{prefix}{each.name}/")
            else:
                yield f"{prefix}{each.name}", each


def _sort_in(found: Contents, name: str, each: os.DirEntry[str]) -> None:
    status = each.stat(follow_symlinks=False)
    place = layout.place_of(name)
    if not stat.S_ISREG(status.st_mode):
        found.strays.append(
            HistoryError(f"{printable(name)}: a link or device: a history holds folders and plain files")
        )
    elif place is not None:
        found.stamps[name] = Stamp.of(status)
        found.places[name] = place
    elif name.endswith(layout.SUFFIX):
        found.strays.append(layout.misplaced(name))
    else:
        found.others.append(name)


def read_checked(root: Path, name: str) -> bytes:
    """A file's content that is what its path says.

    Raises:
        HistoryError: It cannot be read, is too large, damaged, or belongs elsewhere.
    """
    path = root / name
    try:
        layout.check_size(name, path.lstat().st_size)
    except OSError as error:
        raise HistoryError(f"{name}: {error.strerror or error}") from error
    data = history.read(path)
    layout.check_file(name, data)
    return data


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a history.

    Attributes:
        records: How many records lie in it, good or bad.
        reports: How many reports.
        imports: How many imports.
        problems: One line for each thing that is wrong, by name of the file.
    """

    records: int
    reports: int
    imports: int
    problems: tuple[str, ...]


def inspect(root: Path, found: Contents, run: Callable[..., Iterable[str | None]]) -> Inspection:
    """What is wrong with a history, each of its files read.

    Args:
        root: Its folder.
        found: What lies in it.
        run: Calls a function for each of several things, as `map` does.
    """
    names = sorted(found.stamps)
    damaged = [problem for problem in run(_Check(root), names) if problem]
    problems = [
        *(str(error) for error in found.strays),
        *(f"{printable(name)}: no file of a history" for name in found.others),
        *damaged,
        *_without_record(found.places),
        *_doubled(found.places),
    ]
    reports = sum(place.is_report for place in found.places.values())
    imports = sum(place.is_import for place in found.places.values())
    records = len(names) - reports - imports
    return Inspection(records=records, reports=reports, imports=imports, problems=tuple(sorted(problems)))


class _Check:
    """What is wrong with a file; a class, so that another process can be told of it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, name: str) -> str | None:
        try:
            read_checked(self._root, name)
        except HistoryError as error:
            return str(error)
        return None


def _without_record(places: Mapping[str, layout.Place]) -> Iterator[str]:
    for name, place in places.items():
        if place.is_report and place.record.name not in places:
            yield f"{name}: its record is not there"


def _doubled(places: Mapping[str, layout.Place]) -> Iterator[str]:
    """A line for each record whose id stands elsewhere, too."""
    by_id: dict[str, list[str]] = defaultdict(list)
    for name in sorted(name for name, place in places.items() if not place.is_report):
        by_id[places[name].id].append(name)
    for first, *others in by_id.values():
        yield from (f"{other}: its id stands twice, in {first}, too" for other in others)
