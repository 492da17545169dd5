"""Profiles in files, the difference of two, and what a person reads of both."""

from __future__ import annotations

import pytest
from factories import CASE, make_environment, make_profile, make_times, make_toolchain, sha

from regress.errors import HistoryError, UsageError
from regress.profile import KernelChange, decode_profile, difference
from regress.record import encode
from regress.report.profile import diff_text, profile_text

ATTENTION = "vm.builtin.attention_kv_cache_attention_with_fused_qkv"


def change_of(phase: int, kernel: str, old: dict[str, float], new: dict[str, float], **changes: object) -> KernelChange:
    before = make_profile(decode=make_times(old), prefill=make_times(old))
    after = make_profile(decode=make_times(new), prefill=make_times(new), **changes)
    return next(each for each in difference(before, after).phases[phase].kernels if each.kernel == kernel)


def test_a_profile_comes_back_from_its_file() -> None:
    """With every field as it was."""
    profile = make_profile()
    assert decode_profile(encode(profile), "p.json") == profile


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:300], "p.json: Input data was truncated"),
        (lambda _: b'{"schema": 2}', "p.json: schema 2 is newer than this regress reads (1)"),
        (lambda _: b'{"schema": 1}', "p.json: Object missing required field `profiled_at`"),
        (lambda data: data.replace(b'"runner": "', b'"runner": "\xff'), "p.json: 'utf-8' codec can't decode byte"),
        (lambda _: b"[]", "p.json: Expected `object`, got `array`"),
        (
            lambda data: data.replace(b'"calls": 4', b'"calls": 0'),
            "Expected `int` >= 1 - at `$.prefill.kernels[0].calls`",
        ),
        (lambda data: data.replace(b'"share"', b'"shar"'), "Object contains unknown field `shar`"),
        (lambda data: data.replace(b'"share": 0.8', b'"share": NaN'), "p.json: JSON is malformed"),
    ],
)
def test_a_damaged_profile_is_named_with_its_key(damage: object, message: str) -> None:
    """Truncated, newer, incomplete, out of range: each in one line."""
    assert callable(damage)
    with pytest.raises(HistoryError) as caught:
        decode_profile(damage(encode(make_profile())), "p.json")
    assert message in str(caught.value)


def test_a_slower_kernel_is_told_by_time_and_share() -> None:
    """From 10 to 16 us, beside one that lost 2: 6 of the 8 us that moved."""
    row = change_of(1, "matmul", {"matmul": 10e-6, "norm": 5e-6}, {"matmul": 16e-6, "norm": 3e-6})
    assert (row.old_s, row.new_s, row.source) == (10e-6, 16e-6, "equal")
    assert row.change_s == pytest.approx(6e-6)
    assert row.change == pytest.approx(0.6)
    assert row.share == pytest.approx(0.75)


def test_the_largest_change_stands_first_whatever_its_direction() -> None:
    old, new = {"a": 10e-6, "b": 10e-6, "c": 10e-6}, {"a": 11e-6, "b": 2e-6, "c": 10e-6}
    diff = difference(make_profile(decode=make_times(old)), make_profile(decode=make_times(new)))
    assert [each.kernel for each in diff.phases[1].kernels] == ["b", "a", "c"]
    assert diff.phases[1].kernels_change_s == pytest.approx(-7e-6)


def test_a_renamed_kernel_went_and_came() -> None:
    """Nothing is guessed about which is which."""
    sources = {"sources": {"matmul_v2": sha("matmul"), "norm": sha("norm")}}
    went = change_of(1, "matmul", {"matmul": 10e-6, "norm": 1e-6}, {"matmul_v2": 9e-6, "norm": 1e-6}, **sources)
    came = change_of(1, "matmul_v2", {"matmul": 10e-6, "norm": 1e-6}, {"matmul_v2": 9e-6, "norm": 1e-6}, **sources)
    assert (went.old_s, went.new_s, went.change, went.source) == (10e-6, None, -1.0, "only_old")
    assert (came.old_s, came.new_s, came.change, came.source) == (None, 9e-6, None, "only_new")


def test_a_kernel_built_from_another_source_is_said() -> None:
    row = change_of(0, "matmul", {"matmul": 1e-6}, {"matmul": 1e-6}, sources={"matmul": sha("other")})
    assert row.source == "different"


