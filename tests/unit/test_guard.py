"""The guard of the unit tests itself."""

import socket

import pytest

from regress import process


def test_starting_a_process_fails() -> None:
    """A unit test that starts a process is told so."""
    with pytest.raises(pytest.fail.Exception, match="outside world"):
        process.run(["true"])


def test_connecting_fails() -> None:
    """A unit test that connects anywhere is told so."""
    with socket.socket() as connection, pytest.raises(pytest.fail.Exception, match="outside world"):
        connection.connect(("127.0.0.1", 9))
