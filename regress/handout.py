"""The workflows of this repository, as another one takes them: the same files, but for where `regress` comes from."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

import msgspec

from regress.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

SETUP = ".github/actions/setup"
LOCK = "requirements.txt"
"""Where the lock lies in this repository; another one gets it beside the action that reads it."""
FILES = (
    f"{SETUP}/action.yml",
    f"{SETUP}/install.sh",
    ".github/actions/plotly/action.yml",
    ".github/actions/plotly/fetch.sh",
    ".github/workflows/_measure.yml",
    ".github/workflows/_publish.yml",
    ".github/workflows/bump.yml",
    ".github/workflows/pages.yml",
    ".github/workflows/regress.yml",
)
MARK = "# Written by `regress install-workflows`, which writes it anew: change it there, or take this line away.\n"
"""The first comment of every file, by which it is known again."""
_REQUIREMENT = re.compile(r"[^\s'\"\\$`][^'\"\\$`\n]*")
"""What can stand in the action without meaning more than it says."""


class _Vcs(msgspec.Struct):
    vcs: str
    commit_id: str


class _Archive(msgspec.Struct):
    hashes: dict[str, str] = {}


class _Origin(msgspec.Struct):
    """Where an installed distribution came from.

    Source: PEP 610, `direct_url.json`.
    """

    url: str
    vcs_info: _Vcs | None = None
    archive_info: _Archive | None = None


def pinned(direct_url: str | None) -> str | None:
    """The requirement that installs the very same `regress`; `None` where only this machine has it.

    Args:
        direct_url: What its installer wrote down (PEP 610); `None` where it came from an index.
    """
    if direct_url is None:
        return None
    origin = msgspec.json.decode(direct_url, type=_Origin)
    if origin.vcs_info:
        return f"regress @ {origin.vcs_info.vcs}+{origin.url}@{origin.vcs_info.commit_id}"
    digest = origin.archive_info.hashes.get("sha256") if origin.archive_info else None
    return f"regress @ {origin.url}#sha256={digest}" if digest and not origin.url.startswith("file:") else None


def at_commit(address: str, commit: str) -> str:
    """The requirement that installs `regress` from a commit of a git repository.

    Args:
        address: Its address, as git knows it: also `user@host:path`.
        commit: The commit's digest.
    """
    short = re.fullmatch(r"(?P<host>[\w.-]+@[\w.-]+):(?P<path>[^/].*)", address)
    reached = f"ssh://{short['host']}/{short['path']}" if short else address
    return f"regress @ git+{reached}@{commit}"


def handed_out(own: Mapping[str, str], requirement: str) -> dict[str, str]:
    """Path to text of every file that another repository gets.

    Args:
        own: Path to text of `FILES` and the lock, as they stand here.
        requirement: What installs `regress` there.

    Raises:
        ConfigError: The requirement holds what a shell or YAML would take for something else.
    """
    if not _REQUIREMENT.fullmatch(requirement):
        raise ConfigError(f"install-workflows: --source {requirement!r}: quotes, $ and line ends have no place in it")
    texts = {path: _marked(own[path]) for path in FILES}
    action = texts[f"{SETUP}/action.yml"]
    for name, ours, theirs in (("LOCK", LOCK, f"{SETUP}/{LOCK}"), ("REGRESS", ".", f'"{requirement}"')):
        action = action.replace(f"{name}: {ours}\n", f"{name}: {theirs}\n")
    return {**texts, f"{SETUP}/action.yml": action, f"{SETUP}/{LOCK}": _marked(own[LOCK])}


def _marked(text: str) -> str:
    """The text with the mark at its start, behind the line that says what runs it."""
    if not text.startswith("#!"):
        return MARK + text
    first, newline, rest = text.partition("\n")
    return first + newline + MARK + rest


def is_ours(text: str) -> bool:
    """Whether a file was written by `regress`, and may be written anew."""
    return MARK in text.splitlines(keepends=True)[:2]


def diff(path: str, before: str, after: str) -> str:
    """The change of a file, as a unified diff; empty where there is none."""
    return "".join(
        difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
        )
    )
