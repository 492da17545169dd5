"""Bundles on the machine without network: checked, unpacked, and installed where `install` will find them.

Wheels as the index has them are installed by uv. Slim ones need neither uv nor pip: each is unpacked once, all of
them at the same time, and its files are linked into an environment of the standard library's `venv`. There are no
scripts in it but the interpreter, which is all that `regress` starts.
"""

from __future__ import annotations

import functools
import os
import platform as machine
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from packaging import tags
from packaging.utils import parse_wheel_filename

from regress import process, record, toolchain
from regress.bundle import slim
from regress.bundle.archive import extract, read_manifest
from regress.bundle.manifest import Carried, Manifest, this_platform
from regress.device import cpu
from regress.errors import ToolchainError
from regress.toolchain import cache, check, lock, uv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.config import ToolchainSpec

MOST_UNPACKED_AT_ONCE = 4
"""Each takes `slim.LARGEST_WINDOW_BYTES` of memory at most: 1 GiB in all."""

VENV_TIME_LIMIT_S = 300.0
"""It takes 0.1 s; long enough for a slow disk."""

Log = Callable[[str], None]
"""Takes one line of progress."""


def _silent(_line: str) -> None:
    """The log of a caller who wants none."""


def unbundle(
    first: Path,
    home: Path,
    *,
    specs: Mapping[str, ToolchainSpec] | None = None,
    log: Log = _silent,
    check: Path = check.SCRIPT,
) -> list[toolchain.InstalledToolchain]:
    """The toolchains in a bundle, installed without network where `install` will find them.

    Args:
        first: The bundle's only file, or any of its parts.
        home: The cache folder.
        specs: What `regress.toml` declares, by name; the bundle must hold that. Other names are trusted.
        log: Called with each line of progress.
        check: Script that the toolchains' Python must run without error.

    Raises:
        ToolchainError: The bundle is damaged, cut short or for another machine, or the cache is not writable.
    """
    specs = specs or {}
    manifest = read_manifest(first)
    for carried in manifest.toolchains:
        _require_fit(manifest, carried, first.name, specs.get(carried.name))
    with _Content(first, manifest, home, log) as content:
        return [
            _established(content, carried, home, specs.get(carried.name) or carried.spec, log, check)
            for carried in manifest.toolchains
        ]


def _require_fit(manifest: Manifest, carried: Carried, name: str, spec: ToolchainSpec | None) -> None:
    """Raises where a bundle was made for another Python, another processor or another declaration."""
    here = f"{sys.platform}-{machine.machine()}"
    made_for = f"linux-{manifest.platform.split('-', maxsplit=1)[0]}"
    if made_for != here:
        raise ToolchainError(
            f"bundle {name} is for {manifest.platform}; this machine is {here}",
            hint=f"regress toolchain bundle {carried.name} --platform {this_platform()}",
        )
    if carried.interpreter is None and manifest.python != cache.this_python():
        raise ToolchainError(
            f"bundle {name} is for Python {manifest.python}; this is Python {cache.this_python()}",
            hint=f"regress toolchain bundle {carried.name} --python {cache.this_python()}",
        )
    if spec and carried.key != cache.key(spec, python=manifest.python):
        raise ToolchainError(
            f"bundle {name} holds another toolchain than regress.toml declares as '{spec.name}'",
            hint="bundle it again from the same regress.toml",
        )


class _Content(ExitStack):
    """The files of a bundle, checked and unpacked when they are first asked for, and removed in the end."""

    def __init__(self, first: Path, manifest: Manifest, home: Path, log: Log) -> None:
        super().__init__()
        self._first, self._home, self._log = first, home, log
        self.manifest = manifest

    @functools.cached_property
    def folder(self) -> Path:
        """Where they lie: in the cache folder, so that they can be linked into an environment."""
        name = self.enter_context(tempfile.TemporaryDirectory(prefix=".unbundle-", dir=self._home))
        folder = Path(name)
        self._log(f"{self._first.name}: verifying {len(self.manifest.files)} files")
        extract(self._first, folder)
        packed = [folder / file for file in self.manifest.files if file.endswith(slim.SUFFIX)]
        with ThreadPoolExecutor(min(MOST_UNPACKED_AT_ONCE, cpu.count())) as pool:
            # The largest first, which is the last to be ready.
            list(pool.map(self._unpacked, sorted(packed, key=lambda path: -path.stat().st_size)))
        return folder

    def _unpacked(self, packed: Path) -> None:
        folder = unpacked(packed)
        folder.mkdir()
        slim.unpack(packed, folder, self.manifest.left_out)
        packed.unlink()


