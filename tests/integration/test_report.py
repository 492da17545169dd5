"""`regress report` through the real command line: its files, its exit codes, and what a runner makes of its output."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from delivered import deliver, judged, plan_text, slow
from factories import CASE, make_broken, make_case, make_record, make_report, make_toolchain
from integration.workshop import REPOSITORY

from regress import process
from regress.report.markdown import SUMMARY_BYTES
from regress.verdict import missing

if TYPE_CHECKING:
    from pathlib import Path

BASELINE = """\
runner = "orin"
toolchain = "tvm-0.26.0"

[[cases]]
model = "synthetic:llama-mini"
name = "tiny"
quantization = "q4f16_1"
target = "llvm"
prompt_tokens = 64
new_tokens = 16
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "orin.toml").write_text(BASELINE)
    (tmp_path / "plan.json").write_text(plan_text("orin"))
    return tmp_path


def report(folder: Path, *arguments: str, **env: str) -> process.Output:
    given = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    argv = [sys.executable, "-m", "regress", "report", "--incoming", "incoming", *arguments]
    return process.run(argv, cwd=folder, env={**given, **env}, timeout_s=60)


PLAN = ("--plan", "plan.json")


def test_each_gravity_has_its_exit_code(folder: Path) -> None:
    """0 pass, 1 regressed, 5 and 6 broken, 7 nothing or damaged, 8 cannot be told."""
    incoming = folder / "incoming"
    for name, case in (
        ("well", make_case()),
        ("slow", slow()),
        ("built", make_broken(stage="bench")),
        ("torn", make_broken()),
    ):
        judged(incoming, make_record(case, runner=name))
    record = make_record(runner="unlike")
    deliver(incoming, record, make_report(record, record, verdicts=[missing(CASE, "no_reference", "none")]))
    codes = {"well": 0, "slow": 1, "torn": 5, "built": 6, "away": 7, "unlike": 8}
    for names, code in [*(([name], code) for name, code in codes.items()), (["well", "away", "unlike"], 7)]:
        (folder / "plan.json").write_text(plan_text(*names))
        assert report(folder, *PLAN, "--json").exit.code == code, names
    (folder / "plan.json").write_text(plan_text(*codes))
    assert report(folder, *PLAN).exit.code == 1


