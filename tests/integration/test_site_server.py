"""`regress site serve`: what a browser gets, where, how it ends, and what cannot be had."""

from __future__ import annotations

import signal
import socket
import subprocess  # noqa: TID251  # a child that is interrupted while it serves
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from site_entries import entry, store

from regress.cli import main
from regress.commands.serving import Server
from regress.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = '[run]\nbaseline = "bench.toml"\ntoolchains = ["a"]\n[toolchains.a]\npackages = ["apache-tvm==0.26.0"]\n'


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a configuration and an empty history."""
    monkeypatch.setenv("REGRESS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "regress.toml").write_text(CONFIG, encoding="utf-8")
    return tmp_path


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command while it serves, and the address that it printed."""
    argv = [sys.executable, "-m", "regress", "site", "serve", "--config", "regress.toml", "--site", "site", *options]
    with subprocess.Popen(  # noqa: S603
        argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline().endswith("index.html\n")
            yield child, child.stdout.readline().strip()
        finally:
            child.kill()


def first_page(address: str) -> bytes:
    with urlopen(address, timeout=10) as answer:  # noqa: S310  # our own server's address
        content: bytes = answer.read()
        return content


def end(child: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, and what it said beside its output."""
    child.send_signal(signal.SIGINT)
    assert child.stderr is not None
    return child.wait(10), child.stderr.read()


def test_the_site_is_served_until_somebody_ends_it(folder: Path) -> None:
    with serving(folder) as (child, address):
        assert address.startswith("http://127.0.0.1:")
        assert b"<!doctype html>" in first_page(address)
        assert end(child)[0] == 0


@IPV6
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_address_of_ipv6_stands_in_brackets(folder: Path, host: str) -> None:
    with serving(folder, "--host", host) as (child, address):
        assert address.startswith("http://[::1]:")
        assert b"<!doctype html>" in first_page(address)
        assert end(child)[0] == 0


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("0.0.0.0", "127.0.0.1"), pytest.param("::", "[::1]", marks=IPV6)],  # noqa: S104  # as asked
)
def test_of_all_addresses_one_that_can_be_opened_is_printed(folder: Path, host: str, loopback: str) -> None:
    """That it is all of them is said beside; those of IPv6 are those of IPv4, too."""
    with serving(folder, "--host", host) as (child, address):
        port = address.rpartition(":")[2]
        assert address == f"http://{loopback}:{port}"
        for each in (address, f"http://127.0.0.1:{port}"):
            assert b"<!doctype html>" in first_page(each)
        code, said = end(child)
        assert code == 0
        assert "every address of this machine" in said


def test_a_name_is_printed_as_it_was_given(folder: Path) -> None:
    with serving(folder, "--host", "localhost") as (_, address):
        assert address.startswith("http://localhost:")
        assert b"<!doctype html>" in first_page(address)


def test_a_record_that_cannot_be_used_is_in_the_exit_code_of_who_served(folder: Path) -> None:
    store([entry()], folder / "history")
    (folder / "history" / "bench" / "2026" / "10" / "broken.json").write_bytes(b"{")
    with serving(folder) as (child, address):
        assert b"broken.json" in first_page(address)
        assert end(child)[0] == 7


def said_of(capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    """The lines of the error that serving there comes to."""
    assert main(["site", "serve", *options]) == 2
    output, said = capsys.readouterr()
    assert output == ""
    return said.splitlines()


def test_a_port_in_use_is_found_out_before_anything_is_built(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        error, hint = said_of(capsys, "--port", str(port))
    assert error == f"regress: error: site: cannot serve at 127.0.0.1, port {port}: Address already in use"
    assert "--port" in hint
    assert not (folder / "site").exists()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "host",
    [
        "192.0.2.1",  # for documentation: nobody's
        pytest.param("2001:db8::1", marks=IPV6),  # likewise
        "no name",
        "two..dots",
        "1.2.3.4.5",
    ],
)
def test_a_host_that_is_not_this_machine_is_refused(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    error, hint = said_of(capsys, "--host", host)
    assert error.startswith(f"regress: error: site: cannot serve at {host}: ")
    assert "an address of this machine with --host" in hint


@pytest.mark.usefixtures("folder")
def test_a_build_that_fails_gives_the_port_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    assert main(["site", "serve", "--port", str(port), "--history", "missing"]) == 7
    socket.create_server(("127.0.0.1", port)).close()


@IPV6
def test_the_zone_of_an_address_is_escaped_in_its_url(tmp_path: Path) -> None:
    with Server(tmp_path, "::1%1", None) as server:
        assert server.url == f"http://[::1%251]:{server.server_address[1]}/"


def test_two_servers_do_not_share_a_port(tmp_path: Path) -> None:
    """Whoever serves listens at once, also while the site is built."""
    with Server(tmp_path, "127.0.0.1", None) as server, pytest.raises(UsageError, match="already in use"):
        Server(tmp_path, "127.0.0.1", server.server_address[1])
