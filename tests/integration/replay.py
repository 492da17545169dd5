"""GitHub Actions as far as our workflows use it: jobs in their order, `run:` steps by a shell in a fresh clone.

What is GitHub's own is stood in for: checking out is a clone, artifacts and pages are folders. Everything else is real.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from regress import process
from regress.site.plotly import packaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Context = dict[str, Any]
"""What expressions see: `github`, `inputs`, `needs` and so on."""
_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<op>&&|\|\||==|!=|[!().,])|(?P<name>[\w-]+))")


class _Expression:
    """One expression, read from left to right: what stands between `${{` and `}}`."""

    def __init__(self, text: str, context: Context, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._context, self._functions = context, functions
        self._tokens: list[tuple[str, str]] = []
        place = 0
        while place < len(text.rstrip()):
            match = _TOKEN.match(text, place)
            assert match, f"cannot read {text!r}"
            self._tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            place = match.end()

    def value(self) -> Any:  # noqa: ANN401  # of JSON
        found = self._either()
        assert not self._tokens, f"left over: {self._tokens}"
        return found

    def _either(self) -> Any:  # noqa: ANN401
        left = self._both()
        while self._takes("||"):
            right = self._both()
            left = left or right
        return left

    def _both(self) -> Any:  # noqa: ANN401
        left = self._equal()
        while self._takes("&&"):
            right = self._equal()
            left = left and right
        return left

    def _equal(self) -> Any:  # noqa: ANN401
        left = self._one()
        if self._takes("=="):
            return left == self._one()
        return left != self._one() if self._takes("!=") else left

    def _one(self) -> Any:  # noqa: ANN401
        if self._takes("!"):
            return not self._one()
        if self._takes("("):
            inner = self._either()
            assert self._takes(")")
            return self._members(inner)
        kind, text = self._tokens.pop(0)
        if kind == "text":
            return text[1:-1].replace("''", "'")
        assert kind == "name", text
        if self._takes("("):
            arguments = []
            while not self._takes(")"):
                arguments.append(self._either())
                self._takes(",")
            return self._members(self._functions[text](*arguments))
        return self._members(self._context.get(text))

    def _members(self, found: Any) -> Any:  # noqa: ANN401
        while self._takes("."):
            _, name = self._tokens.pop(0)
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def _takes(self, op: str) -> bool:
        if self._tokens and self._tokens[0] == ("op", op):
            self._tokens.pop(0)
            return True
        return False


@dataclass
class Step:
    """A step that ran: its name, and what it printed; its exit status where it was a script."""

    name: str
    ok: bool
    code: int | None = None
    stdout: str = ""
    stderr: str = ""


@dataclass
class Job:
    """A job that ended: `success`, `failure`, `skipped` or `cancelled`."""

    result: str
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    ended: bool = False

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)


@dataclass
class Replay:
    """One run of a workflow.

    Attributes:
        remote: Bare repository that jobs check out.
        folder: Empty folder for clones, artifacts and pages.
        env: Environment of every job.
        github: The context `github`.
        secrets: The context `secrets`.
        offline: Runners that never take a job.
        jobs: Jobs that ended, by their names; those of a called workflow as `caller / called`.
    """

    remote: Path
    folder: Path
    env: dict[str, str]
    github: Context
    secrets: dict[str, str] = field(default_factory=dict)
    offline: frozenset[str] = frozenset()
    jobs: dict[str, Job] = field(default_factory=dict)

    @property
    def result(self) -> str:
        return "failure" if any(job.result in ("failure", "cancelled") for job in self.jobs.values()) else "success"

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def run(self, workflow: str, inputs: Context | None = None) -> None:
        """Runs all jobs of a workflow of the remote's main branch."""
        source = self._clone(self.folder / "workflows", "")
        declared = yaml.safe_load((source / ".github" / "workflows" / workflow).read_text())
        self._jobs(source, declared, {"github": self.github, "inputs": inputs or {}, "secrets": self.secrets}, "")

    def gate(self, action: Path, inputs: dict[str, str]) -> Job:
        """The job of another repository that checks out its code and calls a composite action.

        What installs `regress` is stood in for, as in every job.
        """
        declared = yaml.safe_load(action.read_text())
        defaults = {name: each.get("default", "") for name, each in declared["inputs"].items()}
        checkout = {"uses": "actions/checkout", "with": {"persist-credentials": False}}
        installing, *steps = declared["runs"]["steps"]
        assert "install.sh" in installing["run"]
        steps = [checkout, {"uses": "./.github/actions/setup"}, *steps]
        github = {**self.github, "action_path": str(action.parent)}
        context = {"github": github, "inputs": {**defaults, **inputs}}
        self.jobs["gate"] = _Machine(self, {"steps": steps}, context, "gate").ended()
        return self.jobs["gate"]

    def _jobs(self, source: Path, declared: Context, context: Context, prefix: str) -> dict[str, Job]:
        ended: dict[str, Job] = {}
        for name, job in declared["jobs"].items():
            needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
            needed = {need: {"result": ended[need].result, "outputs": ended[need].outputs} for need in needs}
            own = {**context, "needs": needed}
            good = all(need["result"] == "success" for need in needed.values())
            if not self._wanted(job.get("if"), own, good=good):
                ended[name] = self.jobs[prefix + name] = Job("skipped")
                continue
            matrix = self._filled(job.get("strategy", {}).get("matrix"), own)
            entries = matrix["include"] if matrix else [{}]
            assert entries, f"{name}: GitHub refuses an empty matrix"
            results = [self._job(source, name, job, {**own, "matrix": entry}, prefix) for entry in entries]
            worst = next((each.result for each in results if each.result != "success"), "success")
            ended[name] = Job(worst, outputs=results[-1].outputs)
        return ended

    def _job(self, source: Path, name: str, job: Context, context: Context, prefix: str) -> Job:
        if "uses" in job:
            called = yaml.safe_load((source / job["uses"]).read_text())
            secrets = self._filled(job.get("secrets", {}), context)
            inside = {"github": self.github, "inputs": self._filled(job.get("with", {}), context), "secrets": secrets}
            below = self._jobs(source, called, inside, f"{prefix}{name} / ")
            return Job(next((each.result for each in below.values() if each.result != "success"), "success"))
        shown = self._filled(job.get("name", name), context)
        labels = self._filled(job["runs-on"], context)
        if self.offline & set(labels if isinstance(labels, list) else [labels]):
            ended = Job("cancelled")  # after a day without a machine that takes it
        else:
            ended = _Machine(self, job, context, shown).ended()
        self.jobs[prefix + shown] = ended
        return ended

    def _wanted(self, condition: str | None, context: Context, *, good: bool) -> bool:
        text = (condition or "success()").strip().removeprefix("${{").removesuffix("}}")
        asks = re.search(r"\b(always|success|failure|cancelled)\(", text)
        found = _Expression(text, context, _functions(good=good)).value()
        return bool(found) and (asks is not None or good)

    def _filled(self, value: Any, context: Context) -> Any:  # noqa: ANN401  # of YAML
        if isinstance(value, dict):
            return {key: self._filled(each, context) for key, each in value.items()}
        if isinstance(value, list):
            return [self._filled(each, context) for each in value]
        if not isinstance(value, str):
            return value
        functions = _functions(good=True)
        if match := re.fullmatch(r"\$\{\{((?:(?!\}\}).)*)\}\}", value.strip(), re.DOTALL):
            return _Expression(match[1], context, functions).value()
        return re.sub(r"\$\{\{(.*?)\}\}", lambda match: _text(_Expression(match[1], context, functions).value()), value)

    def _clone(self, folder: Path, ref: str) -> Path:
        output = process.run(["git", "clone", "--quiet", self.remote, folder])
        assert output.exit.ok, output.stderr
        if ref:
            checked = process.run(["git", "checkout", "--quiet", ref], cwd=folder)
            assert checked.exit.ok, checked.stderr
        return folder


