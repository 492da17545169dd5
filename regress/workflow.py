"""Workflow commands: lines of a job's output that GitHub's runner obeys, written on purpose or kept from being any.

Source: github.com/actions/runner, src/Runner.Common/ActionCommand.cs. A line is a command where it begins with `::`,
blanks left aside, or has `##[` anywhere, and names a command behind it.
"""

from __future__ import annotations

import re
from typing import Literal

Level = Literal["error", "warning", "notice"]

_LINE_COMMAND = re.compile(r"((?:\A|[\r\n])\s*:)(?=:)")
_BRACKET_COMMAND = re.compile(r"##(?=\[)")


def command(name: Level, message: str, **properties: str | int) -> str:
    """The line that tells the runner so; ends with a newline.

    Args:
        name: What it is.
        message: What is said of it.
        properties: Its properties, such as `file`, `line` and `title`.
    """
    given = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items())
    return f"::{name} {given}::{_data(message)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def harmless(text: str) -> str:
    """The text with a blank in whatever a runner would take for the beginning of a command.

    What stands before the last character of such a beginning is never changed, so that a text can be looked at again
    whenever more of it has come.
    """
    return _BRACKET_COMMAND.sub("## ", _LINE_COMMAND.sub(r"\1 ", text))
