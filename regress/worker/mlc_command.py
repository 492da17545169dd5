"""Runs MLC-LLM's commands, and says why one failed.

The one worker that starts processes: MLC-LLM's steps are commands, each reads its own arguments, prints what it made of
them, and gives its memory back before the next begins. They stay in the worker's session, so that its time limit ends
them, too.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from regress.worker.mlc_era import Command

_MOST_LINES = 2000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_QUANTIZATION = re.compile(r"argument --quantization: invalid choice: '?([\w.-]+)'? \(choose from (.*)\)")
_EXCEPTION = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception|Exit)(?:: .*)?")


def run(command: Command, folder: Path, env: Mapping[str, str]) -> list[str]:
    """The last lines that a command printed, without colours; they go to the log as they come.

    Args:
        command: What to run.
        folder: Its working folder.
        env: Variables over those of this process.

    Raises:
        RuntimeError: It did not end well; the message says why.
    """
    lines: deque[str] = deque(maxlen=_MOST_LINES)
    process = subprocess.Popen(
        [sys.executable, "-m", *command.arguments],
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None  # noqa: S101  # asked for above
    with process.stdout as printed:
        for line in printed:
            plain = _COLOUR.sub("", line)
            sys.stderr.write(plain)
            lines.append(plain.rstrip())
    status = process.wait()
    if status != 0:
        raise RuntimeError(reason(command.name, status, lines))
    return list(lines)


def reason(name: str, status: int, lines: Sequence[str]) -> str:
    """Why a command failed, in one line.

    Args:
        name: The command's.
        status: How it ended, negative for a signal, as `subprocess` says it.
        lines: What it printed.
    """
    if status == -signal.SIGKILL:
        return f"{name} was killed by SIGKILL, as the kernel does when memory runs out"
    if status < 0:
        return f"{name} was killed by {signal.Signals(-status).name}"
    for line in lines:
        if unknown := _QUANTIZATION.search(line):
            return f"{name}: this MLC-LLM knows no quantization '{unknown[1]}'; it knows {unknown[2]}"
    said = [line.strip() for line in lines if line.strip()]
    exceptions = [line for line in said if _EXCEPTION.fullmatch(line)]
    return f"{name}: {(exceptions or said or ['it said nothing'])[-1]} (exit status {status})"
