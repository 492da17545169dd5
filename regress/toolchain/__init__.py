"""Toolchains: isolated environments, resolved as of their date, locked, checked, kept in the cache.

A package set that installs but does not import is a fact about it, not an error: it comes back as a toolchain
with a `failure`. Only what cannot be resolved, fetched or installed raises.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from regress import image as images
from regress import record
from regress.errors import ToolchainError
from regress.toolchain import check as smoke
from regress.toolchain import checkout, lock, uv
from regress.toolchain.cache import SCHEMA, Place, Stored, place_of, places, writing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.config import Config, Standing, ToolchainSpec
    from regress.container import Container

ISOLATED = {"PYTHONPATH": "", "PYTHONNOUSERSITE": "1", "TVM_LIBRARY_PATH": ""}
"""Keeps the user's own packages and libraries out of an environment; Python and TVM take empty as unset."""

Log = Callable[[str], None]
"""Takes one line of progress."""

Supply = Callable[[Place, str], None]
"""Makes the environment of that name at a place, and the place's `requirements.lock`."""


@dataclass(frozen=True, kw_only=True)
class InstalledToolchain:
    """A toolchain that can be run, or the reason why it cannot.

    Attributes:
        identity: What it is, for records.
        python: Its interpreter.
        env: Variables to set, on top of the user's own, whenever its interpreter runs.
        folder: Its folder in the cache; `None` for the kinds `current` and `container`.
        failure: Why its check failed; `None` where TVM imports and builds.
        cached: Whether nothing had to be installed.
        container: Where its interpreter is; on the host where `None`.
    """

    identity: record.Toolchain
    python: Path
    env: Mapping[str, str]
    folder: Path | None
    failure: record.Failure | None
    cached: bool
    container: Container | None = None


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One declared toolchain and where it stands.

    Attributes:
        spec: As declared.
        state: Where it stands.
        toolchain: What is installed; `None` where it is absent or not looked into.
    """

    spec: ToolchainSpec
    state: Standing
    toolchain: InstalledToolchain | None


def _silent(_line: str) -> None:
    """The log of a caller who wants none."""


def install(spec: ToolchainSpec, home: Path, *, log: Log = _silent, check: Path = smoke.SCRIPT) -> InstalledToolchain:
    """The toolchain, installed and checked where that is still to do.

    Args:
        spec: As declared.
        home: The cache folder.
        log: Called with each line of progress.
        check: Script that the toolchain's Python must run without error.

    Returns:
        The toolchain; one that was good before is returned without starting a process, one whose check failed
        is checked again.

    Raises:
        ToolchainError: It cannot be resolved, fetched or installed, or the cache cannot be written.
    """
    if spec.kind == "current":
        return _current(spec, home, log=log, check=check)
    if spec.kind == "container":
        return _contained(spec, log=log, check=check)
    if spec.repository:
        log(f"{spec.name}: checking out {spec.commit}")
        spec = replace(spec, path=str(checkout.fetch(spec, home)))

    def resolve(place: Place, environment: str) -> None:
        _resolve(spec, place, environment, log)

    return establish(spec, place_of(spec, home), resolve, log=log, check=check)


def establish(
    spec: ToolchainSpec, place: Place, supply: Supply, *, log: Log = _silent, check: Path = smoke.SCRIPT
) -> InstalledToolchain:
    """The toolchain at a place; where it is not there yet, `supply` makes it, once for all processes.

    Args:
        spec: What it is.
        place: Where it belongs.
        supply: Makes the environment and its lock.
        log: Called with each line of progress.
        check: Script that the toolchain's Python must run without error.

    Raises:
        ToolchainError: It cannot be made, or the cache cannot be written.
    """
    if (stored := place.read()) and _settled(spec, stored):
        return _installed(spec, place, stored, cached=True)
    with place.held(log):
        stored = place.read()
        if stored is None:
            with place.remade() as environment:
                supply(place, environment)
                stored = _checked(spec, place, environment, log=log, check=check)
            return _installed(spec, place, stored, cached=False)
        if not _settled(spec, stored):
            stored = _checked(spec, place, stored.environment, log=log, check=check)
        return _installed(spec, place, stored, cached=True)


def _settled(spec: ToolchainSpec, stored: Stored) -> bool:
    """Whether the stored check still holds: a checkout changes, and a failure may have been the machine's."""
    return spec.kind == "venv" and stored.failure is None