def unpacked(packed: Path) -> Path:
    """The folder with the files of a slim wheel."""
    return packed.with_name(packed.name.removesuffix(slim.SUFFIX) + ".unpacked")


def _established(  # noqa: PLR0913, PLR0917  # what is installed, where, as what, and how it is told
    content: _Content, carried: Carried, home: Path, spec: ToolchainSpec, log: Log, check: Path
) -> toolchain.InstalledToolchain:
    place = cache.Place(name=carried.name, folder=home / "toolchains" / carried.name / carried.key)

    def supply(place: cache.Place, environment: str) -> None:
        shutil.copyfile(content.folder / carried.lock, place.lock)
        (place.folder / "bundle.json").write_bytes(record.encode(content.manifest))  # says what was left out
        log(f"{carried.name}: installing {len(carried.wheels)} wheels")
        if any(name.endswith(slim.SUFFIX) for name in carried.wheels):
            _link(content, carried, place, place.folder / environment)
        else:
            _install(content, carried, place, place.folder / environment)

    return toolchain.establish(spec, place, supply, log=log, check=check)


def _install(content: _Content, carried: Carried, place: cache.Place, folder: Path) -> None:
    """Makes an environment of wheels as the index has them."""
    uv.make_environment(folder, name=carried.name, python=carried.interpreter or sys.executable, offline=True)
    sources = ["--no-index", "--find-links", str(content.folder / "wheels")]
    uv.install(folder, place.lock, name=carried.name, sources=sources, offline=True)


def _link(content: _Content, carried: Carried, place: cache.Place, folder: Path) -> None:
    """Makes an environment of slim wheels."""
    locked = {digest for package in lock.parse(place.lock.read_text(), carried.lock) for digest in package.sha256}
    packages = _make_environment(folder, carried, content.manifest.python)
    for name in carried.wheels:
        if content.manifest.files[name].wheel_sha256 not in locked:
            raise ToolchainError(f"{name} was made of a wheel that {carried.lock} does not name")
        wheel = content.folder / name
        _require_tags(wheel, carried)
        shutil.copytree(unpacked(wheel), packages, copy_function=_linked, dirs_exist_ok=True)


def _make_environment(folder: Path, carried: Carried, version: str) -> Path:
    """The folder for packages of a new, empty environment."""
    asked = carried.interpreter
    python = uv.find_python(asked, name=carried.name, folder=folder.parent) if asked else Path(sys.executable)
    output = process.run([python, "-m", "venv", "--without-pip", folder], timeout_s=VENV_TIME_LIMIT_S)
    if not output.exit.ok:
        cause = output.stderr.strip().splitlines()[-1:] or [output.exit.describe(VENV_TIME_LIMIT_S)]
        raise ToolchainError(f"toolchain '{carried.name}': {python} makes no environment", cause=cause[0])
    packages = folder / "lib" / f"python{version}" / "site-packages"
    if not packages.is_dir():
        raise ToolchainError(f"toolchain '{carried.name}': {python} is no Python {version}, which its wheels are for")
    return packages


def _require_tags(wheel: Path, carried: Carried) -> None:
    """Raises where this machine is too old for a wheel; another interpreter than ours is not asked."""
    if carried.interpreter is None:
        wanted = parse_wheel_filename(wheel.name.removesuffix(slim.SUFFIX))[3]
        if wanted.isdisjoint(tags.sys_tags()):
            raise ToolchainError(f"toolchain '{carried.name}': {wheel.name} does not run on this machine")


def _linked(source: str, destination: str) -> None:
    """Puts a file into an environment: the same file where the file system knows links, a copy of it elsewhere."""
    Path(destination).unlink(missing_ok=True)  # of two wheels with one file the last wins; it may not write into both
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)
