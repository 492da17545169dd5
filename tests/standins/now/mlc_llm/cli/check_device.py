"""`python -m mlc_llm.cli.check_device KIND`: which devices of a kind there are, asked by the commands in a process."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    print("check_device:0" if sys.argv[1:] == ["cpu"] else "check_device:")  # noqa: T201
