"""The shelf: the facts of one runner, kept from build to build, so that a record is read once.

The files of a month are read and kept together: one more run has those of its month alone written anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from regress.errors import HistoryError
from regress.history import Files, announced
from regress.site.facts import Fact, Facts
from regress.site.ledger import keep, recall
from regress.site.sketch import sketch, sketch_import

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """The facts of some files, as one edition of `regress` reads them."""

    edition: str
    facts: list[tuple[Files, Facts]]


class _Listed(msgspec.Struct, frozen=True, array_like=True):
    """The files of `_Kept`, whose facts are not looked at."""

    edition: str
    facts: list[tuple[Files, msgspec.Raw]]


class Month(Fact, frozen=True, kw_only=True):
    """The files of a runner of one month, and where their facts are kept.

    Attributes:
        root: The folder of the history.
        files: The files.
        kept: Where their facts are kept.
        edition: Of what reads them: facts that another one has read are read again.
    """

    root: Path
    files: tuple[Files, ...]
    kept: Path
    edition: str

    @property
    def unread(self) -> list[Files]:
        """The files whose facts are not kept."""
        kept = recall(self.kept, _Listed)
        known = {files for files, _ in kept.facts} if kept and kept.edition == self.edition else set()
        return [files for files in self.files if files not in known]


class Shelf(Fact, frozen=True, kw_only=True):
    """What the files of a runner say.

    Attributes:
        facts: The files of each run that can be used, and its facts, in order of their names.
        unusable: What is wrong with each of the others.
    """

    facts: Mapping[Files, Facts]
    unusable: tuple[str, ...]


def months(root: Path, files: Iterable[Files], cache: Path, edition: str) -> list[Month]:
    """The months of a runner.

    Args:
        root: The folder of the history.
        files: The runner's files.
        cache: The folder that facts are kept in, by month as the files are.
        edition: Of what reads them.
    """
    found: dict[str, list[Files]] = {}
    for each in files:
        found.setdefault(each.name.rpartition("/")[0], []).append(each)
    return [
        Month(root=root, files=tuple(own), kept=cache / f"{folder}.msgpack", edition=edition)
        for folder, own in found.items()
    ]


def read(month: Month) -> None:
    """Reads the files of a month whose facts are not kept yet, and keeps them."""
    _facts(month)


def shelf(months: Iterable[Month]) -> Shelf:
    """What the files of a runner say: what is kept of them, and the others are read.

    What cannot be read is not kept, but tried again each time until it is mended.
    """
    found, unusable = _sorted_out({files: facts for month in months for files, facts in _facts(month).items()})
    return Shelf(facts=found, unusable=tuple(unusable))


def _facts(month: Month) -> dict[Files, Facts | str]:
    """The facts of each run of a month, or what is wrong with its files; those that are not kept are read and kept."""
    kept = recall(month.kept, _Kept)
    known = dict(kept.facts) if kept and kept.edition == month.edition else {}
    unknown = [each for each in month.files if each not in known]
    new = {each: _read(month.root, each) for each in announced(month.root, unknown)}
    found = {each: known.get(each) or new[each] for each in month.files}
    usable = {files: facts for files, facts in found.items() if not isinstance(facts, str)}
    if usable.keys() != known.keys() or not kept:
        keep(month.kept, _Kept(month.edition, list(usable.items())))
    return found


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
