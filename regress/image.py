"""Images: how the one that a toolchain names is found, and how this machine runs it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from regress import device, process
from regress.container import ASK_LIMIT_S, Container, ask
from regress.device.jetson import Board
from regress.device.nvml import Absent
from regress.errors import ToolchainError
from regress.redact import publishable, without_secrets
from regress.stored import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Callable

    from regress.config import ToolchainSpec

_CHOICE_LIMIT_S = 300.0
"""Autotag asks a registry for its list."""
_STATUS = re.compile(r"Error: +return code [0-9]+\s*\Z")
"""What autotag's script says last."""
PULL_LIMIT_S = 3600.0
"""An image is ten gigabytes; an hour is a dead network, not a slow one."""


def locate(spec: ToolchainSpec, *, log: Callable[[str], None]) -> tuple[Container, str]:
    """How a toolchain's image is run, and the digest that names it anywhere; it is pulled where it is not here.

    Args:
        spec: Of the kind `container`.
        log: Called with each line of progress.

    Raises:
        ToolchainError: There is no runtime, it does not answer, or there is no such image.
    """
    name, (runtime, autotag) = f"toolchain '{spec.name}'", programs(spec)
    image = spec.image or _chosen(autotag, spec.autotag or "", name, log)
    found = _inspected(runtime, image)
    if found is None:
        log(f"{spec.name}: pulling {image}")
        pulled = ask(runtime, "pull", "--quiet", image, limit_s=PULL_LIMIT_S)
        found = _inspected(runtime, image)
        if found is None:
            raise ToolchainError(f"{name}: no image {image}", cause=_said(pulled.stderr) or pulled.exit.describe())
    options = (*_user(runtime), *_gpu(runtime), *spec.options)
    return Container(runtime=runtime, image=found.id, options=options), found.name(image)


def programs(spec: ToolchainSpec) -> tuple[str, str]:
    """What runs a toolchain's image, and what chooses it; the second is empty for one that is named.

    Raises:
        ToolchainError: One of them is not on this machine.
    """
    name, runtime, autotag = f"toolchain '{spec.name}'", shutil.which(spec.runtime), shutil.which("autotag")
    if runtime is None:
        raise ToolchainError(
            f"{name}: no program '{spec.runtime}' to run containers with",
            hint="install docker, or name another with `runtime` in regress.toml, such as podman",
        )
    if spec.autotag and autotag is None:
        raise ToolchainError(
            f"{name}: no program 'autotag'",
            hint="install jetson-containers and put it on the PATH, or name an `image`",
        )
    return runtime, autotag or ""


class _Image(msgspec.Struct, frozen=True, rename="pascal"):
    """What `image inspect` says: the id, and the names with digests under which registries have it."""

    id: str
    repo_digests: tuple[str, ...] | None = ()

    def name(self, asked: str) -> str:
        """The name that was asked for, with the digest of its registry, or the id where that has none of it.

        Never another registry's name for the same image, which may be a private one's.
        """
        repository = re.sub(r"(?:@.*|:[^/:]*)\Z", "", asked)
        known = {f"{host}{repository}" for host in ("", "docker.io/", "docker.io/library/")}
        return next((name for name in self.repo_digests or () if name.partition("@")[0] in known), f"{asked}@{self.id}")


def _inspected(runtime: str, image: str) -> _Image | None:
    """The image as it lies here; `None` where it does not.

    Raises:
        ToolchainError: The runtime does not answer.
    """
    output = ask(runtime, "image", "inspect", image)
    if output.exit.ok:
        return _decoded(runtime, output.printed)
    if re.search(r"no such image|not known|unable to find|image not found", output.stderr, re.IGNORECASE):
        return None
    cause = _said(output.stderr) or output.exit.describe(ASK_LIMIT_S)
    raise ToolchainError(
        f"{runtime} does not answer", cause=cause, hint="start its service, and let this user use it (group docker)"
    )


def _decoded(runtime: str, answer: bytes) -> _Image:
    """The image that a runtime describes.

    Raises:
        ToolchainError: It describes none.
    """
    try:
        return msgspec.json.decode(answer, type=list[_Image])[0]
    except (IndexError, *DAMAGED) as error:
        raise ToolchainError(f"{runtime} does not answer as docker does", hint="`runtime` in regress.toml") from error


def _chosen(program: str, package: str, name: str, log: Callable[[str], None]) -> str:
    """The image that jetson-containers' `autotag` chooses for a package on this machine.

    Raises:
        ToolchainError: It finds none.
    """
    log(f"{name}: autotag {package}")
    argv = [program, package, "--quiet", "--disable", "build"]
    output = process.run(argv, env=without_secrets(os.environ), timeout_s=_CHOICE_LIMIT_S)
    lines = output.stdout.split()
    if not (output.exit.ok and lines):
        raise ToolchainError(f"{name}: autotag finds no image for '{package}'", cause=_said(output.stderr))
    return lines[-1]


def _user(runtime: str) -> tuple[str, ...]:
    """Makes what a container writes ours: where its root is not already us, it runs as this user.

    With this user's groups: on a Jetson the GPU is open to the group `video`.
    """
    if _is_podman(runtime) or os.getuid() == 0:
        return ()
    if "rootless" in ask(runtime, "info", "--format", "{{.SecurityOptions}}").stdout:
        return ()
    groups = (argument for group in sorted(os.getgroups()) for argument in ("--group-add", str(group)))
    return ("--user", f"{os.getuid()}:{os.getgid()}", *groups)


def _gpu(runtime: str) -> tuple[str, ...]:
    """What gives a container this machine's GPU: a Jetson's by NVIDIA's runtime, another's by a switch of docker's."""
    here = device.gpu_here()
    if isinstance(here, Absent):
        return ()
    if _is_podman(runtime):
        return ("--device", "nvidia.com/gpu=all")
    return ("--runtime", "nvidia") if isinstance(here, Board) else ("--gpus", "all")


def _is_podman(runtime: str) -> bool:
    return "podman" in Path(runtime).name


def _said(stderr: str) -> str | None:
    """The last line of a complaint that says more than that it is one, fit to be published."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not _STATUS.search(line)]
    return publishable(lines[-1]) if lines else None
