"""Releases: what a package index, a page of wheels or a repository has, and since when."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date, timezone
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from regress import git
from regress.bump import Release
from regress.errors import HistoryError, ToolchainError
from regress.redact import publishable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from regress.config import BumpSpec

TIME_LIMIT_S = 60.0
"""Time that an index has to answer, in seconds."""


@dataclass(frozen=True, kw_only=True)
class _File:
    """A file that can be had: its name, and the day of its upload in UTC where that is known."""

    name: str
    uploaded_on: date | None = None


def head(spec: BumpSpec) -> Release:
    """The commit that a branch of a repository is at.

    Raises:
        ToolchainError: The repository cannot be reached, or has no such branch.
    """
    where = publishable(spec.repository or "")
    settings = (("remote.followed.url", spec.repository or ""), *git.reaching(git.here()))
    try:
        answer = git.Git(folder=Path.cwd(), env=git.environment(settings))(
            "ls-remote", "--exit-code", "followed", spec.ref, timeout_s=TIME_LIMIT_S
        )
    except HistoryError as error:
        raise ToolchainError(f"bump: {error}", hint=error.hint) from error
    if not answer.ok:
        raise ToolchainError(f"bump: no '{spec.ref}' of {where} can be had", cause=answer.cause)
    return Release(version=answer.text.split()[0])


def releases(spec: BumpSpec, folder: Path) -> list[Release]:
    """The releases of a package that have a wheel for its platform.

    Args:
        spec: What is followed.
        folder: Where the paths in it start.

    Raises:
        ToolchainError: The index or the page cannot be read, or does not know the package.
    """
    files = [file for link in spec.find_links for file in _linked(link, folder)] if spec.find_links else _indexed(spec)
    days: dict[str, date | None] = {}
    for file in files:
        version = _fitting(file.name, spec)
        if version is not None:
            known = days.get(version)
            days[version] = min(known, file.uploaded_on) if known and file.uploaded_on else known or file.uploaded_on
    return [Release(version=version, uploaded_on=day) for version, day in days.items()]


def _fitting(name: str, spec: BumpSpec) -> str | None:
    """The version of a wheel of the package that runs on the platform; `None` for any other file."""
    try:
        package, version, _, tags = parse_wheel_filename(name)
    except InvalidWheelFilename:
        return None
    if package != canonicalize_name(spec.package or ""):
        return None
    platforms = {tag.platform for tag in tags}
    runs = not spec.platform or "any" in platforms or any(each.endswith(spec.platform) for each in platforms)
    return str(version) if runs else None


def _indexed(spec: BumpSpec) -> list[_File]:
    """The files of the package on the index, but for those that were withdrawn."""
    from pypi_simple import PyPISimple  # noqa: PLC0415  # takes a third of a second
    from pypi_simple.errors import NoSuchProjectError, UnsupportedContentTypeError  # noqa: PLC0415  # as above
    from requests import RequestException  # noqa: PLC0415  # as above

    package, endpoint = spec.package or "", spec.index_url or _endpoint()
    try:
        with PyPISimple(endpoint) if endpoint else PyPISimple() as client:
            page = client.get_project_page(package, timeout=TIME_LIMIT_S)
    except (NoSuchProjectError, RequestException, UnsupportedContentTypeError, ValueError, LookupError) as error:
        raise _unreadable(f"the releases of {package}", error) from error
    return [
        _File(name=each.filename, uploaded_on=each.upload_time and each.upload_time.astimezone(timezone.utc).date())
        for each in page.packages
        if not each.is_yanked
    ]


def _endpoint() -> str | None:
    """The index that uv or pip is set to use; `None` where it is their own."""
    names = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def _linked(link: str, folder: Path) -> Iterable[_File]:
    """The files that a page links to, or that lie in a folder."""
    if "://" in link:
        return [_File(name=unquote(PurePosixPath(urlsplit(url).path).name)) for url in _links(link)]
    wheels = folder / Path(link).expanduser()
    if not wheels.is_dir():
        raise ToolchainError(f"bump: find_links: no folder {link}")
    return [_File(name=path.name) for path in wheels.glob("*.whl")]


def _links(address: str) -> list[str]:
    from pypi_simple import RepositoryPage  # noqa: PLC0415  # as above
    from requests import RequestException, get  # noqa: PLC0415  # as above

    try:
        answer = get(address, timeout=TIME_LIMIT_S)
        answer.raise_for_status()
        return [link.url for link in RepositoryPage.from_html(answer.content, address).links]
    except (RequestException, ValueError) as error:
        raise _unreadable(publishable(address), error) from error


def _unreadable(what: str, error: Exception) -> ToolchainError:
    return ToolchainError(f"bump: {what} cannot be read", cause=publishable(str(error)))
