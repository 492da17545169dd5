"""Who does the work: a unit test starts no process, so that much work for several would fail here."""

from __future__ import annotations

import pytest

from regress import crew as module
from regress.crew import WORTH_BYTES, crew


@pytest.mark.parametrize("sizes", [[], [10 * WORTH_BYTES], [1] * 100])
def test_little_work_and_a_single_thing_are_done_here(sizes: list[int]) -> None:
    with crew(sizes) as run:
        assert run is map


def test_much_work_is_done_here_where_there_is_one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_processors", lambda: 1)

    with crew([WORTH_BYTES, WORTH_BYTES]) as run:
        assert run is map
