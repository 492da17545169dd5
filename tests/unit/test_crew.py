"""Who does the work: a unit test starts no process, so that much work for several would fail here."""

from __future__ import annotations

import pytest

from regress import crew as module
from regress.crew import WORTH_BYTES, crew


@pytest.mark.parametrize("size", [0, WORTH_BYTES - 1])
def test_little_work_is_done_here(size: int) -> None:
    with crew(size) as run:
        assert run(abs, range(-100, 0)) == list(range(100, 0, -1))


def test_much_work_is_done_here_where_there_is_one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_processors", lambda: 1)

    with crew(WORTH_BYTES) as run:
        assert run(abs, [-1]) == [1]
