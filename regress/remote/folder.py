"""The history folder here, as one side of an exchange with a remote: what it has to give, and what it takes.

Nothing leaves and nothing arrives unless it is what its path says. What cannot go is named, and the rest goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress import history, layout
from regress.errors import HistoryError
from regress.history import Stamp
from regress.inspection import contents, read_checked
from regress.redact import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from regress.remote.seen import Seen

    Same = Callable[[str, bytes], bool]
    """Whether the remote's file of that name has that content."""


class Folder:
    """A history folder and what is known of it on one remote."""

    def __init__(self, root: Path, seen: Seen) -> None:
        self.root = root
        self.seen = seen
        self.taken: list[str] = []
        self._found = contents(root)
        self._fit: set[str] = set()
        self._unfit: dict[str, HistoryError] = {str(error): error for error in self._found.strays}
        self._refused: dict[str, HistoryError] = {}
        """By what the remote was thought to have, which another look at it may show to be otherwise."""

    @property
    def problems(self) -> list[HistoryError]:
        """What could not be exchanged, and why."""
        problems = {**self._refused, **self._unfit}
        return [problems[key] for key in sorted(problems)]

    @property
    def names(self) -> list[str]:
        """All files of the folder that lie where one can lie, by name."""
        return sorted(self._found.stamps)

    def months(self, names: Iterable[str]) -> set[str]:
        """The folders of the months that those files lie in."""
        return {self._found.places[name].folder for name in names}

    def unseen(self) -> list[str]:
        """The files that were not found on the remote yet, or have changed since, by name."""
        return [name for name in self.names if not self._is_known(name)]

    def known(self) -> list[str]:
        """The files that were found on the remote, by name."""
        return [name for name in self.names if self._is_known(name)]

    def _is_known(self, name: str) -> bool:
        return self.seen.stamp(name) == self._found.stamps[name]

    def to_give(self, marks: Mapping[str, str], same: Same, names: Iterable[str] | None = None) -> list[str]:
        """The files that the remote lacks, fit to be given, records before reports.

        Args:
            marks: Name to mark of what the remote has.
            same: Compares a file that both have.
            names: Files to look at; all where `None`.
        """
        self._refused.clear()
        lacking = [name for name in (self.names if names is None else names) if not self._is_there(name, marks, same)]
        places = self._found.places
        lacking.sort(key=lambda name: (places[name].is_report, name))
        given: dict[str, None] = {}
        for name in lacking:
            if self._is_fit(name) and self._has_record(name, marks, given):
                given[name] = None
        return list(given)

    def _is_there(self, name: str, marks: Mapping[str, str], same: Same) -> bool:
        """Whether the remote has the file; one that differs is there, too, and a problem."""
        mark = marks.get(name)
        if mark is None:
            self.seen.forget(name)
            return False
        stamp = self._found.stamps[name]
        if not self.seen.is_same(name, stamp, mark) and self._is_fit(name):
            if same(name, self.data(name)):
                self.seen.add(name, stamp, mark)
            else:
                self.refuse_other(name)
        return True

    def _has_record(self, name: str, marks: Mapping[str, str], given: Mapping[str, None]) -> bool:
        record = self._found.places[name].record.name
        good = record == name or (record in marks and record not in self._refused) or record in given
        if not good:
            self.refuse(name, HistoryError(f"{name}: its record is not there, or not good"))
        return good

    def _is_fit(self, name: str) -> bool:
        if name not in self._fit and name not in self._unfit:
            try:
                self.data(name)
            except HistoryError as error:
                self._unfit[name] = error
            else:
                self._fit.add(name)
        return name in self._fit

    def data(self, name: str) -> bytes:
        """A file's content.

        Raises:
            HistoryError: It cannot be read, or is not what its path says.
        """
        return read_checked(self.root, name)

    def require_unchanged(self, names: Iterable[str]) -> None:
        """Refuses files that are not the ones that were looked into.

        Raises:
            HistoryError: One was changed since.
        """
        for name in names:
            if Stamp.of((self.root / name).lstat()) != self._found.stamps[name]:
                raise HistoryError(f"{name}: was changed while it was pushed", hint=_DIFFERENT)

    def given(self, name: str, mark: str) -> None:
        """Remembers that the remote has a file now."""
        self.seen.add(name, self._found.stamps[name], mark)

    def to_take(self, marks: Mapping[str, str], same: Same) -> list[str]:
        """The files that this folder lacks, records before reports.

        Args:
            marks: Name to mark of what the remote has.
            same: Compares a file that both have.
        """
        self._refused.clear()
        for name in self.names:
            self._is_there(name, marks, same)
        lacking = {name: layout.place_of(name) for name in marks if name not in self._found.stamps}
        strange = sorted(name for name, place in lacking.items() if place is None)
        if strange:
            more = f", and {len(strange) - 1:,} more" if len(strange) > 1 else ""
            message = f"the remote has what is no file of a history: {printable(strange[0])}{more}"
            self.refuse(strange[0], HistoryError(message))
        places = {name: place for name, place in lacking.items() if place}
        return sorted(places, key=lambda name: (places[name].is_report, name))

    def take(self, name: str, data: bytes, mark: str) -> None:
        """Writes a file that came from the remote, if it is good.

        Args:
            name: Where it lies.
            data: Its content.
            mark: What the remote's listing says of that.

        Raises:
            HistoryError: The folder cannot be written.
        """
        path = self.root / name
        try:
            place = layout.check_file(name, data)
            self._require_own_folders(name)
            self._require_record(name, place)
        except HistoryError as error:
            self.refuse(name, error)
            return
        if not path.exists():
            history.write(path, data)
            self.taken.append(name)
        elif history.read(path) != data:  # it has come since the folder was looked into
            self.refuse_other(name)
            return
        self._found.stamps[name], self._found.places[name] = Stamp.of(path.lstat()), place
        self.seen.add(name, self._found.stamps[name], mark)

    def _require_record(self, name: str, place: layout.Place) -> None:
        record = place.record.name
        if place.is_report and (record in self._refused or not (self.root / record).is_file()):
            raise HistoryError(f"{name}: its record is not there, or not good")

    def _require_own_folders(self, name: str) -> None:
        """Refuses to write through a link: it leads out of the history."""
        for parent in (self.root / name).relative_to(self.root).parents:
            if (self.root / parent).is_symlink() and parent.name:
                raise HistoryError(f"{name}: {parent} is a link here: a history holds folders and plain files")

    def within(self, months: set[str]) -> list[str]:
        """The files of those months, by name."""
        return [name for name in self.names if self._found.places[name].folder in months]

    def has_lost(self, marks: Mapping[str, str], months: set[str]) -> bool:
        """Whether a remote lacks a file that it once had.

        Args:
            marks: Name to mark of what it has in some months.
            months: Their folders.
        """
        return any(self.seen.stamp(name) and name not in marks for name in self.within(months))

    def refuse(self, name: str, error: HistoryError) -> None:
        """Names a file that could not be exchanged."""
        self._refused[name] = error

    def refuse_other(self, name: str) -> None:
        """Names a file that the remote has with other content."""
        self.refuse(name, HistoryError(f"{name}: the remote has another file of this name", hint=_DIFFERENT))

    def is_refused(self, name: str) -> bool:
        """Whether a file could not be exchanged."""
        return name in self._refused


_DIFFERENT = "a record never changes: look which of the two is the right one, and move the other away"
