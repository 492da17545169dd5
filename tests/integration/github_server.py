"""GitHub on this machine: the part of its REST API that publishing needs, with the shapes of its documentation.

It keeps what it is told, refuses what the real one refuses (texts too long, too many annotations, a token without the
right), and can be told to answer the next requests with a limit, an error, or half of an answer.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

REPOSITORY = "octo/kernels"
TOKEN = "ghs_0123456789abcdefghijABCDEFGHIJ012345"  # noqa: S105  # of nobody
BOT = {"login": "github-actions[bot]", "type": "Bot"}
_LONGEST_BODY = 65_536
_MOST_ANNOTATIONS = 50
_DOCUMENTATION = "https://docs.github.com/rest"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What one request is answered with in place of the answer it should get.

    Attributes:
        status: Its status; the right answer's where `None`.
        message: What its body says.
        headers: Its headers besides.
        kept: Bytes of the right answer that are sent before the connection drops: what was asked is done, then.
        method: The requests it waits for; any where empty.
        done: Whether what was asked is done nevertheless.
    """

    status: int | None = None
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    kept: int | None = None
    method: str = ""
    done: bool = False


def secondary_limit(*, status: int = 403, **headers: str) -> Fault:
    """What GitHub answers where requests come too fast."""
    message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    return Fault(
        status=status, message=message, headers={key.replace("_", "-"): value for key, value in headers.items()}
    )


