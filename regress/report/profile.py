"""A profile, and the difference of two, as a person reads them at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regress.profile import PHASES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from regress.profile import KernelChange, KernelTime, Phase, PhaseChange, PhaseTimes, Profile, ProfileDiff, Source

_LEAST_SHARE = 0.005
"""Kernels with less of their phase, or of what moved, are told in one line together."""
_PHASES: dict[Phase, str] = {"prefill": "prefill, the whole prompt", "decode": "decode, one step"}
_SOURCES: dict[Source, str] = {
    "equal": "equal",
    "different": "different",
    "only_old": "only old",
    "only_new": "only new",
    "unknown": "-",
}
_NO_RATES = "Times are taken call by call, with a wait for the device around each: compare them with each other alone."


def profile_text(profile: Profile) -> str:
    """One table per phase, longest kernel first; ends with a newline."""
    lines = [
        f"{profile.case} with {profile.toolchain.name} on {profile.environment.device}, {_flags(profile.flags)}",
        _NO_RATES,
    ]
    for name in PHASES:
        lines += ["", *_phase_lines(name, profile.phase(name))]
    return "\n".join(lines) + "\n"


def diff_text(diff: ProfileDiff) -> str:
    """One table per phase, largest change first; ends with a newline."""
    lines = [f"{diff.case} on {diff.device}: {diff.old} -> {diff.new}"]
    lines += [f"differs, too: {each}" for each in diff.differs]
    lines.append(_NO_RATES)
    for phase in diff.phases:
        lines += ["", *_change_lines(phase)]
    return "\n".join(lines) + "\n"


def _flags(flags: dict[str, str]) -> str:
    return "flags " + " ".join(f"{name}={value}" for name, value in sorted(flags.items()))


def _phase_lines(name: Phase, phase: PhaseTimes) -> Iterator[str]:
    yield f"{_PHASES[name]}: {_us(phase.plain_s)} us, {_us(phase.instrumented_s)} us while each call is timed"
    shown = [each for each in phase.kernels if each.share >= _LEAST_SHARE]
    rows = [("calls", "us", "share", "kernel"), *(_time_row(each) for each in shown)]
    yield from _aligned(rows)
    rest = phase.kernels[len(shown) :]
    if rest:
        yield f"  and {len(rest)} more: {_us(sum(each.time_s for each in rest))} us"


def _time_row(each: KernelTime) -> tuple[str, ...]:
    return f"{each.calls}", _us(each.time_s), f"{each.share:.1%}", each.kernel


def _change_lines(phase: PhaseChange) -> Iterator[str]:
    change = phase.new_s / phase.old_s - 1
    yield f"{_PHASES[phase.phase]}: {_us(phase.old_s)} us -> {_us(phase.new_s)} us ({change:+.1%})"
    moved = [each for each in phase.kernels if each.change_s]
    shown = [each for each in moved if each.share >= _LEAST_SHARE]
    if not shown:
        yield "  no kernel moved"
        return
    yield from _aligned([("old us", "new us", "change us", "", "of all", "source", "kernel"), *map(_change_row, shown)])
    rest = moved[len(shown) :]
    if rest:
        yield f"  and {len(rest)} more: {sum(each.change_s for each in rest) * 1e6:+,.1f} us"
    yield f"  kernels together: {phase.kernels_change_s * 1e6:+,.1f} us"


def _change_row(each: KernelChange) -> tuple[str, ...]:
    return (
        _us(each.old_s),
        _us(each.new_s),
        f"{each.change_s * 1e6:+,.1f}",
        _relative(each),
        f"{each.share:.1%}",
        _SOURCES[each.source],
        each.kernel,
    )


def _relative(each: KernelChange) -> str:
    """How much longer a kernel takes, in words where there is nothing to compare."""
    if each.new_s is None:
        return "gone"
    return "new" if each.change is None else f"{each.change:+.1%}"


def _us(time_s: float | None) -> str:
    """Microseconds; a dash for a kernel that was not called."""
    return "-" if time_s is None else f"{time_s * 1e6:,.1f}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The rows of a table: numbers to the right, the name at the end to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  " + "  ".join([*cells, row[-1]])
