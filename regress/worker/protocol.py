"""What a worker says and how: one JSON object per line of standard output, a versioned hello first.

    {"event": "hello", "protocol": 1, "worker": "bench_vm", "python": "3.11.7"}
    {"event": "progress", "text": "repeat", "done": 2, "total": 5}
    {"event": "result", ...}

Nothing else reaches standard output: whatever the toolchain prints goes to standard error, which is the log.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import platform
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

PROTOCOL = 1


class Channel:
    """The worker's way to speak to the orchestrator."""

    def __init__(self) -> None:
        """Takes standard output for itself and points it, for everyone else, at standard error."""
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def say(self, event: str, **fields: Any) -> None:  # noqa: ANN401
        """Sends one event; its fields must be JSON, with finite numbers."""
        self._out.write(json.dumps({"event": event, **fields}, allow_nan=False) + "\n")
        self._out.flush()

    def progress(self, text: str, done: int = 0, total: int = 0) -> None:
        """Sends how far the work is: `done` of `total` steps of `text`; no count where `total` is 0."""
        self.say("progress", text=text, done=done, total=total)


def serve(worker: str, request: Path) -> None:
    """Runs the `main` of `regress.worker.<worker>` on a request and sends what it returns as the result.

    Args:
        worker: Name of the worker's module.
        request: File with the request, one JSON object.
    """
    faulthandler.enable()  # a crash leaves at least Python's own stack in the log
    channel = Channel()
    channel.say("hello", protocol=PROTOCOL, worker=worker, python=platform.python_version())
    status = 0
    try:
        module = importlib.import_module(f"regress.worker.{worker}")
        channel.say("result", **module.main(json.loads(request.read_text(encoding="utf-8")), channel))
    except Exception:  # noqa: BLE001  # whatever it is: the log says so
        traceback.print_exc()
        status = 1
    sys.stderr.flush()
    # The toolchain's own shutdown is not what is measured or built, and MLC's engine is known to hang in it.
    os._exit(status)
