"""Bad input through the real command line: one line, the file and the key, an exit code of its own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from integration.workshop import REPOSITORY

from regress import device, process

if TYPE_CHECKING:
    from pathlib import Path

GOLDEN = REPOSITORY / "tests" / "unit" / "golden" / "record-1.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.json").write_bytes(GOLDEN.read_bytes())
    (tmp_path / "cut.json").write_bytes(GOLDEN.read_bytes()[:500])
    (tmp_path / "nan.json").write_bytes(GOLDEN.read_bytes().replace(b"1000.0", b"NaN", 1))
    (tmp_path / "zero.json").write_bytes(GOLDEN.read_bytes().replace(b"1000.0", b"0.0", 1))
    (tmp_path / "typo.toml").write_text(
        (REPOSITORY / "baselines" / "cpu.toml").read_text(encoding="utf-8").replace("runner =", "runer ="),
        encoding="utf-8",
    )
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("check --record cut.json", 7, "cut.json: Input data was truncated"),
        ("check --record nan.json", 7, "nan.json: JSON is malformed"),
        ("check --record zero.json", 7, "zero.json: Expected `float` > 0.0 - at `$.cases[0].replicates[0].samples"),
        ("check --record none.json", 7, "none.json: No such file or directory"),
        ("check --record good.json --baseline typo.toml", 3, "typo.toml: runer: unknown key; did you mean 'runner'?"),
        ("check --record good.json --baseline none.toml", 3, "none.toml: No such file or directory"),
        ("check --config none.toml", 3, "none.toml: No such file or directory"),
        ("build --toolchain tvm-0.26", 2, "no toolchain 'tvm-0.26' in regress.toml; did you mean 'tvm-0.26.0'?"),
        ("build --flag shedule=none", 3, "flags.shedule: unknown build flag; did you mean 'schedule'?"),
        ("build --flag schedule", 2, "--flag schedule: expected NAME=VALUE"),
        ("bench --prompt none.json", 3, "none.json: No such file or directory"),
        ("bench --prompt good.json", 3, "good.json: not a prompt file: Expected `array`, got `object`"),
        ("compare tvm-0.26.0 tvm-0.26.0", 2, "compare: 'tvm-0.26.0' is given twice"),
        ("check --record good.json --budget 3", 2, "check: --budget is for measuring"),
        ("drill --case other", 2, "--case: no case 'other'"),
        ("profile --case other", 2, "--case: no case 'other'"),
        ("profile --flag cuda_graph=1", 2, "profile: --flag cuda_graph=1: a profile is built with cuda_graph=0"),
        ("profile --diff good.json none.json", 7, "good.json: Object contains unknown field `id`"),
        ("profile --diff none.json good.json", 7, "none.json: No such file or directory"),
        ("profile --diff cut.json good.json", 7, "cut.json: Input data was truncated"),
        ("profile --diff a.json b.json --case x", 2, "profile: --case is for profiling, --diff compares"),
        ("trend --baseline none.toml", 3, "none.toml: No such file or directory"),
        ("site --history none", 7, "none: no such folder of records"),
        ("site --history good.json", 7, "good.json: no such folder of records"),
        ("toolchain remove tvm-0.26.0 nosuch", 2, "no toolchain 'nosuch' in regress.toml"),
        ("toolchain show tvm-0.26.0", 4, "toolchain 'tvm-0.26.0' is not installed"),
        ("toolchain unbundle good.json", 4, "good.json"),
        ("baseline", 2, "the embedded baseline is not to be changed"),
        ("baseline --baseline new.toml", 7, "history: no record of tvm-0.26.0 by runner 'cpu'"),
        ("baseline --baseline new.toml --record good.json", 3, "no replicates of 'llama-mini/q4f32_1/llvm/p16+128'"),
    ],
)
def test_a_mistake_is_one_line_with_a_code_of_its_own(folder: Path, arguments: str, code: int, said: str) -> None:
    """The first line says it; nothing is written."""
    before = sorted(folder.iterdir())
    env = {**os.environ, "REGRESS_HOME": str(folder / "home"), "UV_OFFLINE": "1"}
    output = process.run([sys.executable, "-m", "regress", *arguments.split()], cwd=folder, env=env, timeout_s=60)
    assert output.exit.code == code, output.stderr
    errors = [line for line in output.stderr.splitlines() if line.startswith("regress: error: ")]
    assert len(errors) == 1, output.stderr
    assert said in errors[0]
    assert output.stdout == ""
    assert [path for path in sorted(folder.iterdir()) if path.name != "home"] == before


def test_an_unknown_command_is_a_usage_error() -> None:
    """With the commands there are."""
    output = process.run([sys.executable, "-m", "regress", "chek"])
    assert output.exit.code == 2
    assert "invalid choice: 'chek'" in output.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("check --budget x", "'x' is no number"),
        ("check --budget 13", "13 is not between 3 and 12"),
        ("drill --tolerance 2", "2 is not between 0 and 1"),
        ("aa --timeout-s nan", "nan is no time limit"),
        ("aa --checks 0", "0 is less than 1"),
    ],
)
def test_a_number_that_cannot_be_is_a_usage_error(arguments: str, said: str) -> None:
    """With the option and what is wrong with it."""
    output = process.run([sys.executable, "-m", "regress", *arguments.split()])
    assert output.exit.code == 2
    assert said in output.stderr


def test_a_campaign_without_a_verdict_is_not_green(tmp_path: Path) -> None:
    """Nothing was counted, so nothing was shown."""
    argv: list[str | Path] = [sys.executable, "-m", "regress", "aa", "--count-only", "--history", tmp_path]
    output = process.run(argv, cwd=tmp_path)
    assert output.exit.code == 8, output.stderr
    assert output.stdout == "no verdict on identical builds in this history\n"


@pytest.mark.skipif(device.no_gpu() is None, reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_before_anything_is_made(folder: Path) -> None:
    """The H200's own baseline: not a byte of its 41 GB of weights is written, and no build is called broken."""
    baseline = REPOSITORY / "baselines" / "h200.toml"
    env = {**os.environ, "REGRESS_HOME": str(folder / "home")}
    argv: list[str | Path] = [sys.executable, "-m", "regress", "run", "--baseline", baseline]
    output = process.run(argv, cwd=folder, env=env, timeout_s=60)
    assert output.exit.code == 3, output.stderr
    assert "h200.toml: cases[0].target: cuda is this machine's GPU, and there is none: " in output.stderr
    assert not (folder / "home" / "models").exists()


