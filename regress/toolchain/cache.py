"""Where toolchains lie in the cache, and how a half-made one is told from a good one.

    <cache>/toolchains/<name>/<key>.lock          held by the process that installs or removes
    <cache>/toolchains/<name>/<key>/
        venv-<random>/       the environment
        requirements.lock    what is in it, with digests
        toolchain.json       its identity and the outcome of its check; written last

A folder without `toolchain.json` is an interrupted install and is made again. The environment's name is new
each time, because an installer that outlived its killed parent may still be writing into the old one.
"""

from __future__ import annotations

import contextlib
import os
import platform as machine
import secrets
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from regress import record
from regress import stored as storage
from regress.config import CONTAINER_KEYS
from regress.errors import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from regress.config import ToolchainSpec

SCHEMA = 1
"""Version of `toolchain.json`; a file of another version is an environment to be made again."""

NO_SPACE_HINT = "make room there, or name another cache folder with REGRESS_HOME"


class Stored(storage.Stored, frozen=True):
    """`toolchain.json`.

    Attributes:
        schema: Version of this shape.
        environment: Name of the environment's folder beside it.
        identity: The toolchain.
        failure: Why its check failed; `None` where it passed.
    """

    schema: int
    environment: str
    identity: record.Toolchain
    failure: record.Failure | None = None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one toolchain lies in the cache.

    Attributes:
        name: Its name.
        folder: `<cache>/toolchains/<name>/<key>`.
    """

    name: str
    folder: Path

    @property
    def lock(self) -> Path:
        """`requirements.lock` in its folder."""
        return self.folder / "requirements.lock"

    def python(self, environment: str) -> Path:
        """The interpreter of the environment of that name."""
        return self.folder / environment / "bin" / "python"

    def read(self) -> Stored | None:
        """What is installed there; `None` where nothing is, or not to the end."""
        try:
            stored = msgspec.json.decode((self.folder / "toolchain.json").read_bytes(), type=Stored)
        except (OSError, *storage.DAMAGED):
            return None
        # The interpreter is a link: it dangles once the Python it was made from is gone.
        good = stored.schema == SCHEMA and self.python(stored.environment).exists()
        return stored if good else None

    def write(self, stored: Stored) -> None:
        """Writes `toolchain.json` so that it is there whole or not at all."""
        temporary = self.folder / "toolchain.json.new"
        with temporary.open("wb") as file:
            file.write(record.encode(stored))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / "toolchain.json")

    def clear(self) -> None:
        """Removes the folder, the sign that it is good first."""
        (self.folder / "toolchain.json").unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def held(self, log: Callable[[str], None]) -> Iterator[None]:
        """Keeps every other process from installing or removing this toolchain.

        Args:
            log: Told when another process has to be waited for.

        Raises:
            ToolchainError: The cache cannot be written: it is full, read-only, or someone else's.
        """
        import filelock  # noqa: PLC0415  # the warm path needs no lock

        with writing(f"toolchain '{self.name}'", self.folder):
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            holder = filelock.FileLock(f"{self.folder}.lock")
            try:
                holder.acquire(blocking=False)
            except filelock.Timeout:
                log(f"{self.name}: waiting for the process that is installing it")
                holder.acquire()
            try:
                yield
            finally:
                holder.release()

    @contextlib.contextmanager
    def remade(self) -> Iterator[str]:
        """The name for a new environment in an empty folder, which is removed again if the block fails."""
        self.clear()
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            yield f"venv-{secrets.token_hex(4)}"
        except BaseException:
            self.clear()
            raise


def place_of(spec: ToolchainSpec, home: Path) -> Place:
    """The place of a declared toolchain, for this Python and platform."""
    return Place(name=spec.name, folder=home / "toolchains" / spec.name / key(spec))


def places(name: str, home: Path) -> list[Place]:
    """All places under a toolchain's name, those of earlier declarations included."""
    folders = sorted((home / "toolchains" / name).glob("*"))
    return [Place(name=name, folder=folder) for folder in folders if folder.is_dir()]


def key(spec: ToolchainSpec, *, python: str | None = None, platform: str | None = None) -> str:
    """The folder's name: 16 digits that change with everything that decides what is installed.

    Args:
        spec: The declared toolchain; its name does not count.
        python: Python version where the spec leaves it open, such as `3.11`; this one's where `None`.
        platform: Such as `linux-x86_64`; this one where `None`: a cache may be shared by several machines.
    """
    declared = msgspec.to_builtins(spec) | {"name": "", "python": spec.python or python or this_python()}
    for container_key in CONTAINER_KEYS:  # an image does not lie in the cache
        del declared[container_key]
    return record.digest([SCHEMA, declared, platform or this_platform()])[:16]


def this_python() -> str:
    """Version of the Python that runs `regress`, such as `3.11`: its packages fit no other."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def this_platform() -> str:
    """System and processor architecture, such as `linux-x86_64`."""
    return f"{sys.platform}-{machine.machine()}"


@contextlib.contextmanager
def writing(subject: str, path: Path, hint: str = NO_SPACE_HINT) -> Iterator[None]:
    """Turns what the file system refuses into one line that names the path.

    Args:
        subject: What is being written, for the error.
        path: Where, for errors that do not know.
        hint: What to do about it.

    Raises:
        ToolchainError: The block raised an `OSError`.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise ToolchainError(f"{subject}: cannot write {where}: {error.strerror or error}", hint=hint) from error
