"""What the environment of a GitHub workflow's step says: which repository, commit and run it is for, and our token."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from regress.errors import UsageError
from regress.redact import publishable

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where to publish, and as whom.

    Attributes:
        api: Address of the API.
        repository: `OWNER/NAME`.
        token: What lets us in.
        sha: The commit that checks are about; empty where it is not known.
        run: Address of the workflow run; empty where it is not known.
    """

    api: str
    repository: str
    token: str = field(repr=False)
    sha: str = ""
    run: str = ""


def place_from(env: Mapping[str, str], repository: str | None, sha: str | None) -> Place:
    """Where to publish, as the environment of a workflow's step says.

    Args:
        env: The environment.
        repository: `OWNER/NAME` in its place.
        sha: A commit in its place.

    Raises:
        UsageError: It says too little, or what cannot be.
    """
    token = env.get("GITHUB_TOKEN", "").strip()
    if not re.fullmatch(r"[!-~]+", token):
        hint = "in the workflow: env: GITHUB_TOKEN: ${{ github.token }}"
        raise UsageError(f"publish: GITHUB_TOKEN: {'no token' if token else 'not set'}", hint=hint)
    repository = repository or env.get("GITHUB_REPOSITORY", "")
    if not _REPOSITORY.fullmatch(repository):
        raise UsageError(f"publish: --repository: '{repository}' is not of the form OWNER/NAME")
    sha = sha or env.get("GITHUB_SHA", "")
    if sha and not _SHA.fullmatch(sha):
        raise UsageError(f"publish: --sha: '{sha}' is no commit's whole name")
    return Place(api=_api(env), repository=repository, token=token, sha=sha, run=run_address(env, repository))


def _api(env: Mapping[str, str]) -> str:
    address = env.get("GITHUB_API_URL") or "https://api.github.com"
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise UsageError(f"publish: GITHUB_API_URL: '{publishable(address)}' is no https address")
    return address.rstrip("/")


def run_address(env: Mapping[str, str], repository: str | None = None) -> str:
    """Address of the workflow run; empty outside of one."""
    server, number = env.get("GITHUB_SERVER_URL") or "https://github.com", env.get("GITHUB_RUN_ID", "")
    repository = repository or env.get("GITHUB_REPOSITORY", "")
    known = number.isdigit() and _REPOSITORY.fullmatch(repository)
    return f"{server}/{repository}/actions/runs/{number}" if known else ""
