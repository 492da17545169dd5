"""A Hugging Face hub on this machine: the part of its HTTP interface that downloads need.

Answers are those of the real one: error codes in `X-Error-Code`, etags, byte ranges, gated repositories whose
listing is public but whose files are not.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Repository:
    """One repository: the files of each commit, and what its branches point to."""

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str]
    gated: bool = False
    private: bool = False


@dataclass
class LocalHub:
    """What a hub has, how it misbehaves, and what it was asked.

    Attributes:
        repositories: Name to repository.
        tokens: Tokens it accepts.
        granted: Those of them that may read gated repositories.
        cut: File name to how many bytes of it to send before the connection drops, for one answer each.
        refused: File name to the status and message it answers with instead.
        swapped: File name to what it sends in place of the content it promises.
        requests: What it was asked, in order: method, path, headers.
        endpoint: What `HF_ENDPOINT` has to be; empty until it is served.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    granted: set[str] = field(default_factory=set)
    cut: dict[str, list[int]] = field(default_factory=dict)
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    swapped: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    endpoint: str = ""

    def downloads(self, name: str) -> list[dict[str, str]]:
        """The headers of every request for the content of a file, in order."""
        return [
            headers
            for method, path, headers in self.requests
            if method == "GET" and path.endswith(f"/{name}") and "/resolve/" in path
        ]


@contextmanager
def serving(hub: LocalHub) -> Iterator[LocalHub]:
    """The hub, listening on a free port of this machine while the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Refused(Exception):  # noqa: N818  # an answer, not an error
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


_API = re.compile(r"/api/models/(?P<repo>.+?)(?:/(?P<what>revision|tree)/(?P<revision>[^/]+))?")
_FILE = re.compile(r"/(?P<repo>.+?)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the parent's name for it
        """Says nothing: the tests' output is theirs."""

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.requests.append((self.command, path, headers))
        try:
            self._route(path)
        except _Refused as refused:
            self._send(refused.status, b"{}", {"X-Error-Code": refused.code, "X-Error-Message": str(refused)})

    def _route(self, path: str) -> None:
        if match := _FILE.fullmatch(path):
            self._file(*match.group("repo", "revision", "name"))
        elif match := _API.fullmatch(path):
            self._listing(*match.group("repo", "what", "revision"))
        else:
            raise _Refused(404)

    def _token(self) -> str | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.tokens:
            raise _Refused(401, message="Invalid credentials in Authorization header")
        return token or None

    def _files(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]]:
        token = self._token()
        repository = self.hub.repositories.get(repo)
        if repository is None or (repository.private and token is None):
            raise _Refused(404 if token else 401, "RepoNotFound", "Repository not found")
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            raise _Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit, repository.commits[commit]

    def _listing(self, repo: str, what: str | None, revision: str | None) -> None:
        commit, files = self._files(repo, revision or "main")
        listing: Any = {"id": repo, "sha": commit, "siblings": [{"rfilename": name} for name in files]}
        if what == "tree":
            listing = [_tree_entry(name, content) for name, content in files.items()]
        self._send(200, json.dumps(listing).encode(), {"Content-Type": "application/json"})

    def _file(self, repo: str, revision: str, name: str) -> None:
        commit, files = self._files(repo, revision)
        if self.hub.repositories[repo].gated and self._token() not in self.hub.granted:
            raise _Refused(403 if self._token() else 401, "GatedRepo", f"Access to model {repo} is restricted.")
        if name not in files:
            raise _Refused(404, "EntryNotFound", "Entry not found")
        if name in self.hub.refused:
            status, message = self.hub.refused[name]
            raise _Refused(status, message=message)
        promised = files[name]
        content = self.hub.swapped.get(name, promised)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_etag(name, promised)}"', "Accept-Ranges": "bytes"}
        if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(asked[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206, content[start:], headers, self._cut(name))
        else:
            self._send(200, content, headers, self._cut(name))

    def _cut(self, name: str) -> int | None:
        cuts = self.hub.cut.get(name, [])
        return cuts.pop(0) if self.command == "GET" and cuts else None

    def _send(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
        self.close_connection = cut is not None


def _etag(name: str, content: bytes) -> str:
    """As the hub has it: SHA-256 for large files, git's SHA-1 for the others."""
    if name.endswith(".safetensors"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()


def _tree_entry(name: str, content: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": name, "size": len(content), "oid": _etag("", content)}
    if name.endswith(".safetensors"):
        entry["lfs"] = {"oid": _etag(name, content), "size": len(content), "pointerSize": 134}
    return entry
