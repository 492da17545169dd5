"""What every remote can do, and what it says it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from regress.errors import HistoryError

if TYPE_CHECKING:
    from regress.remote.folder import Folder


@dataclass(frozen=True, kw_only=True)
class Exchanged:
    """What an exchange moved.

    Attributes:
        moved: Names of the files, in the order they went.
        attempts: How often it was begun, because others wrote first or the remote did not answer.
    """

    moved: tuple[str, ...]
    attempts: int = 1


class Remote(Protocol):
    """Where a history is shared."""

    @property
    def shown(self) -> str:
        """What messages call it, without secrets."""

    def push(self, folder: Folder) -> Exchanged:
        """Gives the remote what it lacks of a folder, whole files and never half of one.

        Raises:
            HistoryError: It cannot be reached or refuses.
        """

    def pull(self, folder: Folder) -> Exchanged:
        """Takes from the remote what a folder lacks.

        Raises:
            HistoryError: It cannot be reached, or the folder cannot be written.
        """


class OutrunError(HistoryError):
    """Somebody else wrote first."""


class UnreachableError(HistoryError):
    """The remote did not answer, which may pass."""
