"""Bundles: one archive with all the wheels of a toolchain, or of several, for machines without network.

A bundle does not name the index its wheels came from: its address may hold a password.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regress import process, record, redact, supervisor
from regress.bundle import slim as slimming
from regress.bundle.archive import Parts, pack, read_manifest
from regress.bundle.install import unbundle
from regress.bundle.manifest import PLATFORM, SCHEMA, Carried, File, Manifest, described, lock_of, this_platform
from regress.errors import ToolchainError, UsageError
from regress.toolchain import cache, lock, uv

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


@dataclass(frozen=True, kw_only=True)
class _Machine:
    """The machine a bundle is for.

    Attributes:
        python: Its Python, such as `3.11`.
        platform: Its platform, such as `x86_64-manylinux_2_28`.
        tags: The platform tags of the wheels that run there.
    """

    python: str
    platform: str
    tags: tuple[str, ...]

    @property
    def processor(self) -> str:
        """Its processor, such as `x86_64`."""
        return self.platform.split("-", maxsplit=1)[0]


def bundle(  # noqa: PLR0913  # each is an option of the command
    specs: Sequence[ToolchainSpec],
    destination: Path,
    *,
    python: str | None = None,
    platform: str | None = None,
    split_size: int | None = None,
    slim: bool = False,
    log: Log = _silent,
) -> list[Path]:
    """The files of a new bundle, in order.

    Args:
        specs: The toolchains to bundle; a wheel that several of them need is in it once.
        destination: Folder that receives the files; made where it is missing.
        python: Python version of the machine it is for; where `None`, what the specs ask for, else ours.
        platform: Its platform, such as `aarch64-manylinux_2_28`; this machine's where `None`.
        split_size: Most bytes in one file; one file whatever its size where `None`.
        slim: Whether wheels are packed again, smaller: minutes of one core, no other Python, no scripts.
        log: Called with each line of progress.

    Raises:
        ToolchainError: One cannot be resolved, a wheel is not to be had, or `destination` cannot be written.
        UsageError: The kind of toolchain, the Python or the platform cannot be bundled.
    """
    destination = destination.absolute()  # uv and pip work in a folder of their own
    machine = _machine(specs, python, platform or this_platform())
    subject = f"bundle of '{specs[0].name}'"
    with cache.writing(subject, destination, hint="choose a folder with more room"):
        destination.mkdir(parents=True, exist_ok=True)
        # Beside the result, so that the last step is a rename, and gone whatever happens before it.
        with tempfile.TemporaryDirectory(prefix=".bundle-", dir=destination) as temporary:
            folder = Path(temporary)
            for name in ("locks", "wheels"):
                (folder / name).mkdir()
            toolchains = [_gathered(spec, folder, machine, log, slimming.SUFFIX if slim else "") for spec in specs]
            left_out, files = _slimmed(folder, machine, log) if slim else ({}, _described(folder / "wheels"))
            manifest = Manifest(
                schema=SCHEMA,
                toolchains=tuple(toolchains),
                python=machine.python,
                platform=machine.platform,
                left_out=left_out,
                files={**_described(folder / "locks"), **files},
            )
            return _write(manifest, folder, destination, split_size)


def _machine(specs: Sequence[ToolchainSpec], python: str | None, platform: str) -> _Machine:
    """The machine that all these toolchains are asked to be bundled for."""
    tags = tuple(_tags(platform))
    for spec in specs:
        if spec.kind != "venv":
            raise UsageError(f"toolchain '{spec.name}': a bundle is made of a 'venv', not of '{spec.kind}'")
    versions = sorted({_python(spec, python) for spec in specs})
    if len(versions) > 1:
        raise UsageError(f"the toolchains are declared for Python {' and '.join(versions)}: bundle them one by one")
    return _Machine(python=versions[0], platform=platform, tags=tags)


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


def _gathered(spec: ToolchainSpec, folder: Path, machine: _Machine, log: Log, suffix: str) -> Carried:
    """One toolchain, once its lock and its wheels lie in the folder of the bundle.

    Args:
        spec: The toolchain.
        folder: The folder of the bundle.
        machine: The machine it is for.
        log: Called with each line of progress.
        suffix: What the names of its wheels will end in.
    """
    own = folder / f"of-{spec.name}"
    own.mkdir()
    log(f"{spec.name}: resolving for Python {machine.python} on {machine.platform}")
    packages = _resolve(spec, own, machine)
    (folder / lock_of(spec.name)).write_text(lock.render(packages))
    log(f"{spec.name}: fetching {len(packages)} wheels")
    _download(spec, own, machine)
    wheels = sorted((own / "wheels").iterdir())
    for wheel in wheels:
        _shared(wheel, folder / "wheels" / wheel.name)
    return Carried(
        name=spec.name,
        key=cache.key(spec, python=machine.python, platform=f"linux-{machine.processor}"),
        packages=tuple(redact.publishable(package) for package in spec.packages),
        as_of=spec.as_of,
        interpreter=spec.python,
        wheels=tuple(f"wheels/{wheel.name}{suffix}" for wheel in wheels),
    )


def _shared(wheel: Path, place: Path) -> None:
    """Moves a wheel to its place in the bundle, where another toolchain may have put the same one."""
    if place.exists() and described(place) != described(wheel):
        raise ToolchainError(f"two toolchains need different wheels of the name {wheel.name}: bundle them one by one")
    wheel.replace(place)


def _resolve(spec: ToolchainSpec, folder: Path, machine: _Machine) -> tuple[record.Package, ...]:
    """The packages; the lock to fetch them by is written, which may hold addresses."""
    resolved = uv.compile_lock(spec, folder, python=machine.python, platform=machine.platform)
    (folder / "fetch.lock").write_text(resolved)
    return lock.parse(resolved, f"toolchain '{spec.name}'")


def _download(spec: ToolchainSpec, folder: Path, machine: _Machine) -> None:
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input", "--quiet"]
    options += ["--disable-pip-version-check", "--implementation", "cp", "--python-version", machine.python]
    options += [option for tag in machine.tags for option in ("--platform", tag)]
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
            f"toolchain '{spec.name}': its wheels for Python {machine.python} on {machine.tags[0]} "
            f"cannot be fetched{full}",
            cause=_pip_error(output.stderr) or output.exit.describe(DOWNLOAD_TIME_LIMIT_S),
        )


def _pip_error(stderr: str) -> str | None:
    """What pip says after the last `ERROR:`; the exception that it did not expect, where it is one."""
    said = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    line = supervisor.telling_line(stderr) if not said or said[-1].startswith("Exception") else said[-1]
    return redact.publishable(line) if line else None


def _slimmed(folder: Path, machine: _Machine, log: Log) -> tuple[dict[str, str], dict[str, File]]:
    """What the wheels of a bundle lack, with the reasons, and their slim forms, which take their places."""
    wheels = sorted((folder / "wheels").iterdir())
    left_out = slimming.left_out(wheels)
    files = {}
    for wheel in wheels:
        log(f"packing {wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB")
        packed = wheel.with_name(wheel.name + slimming.SUFFIX)
        slimming.squeeze(wheel, packed, machine.processor)
        files[f"wheels/{packed.name}"] = described(packed, wheel_sha256=described(wheel).sha256)
        wheel.unlink()
    return left_out, files


def _described(folder: Path) -> dict[str, File]:
    return {f"{folder.name}/{path.name}": described(path) for path in sorted(folder.iterdir())}


def _write(manifest: Manifest, folder: Path, destination: Path, split_size: int | None) -> list[Path]:
    """The files of the bundle, once they are at `destination` under their names."""
    first, *others = manifest.names
    more = f"-and-{len(others)}-more" if others else ""
    parts = Parts(folder / f"{first}{more}-py{manifest.python}-{manifest.platform}.tar", split_size)
    try:
        pack(manifest, folder, parts)
    finally:
        parts.close()
    return [path.replace(destination / path.name) for path in parts.paths]