def _resolve(spec: ToolchainSpec, place: Place, environment: str, log: Log) -> None:
    """Makes the environment from the package index."""
    when = f" as of {spec.as_of}" if spec.as_of else ""
    log(f"{spec.name}: resolving {', '.join(spec.packages)}{when}")
    folder = place.folder / environment
    uv.make_environment(folder, name=spec.name, python=spec.python or sys.executable)
    interpreter = str(place.python(environment))
    place.lock.write_text(uv.compile_lock(spec, place.folder, python=interpreter))
    log(f"{spec.name}: installing {len(_locked(place))} packages")
    uv.install(folder, place.lock, name=spec.name, sources=uv.sources(spec))


def _locked(place: Place) -> tuple[record.Package, ...]:
    return lock.parse(place.lock.read_text(), f"toolchain '{place.name}'")


def _checked(spec: ToolchainSpec, place: Place, environment: str, *, log: Log, check: Path) -> Stored:
    """The outcome of the check, once it is on disk."""
    log(f"{spec.name}: importing TVM and building one function")
    outcome = smoke.run(spec.name, place.python(environment), env=_env(spec), script=check)
    source = {"source": tree_digest(_checkout(spec)), **outcome.libraries} if spec.kind == "source" else {}
    identity = _identity(spec, outcome.hello, _locked(place), content=source)
    stored = Stored(schema=SCHEMA, environment=environment, identity=identity, failure=outcome.failure)
    place.write(stored)
    return stored


def _installed(spec: ToolchainSpec, place: Place, stored: Stored, *, cached: bool) -> InstalledToolchain:
    return InstalledToolchain(
        identity=stored.identity,
        python=place.python(stored.environment),
        env=_env(spec),
        folder=place.folder,
        failure=stored.failure,
        cached=cached,
    )


def _env(spec: ToolchainSpec) -> dict[str, str]:
    """The variables of an environment; the user may say where the libraries of a checkout lie."""
    if spec.kind == "source":
        return {"PYTHONPATH": str(_checkout(spec)), "PYTHONNOUSERSITE": "1"}
    return dict(ISOLATED)


def _checkout(spec: ToolchainSpec) -> Path:
    folder = Path(spec.path or "").expanduser().absolute()
    if not folder.is_dir():
        raise ToolchainError(f"toolchain '{spec.name}': path: no folder {folder}")
    return folder


def _current(spec: ToolchainSpec, home: Path, *, log: Log, check: Path) -> InstalledToolchain:
    """The toolchain of an interpreter as it is now: nothing is kept, because anyone may change it."""
    python = _interpreter(spec, home)
    log(f"{spec.name}: importing TVM and building one function")
    outcome = smoke.run(spec.name, python, env={}, script=check)
    identity = _found_identity(spec, outcome)
    return InstalledToolchain(
        identity=identity, python=python, env={}, folder=None, failure=outcome.failure, cached=True
    )


def _contained(spec: ToolchainSpec, *, log: Log, check: Path) -> InstalledToolchain:
    """The toolchain in an image, by the image that its name stands for now."""
    within, image = images.locate(spec, log=log)
    python = Path(spec.python or "python3")
    log(f"{spec.name}: importing TVM and building one function in {image}")
    env = {"PYTHONNOUSERSITE": "1"}
    outcome = smoke.run(spec.name, python, env=env, script=check, within=within)
    identity = replace(
        _found_identity(spec, outcome, image=within.image, options=record.digest(spec.options)), image=image
    )
    return InstalledToolchain(
        identity=identity,
        python=python,
        env=env,
        folder=None,
        failure=outcome.failure,
        cached=True,
        container=within,
    )


