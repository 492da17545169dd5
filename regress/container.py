"""Containers: how a toolchain that lives in an image is started, with docker's command line or podman's.

A worker in a container sees what a worker on the host sees, at the same paths: the folder of the workers, its own
request and log, the cache folder, and the model. Nothing else of the host is there, and no network.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from regress import process
from regress.errors import ToolchainError
from regress.redact import publishable, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from regress.process import Exit, Watch

ASK_LIMIT_S = 60.0
_START_LIMIT_S = 30.0
_START_PERIOD_S = 0.05
_REFUSED = (125, 126, 127)
"""Exit statuses of docker's and podman's own: nothing was started, or the program is not to be run, or not there."""
_SIGNALLED = 128
"""What docker adds to a signal's number to make an exit status of it."""
_GONE = re.compile(r"no such container|no container with|not found|can only kill running|not running", re.IGNORECASE)
_HOSTS_OWN = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "CXX", "LD_LIBRARY_PATH", "CUDA_PATH"),
    *("TVM_HOME", "TVM_LIBRARY_PATH"),
)
"""Variables that say where things lie on the host; the image has its own."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder or file of the host that a container sees.

    Attributes:
        path: Where it is in the container.
        writable: Whether it may be written there.
        source: Where it is on the host; under the same path where `None`.
    """

    path: Path
    writable: bool = False
    source: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Container:
    """How commands are run in an image.

    Attributes:
        runtime: The program: docker, or what takes its arguments.
        image: The image's id, which no later pull moves: what is measured is what was checked.
        options: Arguments of `run` besides those below.
        mounts: What of the host every command sees.
    """

    runtime: str
    image: str
    options: tuple[str, ...]
    mounts: tuple[Mount, ...] = ()

    def with_mounts(self, mounts: Sequence[Mount]) -> Container:
        """The same with further folders."""
        return replace(self, mounts=(*self.mounts, *mounts))

    def argv(self, name: str, command: Sequence[str | Path], env: Mapping[str, str]) -> list[str]:
        """The command line that runs a command.

        Args:
            name: Of the container, to end it by.
            command: Program in the image, and its arguments.
            env: Variables besides those of the image.
        """
        inside = {"HOME": "/tmp", **dict(sorted(env.items()))}  # noqa: S108  # the image's own, which goes with it
        return [
            *(self.runtime, "run", "--rm", "--name", name, "--network", "none", "--entrypoint", ""),
            *self.options,
            *(argument for mount in _outermost(self.mounts) for argument in ("--volume", _volume(mount))),
            *(argument for key, value in inside.items() for argument in ("--env", f"{key}={value}")),
            *(self.image, *map(str, command)),
        ]

    def ended(self, end: Exit) -> Exit:
        """How a command in it ended, by how the client did: a signal comes as an exit status."""
        number = (end.code or 0) - _SIGNALLED
        if number not in set(signal.Signals):
            return end
        return replace(end, code=None, signal=signal.Signals(number).name)

    def refusal(self, end: Exit, log: str) -> str | None:
        """Why nothing was started in it, fit to be published; `None` where something was.

        The first line: docker's last one says how to get help.
        """
        lines = [line.strip() for line in log.splitlines() if line.strip()]
        return publishable(lines[0]) if end.code in _REFUSED and lines else None

    @contextmanager
    def running(self) -> Iterator[str]:
        """A name for a container, which is gone when the block is left: killing the client alone does not end it."""
        name = f"regress-{secrets.token_hex(8)}"
        try:
            yield name
        finally:
            # Killed first: to remove it by force podman asks it to end, and waits ten seconds for a Python to hear.
            ask(self.runtime, "kill", name)
            removed = ask(self.runtime, "rm", "--force", name)
            if not (removed.exit.ok or _GONE.search(removed.stderr)):
                sys.stderr.write(f"container {name} may still run: {publishable(removed.stderr.strip())}\n")

    def watched(self, name: str, watch: Watch) -> Watch:
        """A watch that is entered with the process that runs in the container, as the host numbers it."""
        return lambda client: watch(self._process(name, client) or client)

    def _process(self, name: str, client: int) -> int | None:
        """The host's number of a container's process; `None` where it ended before it could be asked for."""
        until = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < until and not _has_ended(client):
            number = ask(self.runtime, "inspect", "--format", "{{.State.Pid}}", name).stdout.strip()
            if number.isdecimal() and int(number) > 0:
                return int(number)
            time.sleep(_START_PERIOD_S)
        return None


@dataclass(frozen=True, kw_only=True)
class Start:
    """How a command is started: program and arguments, its whole environment, and its watch."""

    argv: Sequence[str | Path]
    env: Mapping[str, str]
    watch: Watch


@contextmanager
def start(
    container: Container | None, command: Sequence[str | Path], env: Mapping[str, str], watch: Watch = nullcontext
) -> Iterator[Start]:
    """How a command is started on the host, or in a container, which ends with the block.

    Args:
        container: Where; on the host where `None`.
        command: Program and arguments.
        env: Its whole environment.
        watch: What is entered with its process id while it runs.
    """
    if container is None:
        yield Start(argv=command, env=env, watch=watch)
        return
    with container.running() as name:
        argv, client = container.argv(name, command, env), without_secrets(os.environ)
        yield Start(argv=argv, env=client, watch=container.watched(name, watch))


def _has_ended(child: int) -> bool:
    """Whether a child of this process has ended; it is left to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def portable(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that mean the same in an image: not those that say where things lie on the host."""
    return {name: value for name, value in env.items() if name not in _HOSTS_OWN}


def readable(folder: Path) -> list[Mount]:
    """The mounts that make a folder's files readable: itself, and each file that it links to, at the link's own target.

    Not the folders of those files: they may hold anything, a home with its keys.
    """
    links = [file for file in sorted(folder.iterdir()) if file.is_symlink() and file.is_file()]
    linked = [Mount(path=_target(link), source=link.resolve()) for link in links]
    return [Mount(path=folder.absolute()), *linked]


def _target(link: Path) -> Path:
    """Where a link says that its file is, from where the link is."""
    return Path(os.path.normpath(link.absolute().parent / link.readlink()))


def _outermost(mounts: Sequence[Mount]) -> list[Mount]:
    """Each place once, writable where one of its mounts is; one that lies in another of as many rights is left out."""
    places: dict[Path, Mount] = {}
    for mount in mounts:
        known = places.get(mount.path)
        places[mount.path] = replace(mount, writable=mount.writable or (known is not None and known.writable))
    return [mount for _, mount in sorted(places.items()) if not _is_within(mount, places)]


def _is_within(mount: Mount, places: Mapping[Path, Mount]) -> bool:
    """Whether a mount is there already, as a part of another."""
    return mount.source in (None, mount.path) and any(
        parent in places and places[parent].writable >= mount.writable for parent in mount.path.parents
    )


def _volume(mount: Mount) -> str:
    """A mount as docker's `--volume` takes it.

    Raises:
        ToolchainError: Its path cannot be said so.
    """
    source = mount.source or mount.path
    for path in (source, mount.path):
        if ":" in str(path):
            raise ToolchainError(f"{path}: what has a colon in its path cannot be given to a container")
    return f"{source}:{mount.path}:{'rw' if mount.writable else 'ro'}"


def ask(runtime: str, *arguments: str, limit_s: float = ASK_LIMIT_S) -> process.Output:
    """What a runtime answers to one of its commands."""
    return process.run([runtime, *arguments], env=without_secrets(os.environ), timeout_s=limit_s)
