"""The check of a toolchain: its own Python imports TVM and builds one function; this runs it and reads it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from regress import container, process, record, supervisor
from regress.container import Mount
from regress.errors import ToolchainError
from regress.redact import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from regress.container import Container

SCRIPT = Path(__file__).resolve().parents[1] / "worker" / "smoke.py"
"""The check that every toolchain must pass."""

PROTOCOL = 1
"""Version of its output that is understood here."""

TIME_LIMIT_S = 300.0
"""It takes 3 s; a hundred times that on a slow disk is a hang."""


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """One installed package: its version, and the digest of its files where it lists them."""

    version: str
    sha256: str | None


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="hello"):
    """The first line: the Python that runs the check, and what is installed in it."""

    protocol: int
    python: str
    platform: str
    packages: dict[str, Distribution]


class Result(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="result"):
    """The last line: TVM's native libraries by name, with their digests."""

    libraries: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the check found.

    Attributes:
        hello: Version, platform and packages of the Python that ran it.
        libraries: Digests of TVM's native libraries by name; empty where it failed.
        failure: Why it failed; `None` where it passed.
    """

    hello: Hello
    libraries: Mapping[str, str]
    failure: record.Failure | None


def run(
    name: str, python: Path, *, env: Mapping[str, str], script: Path = SCRIPT, within: Container | None = None
) -> Outcome:
    """What the check says about a toolchain.

    Args:
        name: The toolchain's name, for errors.
        python: Its interpreter.
        env: Variables it needs, on top of the user's own, which it gets as far as they are no secrets.
        script: The check.
        within: The container that its interpreter is in; the host where `None`.

    Raises:
        ToolchainError: Its Python does not even start.
    """
    given = without_secrets({**os.environ, **env}) if within is None else env
    contained = within and within.with_mounts([Mount(path=script.parent)])
    try:
        with container.start(contained, [python, script], given) as begun:
            output = process.run(begun.argv, env=begun.env, timeout_s=TIME_LIMIT_S)
    except OSError as error:
        raise ToolchainError(f"toolchain '{name}': cannot start {python}: {error.strerror}") from error
    end = within.ended(output.exit) if within else output.exit
    hello, result = events(output.stdout)
    if hello is None:
        refused = within.refusal(end, output.stderr) if within else None
        cause = refused or supervisor.telling_line(output.stderr) or end.describe(TIME_LIMIT_S)
        raise ToolchainError(f"toolchain '{name}': {python} cannot be used", cause=cause)
    if end.ok and result:
        return Outcome(hello=hello, libraries=result.libraries, failure=None)
    return Outcome(hello=hello, libraries={}, failure=supervisor.failure("toolchain", end, output.stderr, TIME_LIMIT_S))


def events(stdout: str) -> tuple[Hello | None, Result | None]:
    """The check's two lines, `None` for one that is not there; whatever else was printed is passed over."""
    found = list(_events(stdout))
    hello = next((event for event in found if isinstance(event, Hello)), None)
    result = next((event for event in found if isinstance(event, Result)), None)
    return (hello, result) if hello and hello.protocol == PROTOCOL else (None, None)


def _events(stdout: str) -> Iterator[Hello | Result]:
    decoder = msgspec.json.Decoder(Hello | Result)
    for line in stdout.splitlines():
        with contextlib.suppress(msgspec.MsgspecError):
            yield decoder.decode(line)
