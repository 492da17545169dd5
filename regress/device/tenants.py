"""Whose the processes on a device are: the worker's, or somebody else's.

A worker has a session of its own (`regress.process`), so that all it starts can be told by the session's number. In a
container that number says nothing: NVML lists processes as the host numbers them. There, whoever is listed before the
worker computes is another, and of those that come later one is the worker.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NAMESPACE = Path("/proc/self/ns/pid")
_HOST_NAMESPACE = 0xEFFFFFFC
"""Inode of the first process namespace (PROC_PID_INIT_INO in the kernel's include/linux/proc_ns.h)."""


class Tenancy(NamedTuple):
    """Who computes on a device.

    Attributes:
        own_bytes: Device memory of the worker; `None` where it is not told.
        others: Other processes.
    """

    own_bytes: int | None
    others: int


class Tenants:
    """Tells the worker's processes from those of others.

    Args:
        numbered_alike: Whether a device lists processes by the numbers they have here.
        session_of: The session of a process; raises `OSError` where there is none.
    """

    def __init__(self, *, numbered_alike: bool, session_of: Callable[[int], int] = os.getsid) -> None:
        self._numbered_alike, self._session_of = numbered_alike, session_of
        self._before: frozenset[int] | None = None

    def tell(self, listed: Mapping[int, int | None], worker: int | None) -> Tenancy:
        """Who computes, by what a device lists.

        Args:
            listed: Process to the device memory it holds; `None` where that is not told.
            worker: The worker's process; `None` before it was started.
        """
        if worker is None or self._before is None:
            self._before = frozenset(listed)
        own = self._own(listed, worker)
        sizes = [listed[pid] for pid in own]
        known = [size for size in sizes if size is not None]
        return Tenancy(sum(known) if known and len(known) == len(sizes) else None, len(listed) - len(own))

    def _own(self, listed: Mapping[int, int | None], worker: int | None) -> list[int]:
        if worker is None:
            return []
        if self._numbered_alike:
            return [pid for pid in listed if self._session(pid) == worker]
        return [pid for pid in listed if pid not in (self._before or ())][:1]

    def _session(self, pid: int) -> int | None:
        try:
            return self._session_of(pid)
        except OSError:
            return None


def numbered_as_the_host_does(namespace: Path = _NAMESPACE) -> bool:
    """Whether this process sees the host's process numbers, and not those of a container."""
    try:
        return namespace.stat().st_ino == _HOST_NAMESPACE
    except OSError:
        return False
