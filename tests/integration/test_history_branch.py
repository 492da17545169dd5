"""A history on a branch of a git remote: many writers, and what may go wrong between them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from integration.sharing import ROUNDS, WRITERS, Machine, campaign, contents

from regress import process

if TYPE_CHECKING:
    from collections.abc import Callable

SSH = """#!/bin/sh
echo "$*" >> "$0.log"
for last; do :; done
exec sh -c "$last"
"""
BRANCH = "regress-history"


def git(*arguments: str | Path, cwd: Path | None = None) -> str:
    identity = {f"GIT_{who}_{key}": "x" for who in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    output = process.run(["git", *arguments], cwd=cwd, env={**os.environ, **identity})
    assert output.exit.ok, output.stderr
    return output.stdout


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An empty repository that others can be told to leave files out of."""
    path = tmp_path / "remote.git"
    git("init", "--quiet", "--bare", path)
    git("-C", path, "config", "uploadpack.allowFilter", "true")
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Machine]:
    def make(name: str = "orin", **env: str) -> Machine:
        return Machine(name=name, folder=tmp_path, env=env)

    return make


def stored(bare: Path, branch: str = BRANCH) -> dict[str, bytes]:
    """Name to content of what lies on the branch."""
    names = git("-C", bare, "ls-tree", "-r", "-z", "--name-only", branch).split("\0")[:-1]
    return {name: git("-C", bare, "show", f"{branch}:{name}").encode() for name in names}


def test_writers_that_are_killed_lose_nothing_and_double_nothing(
    bare: Path, machine: Callable[..., Machine], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """What a push said is there is there, byte for byte; one last push of each, and all of it is."""
    machines = [machine(f"runner-{number}") for number in range(WRITERS)]

    ends = campaign(machines, str(bare), ROUNDS, seed=12, longest_s=8.0)

    record_property("ends", ends)
    assert ends["pushed"]
    assert ends["killed"]
    expected = {name: data for each in machines for name, data in contents(each.history).items()}
    assert len(expected) == 2 * WRITERS * ROUNDS
    checkout(bare, tmp_path / "before")
    before = contents(tmp_path / "before")
    said = set().union(*(each.said for each in machines))
    assert said <= set(before)
    assert before.items() <= expected.items()
    for each in machines:
        output = each.push(bare)
        assert output.exit.ok, output.stderr
    checkout(bare, tmp_path / "after")
    assert contents(tmp_path / "after") == expected
    added = git("-C", bare, "log", "--format=", "--name-status", BRANCH).split("\n")[:-1]
    assert sorted(added) == sorted(f"A\t{name}" for name in expected)  # each added once, none ever touched again
    git("-C", bare, "fsck", "--strict")


def checkout(bare: Path, folder: Path) -> None:
    git("clone", "--quiet", "--branch", BRANCH, bare, folder)
