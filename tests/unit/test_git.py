"""What surrounds a call of git: its environment, its words, its age."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from regress import git, process
from regress.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Sequence


def fake(monkeypatch: pytest.MonkeyPatch, printed: bytes, code: int = 0) -> git.Git:
    """git that says the same to everything."""

    def run(argv: Sequence[str], **_: object) -> process.Output:
        assert argv[0] == "git"
        end = process.Exit(code=code, signal=None, timed_out=False, duration_s=0.1)
        return process.Output(exit=end, printed=printed, stderr="")

    monkeypatch.setattr(process, "run", run)
    return git.Git(folder=Path(), env={})


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        ("", None),
        ("fatal: repository '/x' does not exist\n", "repository '/x' does not exist"),
        (
            "warning: x\nfatal: unable to access 'https://me:hunter2@there/': 403\n",
            "unable to access 'https://***@there/': 403",
        ),
        ("Enter passphrase\n", "Enter passphrase"),
        (
            "remote: Resolving deltas\nremote: error: GH006: Protected branch.\nerror: failed to push some refs\n",
            "GH006: Protected branch.",
        ),
        ("remote: \nremote: not today\nerror: failed to push some refs to 'x'\n", "not today"),
        ("Host key verification failed.\nfatal: Could not read from remote repository.\n\nPlease make sure\n", None),
        ("remote: \x1b[31mred\x1b[0m \x9b2J\n", "[31mred [0m  2J"),
        ("fatal: token ghp_" + "a" * 36 + "\n", "token ***"),
        ("fatal: " + "a" * 1000, "a" * 300),
    ],
)
def test_the_telling_line_is_found(stderr: str, line: str | None) -> None:
    """The other side's words first; no secret, no control character, not too long."""
    expected = "Host key verification failed." if "Host key" in stderr else line
    assert git.telling_line(stderr) == expected


def test_an_environment_asks_nothing_and_points_to_no_other_repository() -> None:
    """As in a hook of another repository; what reaches a remote stays."""
    given = {
        "PATH": "/bin",
        "GIT_DIR": "/elsewhere",
        "GIT_INDEX_FILE": "/elsewhere/index",
        "GIT_QUARANTINE_PATH": "/elsewhere/q",
        "GIT_SSH_COMMAND": "ssh -i key",
        "GIT_ASKPASS": "token.sh",
        "SSH_ASKPASS": "window",
    }
    env = git.environment((("remote.history.url", "x"),), given)
    assert {"GIT_DIR", "GIT_INDEX_FILE", "GIT_QUARANTINE_PATH", "SSH_ASKPASS"}.isdisjoint(env)
    kept = {name: env[name] for name in ("PATH", "GIT_SSH_COMMAND", "GIT_ASKPASS")}
    assert kept == {"PATH": "/bin", "GIT_SSH_COMMAND": "ssh -i key", "GIT_ASKPASS": "token.sh"}
    assert (env["GIT_TERMINAL_PROMPT"], env["LC_ALL"], env["GIT_AUTHOR_NAME"]) == ("0", "C", "regress")


@pytest.mark.parametrize("count", ["1", "", "x"])
def test_settings_come_after_those_that_are_there(count: str) -> None:
    """And in their order, each name as often as it stands there."""
    given = {"GIT_CONFIG_COUNT": count, "GIT_CONFIG_KEY_0": "a", "GIT_CONFIG_VALUE_0": "0"}
    env = git.with_settings(given, (("b", "1"), ("b", "2")))
    first = 1 if count == "1" else 0
    assert env["GIT_CONFIG_COUNT"] == str(first + 2)
    assert [env[f"GIT_CONFIG_VALUE_{first + number}"] for number in range(2)] == ["1", "2"]


def test_our_settings_hold_over_those_of_the_working_folder() -> None:
    """What stands later wins."""
    env = git.environment((("core.hooksPath", "/theirs"),), {})
    values = [env[f"GIT_CONFIG_VALUE_{n}"] for n in range(int(env["GIT_CONFIG_COUNT"])) if _key(env, n) == "hookspath"]
    assert values == ["/theirs", os.devnull]


def _key(env: dict[str, str], number: int) -> str:
    return env[f"GIT_CONFIG_KEY_{number}"].lower().rpartition(".")[2]


def test_the_ways_to_log_in_are_read_from_the_working_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may stand several times: an empty helper takes back those before it."""
    printed = b"http.https://x/.extraheader\nAUTHORIZATION: basic x\0credential.helper\n\0credential.helper\nstore\0"
    assert git.reaching(fake(monkeypatch, printed)) == (
        ("http.https://x/.extraheader", "AUTHORIZATION: basic x"),
        ("credential.helper", ""),
        ("credential.helper", "store"),
    )
    assert git.reaching(fake(monkeypatch, b"", code=128)) == ()


@pytest.mark.parametrize("version", ["git version 2.31.0", "git version 2.39.5 (Apple Git-1)", "git version 3.0", "?"])
def test_a_git_that_is_new_enough_passes(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    git.require_version(fake(monkeypatch, version.encode()))


@pytest.mark.parametrize("version", ["git version 2.25.1", "git version 1.99"])
def test_a_git_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    with pytest.raises(HistoryError, match=r"is too old: 2\.31 or newer is needed"):
        git.require_version(fake(monkeypatch, version.encode()))


def test_a_machine_without_git_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> process.Output:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(process, "run", run)
    with pytest.raises(HistoryError, match="git cannot be started: No such file") as caught:
        git.Git(folder=Path(), env={})("version")
    assert caught.value.hint == "install git"
