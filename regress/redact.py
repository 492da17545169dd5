"""Taking out of a text what must not be published: paths, secrets, people's names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_URL = re.compile(r"\b(?!file:)[a-z][a-z0-9+.-]*://[^\s'\"]*", re.IGNORECASE)
_ABSOLUTE_PATH = re.compile(
    r"(?<![\w.:)…])(?:file://)?/(?:[\w.+@=-]+/)*[\w.+@=-]+/?|(?<=:)/(?:[\w.+@=-]+/)+[\w.+@=-]+/?"
)
_GLUED_PATH = re.compile(r"(?<=[\w=])/(?:home|root|Users|tmp|var|opt)/(?:[\w.+@=-]+/)*[\w.+@=-]+")
_TOKEN = re.compile(r"\b(?:hf_|gh[pousr]_|github_pat_)[A-Za-z0-9_]{8,}|(?i:bearer )\S+")
_USER_INFO = re.compile(r"(?<=://)[^/\s@'\"]+(?=@)")
_SECRET_NAME = re.compile(
    r"TOKEN(?!S|IZ)|SECRET|PASSW|PASSPHRASE|CREDENTIAL|(?:API|ACCESS|PRIVATE)_?KEY", re.IGNORECASE
)
_STRUCK = "***"

SHORTEST_SECRET = 8
"""Characters of a value that is taken for a secret: a shorter one would strike out words of every sentence."""


class _Known:
    """The secrets that this process was given: GitHub's runner masks what it knows in the same way."""

    values: frozenset[str] = frozenset()
    pattern: re.Pattern[str] | None = None


def names_secret(name: str) -> bool:
    """Whether an environment variable's name says that its value is nobody's business."""
    return _SECRET_NAME.search(name) is not None


def without_secrets(env: Mapping[str, str], *, kept: str | None = None) -> dict[str, str]:
    """The environment without the variables whose names say secret: what code that is measured may see.

    Args:
        env: An environment.
        kept: Beginning of the names that stay whatever they say; `None` for none.
    """
    return {name: value for name, value in env.items() if not names_secret(name) or (kept and name.startswith(kept))}


def keep_secret(env: Mapping[str, str]) -> None:
    """From now on, `struck` and `publishable` strike out what the secret variables of an environment hold.

    A value of several lines, such as a private key, is struck out line by line: a log has it in no other way.
    """
    lines = [line.strip() for name, value in env.items() if names_secret(name) for line in value.splitlines()]
    _Known.values |= {line for line in lines if len(line) >= SHORTEST_SECRET}
    # The longest first: one may begin with another.
    ordered = sorted(_Known.values, key=lambda value: (-len(value), value))
    _Known.pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None


def without_known(text: str) -> str:
    """The text with the secrets that this process was given struck out, and all else as it is."""
    return _Known.pattern.sub(_STRUCK, text) if _Known.pattern else text


def struck(text: str) -> str:
    """The text with tokens, user names and passwords struck out."""
    return _USER_INFO.sub(_STRUCK, _TOKEN.sub(_STRUCK, without_known(text)))


def printable(text: str) -> str:
    """The text with what a terminal would obey, or what would end the line, escaped."""
    return text if text.isprintable() else ascii(text)[1:-1]


def publishable(text: str) -> str:
    """The text with absolute paths cut to their last part, and tokens, user names and passwords struck out.

    The last two parts of a path stay where the first of them is a package's folder and no person's name, below
    `site-packages` or `lib`.
    """
    urls: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        urls.append(match.group())
        return f"\x00{len(urls) - 1}\x00"

    text = _URL.sub(put_aside, struck(text))
    text = _GLUED_PATH.sub(_shortened, _ABSOLUTE_PATH.sub(_shortened, text))
    return re.sub("\x00([0-9]+)\x00", lambda match: urls[int(match.group(1))], text)


def _shortened(match: re.Match[str]) -> str:
    parts = match.group().removeprefix("file://").strip("/").split("/")
    if parts[0] in {"home", "Users"}:
        parts = parts[2:]  # the second part is a person
    kept = parts[-2:] if {"site-packages", "lib"} & set(parts[:-1]) else parts[-1:]
    return "/".join(["…", *kept])
