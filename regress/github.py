"""GitHub's API: a repository of it, how long it may keep us waiting, and its errors in one line.

PyGithub speaks it. Of its retries three things are other here: all waiting together is bounded; a request that writes
is never repeated blindly after an answer that does not say whether it was done (see `completed`); and a 429 without
`Retry-After` waits until the limit is said to be reset.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import requests
import urllib3
from github import Auth, Github
from github.GithubException import GithubException, RateLimitExceededException
from github.GithubRetry import GithubRetry

from regress.errors import PublishError
from regress.redact import publishable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from github.Repository import Repository

    from regress.actions import Place

T = TypeVar("T")

LONGEST_WAIT_S = 600.0
"""All waiting of one command, for limits of rate and for servers that fail."""
SECONDARY_WAIT_S = 60.0
"""What GitHub asks for where a secondary limit is reached and no time is named."""
_NOTED_S = 5
"""A wait that is worth a line."""
_REQUEST_TIMEOUT_S = 30
_PAUSES_S = (1.0, 4.0)
"""Between the attempts at a step."""
_FREE_WRITES = 40
"""Writes that are not spread over time; GitHub wants fewer than 80 a minute."""
_OVERLOADED = (403, 429)
_UNTOLD = (401, 403, 404)
_SERVER_FAILED = 500


class _PassingError(PublishError):
    """What may be otherwise the next time: a server that failed, or a connection that broke."""


class Patience:
    """How long is waited, all waits together.

    Args:
        limit_s: The most.
        secondary_s: Where a secondary limit is reached and no time is named.
        say: Receives a line before a long wait.
        sleep: Waits.
        clock: Seconds that pass.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        limit_s: float = LONGEST_WAIT_S,
        secondary_s: float = SECONDARY_WAIT_S,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.secondary_s = secondary_s
        self._limit_s, self._say, self._sleep, self._clock = limit_s, say, sleep, clock
        self._began, self._writes = clock(), 0

    def wait(self, seconds: float) -> None:
        """Waits so long.

        Raises:
            PublishError: That would be longer than may be waited.
        """
        left = self._limit_s - (self._clock() - self._began)
        if seconds > left:
            raise PublishError(
                f"GitHub: asks to wait {seconds:,.0f} s, and {left:,.0f} s of {self._limit_s:,.0f} s are left for that",
                hint="run it again later: what was published stays, the rest follows",
            )
        if seconds >= _NOTED_S:
            self._say(f"GitHub: trying again in {seconds:.0f} s")
        self._sleep(seconds)

    def before_write(self) -> None:
        """Waits as long as there should be between two writes, once there were many."""
        self._writes += 1
        if self._writes > _FREE_WRITES:
            self._sleep(1)


class _Retry(GithubRetry):
    """When a request is made again, and after what time.

    Args:
        patience: How long is waited.
        asked: What urllib3 and PyGithub want to know.
    """

    def __init__(self, patience: Patience, **asked: Any) -> None:  # noqa: ANN401  # urllib3's own
        self._patience = patience
        super().__init__(**asked)

    def new(self, **changes: Any) -> _Retry:  # noqa: ANN401  # as above
        """Itself with changes; urllib3 makes one for every attempt."""
        return super().new(patience=self._patience, **changes)

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:  # noqa: FBT001, FBT002  # urllib3's own
        """Whether to try again: what was refused for its rate was not done, whatever it was."""
        if status_code in _OVERLOADED:
            return bool(self.total)
        return super().is_retry(method, status_code, has_retry_after)

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        """Seconds that an answer asks to wait; `None` where it names none."""
        with suppress(urllib3.exceptions.InvalidHeader):
            if (seconds := super().get_retry_after(response)) is not None:
                return seconds
        reset = response.headers.get("x-ratelimit-reset", "")
        if response.status == _OVERLOADED[1] and reset.isdigit():
            return max(0.0, int(reset) - time.time()) + 1
        return None

    def sleep(self, response: urllib3.BaseHTTPResponse | None = None) -> None:
        """Waits before the next attempt."""
        asked = self.get_retry_after(response) if response is not None else None
        self._patience.wait(asked or self.get_backoff_time())


