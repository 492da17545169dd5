"""The lock of a toolchain: each package, its version, the digests of the wheels it may be installed from.

It is written in pip's requirements format, as `uv pip compile --generate-hashes` prints it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from regress import record
from regress.errors import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PINNED = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;]+)")
_LINKED = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*) @ (?P<url>\S+)")
_HASH = re.compile(r"--hash=sha256:(?P<digest>[0-9a-f]{64})")


def parse(text: str, subject: str) -> tuple[record.Package, ...]:
    """The packages of a lock, sorted by name.

    Args:
        text: The lock.
        subject: What it belongs to, for errors.

    Raises:
        ToolchainError: A line is no pinned package with at least one SHA-256.
    """
    joined = text.replace("\\\n", " ")
    lines = (line.strip() for line in joined.splitlines())
    packages = [_package(line, subject) for line in lines if line and not line.startswith("#")]
    return tuple(sorted(packages, key=lambda package: package.name))


def _package(line: str, subject: str) -> record.Package:
    requirement, *hashes = re.split(r"\s+(?=--hash=)", line)
    matches = [_HASH.fullmatch(text) for text in hashes]
    digests = sorted(match["digest"] for match in matches if match)
    named = _named(requirement)
    if named is None or not digests or None in matches:
        raise ToolchainError(f"{subject}: not a pinned package with its SHA-256: {line[:120]}")
    return record.Package(name=named[0], version=named[1], sha256=tuple(digests))


def _named(requirement: str) -> tuple[str, str] | None:
    """Normalised name and version of `name==version`, or of `name @ URL` where the URL is a wheel's."""
    if pinned := _PINNED.fullmatch(requirement):
        return canonicalize_name(pinned["name"]), pinned["version"]
    if linked := _LINKED.fullmatch(requirement):
        file = re.split(r"[?#]", linked["url"])[0].rsplit("/", 1)[-1].replace("%2B", "+")
        try:
            return canonicalize_name(linked["name"]), str(parse_wheel_filename(file)[1])
        except InvalidWheelFilename:
            return None
    return None


def render(packages: Iterable[record.Package]) -> str:
    """The lock of these packages by name and version alone: any folder of wheels can serve it."""
    return "".join(
        " \\\n    ".join([f"{package.name}=={package.version}", *(f"--hash=sha256:{d}" for d in package.sha256)]) + "\n"
        for package in packages
    )


def fingerprint(
    *,
    kind: record.ToolchainKind,
    python: str,
    platform: str,
    packages: Iterable[record.Package],
    content: Mapping[str, str],
) -> str:
    """SHA-256 of what a toolchain is, the same on every machine that holds the same.

    Args:
        kind: How it came to be.
        python: Version of its interpreter.
        platform: Its platform, such as `linux-x86_64`.
        packages: Every package in it.
        content: Digests, by name, of what no lock vouches for: sources, native libraries, installed files.
    """
    return record.digest(
        {
            "kind": kind,
            "python": python,
            "platform": platform,
            "packages": sorted([package.name, package.version, *package.sha256] for package in packages),
            "content": dict(content),
        }
    )
