"""Bundles: one archive with all the wheels of a toolchain, for machines without network.

A bundle does not name the index its wheels came from: its address may hold a password.
"""

from __future__ import annotations

import os
import platform as machine
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from regress import process, record, redact, supervisor, toolchain
from regress.bundle.archive import (
    PLATFORM,
    SCHEMA,
    Manifest,
    Parts,
    described,
    extract,
    pack,
    read_manifest,
)
from regress.errors import ToolchainError, UsageError
from regress.toolchain import cache, check, lock, uv

if TYPE_CHECKING:
    from regress.config import ToolchainSpec

__all__ = ["Manifest", "bundle", "parse_size", "read_manifest", "this_platform", "unbundle"]

DOWNLOAD_TIME_LIMIT_S = 3600.0

OLDEST_GLIBC_MINOR = 5
"""manylinux begins with glibc 2.5."""

_SIZE = re.compile(r"(?P<number>\d+)\s*(?:(?P<unit>[KMGT])(?P<suffix>I?B)?|B)?", re.IGNORECASE)

Log = Callable[[str], None]
"""Takes one line of progress."""


def _silent(_line: str) -> None:
    """The log of a caller who wants none."""


def this_platform() -> str:
    """The platform bundles are made for when none is named: this machine's processor, glibc 2.28 or newer."""
    return f"{machine.machine()}-manylinux_2_28"


def parse_size(text: str) -> int:
    """The bytes in a size such as `60M`: `K`, `M`, `G`, `T` count in 1024s (as `KiB` does), `KB` in 1000s.

    Raises:
        UsageError: It is no size, or nothing fits in it.
    """
    match = _SIZE.fullmatch(text.strip())
    size = 0
    if match:
        base = 1000 if (match["suffix"] or "").upper() == "B" else 1024
        size = int(match["number"]) * base ** (" KMGT".index((match["unit"] or " ").upper()))
    if size <= 0:
        raise UsageError(f"'{text}' is not a size", hint="write it like 60M, 1900MB or 2G")
    return size


def bundle(  # noqa: PLR0913  # each is an option of the command
    spec: ToolchainSpec,
    destination: Path,
    *,
    python: str | None = None,
    platform: str | None = None,
    split_size: int | None = None,
    log: Log = _silent,
) -> list[Path]:
    """The files of a new bundle, in order.

    Args:
        spec: The toolchain to bundle.
        destination: Folder that receives the files; made where it is missing.
        python: Python version of the machine it is for; where `None`, what `spec` asks for, else ours.
        platform: Its platform, such as `aarch64-manylinux_2_28`; this machine's where `None`.
        split_size: Most bytes in one file; one file whatever its size where `None`.
        log: Called with each line of progress.

    Raises:
        ToolchainError: It cannot be resolved, a wheel is not to be had, or `destination` cannot be written.
        UsageError: The kind of toolchain, the Python or the platform cannot be bundled.
    """
    destination = destination.absolute()  # uv and pip work in a folder of their own
    python, platform = _python(spec, python), platform or this_platform()
    tags = _tags(platform)
    if spec.kind != "venv":
        raise UsageError(f"toolchain '{spec.name}': a bundle is made of a 'venv', not of '{spec.kind}'")
    with cache.writing(f"bundle of '{spec.name}'", destination, hint="choose a folder with more room"):
        destination.mkdir(parents=True, exist_ok=True)
        # Beside the result, so that the last step is a rename, and gone whatever happens before it.
        with tempfile.TemporaryDirectory(prefix=".bundle-", dir=destination) as temporary:
            folder = Path(temporary)
            log(f"{spec.name}: resolving for Python {python} on {platform}")
            packages = _resolve(spec, folder, python, platform)
            log(f"{spec.name}: fetching {len(packages)} wheels")
            _download(spec, folder, python, tags)
            return _write(_manifest(spec, folder, python, platform), folder, destination, split_size)


def _python(spec: ToolchainSpec, asked: str | None) -> str:
    """The Python version to bundle for, as `3.11`."""
    declared = re.fullmatch(r"(\d+\.\d+)(\.\d+)?", spec.python or "")
    python = asked or (declared[1] if declared else cache.this_python())
    if not re.fullmatch(r"\d+\.\d+", python):
        raise UsageError(f"'{python}' is not a Python version", hint="write it like 3.11")
    if declared and declared[1] != python:
        raise UsageError(f"toolchain '{spec.name}' is declared for Python {declared[1]}, not {python}")
    return python


def _tags(platform: str) -> list[str]:
    """The platform tags of the wheels that run there, newest first: pip takes each of them by the letter."""
    match = PLATFORM.fullmatch(platform)
    if match is None:
        raise UsageError(
            f"'{platform}' is not a platform to bundle for",
            hint="write it like x86_64-manylinux_2_28 or aarch64-manylinux_2_28",
        )
    minors = range(int(match["minor"]), OLDEST_GLIBC_MINOR - 1, -1)
    old = ["manylinux2014", "manylinux2010", "manylinux1"]
    return [f"{tag}_{match['machine']}" for tag in [*(f"manylinux_2_{minor}" for minor in minors), *old]]


def _resolve(spec: ToolchainSpec, folder: Path, python: str, platform: str) -> tuple[record.Package, ...]:
    """The packages, once their lock is written: by name and version, so that it needs no address."""
    resolved = uv.compile_lock(spec, folder, python=python, platform=platform)
    (folder / "fetch.lock").write_text(resolved)
    packages = lock.parse(resolved, f"toolchain '{spec.name}'")
    (folder / "requirements.lock").write_text(lock.render(packages))
    return packages


