"""`bump`: the command that finds a newer toolchain and declares it."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from regress import errors
from regress.bump import bump, newest, with_bump, with_counterparts
from regress.config import parse_config
from regress.errors import ConfigError, UsageError, did_you_mean
from regress.history import write
from regress.progress import Reporter, say
from regress.releases import head, releases
from regress.workspace import open_workspace, read_text, shown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from regress.bump import Bump, Release
    from regress.config import BumpSpec
    from regress.workspace import Workspace


def bump_command(args: argparse.Namespace) -> int:
    """`regress bump`: declares the first newer toolchain that there is, and prints its name; nothing where none is."""
    workspace = open_workspace(args)
    if args.check and (args.push or args.archive):
        raise UsageError("bump: --check writes nothing: --push and --archive are for a bump")
    if workspace.embedded and not args.check:
        raise UsageError("bump: the embedded configuration is not to be changed", hint="name a file with --config FILE")
    found = _first(workspace, _followed(workspace, args.names))
    if found is None:
        say("nothing newer")
        return errors.EXIT_PASS
    spec, newer = found
    if args.check:
        _tell(newer, None, as_json=args.json)
        return errors.EXIT_NEWER
    _declare(workspace, spec, newer)
    if args.archive:
        _archive(args, newer.name)
    # Last: what stands on its branch is never looked for again.
    commit = _pushed(workspace.config_path, newer, args) if args.push else None
    if args.push and commit is None:
        say(f"{newer.name}: bump/{newer.name} is there already; --again replaces it")
        return errors.EXIT_PASS
    _tell(newer, commit, as_json=args.json)
    return errors.EXIT_PASS


def _followed(workspace: Workspace, names: list[str]) -> list[BumpSpec]:
    declared = workspace.config.bump
    if not declared:
        raise ConfigError(
            f"{shown(workspace.config_path)}: bump: nothing to follow",
            hint='[bump.tvm] package = "apache-tvm", toolchain = "tvm-{version}"',
        )
    for name in names:
        if name not in declared:
            raise UsageError(f"bump: no [bump.{name}]{did_you_mean(name, declared)}")
    return [spec for name, spec in declared.items() if not names or name in names]


def _first(workspace: Workspace, followed: Iterable[BumpSpec]) -> tuple[BumpSpec, Bump] | None:
    """What is newer; one thing at a time, so that it is known what a change comes from."""
    today = datetime.now(timezone.utc).date()
    for spec in followed:
        folder = workspace.config_path.parent
        release = head(spec) if spec.repository else newest(releases(spec, folder), spec)
        newer = bump(workspace.config, spec, release, today)
        if newer is not None:
            return spec, with_counterparts(newer, _counterparts(spec, folder))
    return None


def _counterparts(spec: BumpSpec, folder: Path) -> dict[str, Release]:
    """The packages that come with it under versions of their own, each with its newest."""
    followed = {package: msgspec.structs.replace(spec, package=package) for package in spec.own_version}
    return {package: newest(releases(each, folder), each) for package, each in followed.items()}


def _pushed(path: Path, newer: Bump, args: argparse.Namespace) -> str | None:
    """The commit of the new pin on its branch; `None` where the branch is there already: it was measured before."""
    from regress.offer import offer  # noqa: PLC0415  # most bumps are not pushed

    message = f"Bump to {newer.name}"
    return offer(path, remote=args.push, branch=f"bump/{newer.name}", message=message, again=args.again)


def _tell(newer: Bump, commit: str | None, *, as_json: bool) -> None:
    """Prints the name of the toolchain, and the commit with it where there is one."""
    release = newer.release
    if as_json:
        facts = {"toolchain": newer.name, "version": release.version, "uploaded_on": release.uploaded_on}
        sys.stdout.write(msgspec.json.encode({**facts, "as_of": newer.as_of, "commit": commit}).decode() + "\n")
    else:
        sys.stdout.write(" ".join(filter(None, (newer.name, commit))) + "\n")
    day = f", uploaded on {release.uploaded_on}" if release.uploaded_on else ""
    say(f"{newer.name}: {release.version}{day}; the rest as of {newer.as_of}")


def _declare(workspace: Workspace, spec: BumpSpec, newer: Bump) -> None:
    """Writes the toolchain into `regress.toml`, whole or not at all, and only what can be read again."""
    path = workspace.config_path
    text = with_bump(read_text(path), shown(path), spec, newer)
    parse_config(text, shown(path))
    write(path, text.encode())


def _archive(args: argparse.Namespace, name: str) -> None:
    """Keeps the wheels: nightlies are deleted upstream."""
    from regress import bundle as bundles  # noqa: PLC0415  # most bumps are kept by the index

    workspace = open_workspace(args)
    folder = Path(args.archive)
    folder.mkdir(parents=True, exist_ok=True)
    for path in bundles.bundle([workspace.config.toolchain(name)], folder, log=Reporter().note):
        say(f"archived: {path}")
