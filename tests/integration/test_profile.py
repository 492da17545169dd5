"""Kernels of real builds, timed and compared through the real command line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from integration.workshop import LATEST, REPOSITORY

from regress import process
from regress.profile import Profile, decode_profile, difference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.alone

ATTENTION = "vm.builtin.attention_kv_cache_attention_with_fused_qkv"
BASELINE = """\
runner = "here"
toolchain = "tvm-0.27.0.post1"

[measure]
warmups = 1
repeats = 3

[measure.environment]
TVM_NUM_THREADS = "1"

[[cases]]
model = "synthetic:llama-mini"
quantization = "q4f32_1"
target = "llvm"
prompt_tokens = 16
new_tokens = 24
flags = { cuda_graph = "1" }
"""


class Desk:
    """A working folder with a baseline, and the command line in it."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self._env = folder, {**os.environ, "REGRESS_HOME": str(home)}
        (folder / "here.toml").write_text(BASELINE, encoding="utf-8")

    def regress(self, *arguments: str, env: Mapping[str, str] | None = None) -> process.Output:
        argv = [sys.executable, "-m", "regress", *arguments, "--config", str(REPOSITORY / "regress.toml")]
        return process.run(argv, cwd=self.folder, env={**self._env, **(env or {})}, timeout_s=300)

    def profile(self, name: str, *arguments: str) -> Profile:
        output = self.regress("profile", "--baseline", "here.toml", "--toolchain", LATEST, "--output", name, *arguments)
        assert output.exit.code == 0, output.stderr
        return decode_profile((self.folder / name).read_bytes(), name)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, test_home: Path) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"), test_home)


@pytest.fixture(scope="module")
def tuned(desk: Desk) -> Profile:
    return desk.profile("tuned.json")


@pytest.fixture(scope="module")
def untuned(desk: Desk) -> Profile:
    return desk.profile("untuned.json", "--flag", "schedule=none")


def test_every_kernel_of_a_step_is_timed(tuned: Profile) -> None:
    """Four layers of two norms and four matrices each, attention as one call, and the head."""
    assert (tuned.case, tuned.steps) == ("llama-mini/q4f32_1/llvm/p16+24", 16)
    calls = {each.kernel: each.calls for each in tuned.decode.kernels}
    matrices = sum(count for kernel, count in calls.items() if "matmul" in kernel)
    assert matrices == 4 * 4 + 1
    assert calls[ATTENTION] == 4
    assert calls["rms_norm"] == 2 * 4 + 1
    for phase in (tuned.prefill, tuned.decode):
        assert sum(each.share for each in phase.kernels) == pytest.approx(1)
        total_s = sum(each.time_s for each in phase.kernels)
        # Each sum is of medians, so that it may exceed the median of the sums a little.
        assert 0 < total_s < 1.5 * phase.instrumented_s
    assert {each.kernel for each in tuned.decode.kernels} & tuned.sources.keys()


def test_a_profile_never_has_cuda_graphs(desk: Desk, tuned: Profile) -> None:
    """The case asks for them; kernels in a graph are one call, so it is built without, and it says so."""
    assert tuned.flags["cuda_graph"] == "0"
    output = desk.regress("profile", "--baseline", "here.toml", "--toolchain", LATEST)
    assert output.exit.code == 0
    assert "built with cuda_graph=0, whatever the case says" in output.stderr
    assert "decode, one step: " in output.stdout


def test_unscheduled_matrices_are_what_got_slower(desk: Desk, tuned: Profile, untuned: Profile) -> None:
    """Built without a schedule for matrices: these kernels differ in source and take longer, in both phases."""
    for phase in difference(tuned, untuned).phases:
        matrices = [each for each in phase.kernels if "matmul" in each.kernel]
        assert {each.source for each in matrices} == {"different"}
        assert sum(each.change_s for each in matrices) > 0
        assert phase.kernels[0] in matrices
        assert phase.kernels[0].change_s > 0
        assert sum(each.share for each in matrices) > 0.5
        norm = next(each for each in phase.kernels if each.kernel.startswith("rms_norm"))
        assert norm.source == "equal"
    output = desk.regress("profile", "--diff", "tuned.json", "untuned.json")
    assert output.exit.code == 0
    assert "differs, too: flag schedule: tuned -> none" in output.stdout
    assert output.stderr == ""


def test_attention_inside_the_cache_is_the_same_source(tuned: Profile, untuned: Profile) -> None:
    """The schedule of matrices is not its."""
    rows = {each.kernel: each for each in difference(tuned, untuned).phases[1].kernels}
    assert rows[ATTENTION].source == "equal"


def test_a_profile_records_nothing(desk: Desk, tuned: Profile) -> None:
    """Its times are no rates: the history does not get them."""
    assert tuned.decode.plain_s > 0
    assert not (desk.folder / "history").exists()


def test_a_build_that_fails_ends_with_its_code_cause_and_log(desk: Desk) -> None:
    """A compiler that cannot link."""
    arguments = ("profile", "--baseline", "here.toml", "--toolchain", LATEST, "--rebuild", "--output", "none.json")
    output = desk.regress(*arguments, "--flag", "extra_work=3", env={"CXX": "false"})
    assert output.exit.code == 5, output.stderr
    assert f"build failed for llama-mini/q4f32_1/llvm/p16+24 with {LATEST}" in output.stderr
    assert "\n  cause: " in output.stderr
    assert "\n  log:\n" in output.stderr
    assert not (desk.folder / "none.json").exists()


def test_a_worker_that_dies_ends_with_its_code_and_cause(desk: Desk, tuned: Profile) -> None:
    """A time limit that no profile can keep."""
    assert tuned.steps == 16
    short = BASELINE.replace("repeats = 3", "repeats = 3\nbench_timeout_s = 0.05")
    (desk.folder / "short.toml").write_text(short, encoding="utf-8")
    output = desk.regress("profile", "--baseline", "short.toml", "--toolchain", LATEST)
    assert output.exit.code == 6, output.stderr
    assert "cause: killed at its time limit of 0.05 s" in output.stderr
