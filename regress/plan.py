"""The plan: which runners measure what, as the matrix of a workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from regress.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regress.baseline import Baseline
    from regress.config import RunnerSpec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What one runner measures: one job of the matrix.

    Attributes:
        runner: Its nickname.
        baseline: Its baseline file, relative to the working folder.
        toolchain: Name of the toolchain that is judged.
        labels: Labels that its machine is registered with.
        environment: Environment of the repository whose rules the job waits for.
        timeout_minutes: Minutes after which the job is ended.
        cases: How many cases it measures.
    """

    runner: str
    baseline: str
    toolchain: str
    labels: tuple[str, ...]
    environment: str
    timeout_minutes: int
    cases: int


def entry(name: str, spec: RunnerSpec, baseline: Baseline, where: str, toolchain: str) -> Entry:
    """The job of a runner.

    Args:
        name: Its nickname.
        spec: As `regress.toml` declares it.
        baseline: Its baseline.
        where: The baseline's file, relative to the working folder.
        toolchain: Name of the toolchain to judge.

    Raises:
        ConfigError: The baseline is another runner's, or has no case.
    """
    if baseline.runner != name:
        raise ConfigError(f"{where}: runner: '{baseline.runner}', but [runners.{name}] names the file")
    if not baseline.cases:
        raise ConfigError(f"{where}: cases: none, so that '{name}' would measure nothing")
    return Entry(
        runner=name,
        baseline=where,
        toolchain=toolchain,
        labels=spec.labels or ("self-hosted", name),
        environment=spec.environment,
        timeout_minutes=spec.timeout_minutes,
        cases=len(baseline.cases),
    )


def matrix_json(entries: Sequence[Entry]) -> str:
    """The entries as the one line of JSON that `strategy.matrix` takes.

    Raises:
        ConfigError: There is none: a workflow would skip its jobs, and be green.
    """
    if not entries:
        raise ConfigError(
            "plan: no runner is declared, so that nothing would be measured",
            hint='declare each machine in regress.toml: [runners.NAME] labels = ["self-hosted", "NAME"]',
        )
    return msgspec.json.encode({"include": entries}).decode() + "\n"


def text(entries: Sequence[Entry]) -> str:
    """A line for each entry, for a person."""
    return "".join(
        f"{each.runner}: {each.cases} case{'' if each.cases == 1 else 's'} of {each.baseline} with {each.toolchain}, "
        f"on [{', '.join(each.labels)}] in environment {each.environment}, within {each.timeout_minutes} minutes\n"
        for each in entries
    )
