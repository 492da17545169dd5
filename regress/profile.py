"""A profile: what each kernel of a built case takes, and the difference of two such profiles.

A profile answers which kernel got slower. It decides nothing: its times are taken call by call, with a wait for the
device around each, so they are no rates and never stand in a record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from regress.errors import UsageError
from regress.record import CaseKey, Environment, Method, Toolchain, decode_stored, digest
from regress.stored import Amount, Count, Instant, Positive, Sha256, Share, Stored

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1
"""Version of the profile's shape; a reader refuses a newer one."""

FLAGS = {"cuda_graph": "0"}
"""Build flags of every profiled artifact: kernels inside a captured graph are one call, and not seen one by one."""
MOST_STEPS = 16
"""Decode steps that are seen in each repeat; all of a workload's would say the same, and take longer."""

Phase = Literal["prefill", "decode"]
PHASES: tuple[Phase, ...] = ("prefill", "decode")
Source = Literal["equal", "different", "only_old", "only_new", "unknown"]
"""How a kernel's scheduled source compares; `unknown` where it is part of the runtime, and not of the build."""

_IN_CACHE = "vm.builtin.attention_kv_cache"


class KernelTime(Stored, frozen=True):
    """What the calls of one kernel take together.

    Attributes:
        kernel: Its name; `vm.builtin.*` for what the runtime brings along.
        calls: Calls in one phase.
        time_s: Their time together, in seconds: the median over all times that the phase was seen.
        share: The same as a share of all kernels of the phase.
    """

    kernel: str
    calls: Count
    time_s: Amount
    share: Share


class PhaseTimes(Stored, frozen=True):
    """One phase: the whole prompt (prefill), or one step (decode); each time is a median.

    Attributes:
        plain_s: How long it takes, in seconds.
        instrumented_s: How long it takes while each call is timed: the difference is what the timing costs.
        kernels: Longest first.
    """

    plain_s: Positive
    instrumented_s: Positive
    kernels: Annotated[tuple[KernelTime, ...], msgspec.Meta(min_length=1)]


class Profile(Stored, frozen=True):
    """The kernels of one built case on one machine.

    Attributes:
        schema: Version of this shape.
        profiled_at: When, with its UTC offset.
        regress: Version of `regress` that wrote it.
        harness: SHA-256 of the worker that took it.
        case: Key of the case.
        runner: Nickname of the machine.
        toolchain: What built and ran it.
        environment: On what.
        method: How: passes before, passes seen, seed and prompts.
        steps: Decode steps seen in each repeat.
        artifact: Digest of the artifact.
        flags: Build flags in force.
        sources: Kernel to the SHA-256 of its scheduled source, for all kernels of the build.
        prefill: The whole prompt.
        decode: One step.
    """

    schema: Count
    profiled_at: Instant
    regress: str
    harness: Sha256
    case: CaseKey
    runner: str
    toolchain: Toolchain
    environment: Environment
    method: Method
    steps: Count
    artifact: Sha256
    flags: dict[str, str]
    sources: dict[str, Sha256]
    prefill: PhaseTimes
    decode: PhaseTimes

    def phase(self, name: Phase) -> PhaseTimes:
        """The times of that phase."""
        return self.prefill if name == "prefill" else self.decode

    def source_of(self, kernel: str) -> str | None:
        """Digest of what a call of that name runs; `None` where it is no part of the build.

        The KV cache calls kernels of its own: all those of the build that no phase calls by themselves.
        """
        if kernel.startswith(_IN_CACHE):
            called = {each.kernel for name in PHASES for each in self.phase(name).kernels}
            return digest({name: source for name, source in self.sources.items() if name not in called})
        return self.sources.get(kernel)


def decode_profile(data: bytes, name: str) -> Profile:
    """The profile in a file's content.

    Args:
        data: The file's content.
        name: The file's name, for errors.

    Raises:
        HistoryError: It is truncated, of a newer schema, or a field is missing, unknown or out of range.
    """
    return decode_stored(data, Profile, newest=SCHEMA, name=name)


class KernelChange(Stored, frozen=True):
    """One kernel of two profiles.

    Attributes:
        kernel: Its name; a renamed kernel is one that went and one that came.
        source: How its scheduled source compares.
        old_s: What its calls took in the old profile, in seconds; `None` where there were none.
        new_s: The same in the new one.
        old_calls: Calls in the old profile.
        new_calls: Calls in the new one.
        change_s: How much longer they take now, in seconds; below 0 where they are faster.
        change: The same as a fraction of the old time; `None` without one.
        share: Its part in all that moved: `|change_s|` over the sum of it over all kernels of the phase.
    """

    kernel: str
    source: Source
    old_s: Amount | None
    new_s: Amount | None
    old_calls: int
    new_calls: int
    change_s: float
    change: float | None
    share: Share