@dataclass
class LocalGitHub:
    """What is on GitHub, how it misbehaves, and what it was asked.

    Attributes:
        rights: What the token may write.
        login: Whom the token is of; `None` for a workflow's, which is not told.
        faults: What the next requests are answered with, in order.
        dies_after: Writes after which nothing but errors comes; `None` for never.
        issues: Issues and pull requests by number.
        comments: Number of an issue to its comments, in order.
        labels: Names of the labels.
        checks: Check runs, in order.
        requests: Method and path of what it was asked, and the status of its answer, in order.
        tokens: What it was shown of tokens.
        endpoint: Its address; empty until it is served.
    """

    rights: set[str] = field(default_factory=lambda: {"checks", "issues", "pull_requests"})
    login: str | None = None
    faults: list[Fault] = field(default_factory=list)
    dies_after: int | None = None
    issues: dict[int, dict[str, Any]] = field(default_factory=dict)
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    checks: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    endpoint: str = ""
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1001))

    @property
    def writes(self) -> list[tuple[str, str]]:
        """What it changed, in order."""
        return [(method, path) for method, path, status in self.requests if method != "GET" and status < 300]

    @property
    def open_issues(self) -> list[dict[str, Any]]:
        """The open issues, oldest first."""
        return [each for each in self.issues.values() if each["state"] == "open" and "pull_request" not in each]

    def open_pull_request(self, number: int) -> None:
        """Makes a pull request, which GitHub lists among the issues, too."""
        self.issues[number] = {**self._issue(number, "a change", "", []), "pull_request": {"url": "x"}}

    def say(self, number: int, body: str, user: Mapping[str, str]) -> None:
        """Somebody's comment."""
        comment = {"id": next(self.ids), "body": body, "user": dict(user)}
        comment["url"] = f"{self._base}/issues/comments/{comment['id']}"
        self.comments.setdefault(number, []).append(comment)

    def new_issue(self, title: str, body: str, labels: list[str], user: Mapping[str, str] = BOT) -> dict[str, Any]:
        """A new issue."""
        number = max(self.issues, default=0) + 1
        self.issues[number] = {**self._issue(number, title, body, labels), "user": dict(user)}
        return self.issues[number]

    def _issue(self, number: int, title: str, body: str, labels: list[str]) -> dict[str, Any]:
        return {
            "id": next(self.ids),
            "number": number,
            "title": title,
            "body": body,
            "state": "open",
            "state_reason": None,
            "labels": [{"name": name} for name in labels],
            "user": dict(BOT),
            "url": f"{self._base}/issues/{number}",
        }

    @property
    def _base(self) -> str:
        return f"{self.endpoint}/repos/{REPOSITORY}"

    def new_check(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A new check run."""
        check = {"id": next(self.ids), "name": asked["name"], "head_sha": asked["head_sha"], "annotations": []}
        check.update(external_id=asked.get("external_id", ""), details_url=asked.get("details_url"))
        check.update(url=f"{self._base}/check-runs/{check['id']}", conclusion=None)
        self.checks.append(check)
        return check


@contextmanager
def serving(hub: LocalGitHub) -> Iterator[LocalGitHub]:
    """GitHub, listening on a free port of this machine while the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
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
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    hub: LocalGitHub
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: the kernel waits 40 ms between two

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the parent's name for it
        """Says nothing: the tests' output is theirs."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.tokens.append(self.headers.get("Authorization", ""))
        fault = self._fault()
        if fault.status is not None:
            if fault.done:
                self._route(json.loads(body))
            self._send(fault.status, {"message": fault.message, "documentation_url": _DOCUMENTATION}, fault.headers)
            return
        try:
            status, answer, headers = self._route(json.loads(body) if body else {})
        except _Refused as refused:
            told = {"message": str(refused), "documentation_url": _DOCUMENTATION, "status": str(refused.status)}
            status, answer, headers = refused.status, told, {}
        self._send(status, answer, headers, fault.kept)

    def _fault(self) -> Fault:
        if self.hub.dies_after is not None and len(self.hub.writes) >= self.hub.dies_after:
            return Fault(status=502, message="Server Error")
        if self.hub.faults and self.hub.faults[0].method in ("", self.command):
            return self.hub.faults.pop(0)
        return Fault()

    def _route(self, asked: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        if self.headers.get("Authorization") not in (f"token {TOKEN}", f"Bearer {TOKEN}"):
            raise _Refused(401, "Bad credentials")
        path = unquote(urlsplit(self.path).path)
        if path == "/user":
            if self.hub.login is None:
                raise _Refused(403, "Resource not accessible by integration")
            return 200, {"login": self.hub.login, "type": "User"}, {}
        prefix = f"/repos/{REPOSITORY}"
        if path != prefix and not path.startswith(f"{prefix}/"):
            raise _Refused(404, "Not Found")
        for method, pattern, answer in _ROUTES:
            match = re.fullmatch(pattern, path[len(prefix) :])
            if match and method == self.command:
                return answer(self, asked, *match.groups())
        raise _Refused(404, "Not Found")

    def _require(self, *rights: str) -> None:
        if not self.hub.rights & set(rights):
            raise _Refused(403, "Resource not accessible by integration")

    def _listed(self, found: list[Any], wrapped: str = "") -> tuple[int, Any, dict[str, str]]:
        """A page of a list, with the address of the next one."""
        query = parse_qs(urlsplit(self.path).query)
        size, page = int(query.get("per_page", ["30"])[0]), int(query.get("page", ["1"])[0])
        taken = found[(page - 1) * size : page * size]
        headers = {}
        if page * size < len(found):
            address = f"{self.hub.endpoint}{urlsplit(self.path).path}"
            rest = "&".join(f"{name}={each[0]}" for name, each in query.items() if name != "page")
            headers["Link"] = f'<{address}?{rest}&page={page + 1}>; rel="next"'
        return 200, {"total_count": len(found), wrapped: taken} if wrapped else taken, headers

    def _checks(self, _: dict[str, Any], sha: str) -> tuple[int, Any, dict[str, str]]:
        latest = {each["name"]: each for each in self.hub.checks if each["head_sha"] == sha}
        return self._listed([_check_shape(each) for each in latest.values()], "check_runs")

    def _new_check(self, asked: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        self._require("checks")
        if not re.fullmatch("[0-9a-f]{40}", asked.get("head_sha", "")):
            raise _Refused(422, "No commit found for SHA")
        return 201, self._told(self.hub.new_check(asked), asked), {}

    def _edit_check(self, asked: dict[str, Any], number: str) -> tuple[int, Any, dict[str, str]]:
        self._require("checks")
        check = next((each for each in self.hub.checks if each["id"] == int(number)), None)
        if check is None:
            raise _Refused(404, "Not Found")
        return 200, self._told(check, asked), {}

    def _told(self, check: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        output = asked.get("output", {})
        if {"title", "summary"} - output.keys() or len(output["summary"]) > _LONGEST_BODY - 1:
            raise _Refused(422, "Validation Failed: output")
        if len(output.get("annotations", [])) > _MOST_ANNOTATIONS:
            raise _Refused(422, "Validation Failed: output.annotations: 50 are the most")
        if asked.get("status") == "completed" and not asked.get("conclusion"):
            raise _Refused(422, "Validation Failed: conclusion")
        check["annotations"] += output.get("annotations", [])
        check.update(title=output["title"], summary=output["summary"], status=asked.get("status", "queued"))
        check.update(conclusion=asked.get("conclusion"))
        return _check_shape(check)

    def _issues(self, _: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        query = parse_qs(urlsplit(self.path).query)
        wanted, state = query.get("labels", [""])[0], query.get("state", ["open"])[0]
        found = [
            each
            for each in self.hub.issues.values()
            if each["state"] == state and (not wanted or wanted in [label["name"] for label in each["labels"]])
        ]
        return self._listed(found)

    def _new_issue(self, asked: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        self._require("issues")
        self._check_body(asked)
        return 201, self.hub.new_issue(asked["title"], asked["body"], asked.get("labels", [])), {}

    def _edit_issue(self, asked: dict[str, Any], number: str) -> tuple[int, Any, dict[str, str]]:
        self._require("issues")
        self._check_body(asked)
        issue = self._issue(number)
        issue.update(asked)
        return 200, issue, {}

    def _issue(self, number: str) -> dict[str, Any]:
        if int(number) not in self.hub.issues:
            raise _Refused(404, "Not Found")
        return self.hub.issues[int(number)]

    def _comments(self, _: dict[str, Any], number: str) -> tuple[int, Any, dict[str, str]]:
        self._issue(number)
        return self._listed(self.hub.comments.get(int(number), []))

    def _new_comment(self, asked: dict[str, Any], number: str) -> tuple[int, Any, dict[str, str]]:
        self._require("pull_requests" if "pull_request" in self._issue(number) else "issues")
        self._check_body(asked)
        user = {"login": self.hub.login, "type": "User"} if self.hub.login else BOT
        self.hub.say(int(number), asked["body"], user)
        return 201, self.hub.comments[int(number)][-1], {}

    def _edit_comment(self, asked: dict[str, Any], number: str) -> tuple[int, Any, dict[str, str]]:
        self._require("pull_requests", "issues")
        self._check_body(asked)
        all_comments = itertools.chain.from_iterable(self.hub.comments.values())
        comment = next((each for each in all_comments if each["id"] == int(number)), None)
        if comment is None:
            raise _Refused(404, "Not Found")
        comment["body"] = asked["body"]
        return 200, comment, {}

    def _check_body(self, asked: dict[str, Any]) -> None:
        if len(asked.get("body") or "") > _LONGEST_BODY:
            raise _Refused(422, "Validation Failed: body is too long (maximum is 65536 characters)")

    def _repository(self, _: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        return (
            200,
            {"full_name": REPOSITORY, "default_branch": "main", "url": f"{self.hub.endpoint}/repos/{REPOSITORY}"},
            {},
        )

    def _pulls(self, _: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        query = parse_qs(urlsplit(self.path).query)
        head, state = query.get("head", [""])[0], query.get("state", ["open"])[0]
        open_ones = [each for each in self.hub.issues.values() if "pull_request" in each and each["state"] == state]
        return self._listed([each for each in open_ones if head in ("", each["head"]["label"])])

    def _new_pull(self, asked: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        self._require("pull_requests")
        self._check_body(asked)
        label = f"{REPOSITORY.partition('/')[0]}:{asked['head']}"
        if asked["base"] != "main" or any(
            each.get("head", {}).get("label") == label and each["state"] == "open" for each in self.hub.issues.values()
        ):
            raise _Refused(422, "Validation Failed")
        pull = self.hub.new_issue(asked["title"], asked["body"], [])
        pull.update(head={"label": label, "ref": asked["head"]}, base={"ref": asked["base"]}, pull_request={})
        pull["url"] = f"{self.hub.endpoint}/repos/{REPOSITORY}/pulls/{pull['number']}"
        return 201, pull, {}

    def _label(self, _: dict[str, Any], name: str) -> tuple[int, Any, dict[str, str]]:
        if name not in self.hub.labels:
            raise _Refused(404, "Not Found")
        return 200, {"name": name, "color": "b60205"}, {}

    def _new_label(self, asked: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        self._require("issues")
        if asked["name"] in self.hub.labels:
            raise _Refused(422, "Validation Failed: already_exists")
        self.hub.labels.add(asked["name"])
        return 201, {"name": asked["name"], "color": asked["color"]}, {}

    def _send(self, status: int, answer: Any, headers: Mapping[str, str], kept: int | None = None) -> None:  # noqa: ANN401
        self.hub.requests.append((self.command, urlsplit(self.path).path, status))
        body = json.dumps(answer).encode()
        self.send_response(status)
        sent = {"Content-Type": "application/json; charset=utf-8", **headers, "Content-Length": str(len(body))}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:kept])
        if kept is not None:
            self.close_connection = True


def _check_shape(check: dict[str, Any]) -> dict[str, Any]:
    """A check run as the API tells it: its annotations only by their number."""
    told = {name: each for name, each in check.items() if name not in ("annotations", "title", "summary")}
    output = {"title": check.get("title"), "summary": check.get("summary"), "text": None}
    return {**told, "output": {**output, "annotations_count": len(check["annotations"])}}


_ROUTES: list[tuple[str, str, Callable[..., tuple[int, Any, dict[str, str]]]]] = [
    ("GET", r"/commits/([0-9a-f]+)/check-runs", _Handler._checks),
    ("POST", r"/check-runs", _Handler._new_check),
    ("PATCH", r"/check-runs/(\d+)", _Handler._edit_check),
    ("GET", r"/issues", _Handler._issues),
    ("POST", r"/issues", _Handler._new_issue),
    ("PATCH", r"/issues/(\d+)", _Handler._edit_issue),
    ("GET", r"/issues/(\d+)/comments", _Handler._comments),
    ("POST", r"/issues/(\d+)/comments", _Handler._new_comment),
    ("PATCH", r"/issues/comments/(\d+)", _Handler._edit_comment),
    ("GET", r"/pulls", _Handler._pulls),
    ("POST", r"/pulls", _Handler._new_pull),
    ("PATCH", r"/pulls/(\d+)", _Handler._edit_issue),
    ("GET", r"", _Handler._repository),
    ("GET", r"/labels/(.+)", _Handler._label),
    ("POST", r"/labels", _Handler._new_label),
]
