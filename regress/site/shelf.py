"""The shelf: the facts of one runner, kept from build to build, so that a record is read once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from regress.errors import HistoryError
from regress.history import Files, announced
from regress.site.facts import Fact, Facts
from regress.site.ledger import keep, recall
from regress.site.sketch import sketch, sketch_import

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """The facts of some files, as one edition of `regress` reads them."""

    edition: str
    facts: list[tuple[Files, Facts]]


class Shelf(Fact, frozen=True, kw_only=True):
    """What the files of a runner say.

    Attributes:
        facts: The files of each run that can be used, and its facts, in order of their names.
        unusable: What is wrong with each of the others.
    """

    facts: Mapping[Files, Facts]
    unusable: tuple[str, ...]


def shelf(root: Path, files: Sequence[Files], cache: Path, edition: str) -> Shelf:
    """What the files of a runner say: from the cache where they were read already, which is brought up to date.

    What cannot be used is not kept, but read again each time until it is mended.

    Args:
        root: The folder of the history.
        files: The runner's files.
        cache: Where its facts are kept.
        edition: Of what reads them: facts that another one has read are read again.
    """
    kept = recall(cache, _Kept)
    known = dict(kept.facts) if kept and kept.edition == edition else {}
    read = {each: _read(root, each) for each in announced(root, [each for each in files if each not in known])}
    found, unusable = _sorted_out({each: known.get(each) or read[each] for each in files})
    if found.keys() != known.keys() or not kept:
        keep(cache, _Kept(edition, list(found.items())))
    return Shelf(facts=found, unusable=tuple(unusable))


def _sorted_out(read: Mapping[Files, Facts | str]) -> tuple[dict[Files, Facts], list[str]]:
    """What can be used, and what is wrong with the rest; of two files with one id the second is."""
    found: dict[Files, Facts] = {}
    unusable: list[str] = []
    names: dict[str, str] = {}
    for files, facts in read.items():
        if isinstance(facts, str):
            unusable.append(facts)
        elif (first := names.setdefault(facts.run.id, files.name)) != files.name:
            unusable.append(f"{files.name}: id: that of {first}")
        else:
            found[files] = facts
    return found, unusable


def _read(root: Path, files: Files) -> Facts | str:
    """The facts of a run or an import, or what is wrong with its files."""
    try:
        data = (root / files.name).read_bytes()
        report = None if files.report is None else (root / files.report_name).read_bytes()
        if files.is_import:
            facts = sketch_import(data, files.name)
        else:
            facts = sketch(data, report, files.name, files.report_name)
    except OSError as error:
        name = files.name if error.filename == str(root / files.name) else files.report_name
        return f"{name}: {error.strerror or error}"
    except HistoryError as error:
        return str(error)
    if facts.run.runner != files.folder:
        return f"{files.name}: runner: '{facts.run.runner}', which is not the folder that it lies in"
    return facts
