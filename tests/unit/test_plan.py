"""The plan: who measures what, and that it is never empty by accident."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from regress.cli import main

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[run]
baseline = "baselines/orin.toml"
toolchains = ["old", "new"]
[toolchains.old]
packages = ["apache-tvm==0.26.0"]
[toolchains.new]
packages = ["apache-tvm==0.27.0"]
"""
BASELINE = """
runner = "{runner}"
toolchain = "old"
[[cases]]
model = "synthetic:llama-mini"
quantization = "q4f16_1"
target = "cuda"
prompt_tokens = 16
new_tokens = 8
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "baselines").mkdir()
    for runner in ("orin", "rtx"):
        (tmp_path / "baselines" / f"{runner}.toml").write_text(BASELINE.format(runner=runner))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(folder: Path, declared: str, *arguments: str) -> int:
    (folder / "regress.toml").write_text(CONFIG + declared)
    return main(["plan", *arguments])


def test_each_declared_runner_gets_a_job_of_the_matrix(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declared = (
        '[runners.orin]\n[runners.rtx]\nlabels = ["self-hosted", "gpu"]\ntimeout_minutes = 30\nenvironment = "lab"'
    )

    assert plan(folder, declared, "--json") == 0

    output = capsys.readouterr().out
    assert output.count("\n") == 1  # a line of $GITHUB_OUTPUT
    assert json.loads(output) == {
        "include": [
            {
                "runner": "orin",
                "baseline": "baselines/orin.toml",
                "toolchain": "new",
                "labels": ["self-hosted", "orin"],
                "environment": "device",
                "timeout_minutes": 240,
                "cases": 1,
            },
            {
                "runner": "rtx",
                "baseline": "baselines/rtx.toml",
                "toolchain": "new",
                "labels": ["self-hosted", "gpu"],
                "environment": "lab",
                "timeout_minutes": 30,
                "cases": 1,
            },
        ]
    }


def test_some_runners_and_another_toolchain_can_be_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(folder, "[runners.orin]\n[runners.rtx]", "--runner", "rtx", "--toolchain", "old") == 0

    assert capsys.readouterr().out == (
        "rtx: 1 case of baselines/rtx.toml with old, on [self-hosted, rtx] in environment device, within 240 minutes\n"
    )


def test_a_runner_with_a_toolchain_of_its_own_measures_another_only_by_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bump of what cannot run on it is not its affair."""
    declared = '[runners.orin]\ntoolchain = "old"\n[runners.rtx]'

    def measured(*arguments: str) -> list[tuple[str, str]]:
        assert plan(folder, declared, "--json", *arguments) == 0
        return [(each["runner"], each["toolchain"]) for each in json.loads(capsys.readouterr().out)["include"]]

    assert measured() == [("orin", "old"), ("rtx", "new")]
    assert measured("--toolchain", "new") == [("rtx", "new")]
    assert measured("--toolchain", "old") == [("orin", "old"), ("rtx", "old")]
    assert measured("--toolchain", "new", "--runner", "orin") == [("orin", "new")]


@pytest.mark.parametrize(
    ("declared", "arguments", "code", "said"),
    [
        ("", (), 3, "no runner is declared"),
        ("[runners.orin]", ("--runner", "orni"), 2, "no runner 'orni' in regress.toml; did you mean 'orin'?"),
        ("[runners.orin]", ("--toolchain", "newer"), 2, "no toolchain 'newer' in regress.toml"),
        ('[runners.orin]\ntoolchain = "odl"', (), 3, "runners.orin.toolchain: no toolchain 'odl'; did you mean 'old'?"),
        ('[runners.orin]\ntoolchain = "old"', ("--toolchain", "new"), 3, "and none has 'new'"),
        ("[runners.jetson]", (), 3, "baselines/jetson.toml: No such file"),
        ('[runners.rtx]\nbaseline = "baselines/orin.toml"', (), 3, "baselines/orin.toml: runner: 'orin'"),
        ('[runners.orin]\nlabels = ["a\\nb"]', (), 3, "regress.toml: runners.orin.labels[0]: Expected"),
        ('[runners."a b"]', (), 3, "regress.toml: runners.a b: a runner's name"),
        ("[runners.orin]\ntimeout_minutes = 0", (), 3, "timeout_minutes"),
        ("[runners.orin]\nlabel = []", (), 3, "unknown key; did you mean 'labels'?"),
    ],
)
def test_what_cannot_be_planned_is_an_error(  # noqa: PLR0913, PLR0917  # a table of them
    folder: Path,
    declared: str,
    arguments: tuple[str, ...],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A workflow with an empty matrix skips its jobs, and is green."""
    assert plan(folder, declared, "--json", *arguments) == code

    output, error = capsys.readouterr()
    assert output == ""
    assert said in error
