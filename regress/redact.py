"""Taking out of a text what must not be published: paths, secrets, people's names."""

from __future__ import annotations

import re

_URL = re.compile(r"\b(?!file:)[a-z][a-z0-9+.-]*://[^\s'\"]*", re.IGNORECASE)
_ABSOLUTE_PATH = re.compile(
    r"(?<![\w.:)…])(?:file://)?/(?:[\w.+@=-]+/)*[\w.+@=-]+/?|(?<=:)/(?:[\w.+@=-]+/)+[\w.+@=-]+/?"
)
_GLUED_PATH = re.compile(r"(?<=[\w=])/(?:home|root|Users|tmp|var|opt)/(?:[\w.+@=-]+/)*[\w.+@=-]+")
_SECRET = re.compile(r"\b(?:hf_|gh[pousr]_|github_pat_)[A-Za-z0-9_]{8,}|(?i:bearer )\S+")
_USER_INFO = re.compile(r"(?<=://)[^/\s@]+(?=@)")


def without_secrets(text: str) -> str:
    """The text with tokens, and user names and passwords in URLs, struck out."""
    return _USER_INFO.sub("***", _SECRET.sub("***", text))


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
        urls.append(_USER_INFO.sub("***", match.group()))
        return f"\x00{len(urls) - 1}\x00"

    text = _URL.sub(put_aside, _SECRET.sub("***", text))
    text = _GLUED_PATH.sub(_shortened, _ABSOLUTE_PATH.sub(_shortened, text))
    return re.sub("\x00([0-9]+)\x00", lambda match: urls[int(match.group(1))], text)


def _shortened(match: re.Match[str]) -> str:
    parts = match.group().removeprefix("file://").strip("/").split("/")
    if parts[0] in {"home", "Users"}:
        parts = parts[2:]  # the second part is a person
    kept = parts[-2:] if {"site-packages", "lib"} & set(parts[:-1]) else parts[-1:]
    return "/".join(["…", *kept])
