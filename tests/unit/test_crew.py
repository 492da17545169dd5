"""Who does the work: a unit test starts no process, so that much work for several would fail here."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from regress import crew as module
from regress.crew import WORTH_BYTES, alone, crew

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regress.crew import Crew


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many further processes were asked for, of which none is started."""
    asked: list[int] = []

    @contextmanager
    def noted(others: int) -> Iterator[Crew]:
        asked.append(others)
        yield alone

    monkeypatch.setattr(module, "_shared", noted)
    monkeypatch.setattr(module, "_processors", lambda: 4)
    return asked


@pytest.mark.parametrize("size", [0, WORTH_BYTES, 2 * WORTH_BYTES - 1])
def test_little_work_is_done_here(size: int, counts: list[int]) -> None:
    with crew(size) as run:
        assert run(abs, range(-100, 0)) == list(range(100, 0, -1))

    assert counts == []


@pytest.mark.parametrize(("shares", "others"), [(2, 1), (3, 2), (4, 3), (100, 3)])
def test_much_work_is_shared_by_as_many_as_it_is_worth_and_there_are_processors(
    shares: int, others: int, counts: list[int]
) -> None:
    with crew(shares * WORTH_BYTES):
        pass

    assert counts == [others]


def test_much_work_is_done_here_where_there_is_one_processor(
    counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_processors", lambda: 1)

    with crew(100 * WORTH_BYTES) as run:
        assert run(abs, [-1]) == [1]

    assert counts == []


def test_who_is_alone_does_nothing_meanwhile() -> None:
    """There it is done when it is needed."""
    assert alone(abs, [-1], pytest.fail) == [1]
