"""`bundle.json`: which toolchains are in a bundle, for which Python and platform, and the digest of every file."""

from __future__ import annotations

import hashlib
import platform as machine
import re
from datetime import date  # noqa: TC003  # msgspec reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

import msgspec

from regress import stored
from regress.config import ToolchainSpec
from regress.errors import ToolchainError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 2
"""Version of `bundle.json`; 1 held one toolchain. Another one is refused: a bundle is soon made again."""

CHUNK_BYTES = 2**20

PLATFORM = re.compile(r"(?P<machine>x86_64|aarch64)-manylinux_2_(?P<minor>\d+)")
"""A platform as uv names it: processor and the oldest glibc."""


class File(stored.Stored, frozen=True):
    """One file of a bundle.

    Attributes:
        size: In bytes.
        sha256: Its digest.
        wheel_sha256: Of a slim wheel, the digest of the wheel it was made of; `None` for every other file.
    """

    size: stored.Bytes
    sha256: stored.Sha256
    wheel_sha256: stored.Sha256 | None = None


class Carried(stored.Stored, frozen=True):
    """One toolchain of a bundle.

    Attributes:
        name: Its name.
        key: Its folder in the cache, as `install` would choose it on the machine the bundle is for.
        packages: What was asked for, without paths and passwords.
        as_of: The day it was resolved for.
        interpreter: The Python that `regress.toml` asks for; the one that runs `regress` where `None`.
        wheels: Its wheels among the files of the bundle.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._+-]*$")]
    key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$")]
    packages: tuple[str, ...]
    as_of: date | None
    interpreter: str | None
    wheels: tuple[str, ...]

    @property
    def spec(self) -> ToolchainSpec:
        """The toolchain as far as the bundle tells."""
        return ToolchainSpec(name=self.name, packages=self.packages, as_of=self.as_of, python=self.interpreter)

    @property
    def lock(self) -> str:
        """Its lock among the files of the bundle."""
        return lock_of(self.name)


class Manifest(stored.Stored, frozen=True):
    """`bundle.json`.

    Attributes:
        schema: Version of this shape.
        toolchains: What is in it; they may share wheels.
        python: Version its wheels fit, such as `3.11`.
        platform: Platform its wheels fit, such as `x86_64-manylinux_2_28`.
        left_out: Patterns of the files that its slim wheels lack, each with the reason.
        files: All other files, in the order of the archive.
    """

    schema: int
    toolchains: Annotated[tuple[Carried, ...], msgspec.Meta(min_length=1)]
    python: Annotated[str, msgspec.Meta(pattern=r"^\d+\.\d+$")]
    platform: Annotated[str, msgspec.Meta(pattern=PLATFORM.pattern)]
    files: dict[str, File]
    left_out: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        """The names of its toolchains."""
        return [carried.name for carried in self.toolchains]


def lock_of(name: str) -> str:
    """Where in a bundle the lock of a toolchain lies."""
    return f"locks/{name}.lock"


def described(path: Path, wheel_sha256: str | None = None) -> File:
    """The size and the SHA-256 of a file.

    Args:
        path: The file.
        wheel_sha256: Of a slim wheel, the digest of the wheel it was made of.
    """
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return File(size=path.stat().st_size, sha256=digest.hexdigest(), wheel_sha256=wheel_sha256)


def this_platform() -> str:
    """The platform bundles are made for when none is named: this machine's processor, glibc 2.28 or newer."""
    return f"{machine.machine()}-manylinux_2_28"


def decoded(data: bytes, name: str) -> Manifest:
    """The manifest in the text of a `bundle.json`.

    Args:
        data: The text.
        name: The bundle's name, for errors.

    Raises:
        ToolchainError: It is of another schema, or not one that can be meant.
    """
    try:
        version = stored.schema_of(data)
        if version > SCHEMA:
            raise ToolchainError(
                f"bundle {name}: schema {version} is newer than this regress reads ({SCHEMA})",
                hint="update regress",
            )
        if version < SCHEMA:
            raise ToolchainError(
                f"bundle {name}: schema {version} is no longer read", hint="bundle its toolchain again"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except stored.DAMAGED as error:
        raise ToolchainError(f"bundle {name}: bundle.json: {error}") from error
    wanted = {file for carried in manifest.toolchains for file in (carried.lock, *carried.wheels)}
    if absent := sorted(wanted - manifest.files.keys()):
        raise ToolchainError(f"bundle {name}: bundle.json: {absent[0]} is not among its files")
    return manifest
