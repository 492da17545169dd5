"""`regress`, and how long its workers lived: `python timed_cli.py SECONDS_FILE ARGUMENT...`.

The seconds that all workers of the command lived, from start to end, are written to the file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regress import process
from regress.cli import main

if TYPE_CHECKING:
    from regress.process import Exit

_stream = process.stream
_lived_s = 0.0


def _clocked(*args: Any, **kwargs: Any) -> Exit:  # noqa: ANN401  # whatever `process.stream` takes
    global _lived_s  # noqa: PLW0603
    end = _stream(*args, **kwargs)
    _lived_s += end.duration_s
    return end


if __name__ == "__main__":
    process.stream = _clocked
    code = main(sys.argv[2:])
    Path(sys.argv[1]).write_text(str(_lived_s), encoding="utf-8")
    sys.exit(code)
