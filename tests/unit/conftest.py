"""Unit tests start no process and open no connection: whoever tries fails."""

from __future__ import annotations

import socket
import subprocess  # noqa: TID251  # to take it away
from typing import NoReturn

import pytest


@pytest.fixture(autouse=True)
def _guard(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **_: object) -> NoReturn:
        pytest.fail(f"a unit test reached for the outside world: {args[:2]}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