def test_a_job_gets_its_summary_annotations_and_junit(folder: Path) -> None:
    """All in one call; standard output has the commands alone, at the case's line."""
    judged(folder / "incoming", make_record(slow(), runner="orin", toolchain="tvm-0.27.0"))
    summary = folder / "summary.md"
    summary.write_text("what another step wrote\n")
    env = {"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "octo/kernels"}
    arguments = (
        "--summary",
        "summary.md",
        "--junit",
        "out/junit.xml",
        "--annotations",
        "--site-url",
        "https://x.example/",
    )
    output = report(folder, *PLAN, *arguments, **env)
    assert output.exit.code == 1, output.stderr
    assert output.stdout == (
        f"::error file=baselines/orin.toml,line=4,title=▼ regressed%3A {CASE}::"
        "orin: decode rate: decode rate: loss 20.0%25, tolerance 5.0%25\n"
    )
    assert output.stderr == f"regress: orin: regressed: {CASE}: decode rate: loss 20.0%, tolerance 5.0%\n"
    text = summary.read_text()
    assert text.startswith("what another step wrote\n# ▼ orin: regressed")
    assert "https://github.com/octo/kernels/actions/runs/7" in text
    assert "https://x.example/" in text
    assert ET.parse(folder / "out" / "junit.xml").getroot().find("testsuite/testcase/failure") is not None  # noqa: S314


def test_a_person_at_a_shell_needs_no_plan(folder: Path) -> None:
    """What is there was expected; nothing at all is an error still."""
    judged(folder / "incoming", make_record(runner="orin"))
    output = report(folder)
    assert output.exit.code == 0
    assert output.stdout.startswith("# ✔ pass: 1 runner\n")
    for path in sorted((folder / "incoming").rglob("*.json")):
        path.unlink()
    output = report(folder)
    assert output.exit.code == 7
    assert output.stdout.startswith("# ⊘ no data: nothing arrived\n")


def test_a_plan_of_which_nothing_arrived_is_red(folder: Path) -> None:
    """Also where the folder was never made, as where no job had an artifact to upload."""
    output = report(folder, *PLAN, "--annotations")
    assert output.exit.code == 7
    assert "⊘ no data%3A orin::orin: delivery: nothing arrived" in output.stdout


def test_the_plan_of_this_repository_is_understood(folder: Path) -> None:
    """As `regress plan --json` prints it."""
    printed = process.run([sys.executable, "-m", "regress", "plan", "--json"], cwd=REPOSITORY, timeout_s=60)
    (folder / "plan.json").write_text(printed.stdout)
    planned = json.loads(printed.stdout)["include"]
    found = json.loads(report(folder, *PLAN, "--json").stdout)
    assert [each["runner"] for each in found["runners"]] == [each["runner"] for each in planned] != []


def test_a_program_reads_the_same_as_json(folder: Path) -> None:
    """With the whole reports."""
    judged(folder / "incoming", make_record(slow(), runner="orin"))
    (folder / "plan.json").write_text(plan_text("orin", "away"))
    found = json.loads(report(folder, *PLAN, "--json").stdout)
    assert (found["outcome"], found["exit_code"]) == ("regressed", 1)
    assert [(each["runner"], each["outcome"], each["exit_code"]) for each in found["runners"]] == [
        ("orin", "regressed", 1),
        ("away", "no data", 7),
    ]
    assert found["runners"][0]["report"]["verdicts"][1]["outcome"] == "regressed"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--plan", "none.json"), 3, "none.json: No such file or directory"),
        (("--plan", "baselines/orin.toml"), 3, "baselines/orin.toml: not a plan: JSON is malformed"),
        (("--json", "--annotations"), 2, "report: --json and --annotations both go to standard output"),
        ((), 7, "incoming: no such folder of records"),
        ((*PLAN, "--incoming", "plan.json"), 7, "plan.json: no such folder of records"),
        ((*PLAN, "--summary", "baselines"), 7, "baselines: cannot be written: Is a directory"),
        ((*PLAN, "--junit", "plan.json/x"), 7, "plan.json/x: cannot be written"),
    ],
)
def test_a_mistake_is_one_line(folder: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    """With the file and an exit code of its own."""
    output = report(folder, *arguments)
    assert output.exit.code == code
    assert said in output.stderr.splitlines()[0]


def test_a_hostile_record_injects_nothing_into_a_job(folder: Path) -> None:
    """Neither a command nor a cell, through any of its texts, whichever stream shows it."""
    evil = "x\n::add-mask::all\n##[set-output name=a]b | @octocat https://evil.example <img src=x> ghp_" + "a" * 36
    broken = make_broken(cause=evil, log=evil, how=evil)
    record = make_record(broken, runner="orin", toolchain=make_toolchain(f"tvm {evil}"), id="20261003T120000Z-x-1")
    judged(folder / "incoming", record, make_record(runner="orin", toolchain=make_toolchain(evil)))
    (folder / "incoming" / "x\n::error::y##[group].json").write_text("{")
    for options in ((), ("--json",), ("--annotations",), ("--summary", "summary.md", "--junit", "junit.xml")):
        output = report(folder, *PLAN, *options, GITHUB_ACTIONS="true")
        assert output.exit.code == 5
        lines = (output.stdout + output.stderr).replace("\r", "\n").splitlines()
        commands = [line for line in lines if line.lstrip().startswith("::") or "##[" in line]
        assert len(commands) == (1 if options == ("--annotations",) else 0)
        assert "ghp_aaaa" not in output.stdout + output.stderr
    json.loads(report(folder, *PLAN, "--json").stdout)
    for name in ("summary.md", "junit.xml"):
        assert "ghp_aaaa" not in (folder / name).read_text()
    rows = [line for line in (folder / "summary.md").read_text().splitlines() if line.startswith("| ✖")]
    assert [row.count(" | ") for row in rows] == [5]


def test_a_summary_stays_below_what_github_takes_of_a_step(folder: Path) -> None:
    """With what is in the file already, and in bytes: letters of other alphabets take more than one."""
    keys = [f"模型{'長' * 40}{number}/q4f16_1/llvm/p64+16" for number in range(400)]
    names = [f"runner{number}" for number in range(8)]
    for name in names:
        judged(folder / "incoming", make_record(*(slow(key) for key in keys), runner=name))
    (folder / "plan.json").write_text(plan_text(*names))
    summary = folder / "summary.md"
    summary.write_text("x" * 99_999 + "\n")
    began = time.monotonic()
    assert report(folder, *PLAN, "--summary", "summary.md").exit.code == 1
    assert time.monotonic() - began < 20
    assert SUMMARY_BYTES * 0.95 < summary.stat().st_size <= SUMMARY_BYTES
    assert "rows had no room here" in summary.read_text(encoding="utf-8")