class Session:
    """A repository on GitHub that is published to.

    Args:
        place: Where, and as whom.
        patience: How long is waited.
    """

    def __init__(self, place: Place, patience: Patience) -> None:
        self.place, self._patience = place, patience
        # It would say of each request what `patience` says in our words.
        logging.getLogger("github").setLevel(logging.ERROR)
        retry = _Retry(
            patience,
            secondary_rate_wait=patience.secondary_s,
            total=8,
            connect=3,
            backoff_factor=0.5,
            allowed_methods=frozenset({"GET"}),
            raise_on_status=False,
        )
        self._github = Github(
            auth=Auth.Token(place.token),
            base_url=place.api,
            timeout=_REQUEST_TIMEOUT_S,
            per_page=100,
            retry=retry,
            seconds_between_requests=None,
            seconds_between_writes=None,
            lazy=True,
        )
        self.repository: Repository = self._github.get_repo(place.repository)

    def before_write(self) -> None:
        """To be called before each request that writes."""
        self._patience.before_write()

    def login(self) -> str | None:
        """Our own name; `None` where GitHub does not tell, as it does not tell a workflow's token."""
        try:
            return self._github.get_user().login
        except RateLimitExceededException:
            raise
        except GithubException as error:
            if error.status in _UNTOLD:
                return None
            raise

    def completed(self, step: Callable[[], T], what: str, permission: str) -> T:
        """What a step gives, which looks at what is there, and writes what is not yet there.

        It is taken again where the server failed or the connection broke: what was done by then, it finds done.

        Args:
            step: The step.
            what: What it publishes, for errors.
            permission: What a workflow's token needs for it.

        Raises:
            PublishError: It cannot be done.
        """

        def attempt() -> T:
            with _explained(what, permission, self.place):
                return step()

        for pause_s in _PAUSES_S:
            with suppress(_PassingError):
                return attempt()
            self._patience.wait(pause_s)
        return attempt()


@contextmanager
def _explained(what: str, permission: str, place: Place) -> Iterator[None]:
    """Turns what the libraries below raise into one line that says what to do."""
    try:
        yield
    except GithubException as error:
        raise _refusal(error, what, permission, place) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _PassingError(f"{what}: GitHub cannot be reached, or its answer broke off", cause=_line(error)) from error
    except (ValueError, RuntimeError) as error:  # JSON that ends too soon; a redirection that leads elsewhere
        raise _PassingError(f"{what}: GitHub's answer cannot be read", cause=_line(error)) from error


def _refusal(error: GithubException, what: str, permission: str, place: Place) -> PublishError:
    """What an answer means."""
    said, status = _line(error), error.status
    if status >= _SERVER_FAILED:
        return _PassingError(f"{what}: GitHub failed with {status}", cause=said)
    if isinstance(error, RateLimitExceededException) or status == _OVERLOADED[1]:
        return PublishError(f"{what}: GitHub's limit of requests is reached", cause=said, hint="run it again later")
    known = {
        401: (f"{what}: GitHub does not accept the token", "it may have expired: GITHUB_TOKEN"),
        403: (f"{what}: the token may not", f"in the workflow's job: permissions: {permission}"),
        404: (
            f"{what}: {place.repository} has nothing of that kind, or the token may not see it",
            f"look at --repository and the number; in the workflow's job: permissions: {permission}",
        ),
    }
    message, hint = known.get(status, (f"{what}: GitHub refuses with {status}", None))
    return PublishError(message, cause=said, hint=hint)


def _line(error: Exception) -> str:
    """What an error says, in one line without secrets."""
    said = error.data.get("message") if isinstance(error, GithubException) and isinstance(error.data, dict) else None
    lines = str(said or error).split("\n")
    return publishable(lines[0])[:300] or type(error).__name__
