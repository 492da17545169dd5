"""git, as far as a history needs it: plumbing in a bare repository, no work tree, no hook, no question.

What the user set up so that git reaches a remote and may write there stays in force: credential helpers, ssh, proxies,
URLs that stand for others, also where only the repository in the working folder is set up so, as CI does it. Nothing
else of the user's settings reaches what is done here. No URL stands on a command line or in a file of ours: it may
hold a token.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regress import process
from regress.errors import HistoryError
from regress.redact import struck

if TYPE_CHECKING:
    from collections.abc import Mapping

Settings = tuple[tuple[str, str], ...]
"""Settings of git, name and value; a name may stand several times."""

REMOTE = "history"
"""What our repositories call the remote."""
OLDEST = (2, 31)
"""The first git that takes settings from its environment."""
LOCAL_S = 120.0
"""Time limit of a command that asks no other machine, in seconds."""
NETWORK_S = 1800.0
"""Time limit of one that does; git itself ends one over HTTP in which nothing moves for a minute."""

_ELSEWHERE = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_DATE",
    "GIT_COMMON_DIR",
    "GIT_DEFAULT_HASH",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TEMPLATE_DIR",
    "GIT_WORK_TREE",
    "SSH_ASKPASS",
}
"""Variables that speak of another repository, as in a hook of one, or that make ssh ask in a window."""
_REACHING = r"^(http|credential|url|ssh|protocol)\.|^core\.(sshcommand|askpass|gitproxy)$"
"""Settings of the working folder's repository that say how to reach a remote, and who asks."""
_OURS: Settings = (
    ("core.fsmonitor", "false"),
    ("core.hooksPath", os.devnull),
    ("fetch.fsckObjects", "false"),
    ("fetch.prune", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("gc.auto", "0"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
    ("maintenance.auto", "false"),
    ("protocol.version", "2"),
    ("push.followTags", "false"),
    ("push.gpgSign", "false"),
    ("push.recurseSubmodules", "no"),
    ("transfer.bundleURI", "false"),
)
"""Settings that hold over the user's, which could do more than was asked, or wait for ever."""
_IDENTITY = {"NAME": "regress", "EMAIL": "regress@localhost"}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How a call of git ended.

    Attributes:
        ok: Whether it did what it should.
        timed_out: Whether it was ended at its time limit.
        printed: Its standard output.
        stderr: Its standard error.
        how: How it ended, in words.
    """

    ok: bool
    timed_out: bool
    printed: bytes
    stderr: str
    how: str

    @property
    def text(self) -> str:
        """Its standard output as text, without the newline at its end."""
        return self.printed.decode(errors="replace").rstrip("\n")

    @property
    def cause(self) -> str:
        """The telling line of what it said."""
        return telling_line(self.stderr) or self.how


def telling_line(stderr: str) -> str | None:
    """The line of git's words that says why, without secrets; `None` where it said nothing.

    What the other side says comes first, or the program that should have reached it: git's own line after it only says
    that there was something.
    """
    lines = [line for line in map(_plain, stderr.splitlines()) if line]
    told = [text for text in (_TOLD.sub("", line) for line in lines if _TOLD.match(line)) if text]
    own = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    before = [line for line in lines[: lines.index(own[0])] if not _TOLD.match(line)] if own else []
    chosen = [
        *(line for line in told if _GRAVE.match(line)),
        *told,
        *(before[-1:] if own and _EMPTY.search(own[0]) else ()),
        *own,
        *lines[-1:],
    ]
    return struck(re.sub(r"^(fatal|error): ", "", chosen[0]))[:300] if chosen else None


_TOLD = re.compile(r"^remote:\s*")
_GRAVE = re.compile(r"(fatal|error|gh\d+)\b", re.IGNORECASE)
_EMPTY = re.compile(r"Could not read from remote|hung up|early EOF")
"""git's words for that the program that should have reached the remote ended."""


def _plain(line: str) -> str:
    """A line without control characters."""
    return re.sub(r"[^\x20-\x7e\xa0-\U0010ffff]+", " ", line).strip()


@dataclass(frozen=True, kw_only=True)
class Git:
    """git in one place.

    Attributes:
        folder: The folder that it runs in.
        env: The environment that it runs in.
        repository: The repository to work on; the one that the folder lies in where `None`.
    """

    folder: Path
    env: Mapping[str, str]
    repository: Path | None = None

    def __call__(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout_s: float = LOCAL_S,
    ) -> Answer:
        """How a call ended.

        Args:
            arguments: The command and what it is given.
            stdin: What it reads; nothing where `None`.
            env: Variables over those that every call has.
            cwd: Where paths in its input start, in place of the folder.
            timeout_s: Seconds after which it is ended.

        Raises:
            HistoryError: There is no git.
        """
        where = [f"--git-dir={self.repository}"] if self.repository else []
        argv = ["git", *where, *arguments]
        try:
            output = process.run(
                argv, env={**self.env, **(env or {})}, cwd=cwd or self.folder, timeout_s=timeout_s, stdin=stdin
            )
        except OSError as error:
            raise HistoryError(f"git cannot be started: {error.strerror or error}", hint="install git") from error
        how = f"git {arguments[0]}: {output.exit.describe(timeout_s)}"
        return Answer(
            ok=output.exit.ok,
            timed_out=output.exit.timed_out,
            printed=output.printed,
            stderr=output.stderr,
            how=how,
        )


def here(env: Mapping[str, str] = os.environ) -> Git:
    """The working folder's git, as the user has it."""
    return Git(folder=Path.cwd(), env={**env, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"})


def environment(settings: Settings, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for repositories of ours.

    Args:
        settings: Settings over the user's, such as the URL of the remote.
        env: This process's own.
    """
    kept = {name: value for name, value in env.items() if name not in _ELSEWHERE}
    identity = {f"GIT_{who}_{key}": value for who in ("AUTHOR", "COMMITTER") for key, value in _IDENTITY.items()}
    ours = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "SSH_ASKPASS_REQUIRE": "never", **identity}
    return with_settings({**kept, **ours}, (*settings, *_OURS))


def with_settings(env: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """An environment in which those settings hold, besides what it sets already."""
    given = env.get("GIT_CONFIG_COUNT", "")
    first = int(given) if given.isdecimal() else 0
    pairs = {
        f"GIT_CONFIG_{part}_{number}": text
        for number, setting in enumerate(settings, start=first)
        for part, text in zip(("KEY", "VALUE"), setting, strict=True)
    }
    return {**env, **pairs, "GIT_CONFIG_COUNT": str(first + len(settings))}


def reaching(folder: Git) -> Settings:
    """The settings of the repository in a folder that say how to reach a remote; none where there is no repository."""
    answer = folder("config", "--local", "--includes", "-z", "--get-regexp", _REACHING)
    if not answer.ok:
        return ()
    entries = (entry.partition("\n") for entry in answer.text.split("\0") if entry)
    return tuple((key, value) for key, _, value in entries)


def require_version(folder: Git) -> None:
    """Refuses a git that is too old.

    Raises:
        HistoryError: It is.
    """
    found = re.search(r"(\d+)\.(\d+)", folder("version").text)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        raise HistoryError(f"git {found[0]} is too old: {OLDEST[0]}.{OLDEST[1]} or newer is needed", hint="update git")