def test_no_network_is_said_and_leaves_nothing(folder: Path) -> None:
    """An empty wheel cache and no index: exit 4, and the way out."""
    env = {
        **os.environ,
        "REGRESS_HOME": str(folder / "home"),
        "UV_CACHE_DIR": str(folder / "uv"),
        "UV_OFFLINE": "1",
    }
    argv = [sys.executable, "-m", "regress", "build", "--toolchain", "tvm-0.26.0"]
    output = process.run(argv, cwd=folder, env=env, timeout_s=60)
    assert output.exit.code == 4, output.stderr
    assert "regress: error: toolchain 'tvm-0.26.0'" in output.stderr
    assert "hint: " in output.stderr
    assert not list((folder / "home").rglob("toolchain.json"))


def test_a_cache_that_cannot_be_written_is_named(folder: Path) -> None:
    """The cache folder lies behind a file: exit 4, one line with the path, no traceback."""
    env = {**os.environ, "REGRESS_HOME": str(folder / "good.json" / "home")}
    argv = [sys.executable, "-m", "regress", "build", "--toolchain", "tvm-0.26.0"]
    output = process.run(argv, cwd=folder, env=env, timeout_s=60)
    assert output.exit.code == 4, output.stderr
    assert "good.json/home" in output.stderr
    assert "Traceback" not in output.stderr
