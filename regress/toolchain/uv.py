"""uv, the installer: the calls that `regress` makes of it, and its errors in one line."""

from __future__ import annotations

import os
import re
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from regress import process
from regress.errors import ToolchainError
from regress.redact import publishable, without_secrets
from regress.toolchain.cache import NO_SPACE_HINT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.config import ToolchainSpec

TIME_LIMIT_S = 3600.0
"""A toolchain is a few hundred megabytes; an hour is a dead network, not a slow one."""

NO_SPACE = "No space left on device"

NO_NETWORK_HINT = (
    "without network, carry it over: `regress toolchain bundle` where there is one, `regress toolchain unbundle` here"
)

LONGEST_CAUSE = 600
"""Characters of uv's explanation that are shown: it can list every version of a package."""


def compile_lock(spec: ToolchainSpec, folder: Path, *, python: str, platform: str | None = None) -> str:
    """The lock of a toolchain, with the digests of all wheels of each package.

    Args:
        spec: What to resolve.
        folder: Where the list of requirements is written.
        python: Interpreter or version to resolve for.
        platform: Platform to resolve for, as uv names it; the interpreter's own where `None`.

    Raises:
        ToolchainError: There is no such set of packages, or the index cannot be reached.
    """
    requirements = folder / "requirements.in"
    requirements.write_text("".join(f"{package}\n" for package in spec.packages))
    # Wheels only: what a source distribution becomes depends on the compilers of the machine that builds it.
    arguments: list[str | Path] = [
        "pip",
        "compile",
        requirements,
        "--generate-hashes",
        "--only-binary",
        ":all:",
    ]
    arguments += ["--no-header", "--no-annotate", "--no-emit-index-url"]
    arguments += ["--python-version", python, "--python-platform", platform] if platform else ["--python", python]
    arguments += [*_as_of(spec.as_of), *sources(spec)]
    return run(arguments, failed=f"toolchain '{spec.name}' cannot be resolved", folder=folder, as_of=spec.as_of)


def sources(spec: ToolchainSpec) -> list[str]:
    """The options that say where a toolchain's packages come from; pip understands them as well."""
    index = ["--index-url", spec.index_url] if spec.index_url else []
    return index + [part for link in spec.find_links for part in ("--find-links", _absolute(link))]


def _absolute(link: str) -> str:
    """A folder by its whole path: the installer runs in another folder than the user."""
    return link if "://" in link else str(Path(link).expanduser().absolute())


def _as_of(day: date | None) -> list[str]:
    """The option that hides later uploads; it takes the first moment that is too late, the next midnight."""
    return ["--exclude-newer", f"{day + timedelta(days=1)}T00:00:00Z"] if day else []


def make_environment(folder: Path, *, name: str, python: str, offline: bool = False) -> None:
    """Makes an empty environment in `folder`.

    Args:
        folder: Where; it must not exist.
        name: The toolchain's name, for errors.
        python: Interpreter or version; uv looks for the version, and fetches it where it may.
        offline: Whether nothing may be fetched.

    Raises:
        ToolchainError: There is no such Python.
    """
    run(
        ["venv", "--no-project", "--python", python, folder],
        failed=f"toolchain '{name}' has no Python '{python}'",
        folder=folder.parent,
        offline=offline,
    )


def install(
    environment: Path,
    lock: Path,
    *,
    name: str,
    sources: Sequence[str],
    offline: bool = False,
) -> None:
    """Installs exactly what a lock says into an environment.

    Args:
        environment: Folder of the environment.
        lock: The lock; a wheel of another digest is refused.
        name: The toolchain's name, for errors.
        sources: Options that say where wheels come from.
        offline: Whether nothing may be fetched.

    Raises:
        ToolchainError: A wheel cannot be had, has the wrong digest, or does not fit this machine.
    """
    options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", *sources]
    run(
        ["pip", "install", "--python", environment / "bin" / "python", *options, "-r", lock],
        failed=f"toolchain '{name}' cannot be installed",
        folder=environment.parent,
        offline=offline,
    )


def find_python(request: str, *, name: str, folder: Path) -> Path:
    """The interpreter that uv finds for a version or a path.

    Raises:
        ToolchainError: There is none.
    """
    found = run(
        ["python", "find", "--no-project", request],
        failed=f"toolchain '{name}' has no Python '{request}'",
        folder=folder,
    )
    return Path(found.strip())


def run(
    arguments: Sequence[str | Path],
    *,
    failed: str,
    folder: Path,
    offline: bool = False,
    as_of: date | None = None,
) -> str:
    """What uv printed.

    Args:
        arguments: Of uv.
        failed: What to say when it fails.
        folder: Working folder: not the user's, whose project could hold settings for uv.
        offline: Whether it may not use the network.
        as_of: The day it resolves for, for the hint.

    Raises:
        ToolchainError: It failed.
    """
    import uv  # noqa: PLC0415  # the warm path needs no uv

    # uv starts the Python that it installs into, and with it whatever packages under test let run first.
    env = {
        **without_secrets(os.environ, kept="UV_"),
        "UV_NO_PROGRESS": "1",
        "NO_COLOR": "1",
        **({"UV_OFFLINE": "1"} if offline else {}),
    }
    env.pop("VIRTUAL_ENV", None)
    try:
        output = process.run([uv.find_uv_bin(), *arguments], env=env, cwd=folder, timeout_s=TIME_LIMIT_S)
    except OSError as error:
        raise ToolchainError(failed, cause=f"uv does not start: {error}") from error
    if not output.exit.ok:
        cause = telling(output.stderr) or output.exit.describe(TIME_LIMIT_S)
        if NO_SPACE in output.stderr:
            failed = f"{failed}: no space left for {folder}"
        raise ToolchainError(failed, cause=cause, hint=_hint(output.stderr, as_of, offline=offline))
    return output.stdout


def telling(stderr: str) -> str:
    """An error of uv as one line: what failed, then the last of its causes; empty where it gave none."""
    start = re.search(r"^(?:error:| *\u00d7) *", stderr, re.MULTILINE)
    if start is None:
        return ""
    block = re.split(r"\n\s*\n|^hint:", stderr[start.end() :], maxsplit=1, flags=re.MULTILINE)[0]
    parts = [" ".join(re.sub(r"[│^]", "", part).split()) for part in _CAUSE.split(block)]
    shown = ": ".join([parts[0].removesuffix(":"), *parts[1:][-1:]])
    return publishable(shown if len(shown) <= LONGEST_CAUSE else shown[:LONGEST_CAUSE] + " …")


_CAUSE = re.compile(r"^\s*(?:cause:|Caused by:|├─▶|╰─▶)", re.MULTILINE)
_NO_NETWORK = re.compile(r"Failed to fetch|dns error|error sending request|network was disabled|Request failed")


def _hint(stderr: str, as_of: date | None, *, offline: bool) -> str | None:
    """What to do about an error of uv; `None` where its cause says all."""
    if as_of and "exclude-newer" in stderr:
        published = re.search(r"was published at (\d{4}-\d\d-\d\d)", stderr)
        when = f" (it was published on {published[1]})" if published else ""
        return f"as_of = {as_of} hides what was uploaded after that day{when}: choose a later one"
    if "No interpreter found" in stderr:
        return "install that Python, or name another one with `python` in regress.toml"
    if _NO_NETWORK.search(stderr) and not offline:
        return NO_NETWORK_HINT
    if NO_SPACE in stderr:
        return NO_SPACE_HINT
    return None