def _found_identity(spec: ToolchainSpec, outcome: smoke.Outcome, **content: str) -> record.Toolchain:
    """What an environment is that we did not install, by what was found in it, and by further digests."""
    # `regress` itself may be installed there, but it is not what is measured.
    found = {name: package for name, package in outcome.hello.packages.items() if name != "regress"}
    packages = tuple(record.Package(name=name, version=package.version) for name, package in found.items())
    files = {name: package.sha256 for name, package in found.items() if package.sha256}
    return _identity(spec, outcome.hello, packages, content={**files, **outcome.libraries, **content})


def _interpreter(spec: ToolchainSpec, home: Path) -> Path:
    """The interpreter that a `current` toolchain names; the one that runs `regress` where it names none."""
    if spec.python is None:
        return Path(sys.executable)
    with writing(f"toolchain '{spec.name}'", home):
        home.mkdir(parents=True, exist_ok=True)
    return uv.find_python(spec.python, name=spec.name, folder=home)


def _identity(
    spec: ToolchainSpec,
    hello: smoke.Hello,
    packages: tuple[record.Package, ...],
    *,
    content: Mapping[str, str],
) -> record.Toolchain:
    fingerprint = lock.fingerprint(
        kind=spec.kind, python=hello.python, platform=hello.platform, packages=packages, content=content
    )
    return record.Toolchain(
        name=spec.name,
        kind=spec.kind,
        fingerprint=fingerprint,
        python=hello.python,
        platform=hello.platform,
        packages=packages,
    )


def tree_digest(folder: Path) -> str:
    """SHA-256 over the Python sources of a checkout: where they lie in it and what they say, not when."""
    files = {}
    for parent, children, names in os.walk(folder):
        children[:] = [child for child in children if not child.startswith(".") and child != "__pycache__"]
        for path in (Path(parent, name) for name in names if name.endswith(".py")):
            files[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return record.digest(files)


def installed(spec: ToolchainSpec, home: Path, *, check: Path = smoke.SCRIPT) -> InstalledToolchain | None:
    """The toolchain as it lies in the cache; `None` where it is not installed.

    A checkout (`source`) is described as it was at its last check. What is not in the cache, the kinds `current` and
    `container`, is checked; an image that is not here is pulled.
    """
    if spec.kind == "current":
        return _current(spec, home, log=_silent, check=check)
    if spec.kind == "container":
        return _contained(spec, log=_silent, check=check)
    if spec.repository:
        spec = replace(spec, path=str(checkout.folder(spec, home)))
    place = place_of(spec, home)
    stored = place.read()
    return _installed(spec, place, stored, cached=True) if stored else None


def listing(config: Config, home: Path) -> list[Listed]:
    """Every declared toolchain, in the file's order, and where it stands; starts no process."""
    return [listed(spec, home) for spec in config.toolchains.values()]


def listed(spec: ToolchainSpec, home: Path) -> Listed:
    """A declared toolchain and where it stands; starts no process."""
    if spec.kind == "current":
        return Listed(spec=spec, state="here", toolchain=None)
    if spec.kind == "container":
        return Listed(spec=spec, state="image", toolchain=None)
    toolchain = installed(spec, home)
    if toolchain is None:
        return Listed(spec=spec, state="absent", toolchain=None)
    return Listed(spec=spec, state="broken" if toolchain.failure else "installed", toolchain=toolchain)


def remove(spec: ToolchainSpec, home: Path, *, log: Log = _silent) -> None:
    """Removes a toolchain from the cache, with what earlier declarations under its name left there.

    Args:
        spec: As declared.
        home: The cache folder.
        log: Called with each line of progress.

    Raises:
        ToolchainError: It is not installed, or the cache cannot be written.
    """
    found = places(spec.name, home)
    if not found:
        raise ToolchainError(f"toolchain '{spec.name}' is not installed", hint="regress toolchain list")
    for place in found:
        with place.held(log):
            place.clear()