def test_what_the_runtime_brings_along_has_no_source() -> None:
    assert change_of(0, "vm.builtin.reshape", {"vm.builtin.reshape": 1e-6}, {}).source == "unknown"


@pytest.mark.parametrize(("inside", "source"), [("rope", "equal"), ("rope v2", "different")])
def test_attention_stands_for_the_kernels_that_the_cache_calls(inside: str, source: str) -> None:
    """Kernels of the build that no phase calls by themselves are called inside it."""
    old, new = ({"fused_rope": sha(each), "matmul": sha(each)} for each in ("rope", inside))
    before = make_profile(sources=old, decode=make_times({"matmul": 1e-6, ATTENTION: 1e-6}))
    after = make_profile(sources=new, decode=make_times({"matmul": 1e-6, ATTENTION: 2e-6}))
    rows = {each.kernel: each for each in difference(before, after).phases[1].kernels}
    assert rows[ATTENTION].source == source


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"case": "other/q4f16_1/llvm/p64+16"}, "a.json and b.json cannot be compared: case: '"),
        ({"environment": make_environment(device="NVIDIA H200")}, "environment.device: 'AMD EPYC 9654' and 'NVIDIA H"),
    ],
)
def test_profiles_of_other_cases_or_devices_are_not_compared(changes: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        difference(make_profile(), make_profile(**changes), ("a.json", "b.json"))
    assert said in str(caught.value)


def test_what_else_differs_is_said() -> None:
    """It may be the cause as well as the toolchain."""
    old = make_profile()
    new = make_profile(
        toolchain=make_toolchain("tvm-0.27.0"),
        flags={**old.flags, "schedule": "none"},
        environment=make_environment(kernel="6.18", settings={"TVM_NUM_THREADS": "2"}),
        harness=sha("another worker"),
        steps=3,
    )
    assert difference(old, old).differs == ()
    assert difference(old, new).differs == (
        "flag schedule: tuned -> none",
        "kernel of the machine",
        "settings of the machine",
        "the profiling worker",
        "warm-ups, repeats, seed or prompts",
    )


def test_a_profile_reads_as_a_table() -> None:
    """Longest first, in microseconds; what is below half a percent is one line."""
    times = make_times({"matmul": 300e-6, "norm": 99.5e-6, "take": 0.5e-6}, plain_s=350e-6, instrumented_s=500e-6)
    text = profile_text(make_profile(decode=times))
    assert text.startswith(f"{CASE} with tvm-0.26.0 on AMD EPYC 9654, flags ")
    assert text.endswith(
        "decode, one step: 350.0 us, 500.0 us while each call is timed\n"
        "  calls     us  share  kernel\n"
        "      4  300.0  75.0%  matmul\n"
        "      4   99.5  24.9%  norm\n"
        "  and 1 more: 0.5 us\n"
    )


def test_a_difference_reads_as_a_table() -> None:
    """With gone and new kernels, and the sum of all."""
    old = make_profile(decode=make_times({"matmul": 300e-6, "gone": 10e-6, "same": 5e-6}, plain_s=400e-6))
    new = make_profile(
        toolchain=make_toolchain("tvm-0.27.0"),
        decode=make_times({"matmul": 390e-6, "new": 20e-6, "same": 5e-6}, plain_s=500e-6),
        sources={"matmul": sha("m2"), "new": sha("new"), "same": sha("same")},
    )
    text = diff_text(difference(old, new))
    assert text.startswith(f"{CASE} on AMD EPYC 9654: tvm-0.26.0 -> tvm-0.27.0\n")
    assert text.endswith(
        "decode, one step: 400.0 us -> 500.0 us (+25.0%)\n"
        "  old us  new us  change us          of all     source  kernel\n"
        "   300.0   390.0      +90.0  +30.0%   75.0%  different  matmul\n"
        "       -    20.0      +20.0     new   16.7%   only new  new\n"
        "    10.0       -      -10.0    gone    8.3%          -  gone\n"
        "  kernels together: +100.0 us\n"
    )


def test_equal_profiles_say_that_nothing_moved() -> None:
    assert diff_text(difference(make_profile(), make_profile())).count("\n  no kernel moved\n") == 2
