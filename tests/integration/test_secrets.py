"""Secrets of a job, through the real command line: measured code gets none, and nothing that is published holds any."""

from __future__ import annotations

import os
import sys
import venv
from typing import TYPE_CHECKING

import pytest

from regress import process

if TYPE_CHECKING:
    from pathlib import Path

VALUES = {
    "GITHUB_TOKEN": "ghs_0123456789abcdefghij0123456789abcdef",
    "HF_TOKEN": "hf_abcdefghijklmnopqrstuvwxyzABCDEF",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIexampleKEY",
    "DEPLOY_PASSWORD": "correct-horse-battery",
    "TVM_API_KEY": "key-of-a-compiler",
}
UNKNOWN = "hf_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
"""A token that this job was never given: known by its shape alone."""
SNOOP = """\
# What every Python of this environment runs first, as what a measured package brings with it may be.
import json, os, sys
with open({seen!r}, "a") as file:
    file.writelines(f"{{name}}={{value}}\\n" for name, value in sorted(os.environ.items()))
asked = " ".join(sys.orig_argv)
if asked.endswith("smoke.py"):
    hello = {{"event": "hello", "protocol": 1, "python": "3.11.7", "platform": "linux-x86_64", "packages": {{}}}}
    print(json.dumps(hello))
    print(json.dumps({{"event": "result", "libraries": {{}}}}), flush=True)
    os._exit(0)
if asked.endswith(".request.json"):
    parent = open(f"/proc/{{os.getppid()}}/environ").read().split("\\0")
    telling = [line for line in parent if line.split("=")[0] in {names!r}]
    print("\\n".join(["::add-mask::all", "  ##[set-output name=a]b", *telling]), file=sys.stderr)
    print("RuntimeError: ::error::##[error] " + " ".join(telling), file=sys.stderr, flush=True)
    if {nonsense}:
        print(json.dumps({{"event": "hello", "protocol": 1}}))
        print(json.dumps({{"event": "{unknown} " + telling[0]}}), flush=True)
    os._exit(1)
"""
CONFIG = """\
[run]
baseline = "baseline.toml"
toolchains = ["here"]

[toolchains.here]
kind = "current"
python = "{python}"
"""
BASELINE = """\
runner = "snooped"
toolchain = "here"

[[cases]]
model = "synthetic:llama-mini"
quantization = "q4f32_1"
target = "llvm"
prompt_tokens = 16
new_tokens = 16
"""


@pytest.mark.parametrize("nonsense", [False, True], ids=["fails", "prints nonsense"])
def test_a_worker_that_tells_all_tells_no_secret(tmp_path: Path, test_home: Path, nonsense: bool) -> None:  # noqa: FBT001
    """It has none in its environment; what it reads elsewhere and prints is struck out of all that is kept or said."""
    seen, environment = tmp_path / "seen", tmp_path / "environment"
    venv.create(environment, with_pip=False)
    packages = next(environment.glob("lib/python*/site-packages"))
    snoop = SNOOP.format(seen=str(seen), names=sorted(VALUES), nonsense=nonsense, unknown=UNKNOWN)
    (packages / "sitecustomize.py").write_text(snoop)
    (tmp_path / "regress.toml").write_text(CONFIG.format(python=environment / "bin" / "python"))
    (tmp_path / "baseline.toml").write_text(BASELINE)
    env = {**os.environ, **VALUES, "REGRESS_HOME": str(test_home), "GITHUB_ACTIONS": "true"}
    argv = [sys.executable, "-m", "regress", "run", "--site", "site"]
    output = process.run(argv, cwd=tmp_path, env=env, timeout_s=300)
    assert output.exit.code == 5, output.stderr

    told = seen.read_text()
    assert "PATH=" in told
    assert not [name for name in VALUES if f"{name}=" in told]

    outputs = [path for name in ("history", "site") for path in (tmp_path / name).rglob("*") if path.is_file()]
    kept = "".join(path.read_text(errors="replace") for path in outputs)
    assert "GITHUB_TOKEN=***" in kept
    for value in (*VALUES.values(), UNKNOWN):
        assert value not in output.stdout
        assert value not in output.stderr
        assert value not in kept
    lines = (output.stdout + output.stderr).replace("\r", "\n").splitlines()
    assert not [line for line in lines if line.lstrip().startswith("::") or "##[" in line]
    assert "## [error]" in output.stderr or nonsense


def test_a_mistake_on_the_command_line_is_no_workflow_command(tmp_path: Path) -> None:
    """Also where argparse says it, before anything of ours runs; outside of a job it is said as it is."""
    hostile = "x\n::add-mask::a\n##[group]hf_abcdefghijklmnopqrstuvwxyzABCDEF"
    for env, commands in (({"GITHUB_ACTIONS": "true"}, False), ({"GITHUB_ACTIONS": ""}, True)):
        given = {**os.environ, **env}
        output = process.run([sys.executable, "-m", "regress", "check", hostile], cwd=tmp_path, env=given, timeout_s=60)
        assert output.exit.code == 2
        assert ("\n::add-mask::a" in output.stderr) == commands
        assert "hf_abc" not in output.stderr


def test_data_that_goes_to_a_file_is_not_changed_for_a_runner(tmp_path: Path) -> None:
    """No runner reads a file: `regress … --json > file` must keep what it says."""
    script = "import sys; from regress.outlet import outlets\nwith outlets({'GITHUB_ACTIONS': 'true'}): print('##[a]')"
    argv = ["/bin/sh", "-c", '"$1" -c "$2" > out.txt; "$1" -c "$2"', "sh", sys.executable, script]
    output = process.run(argv, cwd=tmp_path, timeout_s=60)
    assert (tmp_path / "out.txt").read_text() == "##[a]\n"
    assert output.stdout == "## [a]\n"
