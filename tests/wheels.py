"""Wheels for tests."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def recorded(files: Mapping[str, bytes], record: str) -> dict[str, bytes]:
    """The files of a wheel with the list that vouches for each; `record` is its name."""
    lines = [f"{record},,\n"]
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}\n")
    return {**files, record: "".join(lines).encode()}
