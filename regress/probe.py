"""Gathers what `regress doctor` looks at: one small probe for each fact, none of which changes anything."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from regress import process, toolchain
from regress.build import linker
from regress.device import VISIBLE, jetson, nvidia, unseen
from regress.device.nvml import Absent
from regress.device.unseen import WHEEL_CUDA
from regress.doctor.facts import Disk, Facts, GpuState, Holder, JetsonState, ToolchainState, needs_of
from regress.model.hub import hub_from
from regress.supervisor import worker_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regress.baseline import Baseline
    from regress.config import Config
    from regress.toolchain import Listed

_SERVICES = "actions.runner.*"
_PARTS = ("toolchains", "models", "artifacts")
_QUERY_TIMEOUT_S = 10.0


def gather(config: Config, baseline: Baseline, home: Path, env: Mapping[str, str] = os.environ) -> Facts:
    """All that is known of this machine.

    Args:
        config: The declared toolchains.
        baseline: The cases that shall be measured.
        home: Cache folder; it may not exist yet.
        env: Environment of this process.
    """
    worker_env = worker_environment(env, baseline.measure.environment)
    needs, listed = needs_of(baseline, config), toolchain.listing(config, home)
    return Facts(
        needs=needs,
        cuda_needed=max((_cuda_of(each) for each in listed if each.spec.name in needs.toolchains), default=WHEEL_CUDA),
        gpu=_gpu(worker_env.get(VISIBLE)),
        jetson=_jetson(),
        disk=_disk(home),
        toolchains=tuple(_toolchain(each) for each in listed),
        hub_token=_has_hub_token(env, home),
        services=_services(),
        holder=_holder(home / "measuring.lock"),
        linker=linker(worker_env),
        nvcc=shutil.which("nvcc", path=worker_env.get("PATH")),
    )


def _gpu(visible: str | None) -> GpuState | str:
    """The GPU as it is, as it is kept and as it stands now; or why there is none."""
    gpu = nvidia.open_gpu(visible)
    if isinstance(gpu, Absent):
        return gpu.reason
    try:
        identity, kept, reading = gpu.identity(), gpu.upkeep(), gpu.read()
    finally:
        gpu.close()
    return GpuState(
        name=identity.name,
        driver=identity.driver,
        cuda=identity.cuda,
        compute_capability=identity.compute_capability,
        memory_bytes=identity.memory_bytes,
        reading=reading,
        persistence=kept.persistence,
        ecc=kept.ecc,
        ecc_pending=kept.ecc_pending,
        clock_application_hz=kept.clock_application_hz,
        unreadable={**identity.unreadable, **kept.unreadable},
    )


def _jetson() -> JetsonState | None:
    board = jetson.board()
    if board is None:
        return None
    reading = jetson.Jetson().read()
    return JetsonState(
        model=board.model,
        release=board.release,
        cuda=unseen.cuda_of_release(board.release),
        power_mode=board.power_mode,
        reading=reading,
    )


def _disk(home: Path) -> Disk:
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    return Disk(
        home=str(home),
        free_bytes=shutil.disk_usage(there).free,
        sizes_bytes={part: _size_bytes(home / part) for part in _PARTS},
    )


def _size_bytes(folder: Path) -> int:
    """What a folder takes on the disk; files that are linked to more than once count once, others' files not at all."""
    sizes: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(os.path.join(parent, name))  # noqa: PTH118  # of 50,000 files; a Path each takes longer
            except OSError:
                continue  # gone meanwhile
            sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())


def _cuda_of(listed: Listed) -> int:
    """Major version of CUDA that a toolchain is made with."""
    packages = listed.toolchain.identity.packages if listed.toolchain else ()
    return unseen.cuda_of({package.name: package.version for package in packages})


def _toolchain(listed: Listed) -> ToolchainState:
    installed = listed.toolchain
    resolved = installed.identity.packages if installed else ()
    packages = {*listed.spec.packages, *(package.name for package in resolved)}
    return ToolchainState(
        name=listed.spec.name,
        state=listed.state,
        cause=installed.failure.cause if installed and installed.failure else None,
        nvrtc=any(package.startswith("nvidia-cuda-nvrtc") for package in packages),
    )


def _has_hub_token(env: Mapping[str, str], home: Path) -> bool:
    """Whether there is a token: in the environment, or where `hf auth login` stores one."""
    if hub_from(env, home).token:
        return True
    from huggingface_hub import get_token  # noqa: PLC0415  # takes 0.1 s, and only this command asks

    return get_token() is not None


def _services() -> dict[str, str] | None:
    """Unit to state of the GitHub runners' services; `None` where there is no systemd to ask."""
    argv = ["systemctl", "list-units", "--type=service", "--all", "--plain", "--no-legend", _SERVICES]
    try:
        listed = process.run(argv, timeout_s=_QUERY_TIMEOUT_S)
    except OSError:
        return None
    if not listed.exit.ok:
        return None
    return {unit: _state(unit) for unit in services_in(listed.stdout)}


def services_in(listing: str) -> list[str]:
    """The units that a listing of systemd's names, one per line, first of all."""
    return [line.split()[0] for line in listing.splitlines() if line.split()]


def _state(unit: str) -> str:
    """Such as `active`, `inactive` or `failed`; systemd exits with another status for each."""
    return process.run(["systemctl", "is-active", unit], timeout_s=_QUERY_TIMEOUT_S).stdout.strip() or "unknown"


def _holder(lock: Path) -> Holder | None:
    """Who holds a lock; `None` where nobody does. It is let go at once, and not made where it is not there."""
    import filelock  # noqa: PLC0415  # only this probe takes it

    if not lock.exists():
        return None
    try:
        with filelock.FileLock(lock, timeout=0):
            return None
    except filelock.Timeout:
        return Holder(process=_locking(lock))
    except OSError:
        return None  # a cache that cannot be written is the disk's finding


def _locking(lock: Path) -> int | None:
    """The process that holds a lock, as the kernel lists it; `None` where it does not, or hides its number."""
    try:
        listing = Path("/proc/locks").read_text(encoding="utf-8")
        return locking_in(listing, lock.stat().st_ino)
    except OSError:
        return None


def locking_in(listing: str, inode: int) -> int | None:
    """The process that holds a lock on a file.

    Args:
        listing: As `/proc/locks` has it: `1: FLOCK  ADVISORY  WRITE 812 fe:00:131 0 EOF`.
        inode: The file's number.
    """
    for line in listing.splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
            return int(fields[4]) if int(fields[4]) > 0 else None
    return None