def _functions(*, good: bool) -> dict[str, Callable[..., Any]]:
    return {
        "always": lambda: True,
        "success": lambda: good,
        "failure": lambda: not good,
        "cancelled": lambda: False,
        "fromJSON": json.loads,
        "toJSON": json.dumps,
    }


def _text(value: Any) -> str:  # noqa: ANN401
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


class _Machine:
    """A machine that runs one job: a workspace, and a folder for temporary files that is empty at first."""

    def __init__(self, replay: Replay, job: Context, context: Context, name: str) -> None:
        self._replay, self._job, self._steps = replay, job, {}
        self._root = replay.folder / f"job-{len(replay.jobs)}-{re.sub('[^a-z0-9]', '-', name)}"
        self._workspace, self._temp = self._root / "workspace", self._root / "temp"
        for folder in (self._workspace, self._temp):
            folder.mkdir(parents=True)
        for file in ("output", "summary", "path", "env"):
            (self._root / file).touch()
        self._context = {**context, "runner": {"temp": str(self._temp)}, "steps": self._steps}
        self._name = name

    _steps: dict[str, Any]

    def ended(self) -> Job:
        good, done = True, []
        for step in self._job["steps"]:
            if not self._replay._wanted(step.get("if"), self._context, good=good):
                continue
            ran = self._step(step)
            done.append(ran)
            good = good and (ran.ok or bool(step.get("continue-on-error")))
        outputs = self._replay._filled(self._job.get("outputs", {}), self._context)
        return Job(
            "success" if good else "failure",
            done,
            {name: _text(value) for name, value in outputs.items()},
            (self._root / "summary").read_text(),
            ended=True,
        )

    def _step(self, step: Context) -> Step:
        (self._root / "output").write_text("")
        ran = self._script(step) if "run" in step else self._action(step)
        if "id" in step:
            self._steps[step["id"]] = {"outputs": dict(self._outputs())}
        return ran

    def _outputs(self) -> Iterator[tuple[str, str]]:
        for line in (self._root / "output").read_text().splitlines():
            name, _, value = line.partition("=")
            yield name, value

    def _script(self, step: Context) -> Step:
        env = self._replay._filled(step.get("env", {}), self._context)
        output = process.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=self._workspace,
            env={**self._environment(), **{name: _text(value) for name, value in env.items()}},
            timeout_s=600,
        )
        return Step(str(step.get("name", step["run"])), output.exit.ok, output.exit.code, output.stdout, output.stderr)

    def _environment(self) -> dict[str, str]:
        paths = [line for line in (self._root / "path").read_text().splitlines() if line]
        files = {"OUTPUT": "output", "STEP_SUMMARY": "summary", "PATH": "path", "ENV": "env"}
        github = {name.upper(): _text(value) for name, value in self._replay.github.items() if name != "token"}
        return {
            **self._replay.env,
            "PATH": os.pathsep.join([*paths, self._replay.env["PATH"]]),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self._workspace),
            "RUNNER_TEMP": str(self._temp),
            **{f"GITHUB_{name}": value for name, value in github.items()},
            **{f"GITHUB_{name}": str(self._root / file) for name, file in files.items()},
        }

    def _action(self, step: Context) -> Step:
        given = self._replay._filled(step.get("with", {}), self._context)
        name = step["uses"].partition("@")[0]
        ok = _ACTIONS[name](self, given)
        return Step(step.get("name", name), ok is not False)

    def checkout(self, given: Context) -> None:
        assert given["persist-credentials"] is False
        self._workspace.rmdir()
        self._replay._clone(self._workspace, given.get("ref") or "")

    def setup(self, _: Context) -> None:
        """What the action installs is installed already: its own test runs its script."""
        commands = self._root / "bin"
        commands.mkdir()
        (commands / "regress").write_text(f'#!/bin/sh\nexec {sys.executable} -m regress "$@"\n')
        (commands / "regress").chmod(0o700)
        (self._root / "path").write_text(f"{commands}\n")

    def plotly(self, _: Context) -> None:
        (self._root / "output").write_text(f"script={packaged().path}\n")

    def upload(self, given: Context) -> bool:
        source, target = Path(given["path"]), self._replay.artifacts / given["name"]
        shutil.rmtree(target, ignore_errors=True)
        if not source.exists() or (source.is_dir() and not any(each.is_file() for each in source.rglob("*"))):
            return bool(given.get("if-no-files-found", "warn") != "error")
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            target.mkdir(parents=True)
            shutil.copy(source, target)
        return True

    def download(self, given: Context) -> None:
        assert given["merge-multiple"] is True
        for artifact in sorted(self._replay.artifacts.glob(given["pattern"])):
            shutil.copytree(artifact, given["path"], dirs_exist_ok=True)

    def upload_pages(self, given: Context) -> None:
        shutil.copytree(given["path"], self._replay.folder / "pages", dirs_exist_ok=True)

    def deploy_pages(self, _: Context) -> None:
        assert (self._replay.folder / "pages" / "index.html").is_file()
        (self._root / "output").write_text("page_url=https://example.org/\n")


_ACTIONS: dict[str, Callable[[_Machine, Context], bool | None]] = {
    "./.github/actions/plotly": _Machine.plotly,
    "./.github/actions/setup": _Machine.setup,
    "actions/checkout": _Machine.checkout,
    "actions/deploy-pages": _Machine.deploy_pages,
    "actions/download-artifact": _Machine.download,
    "actions/setup-python": lambda _machine, _given: None,
    "actions/upload-artifact": _Machine.upload,
    "actions/upload-pages-artifact": _Machine.upload_pages,
}
"""What stands in for each action."""