class PhaseChange(Stored, frozen=True):
    """One phase of two profiles.

    Attributes:
        phase: Its name.
        old_s: Its duration without the instrument in the old profile, in seconds.
        new_s: The same in the new one.
        kernels_change_s: How much longer all kernels together take, in seconds.
        kernels: Every kernel of either; the largest change first.
    """

    phase: Phase
    old_s: Positive
    new_s: Positive
    kernels_change_s: float
    kernels: tuple[KernelChange, ...]


class ProfileDiff(Stored, frozen=True):
    """What changed from one profile to another.

    Attributes:
        schema: Version of this shape.
        case: Key of the case.
        device: What both were taken on.
        old: Name of the old toolchain.
        new: Name of the new toolchain.
        differs: What else is not the same in both, in words: it may be the cause, too.
        phases: Prefill, then decode.
    """

    schema: int
    case: str
    device: str
    old: str
    new: str
    differs: tuple[str, ...]
    phases: tuple[PhaseChange, ...]


def difference(old: Profile, new: Profile, names: tuple[str, str] = ("old", "new")) -> ProfileDiff:
    """What changed from one profile to another.

    Args:
        old: Before.
        new: After.
        names: The names of their files, for errors.

    Raises:
        UsageError: They are of different cases or devices.
    """
    for key, before, after in (
        ("case", old.case, new.case),
        ("environment.device", old.environment.device, new.environment.device),
    ):
        if before != after:
            raise UsageError(f"{names[0]} and {names[1]} cannot be compared: {key}: '{before}' and '{after}'")
    return ProfileDiff(
        schema=SCHEMA,
        case=old.case,
        device=old.environment.device,
        old=old.toolchain.name,
        new=new.toolchain.name,
        differs=tuple(_differences(old, new)),
        phases=tuple(_phase_change(name, old, new) for name in PHASES),
    )


def _differences(old: Profile, new: Profile) -> list[str]:
    """What besides the toolchain is not the same."""
    flags = sorted(name for name in old.flags.keys() | new.flags.keys() if old.flags.get(name) != new.flags.get(name))
    found = [f"flag {name}: {old.flags.get(name, 'not set')} -> {new.flags.get(name, 'not set')}" for name in flags]
    environment = msgspec.to_builtins(old.environment), msgspec.to_builtins(new.environment)
    names = [name for name in environment[0] if name != "fingerprint" and environment[0][name] != environment[1][name]]
    found += [f"{name} of the machine" for name in names]
    for name, same in (
        ("the profiling worker", old.harness == new.harness),
        ("warm-ups, repeats, seed or prompts", (old.method, old.steps) == (new.method, new.steps)),
    ):
        found += [] if same else [name]
    return found


def _phase_change(name: Phase, old: Profile, new: Profile) -> PhaseChange:
    before, after = ({each.kernel: each for each in profile.phase(name).kernels} for profile in (old, new))
    kernels = list(dict.fromkeys([*before, *after]))
    changes_s = {kernel: _time_s(after, kernel) - _time_s(before, kernel) for kernel in kernels}
    moved_s = sum(abs(change_s) for change_s in changes_s.values())
    rows = [
        _kernel_change(kernel, (before.get(kernel), after.get(kernel)), _source(kernel, old, new), moved_s)
        for kernel in sorted(kernels, key=lambda kernel: (-abs(changes_s[kernel]), kernel))
    ]
    return PhaseChange(
        phase=name,
        old_s=old.phase(name).plain_s,
        new_s=new.phase(name).plain_s,
        kernels_change_s=sum(changes_s.values()),
        kernels=tuple(rows),
    )


def _time_s(kernels: Mapping[str, KernelTime], name: str) -> float:
    return kernels[name].time_s if name in kernels else 0.0


def _source(kernel: str, old: Profile, new: Profile) -> Source:
    before, after = old.source_of(kernel), new.source_of(kernel)
    if before is None or after is None:
        return "only_old" if before else "only_new" if after else "unknown"
    return "equal" if before == after else "different"


def _kernel_change(
    kernel: str, times: tuple[KernelTime | None, KernelTime | None], source: Source, moved_s: float
) -> KernelChange:
    old, new = times
    old_s, new_s = old.time_s if old else None, new.time_s if new else None
    change_s = (new_s or 0.0) - (old_s or 0.0)
    return KernelChange(
        kernel=kernel,
        source=source,
        old_s=old_s,
        new_s=new_s,
        old_calls=old.calls if old else 0,
        new_calls=new.calls if new else 0,
        change_s=change_s,
        change=change_s / old_s if old_s else None,
        share=min(abs(change_s) / moved_s, 1.0) if moved_s else 0.0,
    )