def _download(spec: ToolchainSpec, folder: Path, python: str, tags: list[str]) -> None:
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input", "--quiet"]
    options += ["--disable-pip-version-check", "--implementation", "cp", "--python-version", python]
    options += [option for tag in tags for option in ("--platform", tag)]
    command = [sys.executable, "-m", "pip", "download", *options, *uv.sources(spec)]
    output = process.run(
        [*command, "-r", folder / "fetch.lock", "-d", folder / "wheels"],
        env={**os.environ, "NO_COLOR": "1"},
        cwd=folder,
        timeout_s=DOWNLOAD_TIME_LIMIT_S,
    )
    if not output.exit.ok:
        full = f": no space left for {folder}" if uv.NO_SPACE in output.stderr else ""
        raise ToolchainError(
            f"toolchain '{spec.name}': its wheels for Python {python} on {tags[0]} cannot be fetched{full}",
            cause=_pip_error(output.stderr) or output.exit.describe(DOWNLOAD_TIME_LIMIT_S),
        )


def _pip_error(stderr: str) -> str | None:
    """What pip says after the last `ERROR:`; the exception that it did not expect, where it is one."""
    said = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    line = supervisor.telling_line(stderr) if not said or said[-1].startswith("Exception") else said[-1]
    return redact.publishable(line) if line else None


def _manifest(spec: ToolchainSpec, folder: Path, python: str, platform: str) -> Manifest:
    wheels = sorted(path.name for path in (folder / "wheels").iterdir())
    names = ["requirements.lock", *(f"wheels/{name}" for name in wheels)]
    system = f"linux-{platform.split('-', maxsplit=1)[0]}"
    return Manifest(
        schema=SCHEMA,
        name=spec.name,
        key=cache.key(spec, python=python, platform=system),
        packages=tuple(redact.publishable(package) for package in spec.packages),
        as_of=spec.as_of,
        interpreter=spec.python,
        python=python,
        platform=platform,
        files={name: described(folder / name) for name in names},
    )


def _write(manifest: Manifest, folder: Path, destination: Path, split_size: int | None) -> list[Path]:
    """The files of the bundle, once they are at `destination` under their names."""
    name = f"{manifest.name}-py{manifest.python}-{manifest.platform}.tar"
    parts = Parts(folder / name, split_size)
    try:
        pack(manifest, folder, parts)
    finally:
        parts.close()
    return [path.replace(destination / path.name) for path in parts.paths]


def unbundle(
    first: Path,
    home: Path,
    *,
    spec: ToolchainSpec | None = None,
    log: Log = _silent,
    check: Path = check.SCRIPT,
) -> toolchain.InstalledToolchain:
    """The toolchain in a bundle, installed without network where `install` will find it.

    Args:
        first: The bundle's only file, or any of its parts.
        home: The cache folder.
        spec: What `regress.toml` declares under its name; the bundle must hold that. `None` to trust it.
        log: Called with each line of progress.
        check: Script that the toolchain's Python must run without error.

    Raises:
        ToolchainError: The bundle is damaged, cut short or for another machine, or the cache is not writable.
    """
    manifest = read_manifest(first)
    _fits(manifest, first.name, spec)
    place = cache.Place(name=manifest.name, folder=home / "toolchains" / manifest.name / manifest.key)

    def supply(place: cache.Place, environment: str) -> None:
        log(f"{manifest.name}: verifying {len(manifest.files)} files")
        extract(first, place.folder)
        _install(manifest, place, environment, log)

    return toolchain.establish(spec or manifest.spec, place, supply, log=log, check=check)


def _fits(manifest: Manifest, name: str, spec: ToolchainSpec | None) -> None:
    """Raises where a bundle was made for another Python, another processor or another declaration."""
    here = f"{sys.platform}-{machine.machine()}"
    made_for = f"linux-{manifest.platform.split('-', maxsplit=1)[0]}"
    if made_for != here:
        raise ToolchainError(
            f"bundle {name} is for {manifest.platform}; this machine is {here}",
            hint=f"regress toolchain bundle {manifest.name} --platform {this_platform()}",
        )
    if manifest.interpreter is None and manifest.python != cache.this_python():
        raise ToolchainError(
            f"bundle {name} is for Python {manifest.python}; this is Python {cache.this_python()}",
            hint=f"regress toolchain bundle {manifest.name} --python {cache.this_python()}",
        )
    if spec and manifest.key != cache.key(spec, python=manifest.python):
        raise ToolchainError(
            f"bundle {name} holds another toolchain than regress.toml declares as '{spec.name}'",
            hint="bundle it again from the same regress.toml",
        )


def _install(manifest: Manifest, place: cache.Place, environment: str, log: Log) -> None:
    folder, wheels = place.folder / environment, place.folder / "wheels"
    uv.make_environment(folder, name=manifest.name, python=manifest.interpreter or sys.executable, offline=True)
    log(f"{manifest.name}: installing {len(manifest.files) - 1} wheels")
    sources = ["--no-index", "--find-links", str(wheels)]
    uv.install(folder, place.lock, name=manifest.name, sources=sources, offline=True)
    for wheel in wheels.iterdir():
        wheel.unlink()
    wheels.rmdir()
