"""The workflows, step by step: a user's repository, real builds and measurements, real git, GitHub on loopback."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from integration.github_server import REPOSITORY as NAME
from integration.github_server import TOKEN, LocalGitHub, serving
from integration.replay import Replay
from integration.test_main_job import BASELINE, KEY
from integration.workshop import REPOSITORY

from regress import process
from regress.history import files

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.alone

TOOLCHAIN = "tvm-0.26.0"
CONFIG = """title = "kernels"

[run]
baseline = "baselines/bench.toml"
toolchains = ["tvm-0.26.0"]

[runners.bench]
labels = ["self-hosted", "bench"]

[bump.kernels]
repository = "UPSTREAM"
toolchain = "kernels-{version}"
beside = ["apache-tvm==0.26.0", "apache-tvm-ffi==0.1.13.post3", "numpy==2.2.6"]

[toolchains."tvm-0.26.0"]   # the reference
packages = ["apache-tvm==0.26.0", "numpy"]
as_of = 2026-08-15
"""
AUTHOR = {f"GIT_{who}_{what}": "t@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@dataclass
class Owner:
    """Who has a repository with a runner: a clone, its remote, and GitHub.

    Attributes:
        folder: The clone.
        remote: The bare repository that it is pushed to.
        env: The environment of the machine.
        hub: GitHub.
        scratch: Empty folder.
    """

    folder: Path
    remote: Path
    env: dict[str, str]
    hub: LocalGitHub
    scratch: Path
    count: int = 0

    def git(self, *arguments: str) -> str:
        output = process.run(["git", *arguments], cwd=self.folder, env={**self.env, **AUTHOR})
        assert output.exit.ok, output.stderr
        return output.stdout.strip()

    def regress(self, *arguments: str) -> process.Output:
        argv = [sys.executable, "-m", "regress", *arguments]
        return process.run(argv, cwd=self.folder, env=self.env, timeout_s=600)

    def store_baseline(self) -> None:
        """Measures until the noise would show the tolerance: three times on a quiet machine."""
        for _ in range(9):
            output = self.regress("bench", "--toolchain", TOOLCHAIN)
            assert output.exit.ok, output.stderr
            records = [f"history/{each.name}" for each in files(self.folder / "history")]
            given = [argument for path in records for argument in ("--record", path)]
            output = self.regress("baseline", "--baseline", "baselines/bench.toml", *given)
            if output.exit.ok:
                return
        pytest.fail(f"this machine is too noisy to test on: {output.stderr}")

    def push(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        self.git("push", "--quiet", "origin", "main")

    def replay(self, workflow: str, *, offline: frozenset[str] = frozenset()) -> Replay:
        """What became of a workflow at the newest commit."""
        self.count += 1
        github = {
            "api_url": self.hub.endpoint,
            "event_name": "push",
            "repository": NAME,
            "run_id": str(self.count),
            "server_url": "https://github.com",
            "sha": self.git("rev-parse", "HEAD"),
            "token": TOKEN,
        }
        replay = Replay(self.remote, self.scratch / str(self.count), self.env, github, offline=offline)
        replay.folder.mkdir()
        replay.run(workflow)
        return replay

    def history(self) -> list[str]:
        """The records on the history branch."""
        folder = self.scratch / f"history-{self.count}"
        output = process.run(["git", "clone", "--quiet", "--branch", "regress-history", self.remote, folder])
        if not output.exit.ok:
            return []
        return [each.name for each in files(folder)]


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory, test_home: Path) -> Iterator[Owner]:
    """A repository that was given the workflows, and whose baseline was measured on its runner."""
    root = tmp_path_factory.mktemp("owner")
    folder, remote, scratch = root / "clone", root / "remote.git", root / "scratch"
    for each in (folder, scratch):
        each.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "RUNNER_"))}
    env = {**kept, "REGRESS_HOME": str(test_home), "COLUMNS": "200"}
    with serving(LocalGitHub()) as hub:
        owner = Owner(folder, remote, env, hub, scratch)
        owner.git("init", "--quiet", "--initial-branch", "main")
        owner.git("init", "--quiet", "--bare", "--initial-branch", "main", str(remote))
        owner.git("remote", "add", "origin", str(remote))
        (folder / "regress.toml").write_text(CONFIG.replace("UPSTREAM", f"file://{root}/upstream"))
        (folder / ".gitignore").write_text("history/\n")
        (folder / "baselines").mkdir()
        (folder / "baselines" / "bench.toml").write_text(BASELINE.replace('runner = "here"', 'runner = "bench"'))
        source = f"regress @ git+https://example.org/regress.git@{'0' * 40}"
        assert owner.regress("install-workflows", "--source", source).exit.ok
        owner.store_baseline()
        shutil.rmtree(folder / "history")
        owner.push("The workflows, and a first baseline")
        yield owner


def failed_steps(replay: Replay) -> dict[str, list[str]]:
    return {
        name: [step.name for step in job.steps if not step.ok]
        for name, job in replay.jobs.items()
        if job.result == "failure"
    }


def test_a_night_that_is_in_order_is_green_kept_and_published(owner: Owner) -> None:
    replay = owner.replay("regress.yml")

    assert failed_steps(replay) == {}
    assert {name: job.result for name, job in replay.jobs.items()} == {
        "plan": "success",
        "measure / bench": "success",
        "publish / report": "success",
        "pages / build": "success",
        "pages / deploy": "success",
    }
    (record,) = owner.history()
    assert record.startswith("bench/")
    assert (replay.folder / "pages" / "runs" / "bench" / f"{Path(record).stem}.html").is_file()
    (check,) = [each for each in owner.hub.checks if each["head_sha"] == replay.github["sha"]]
    assert (check["name"], check["conclusion"]) == ("regress / bench", "success")
    assert owner.hub.issues == {}
    report = replay.jobs["publish / report"]
    assert KEY in report.summary
    suite = ET.parse(replay.artifacts / "report" / "report.xml").getroot()  # noqa: S314  # our own
    assert not suite.findall(".//failure")
    assert suite.findall(".//testcase")


def test_a_real_loss_is_red_annotated_and_has_an_issue(owner: Owner) -> None:
    """A commit that builds the model with kernels left unscheduled, until it is taken back."""
    baseline = owner.folder / "baselines" / "bench.toml"
    good = baseline.read_text()
    slow = good.replace("new_tokens = 24\n", 'new_tokens = 24\nflags = { schedule = "none" }\n')
    assert slow != good
    baseline.write_text(slow)
    owner.push("Kernels without a schedule")

    replay = owner.replay("regress.yml")

    assert failed_steps(replay) == {"measure / bench": ["Build, measure, judge"], "publish / report": ["Report"]}
    assert replay.jobs["measure / bench"].step("Build, measure, judge").code == 1
    report = replay.jobs["publish / report"].step("Report")
    assert report.code == 1
    (error, *_) = [line for line in report.stdout.splitlines() if line.startswith("::error ")]
    line = slow.splitlines().index("[[cases]]") + 1
    assert f"file=baselines/bench.toml,line={line}," in error
    (check,) = [each for each in owner.hub.checks if each["head_sha"] == replay.github["sha"]]
    assert check["conclusion"] == "failure"
    issues = [issue for issue in owner.hub.issues.values() if issue["state"] == "open"]
    assert any("decode" in issue["title"] and KEY in issue["title"] for issue in issues), issues
    assert replay.jobs["pages / deploy"].result == "success"  # the site shows it

    baseline.write_text(good)
    owner.push("Schedules again")
    assert failed_steps(owner.replay("regress.yml")) == {}
    assert not [issue for issue in owner.hub.issues.values() if issue["state"] == "open"]


def test_a_runner_that_delivers_nothing_is_red(owner: Owner) -> None:
    before = owner.history()

    replay = owner.replay("regress.yml", offline=frozenset({"bench"}))

    assert replay.jobs["measure / bench"].result == "cancelled"
    assert failed_steps(replay) == {"publish / report": ["Report"]}
    report = replay.jobs["publish / report"]
    assert report.step("Report").code == 7
    assert "no data" in report.summary
    (check,) = [each for each in owner.hub.checks if each["head_sha"] == replay.github["sha"]][-1:]
    assert check["conclusion"] == "action_required"
    assert owner.history() == before


def test_a_bump_is_measured_on_its_branch_and_proposed(owner: Owner) -> None:
    """Once: as long as its branch is there, nothing is measured again."""
    upstream = owner.folder.parent / "upstream"
    upstream.mkdir()
    for arguments in (("init", "--quiet"), ("commit", "--quiet", "--allow-empty", "-m", "kernels")):
        assert process.run(["git", *arguments], cwd=upstream, env={**owner.env, **AUTHOR}).exit.ok
    commit = process.run(["git", "rev-parse", "HEAD"], cwd=upstream).stdout.strip()
    name = f"kernels-{commit[:12]}"

    replay = owner.replay("bump.yml")

    assert failed_steps(replay) == {}
    assert replay.jobs["measure / bench"].result == "success"
    (pull,) = [each for each in owner.hub.issues.values() if "pull_request" in each]
    assert (pull["title"], pull["head"]["ref"]) == (f"Bump to {name}", f"bump/{name}")
    assert name in pull["body"]
    pinned = owner.git("--git-dir", str(owner.remote), "show", f"bump/{name}:regress.toml")
    assert f'commit = "{commit}"' in pinned
    assert "# the reference" in pinned
    changed = owner.git("--git-dir", str(owner.remote), "diff", "--name-only", "main", f"bump/{name}")
    assert changed == "regress.toml"
    (check,) = [each for each in owner.hub.checks if each["head_sha"] == replay.jobs["find"].outputs["commit"]]
    assert check["conclusion"] == "success"

    again = owner.replay("bump.yml")

    assert {name: job.result for name, job in again.jobs.items()} == {
        "find": "success",
        "measure": "skipped",
        "publish": "skipped",
        "propose": "skipped",
    }


def test_a_job_prints_no_token_and_no_command_of_others(owner: Owner) -> None:
    """The token is in the environment of the hosted steps that need it, and of no other."""
    replay = owner.replay("pages.yml")

    assert failed_steps(replay) == {}
    printed = [step.stdout + step.stderr for job in replay.jobs.values() for step in job.steps]
    assert TOKEN not in "".join(printed)
    for path in (owner.folder / ".github").rglob("*.yml"):
        if path.name == "_measure.yml":
            assert "github.token" not in path.read_text()


def test_what_installs_regress_takes_the_lock_by_its_digests(tmp_path: Path) -> None:
    """The action's own script, with an interpreter in which pip only says what it is asked."""
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(
        '#!/bin/sh\nmkdir -p "$3/bin"\nprintf \'#!/bin/sh\\necho "$@" >>%s/asked\\n\' "$RUNNER_TEMP" >"$3/bin/pip"\n'
        'chmod +x "$3/bin/pip"\n'
    )
    python.chmod(0o700)
    script = REPOSITORY / ".github" / "actions" / "setup" / "install.sh"
    env = {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_PATH": str(tmp_path / "path"),
    }

    output = process.run(["bash", script, "the.lock", "regress @ there"], env=env)

    assert output.exit.ok, output.stderr
    locked, own = (tmp_path / "asked").read_text().splitlines()
    assert "--require-hashes --only-binary :all: -r the.lock" in locked
    assert own.endswith("--no-deps --no-build-isolation regress @ there")
    assert (tmp_path / "path").read_text() == f"{tmp_path}/regress/bin\n"


def test_the_matrix_is_what_the_plan_says(owner: Owner) -> None:
    (entry,) = json.loads(owner.regress("plan", "--json").stdout)["include"]
    assert (entry["runner"], entry["labels"]) == ("bench", ["self-hosted", "bench"])
