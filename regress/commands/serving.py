"""The web server of `regress site serve`: one folder, at an address of this machine."""

from __future__ import annotations

import errno
import ipaddress
import socket
from functools import partial
from http.server import SimpleHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, cast

from regress.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    _Address = tuple[str, int] | tuple[str, int, int, int]

_OTHER_HOST = "name an address of this machine with --host; without, it is 127.0.0.1, which this machine alone reaches"
_OTHER_PORT = "name another port with --port; without, a free one is taken"
_OF_PORT = (errno.EADDRINUSE, errno.EACCES)
"""What another port may be without: somebody listens there already, or it is the administrator's."""


class Server(ThreadingTCPServer):
    """Listens from when it is made, and answers once `serve_forever` is called; whoever comes in between waits.

    It is no `HTTPServer`, which asks the name service for its own name before it listens: that may take seconds.

    Args:
        folder: What is served; it may be made later.
        host: A name, or an address of either family, with or without the brackets that stand around it in a URL.
        port: Number of the port; a free one where `None`.

    Raises:
        UsageError: Nothing can be served there.
    """

    allow_reuse_address = True  # who served there a moment ago has left connections that are still being closed
    daemon_threads = True

    def __init__(self, folder: Path, host: str, port: int | None) -> None:
        self._host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        try:
            self.address_family, address = _resolved(self._host, port or 0)
            super().__init__(address, partial(SimpleHTTPRequestHandler, directory=folder))
        except (OSError, UnicodeError) as error:
            raise _refusal(error, host, port) from error

    def server_bind(self) -> None:
        """Takes the address; all addresses are those of IPv4, too, whatever the system's default is."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    @property
    def reaches_all(self) -> bool:
        """Whether it serves at every address of this machine."""
        return ipaddress.ip_address(str(self.server_address[0])).is_unspecified

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        loopback = "::1" if self.address_family == socket.AF_INET6 else "127.0.0.1"
        host = loopback if self.reaches_all else self._host
        # The zone of an address follows `%`, which stands for itself nowhere in a URL (RFC 6874).
        literal = f"[{host.replace('%', '%25')}]" if ":" in host else host
        return f"http://{literal}:{self.server_address[1]}/"


def _resolved(host: str, port: int) -> tuple[socket.AddressFamily, _Address]:
    """The family and the address of a host; of a name that has both families, IPv4's, which browsers try as well."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, cast("_Address", address)  # of bytes where Python knows nothing of the family


def _refusal(error: OSError | UnicodeError, host: str, port: int | None) -> UsageError:
    where = host if port is None else f"{host}, port {port}"
    if isinstance(error, UnicodeError):  # what cannot be written as a name is not even looked for
        return UsageError(f"site: cannot serve at {where}: that is no name of a host", hint=_OTHER_HOST)
    hint = _OTHER_PORT if error.errno in _OF_PORT else _OTHER_HOST
    return UsageError(f"site: cannot serve at {where}: {error.strerror or error}", hint=hint)
