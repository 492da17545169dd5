"""`toolchain list|install|show|bundle|unbundle|remove`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from regress import bundle as bundles
from regress import errors, toolchain
from regress.errors import ToolchainError
from regress.progress import Reporter
from regress.record import encode
from regress.report.text import failure_hint
from regress.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    import argparse

    from regress.toolchain import InstalledToolchain


def list_all(args: argparse.Namespace) -> int:
    """`toolchain list`: every declared toolchain and where it stands."""
    workspace = open_workspace(args)
    rows = [
        {
            "name": listed.spec.name,
            "kind": listed.spec.kind,
            "state": listed.state,
            "as_of": listed.spec.as_of,
            "packages": listed.spec.packages,
            "fingerprint": listed.toolchain.identity.fingerprint if listed.toolchain else None,
        }
        for listed in toolchain.listing(workspace.config, workspace.home)
    ]
    if args.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(rows)).decode() + "\n")
        return errors.EXIT_PASS
    for row in rows:
        packages = " ".join(row["packages"])  # type: ignore[arg-type]
        sys.stdout.write(f"{row['name']:<20} {row['kind']:<9} {row['state']:<10} {packages}\n")
    return errors.EXIT_PASS


def install(args: argparse.Namespace) -> int:
    """`toolchain install`: resolves, installs and checks; exits 4 where its check fails.

    Without names it is those that any machine can have.
    """
    workspace = open_workspace(args)
    reporter = Reporter()
    for name in args.names or workspace.config.for_any_machine:
        with reporter.step(f"toolchain {name}"):
            installed = toolchain.install(workspace.config.toolchain(name), workspace.home, log=reporter.note)
        _require_good(installed)
        sys.stdout.write(f"{name}  {installed.identity.fingerprint}\n")
    return errors.EXIT_PASS


def show(args: argparse.Namespace) -> int:
    """`toolchain show`: what is in an installed toolchain."""
    workspace = open_workspace(args)
    installed = toolchain.installed(workspace.config.toolchain(args.name), workspace.home)
    if installed is None:
        raise ToolchainError(f"toolchain '{args.name}' is not installed", hint=f"regress toolchain install {args.name}")
    if args.json:
        sys.stdout.write(encode(installed.identity).decode())
        return errors.EXIT_PASS
    identity = installed.identity
    sys.stdout.write(f"name         {identity.name}\nkind         {identity.kind}\n")
    sys.stdout.write(f"python       {identity.python} on {identity.platform}, {installed.python}\n")
    sys.stdout.write(f"fingerprint  {identity.fingerprint}\n")
    sys.stdout.write(f"check        {installed.failure.cause if installed.failure else 'imports and builds'}\n")
    for package in identity.packages:
        sys.stdout.write(f"  {package.name:<24} {package.version}\n")
    return errors.EXIT_PASS


def bundle(args: argparse.Namespace) -> int:
    """`toolchain bundle`: one archive of all locked wheels, for a machine without network."""
    workspace = open_workspace(args)
    reporter = Reporter()
    paths = bundles.bundle(
        [workspace.config.toolchain(name) for name in dict.fromkeys(args.names)],
        Path(args.output),
        python=args.python,
        platform=args.platform,
        split_size=bundles.parse_size(args.split_size) if args.split_size else None,
        slim=args.slim,
        log=reporter.note,
    )
    sys.stdout.write("".join(f"{path}\n" for path in paths))
    return errors.EXIT_PASS


def unbundle(args: argparse.Namespace) -> int:
    """`toolchain unbundle`: installs a bundle, without network."""
    workspace = open_workspace(args)
    reporter = Reporter()
    specs = workspace.config.toolchains
    carried = bundles.unbundle(Path(args.bundle), workspace.home, specs=specs, log=reporter.note)
    for installed in carried:
        sys.stdout.write(f"{installed.identity.name}  {installed.identity.fingerprint}\n")
    for installed in carried:
        _require_good(installed)
    return errors.EXIT_PASS


def remove(args: argparse.Namespace) -> int:
    """`toolchain remove`: deletes installed toolchains from the cache."""
    workspace: Workspace = open_workspace(args)
    for spec in [workspace.config.toolchain(name) for name in args.names]:
        toolchain.remove(spec, workspace.home)
    return errors.EXIT_PASS


def _require_good(installed: InstalledToolchain) -> None:
    if installed.failure is not None:
        raise ToolchainError(
            f"toolchain '{installed.identity.name}' is installed, but does not work ({installed.failure.how})",
            cause=installed.failure.cause,
            hint=failure_hint(installed.failure),
        )
