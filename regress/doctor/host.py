"""What there is to say of everything around the device: disk, toolchains, compilers, services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.doctor.facts import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regress.doctor.facts import Disk, Facts, Level, ToolchainState

_UNMADE = {"here": "this Python, checked when it is used", "image": "an image, checked when it is used"}
"""Toolchains that are not in the cache, by where they stand."""
_NVRTC = "cuda-bindings, nvidia-cuda-nvrtc, nvidia-cuda-runtime, nvidia-cuda-cccl and nvidia-cuda-crt"
_REUSABLE = ("models", "artifacts")
"""Parts of the cache that may be the very models that are asked for."""


def host(facts: Facts) -> Iterator[Finding]:
    """One finding for each thing besides the device."""
    yield _linker(facts.linker)
    yield _cuda_compiler(facts)
    yield from (_toolchain(each, wanted=each.name in facts.needs.toolchains) for each in facts.toolchains)
    yield _disk(facts.disk, facts.needs.model_bytes)
    yield _cache(facts.disk)
    yield _hub_token(facts)
    yield _measuring(facts)
    yield from _services(facts)


def _linker(linker: str | None) -> Finding:
    if linker is None:
        text = "no C++ compiler, and every build links a library with one"
        return Finding(name="linker", level="fail", text=text, remedy="install g++ or clang++, or name one in CXX")
    return Finding(name="linker", level="ok", text=linker)


def _cuda_compiler(facts: Facts) -> Finding:
    """Whether CUDA can be compiled: with the machine's nvcc, or with NVRTC in every toolchain that is to be used."""
    without = [each.name for each in facts.toolchains if each.name in facts.needs.toolchains and not each.nvrtc]
    found = facts.nvcc or (None if without else "NVRTC in the toolchains")
    if not facts.needs.cuda_compiler:
        return Finding(name="cuda compiler", level="ok", text=f"not needed, no case targets cuda: {found or 'none'}")
    if found is None:
        text = f"no nvcc, and no NVRTC in {', '.join(without)}"
        remedy = f"install the CUDA toolkit, or add {_NVRTC} to the toolchain's packages"
        return Finding(name="cuda compiler", level="fail", text=text, remedy=remedy)
    return Finding(name="cuda compiler", level="ok", text=found)


def _toolchain(each: ToolchainState, *, wanted: bool) -> Finding:
    name = f"toolchain {each.name}"
    if each.state == "broken":
        level: Level = "fail" if wanted else "warn"
        remedy = "resolve it as of its release day (as_of = YYYY-MM-DD), or remove it from regress.toml"
        return Finding(name=name, level=level, text=f"does not work: {each.cause}", remedy=remedy)
    if each.state == "absent":
        remedy = f"regress toolchain install {each.name}"
        return Finding(name=name, level="warn", text="not installed, which takes network", remedy=remedy)
    return Finding(name=name, level="ok", text=_UNMADE.get(each.state, "installed, imports and builds"))


def _disk(disk: Disk, needed_bytes: int) -> Finding:
    """Whether the models fit: surely not where even all that is in the cache would not make up for what is missing."""
    text = f"{_size(disk.free_bytes)} free for {disk.home}, the baseline's synthetic models take {_size(needed_bytes)}"
    if disk.free_bytes >= needed_bytes:
        return Finding(name="disk", level="ok", text=text)
    there = sum(disk.sizes_bytes.get(part, 0) for part in _REUSABLE)
    level: Level = "fail" if disk.free_bytes + there < needed_bytes else "warn"
    return Finding(name="disk", level=level, text=text, remedy="free space there, or set REGRESS_HOME to a larger disk")


def _cache(disk: Disk) -> Finding:
    total = sum(disk.sizes_bytes.values())
    parts = ", ".join(f"{name} {_size(size)}" for name, size in disk.sizes_bytes.items() if size)
    text = f"{_size(total)}{f': {parts}' if parts else ''}"
    if total > disk.free_bytes:
        remedy = "regress toolchain remove NAME; models and artifacts may be deleted, they are made again when needed"
        return Finding(name="cache", level="warn", text=f"{text}, more than is free", remedy=remedy)
    return Finding(name="cache", level="ok", text=text)


def _hub_token(facts: Facts) -> Finding:
    there = "yes" if facts.hub_token else "no"
    if not facts.needs.hub:
        return Finding(name="hub token", level="ok", text=f"{there}, and no case needs the hub")
    text = f"{there}, for {', '.join(facts.needs.hub)}"
    if facts.hub_token:
        return Finding(name="hub token", level="ok", text=text)
    remedy = "set HF_TOKEN, or run `hf auth login`; public models need none"
    return Finding(name="hub token", level="warn", text=text, remedy=remedy)


def _measuring(facts: Facts) -> Finding:
    if facts.holder is None:
        return Finding(name="measuring", level="ok", text="no other regress measures here")
    who = "another process" if facts.holder.process is None else f"process {facts.holder.process}"
    text = f"{who} holds measuring.lock: whatever measures now waits for it"
    return Finding(name="measuring", level="warn", text=text, remedy="wait for it, or end it if it hangs")


def _services(facts: Facts) -> Iterator[Finding]:
    if facts.services is None:
        text = "cannot be told without systemd"
        yield Finding(
            name="runner", level="warn", text=text, remedy="see that the GitHub runner is up, if there is one"
        )
    elif not facts.services:
        yield Finding(name="runner", level="ok", text="no GitHub runner is a service here")
    for unit, state in (facts.services or {}).items():
        if state == "active":
            yield Finding(name="runner", level="ok", text=f"{unit} is active")
        else:
            remedy = f"sudo systemctl start {unit}; journalctl -u {unit} says why it stopped"
            yield Finding(name="runner", level="warn", text=f"{unit} is {state}: its jobs wait", remedy=remedy)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:,.0f} MB"  # noqa: PLR2004
