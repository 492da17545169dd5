"""The bump: what a newer release is, and how `regress.toml` comes to name it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import tomlkit
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from regress.errors import ConfigError, ToolchainError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from regress.config import BumpSpec, Config

_SHORT = 12
"""Characters of a commit that stand in a toolchain's name."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """One version of a package, as far as an index or a page of wheels says.

    Attributes:
        version: The version; of a repository the commit.
        uploaded_on: The day of its first file, in UTC; `None` where nobody says.
    """

    version: str
    uploaded_on: date | None = None


@dataclass(frozen=True, kw_only=True)
class Bump:
    """A toolchain that is newer than all that are declared.

    Attributes:
        name: Its name in `regress.toml`.
        release: The release that makes it newer.
        packages: Its requirements; empty for a repository.
        as_of: The day that the rest is resolved as of.
    """

    name: str
    release: Release
    packages: tuple[str, ...]
    as_of: date


def newest(releases: Iterable[Release], spec: BumpSpec) -> Release:
    """The newest release, pre-releases only where they are asked for.

    Raises:
        ToolchainError: There is none.
    """
    known = [release for release in releases if (version := _version(release.version)) and _wanted(version, spec)]
    if not known:
        hint = f"[bump.{spec.name}] asks for wheels of {spec.platform or 'any platform'}"
        raise ToolchainError(f"bump: no release of {spec.package} fits", hint=hint)
    return max(known, key=lambda release: Version(release.version))


def _wanted(version: Version, spec: BumpSpec) -> bool:
    return spec.prereleases or not version.is_prerelease


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def bump(config: Config, spec: BumpSpec, release: Release, today: date) -> Bump | None:
    """The toolchain with a release; `None` where one that is declared has it, or a newer one.

    Args:
        config: `regress.toml`.
        spec: What is followed.
        release: Its newest release.
        today: The day, in UTC: of a day that has not ended nobody knows yet what will have been uploaded on it.
    """
    if spec.repository:
        pinned: Collection[str] = {each.commit for each in config.toolchains.values() if each.commit}
        if release.version in pinned:
            return None
    elif any(known >= Version(release.version) for known in _declared(config, spec.package or "")):
        return None
    as_of = max(filter(None, (release.uploaded_on, today - timedelta(days=1))))
    pins = [f"{package}=={release.version}" for package in (spec.package, *spec.same_version) if package]
    return Bump(name=_name(spec, release), release=release, packages=(*pins, *spec.beside), as_of=as_of)


def with_counterparts(found: Bump, counterparts: Mapping[str, Release]) -> Bump:
    """The toolchain with further packages, each at a version of its own; none of them may be of a later day."""
    pins = [f"{package}=={release.version}" for package, release in counterparts.items()]
    days = [release.uploaded_on for release in counterparts.values() if release.uploaded_on]
    return replace(found, packages=(*found.packages, *pins), as_of=max(found.as_of, *days, found.as_of))


def _declared(config: Config, package: str) -> list[Version]:
    """The versions of a package that toolchains pin."""
    found = []
    for text in (text for spec in config.toolchains.values() for text in spec.packages):
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue  # uv says what is wrong with it, once it is installed
        pins = [each.version for each in requirement.specifier if each.operator in ("==", "===")]
        if _normalized(requirement.name) == _normalized(package):
            found += [version for pin in pins if (version := _version(pin))]
    return found


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _name(spec: BumpSpec, release: Release) -> str:
    """The toolchain's name: letters, digits and `. _ + -` alone, as versions have them."""
    return spec.toolchain.replace("{version}", release.version[:_SHORT] if spec.repository else release.version)


def with_bump(text: str, name: str, spec: BumpSpec, found: Bump) -> str:
    """The text of `regress.toml` with the toolchain declared, and judged in place of the last one; comments stay.

    Args:
        text: The file as it is, which is known to be right.
        name: The file's name, for errors.
        spec: What is followed.
        found: The newer toolchain.

    Raises:
        ConfigError: A toolchain of that name is declared already.
    """
    document = tomlkit.parse(text)
    toolchains = document["toolchains"]
    assert isinstance(toolchains, dict)  # noqa: S101  # a configuration that was read has toolchains
    if found.name in toolchains:
        raise ConfigError(
            f"{name}: toolchains.{found.name}: is declared already, with another version",
            hint=f"give [bump.{spec.name}] a `toolchain` with {{version}} in it",
        )
    toolchains[found.name] = _table(spec, found)
    run = document["run"]
    assert isinstance(run, dict)  # noqa: S101  # as above
    _judge(run["toolchains"], found.name)
    return tomlkit.dumps(document)


def _table(spec: BumpSpec, found: Bump) -> tomlkit.items.Table:
    table = tomlkit.table()
    if spec.repository:
        table["kind"] = "source"
        table["repository"], table["commit"] = spec.repository, found.release.version
        table["path"] = spec.path
    if found.packages:
        table["packages"] = list(found.packages)
    if spec.find_links:
        table["find_links"] = list(spec.find_links)
    if spec.index_url:
        table["index_url"] = spec.index_url
    table["as_of"] = found.as_of
    return table


def _judge(names: Sequence[str], name: str) -> None:
    """Puts a toolchain in the place of the one that was judged, or behind the only one, which is the reference."""
    assert isinstance(names, tomlkit.items.Array)  # noqa: S101  # as above
    if len(names) > 1:
        names[-1] = name
    else:
        names.append(name)
