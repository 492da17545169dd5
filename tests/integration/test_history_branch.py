"""A history on a branch of a git remote: many writers, and what may go wrong between them."""

from __future__ import annotations

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from integration.git_server import Host, serving
from integration.sharing import ROUNDS, WRITERS, Machine, campaign, contents
from integration.workshop import REPOSITORY

from regress import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    bare: Path, machine: Callable[..., Machine], tmp_path: Path
) -> None:
    """What a push said is there is there, byte for byte; one last push of each, and all of it is."""
    machines = [machine(f"runner-{number}") for number in range(WRITERS)]

    ends = campaign(machines, str(bare), ROUNDS, seed=12, longest_s=5.0)

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


@pytest.fixture
def ssh(tmp_path: Path) -> Path:
    """Stands in for ssh: notes each call, and runs git's other side here."""
    path = tmp_path / "ssh"
    path.write_text(SSH, encoding="utf-8")
    path.chmod(0o755)
    return path


def trips(ssh: Path) -> int:
    """How often the remote was gone to since this was last asked."""
    log = Path(f"{ssh}.log")
    count = len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0
    log.unlink(missing_ok=True)
    return count


def test_a_push_is_one_round_trip_where_nobody_else_wrote(
    bare: Path, ssh: Path, machine: Callable[..., Machine]
) -> None:
    """The first of a machine is two; one that has nothing to give asks once."""
    url = f"ssh://there{bare}"
    ours, other = (machine(name, GIT_SSH_COMMAND=str(ssh)) for name in ("orin", "h200"))
    counts = []
    for each, measures in [(ours, True), (ours, True), (ours, False), (other, True), (other, True), (ours, True)]:
        if measures:
            each.measure()
        output = each.push(url)
        assert output.exit.ok, output.stderr
        assert len(output.stdout.splitlines()) == (2 if measures else 0)
        counts.append(trips(ssh))
    # Last, the other one wrote meanwhile: refused, fetched, pushed.
    assert counts == [2, 1, 1, 2, 1, 3]
    assert stored(bare) == {**contents(ours.history), **contents(other.history)}


def test_no_file_of_others_is_fetched_to_push_one(bare: Path, machine: Callable[..., Machine]) -> None:
    """A machine's cache holds the trees of the branch, and of its files those that it pushed itself."""
    first, second = machine("first"), machine("second")
    for _ in range(3):
        first.measure()
    first.push(bare)
    path = second.measure(judged=False)
    assert second.push(bare).exit.ok
    (mirror,) = (second.folder / "second" / "home" / "remotes").glob("*/*.git")
    objects = git("-C", mirror, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectsize)")
    assert [line for line in objects.splitlines() if line.startswith("blob")] == [f"blob {path.stat().st_size}"]


RIVAL = """#!/bin/sh
left=$(cat "$GIT_DIR/left")
[ "$left" -gt 0 ] || exit 0
echo $((left - 1)) > "$GIT_DIR/left"
unset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES
export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x
old=$(git rev-parse refs/heads/regress-history)
new=$(git commit-tree -p "$old" -m "rival $left" "$old^{tree}")
git update-ref refs/heads/regress-history "$new"
"""


def hook(bare: Path, text: str) -> None:
    (bare / "hooks").mkdir(exist_ok=True)
    (bare / "hooks" / "pre-receive").write_text(text, encoding="utf-8")
    (bare / "hooks" / "pre-receive").chmod(0o755)


def test_a_push_that_is_outrun_begins_again(bare: Path, machine: Callable[..., Machine]) -> None:
    """Three times somebody writes between the push and its end; nothing of theirs is undone."""
    orin = machine()
    orin.measure()
    orin.push(bare)
    hook(bare, RIVAL)
    (bare / "left").write_text("3")
    orin.measure()
    output = orin.push(bare)
    assert output.exit.ok, output.stderr
    assert "at the attempt no. 4" in output.stderr
    assert stored(bare) == contents(orin.history)
    assert git("-C", bare, "log", "--format=%s", BRANCH).count("rival") == 3


def test_a_push_that_is_outrun_for_too_long_says_so(bare: Path, machine: Callable[..., Machine]) -> None:
    """In time, with what becomes of the records; the next push takes them along."""
    orin = machine()
    orin.measure()
    orin.push(bare)
    hook(bare, RIVAL)
    (bare / "left").write_text("1000")
    orin.measure()
    output = orin.regress("push", "--remote", bare, "--timeout-s", "1")
    assert output.exit.code == 7
    assert "remote.git regress-history: others kept writing first\n" in output.stderr
    assert "hint: nothing is lost: the records stay in the history folder" in output.stderr
    (bare / "left").write_text("0")
    assert orin.push(bare).exit.ok
    assert stored(bare) == contents(orin.history)


def test_a_hook_that_declines_is_heard(bare: Path, machine: Callable[..., Machine]) -> None:
    """The remote's own words, without the secret in them, and at once."""
    hook(bare, "#!/bin/sh\necho 'error: no pushes on https://me:hunter2@there/x today' >&2; exit 1\n")
    orin = machine()
    orin.measure()
    output = orin.push(bare)
    assert output.exit.code == 7
    assert "the remote refused the push\n  cause: no pushes on https://***@there/x today\n" in output.stderr
    assert "hunter2" not in output.stderr


FLAKY = """#!/bin/sh
echo "$*" >> "$0.log"
[ "$(wc -l < "$0.log")" -gt %d ] || { echo 'kex_exchange_identification: Connection reset by peer' >&2; exit 255; }
for last; do :; done
exec sh -c "$last"
"""


def test_a_remote_that_does_not_answer_at_first_is_asked_again(
    bare: Path, ssh: Path, machine: Callable[..., Machine]
) -> None:
    ssh.write_text(FLAKY % 2, encoding="utf-8")
    orin = machine(GIT_SSH_COMMAND=str(ssh))
    orin.measure()
    output = orin.push(f"ssh://there{bare}")
    assert output.exit.ok, output.stderr
    assert stored(bare) == contents(orin.history)


def test_a_remote_that_never_answers_is_given_up(bare: Path, ssh: Path, machine: Callable[..., Machine]) -> None:
    """After a few attempts, within seconds, in one line that tells why, and without the password."""
    ssh.write_text(FLAKY % 1000, encoding="utf-8")
    orin = machine(GIT_SSH_COMMAND=str(ssh))
    orin.measure()
    output = orin.push(f"ssh://me:hunter2@there{bare}")
    assert output.exit.code == 7
    assert output.exit.duration_s < 30
    assert "cause: kex_exchange_identification: Connection reset by peer" in output.stderr
    assert "hunter2" not in output.stderr
    assert trips(ssh) == 4


def commit_file(bare: Path, branch: str, name: str, data: bytes, folder: Path) -> None:
    """Somebody commits a file by hand."""
    there = git("-C", bare, "branch", "--list", branch).strip()
    git("clone", "--quiet", *(["--branch", branch] if there else []), bare, folder)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    git("add", "--force", name, cwd=folder)
    git("commit", "--quiet", "-m", "by hand", cwd=folder)
    git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}", cwd=folder)


def test_a_branch_that_is_no_history_is_left_alone(bare: Path, machine: Callable[..., Machine], tmp_path: Path) -> None:
    """The project's own branch is not filled with records."""
    commit_file(bare, "main", "src/app.py", b"pass\n", tmp_path / "clone")
    orin = machine()
    orin.measure()
    output = orin.regress("push", "--remote", bare, "--branch", "main")
    assert output.exit.code == 2
    assert "remote.git main is no history: it has src/app.py\n" in output.stderr
    assert git("-C", bare, "ls-tree", "-r", "--name-only", "main") == "src/app.py\n"


def test_a_branch_that_was_mended_is_a_history_again(
    bare: Path, machine: Callable[..., Machine], tmp_path: Path
) -> None:
    """What a machine saw before does not bind it; a name that would speak to the terminal is escaped."""
    orin = machine()
    orin.measure()
    orin.push(bare)
    good = git("-C", bare, "rev-parse", BRANCH).strip()
    commit_file(bare, BRANCH, "\x1b[31mred.json", b"", tmp_path / "clone")
    orin.measure()
    output = orin.push(bare)
    assert output.exit.code == 2
    assert "regress-history is no history: it has \\x1b[31mred.json\n" in output.stderr
    git("-C", bare, "update-ref", f"refs/heads/{BRANCH}", good)
    assert orin.push(bare).exit.ok
    assert stored(bare) == contents(orin.history)


def test_a_report_goes_where_another_machine_put_its_record(bare: Path, machine: Callable[..., Machine]) -> None:
    """Since this one looked: what it knew of the branch does not have it."""
    ours, other = machine("orin"), machine("other")
    other.measure(judged=False)
    other.push(bare)
    path = ours.measure()
    copy = other.history / path.relative_to(ours.history)
    copy.parent.mkdir(parents=True)
    copy.write_bytes(path.read_bytes())
    report = path.with_name(f"{path.stem}.check.json")
    aside = report.read_bytes()
    report.unlink()
    ours.push(bare)
    copy.unlink()
    copy.with_name(report.name).write_bytes(aside)
    output = other.push(bare)
    assert output.exit.ok, output.stderr
    assert output.stdout == f"orin/2026/10/{report.name}\n"


def test_the_default_branch_is_left_alone_while_it_is_empty(
    bare: Path, machine: Callable[..., Machine], tmp_path: Path
) -> None:
    """It may become anything; as the history it has to be asked for by a first record in it."""
    git("-C", bare, "symbolic-ref", "HEAD", "refs/heads/main")
    folder = tmp_path / "clone"
    git("clone", "--quiet", bare, folder)
    git("commit", "--quiet", "--allow-empty", "-m", "begin", cwd=folder)
    git("push", "--quiet", "origin", "HEAD:refs/heads/main", "HEAD:refs/heads/other", cwd=folder)
    orin = machine()
    orin.measure()
    output = orin.regress("push", "--remote", bare, "--branch", "main")
    assert output.exit.code == 2
    assert "remote.git main is the repository's default branch, and no history" in output.stderr
    assert orin.regress("push", "--remote", bare, "--branch", "other").exit.ok


def test_a_record_that_differs_on_the_remote_is_named_and_the_others_go(
    bare: Path, machine: Callable[..., Machine]
) -> None:
    """Nothing is overwritten on either side, neither by a push nor by a pull."""
    ours, theirs = machine("orin"), machine("other")
    path = ours.measure(judged=False)
    ours.push(bare)
    name = str(path.relative_to(ours.history))
    before = path.read_bytes()
    changed = theirs.history / name
    changed.parent.mkdir(parents=True)
    changed.write_bytes(before.replace(b'"regress": "0.1.0"', b'"regress": "6.6.6"'))
    theirs.measure(judged=False)
    for action in ("push", "pull", "push"):
        output = theirs.regress(action, "--remote", bare)
        assert output.exit.code == 7
        assert f"regress: error: {name}: the remote has another file of this name" in output.stderr
    assert len(stored(bare)) == 2
    assert stored(bare)[name] == before
    assert b"6.6.6" in changed.read_bytes()


def test_a_record_that_is_changed_after_it_was_pushed_is_named(bare: Path, machine: Callable[..., Machine]) -> None:
    """Although the machine has seen both sides to be the same before."""
    orin = machine()
    path = orin.measure(judged=False)
    assert orin.push(bare).exit.ok
    path.write_bytes(path.read_bytes().replace(b'"regress": "0.1.0"', b'"regress": "6.6.6"'))
    output = orin.push(bare)
    assert output.exit.code == 7
    assert "the remote has another file of this name" in output.stderr


def test_what_is_no_record_does_not_leave_and_the_rest_does(
    bare: Path, machine: Callable[..., Machine], tmp_path: Path
) -> None:
    """Damaged, misplaced, linked, or a report alone: each is named."""
    orin = machine()
    good = orin.measure()
    month = good.parent
    (month / "cut.json").write_bytes(good.read_bytes()[:100])
    (month / "moved.json").write_bytes(good.read_bytes())
    (month / "alone.check.json").write_bytes(
        good.with_name(f"{good.stem}.check.json").read_bytes().replace(good.stem.encode(), b"alone")
    )
    secret = tmp_path / "secret.json"
    secret.write_bytes(good.read_bytes())
    (month / "link.json").symlink_to(secret)
    (month / ".half.json.1234.tmp").write_bytes(b"")
    output = orin.push(bare)
    assert output.exit.code == 7
    where = "orin/2026/10"
    named = [line for line in output.stderr.splitlines() if line.startswith("regress: error: ")]
    assert [line.removeprefix(f"regress: error: {where}/").partition(":")[0] for line in named] == [
        "alone.check.json",
        "cut.json",
        "link.json",
        "moved.json",
    ]
    assert stored(bare) == {f"{where}/{path.name}": path.read_bytes() for path in month.glob("2026*")}


def test_what_is_no_record_does_not_arrive_and_the_rest_does(
    bare: Path, machine: Callable[..., Machine], tmp_path: Path
) -> None:
    """Whoever may write to the branch cannot make a pull write what is no record, nor where none belongs."""
    ours = machine("orin")
    ours.measure()
    ours.push(bare)
    commit_file(bare, BRANCH, "orin/2026/10/bad.json", b'{"schema": 2}', tmp_path / "one")
    commit_file(bare, BRANCH, ".github/workflows/evil.yml", b"on: push\n", tmp_path / "two")
    theirs = machine("other")
    output = theirs.regress("pull", "--remote", bare)
    assert output.exit.code == 7
    assert "the remote has what is no file of a history: .github/workflows/evil.yml" in output.stderr
    assert "orin/2026/10/bad.json: Object missing required field" in output.stderr
    assert contents(theirs.history) == contents(ours.history)
    assert sorted(path.name for path in theirs.history.iterdir()) == ["orin"]


def test_a_pull_brings_what_is_missing_and_nothing_else(bare: Path, machine: Callable[..., Machine]) -> None:
    """Files that are here are not touched; what this machine alone has stays; a second one brings nothing."""
    ours, theirs = machine("orin"), machine("other")
    ours.measure()
    ours.push(bare)
    theirs.measure()
    own = contents(theirs.history)
    assert theirs.regress("pull", "--remote", bare).exit.ok
    ours.measure()
    ours.push(bare)
    output = theirs.regress("pull", "--remote", bare)
    assert len(output.stdout.splitlines()) == 2
    assert contents(theirs.history) == {**own, **contents(ours.history)}
    assert theirs.regress("pull", "--remote", bare).stdout == ""


def test_a_branch_that_is_not_there_yet_is_an_empty_history(bare: Path, machine: Callable[..., Machine]) -> None:
    output = machine().regress("pull", "--remote", bare)
    assert output.exit.ok
    assert "pulled 0 files" in output.stderr


def test_a_remote_that_lost_its_branch_gets_all_of_it_again(bare: Path, machine: Callable[..., Machine]) -> None:
    orin = machine()
    orin.measure()
    orin.push(bare)
    git("-C", bare, "branch", "-D", BRANCH)
    orin.measure()
    output = orin.push(bare)
    assert output.exit.ok, output.stderr
    assert stored(bare) == contents(orin.history)


@pytest.mark.parametrize("harm", ["shallow.lock", "no objects", "no HEAD", "state", "half a state", "seen"])
def test_a_damaged_cache_is_made_anew(bare: Path, machine: Callable[..., Machine], harm: str) -> None:
    """What a killed process left, a lost file: the next push and pull work, and nothing is pushed twice."""
    ours, other = machine("orin"), machine("other")
    ours.measure()
    ours.push(bare)
    other.measure()
    other.push(bare)
    (cache,) = (ours.folder / "orin" / "home" / "remotes").iterdir()
    (mirror,) = cache.glob("*.git")
    if harm == "shallow.lock":
        (mirror / "shallow.lock").touch()
    elif harm == "no objects":
        for path in (mirror / "objects").rglob("*"):
            if path.is_file():
                path.unlink()
    elif harm == "no HEAD":
        (mirror / "HEAD").unlink()
    elif harm == "seen":
        next(cache.glob("seen-*")).write_bytes(b"[")
    else:
        (cache / "state.json").write_bytes(b'{"mirror": ' if harm.startswith("half") else b"{}")
    ours.measure()
    output = ours.push(bare)
    assert output.exit.ok, output.stderr
    assert len(output.stdout.splitlines()) == 2
    assert ours.regress("pull", "--remote", bare).exit.ok
    assert contents(ours.history) == stored(bare)


def test_processes_of_one_machine_take_turns(bare: Path, ssh: Path, machine: Callable[..., Machine]) -> None:
    """Six that share a cache and a history: the first two trips are the machine's, then one each at most."""
    orin = machine(GIT_SSH_COMMAND=str(ssh))
    for _ in range(6):
        orin.measure()
    with ThreadPoolExecutor(6) as pool:
        outputs = list(pool.map(lambda _: orin.push(f"ssh://there{bare}"), range(6)))
    assert [output.exit.code for output in outputs] == [0] * 6
    assert sum(len(output.stdout.splitlines()) for output in outputs) == 12
    assert trips(ssh) <= 7
    assert stored(bare) == contents(orin.history)


def test_a_remote_by_name_is_reached_as_its_repository_says(
    bare: Path, ssh: Path, machine: Callable[..., Machine], tmp_path: Path
) -> None:
    """`origin` of the repository in the working folder, with the way to log in that only that repository knows."""
    git("init", "--quiet", tmp_path)
    git("-C", tmp_path, "remote", "add", "origin", f"ssh://there{bare}")
    git("-C", tmp_path, "config", "core.sshCommand", str(ssh))
    orin = machine()
    orin.measure()
    output = orin.push("origin")
    assert output.exit.ok, output.stderr
    assert "pushed 2 files to origin regress-history\n" in output.stderr
    assert trips(ssh) == 2
    assert stored(bare) == contents(orin.history)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("push", 2, "history: no remote is named"),
        ("push --remote upstream", 2, "remote 'upstream': neither a URL, nor a folder, nor a remote of the repository"),
        ("push --remote --upload-pack=x", 2, "expected one argument"),
        ("push --remote=-x", 2, "remote '-x' is no name, path or URL"),
        ("push --remote . --branch=a..b", 2, "--branch: 'a..b' is no name of a branch"),
        ("push --remote .", 7, ". regress-history: cannot be read"),
        ("push --remote nosuch://x/y", 2, "remote 'nosuch://x/y': unknown kind 'nosuch'"),
        ("push --remote ext::sh -c touch% x", 2, "unrecognized arguments"),
        ("push --remote=ext::x", 2, "remote 'ext::x': neither a URL"),
        (
            "pull --remote http://me:hunter2@127.0.0.1:1/x",
            7,
            "http://***@127.0.0.1:1/x regress-history: cannot be read",
        ),
        ("pull --remote memory://x --branch y", 2, "history: --branch is for git remotes, which memory://x is not"),
        ("push --timeout-s 0", 2, "0 is no time limit"),
        ("verify", 0, "history: records 2, reports 0, problems 0"),
    ],
)
def test_a_mistake_is_one_line(machine: Callable[..., Machine], arguments: str, code: int, said: str) -> None:
    """With what is wrong, and without a password."""
    orin = machine()
    orin.measure(judged=False)
    orin.measure(judged=False)
    output = orin.regress(*arguments.split())
    assert output.exit.code == code, output.stderr
    assert said in output.stderr
    assert "hunter2" not in output.stderr
    assert "Traceback" not in output.stderr


def test_a_history_that_is_not_there_is_not_pushed(bare: Path, machine: Callable[..., Machine]) -> None:
    """A folder that is called otherwise must not look like a history without news."""
    orin = machine()
    (orin.folder / "orin").mkdir()
    output = orin.push(bare)
    assert output.exit.code == 7
    assert "history: no such folder of records" in output.stderr


def test_the_remote_can_stand_in_the_configuration(bare: Path, machine: Callable[..., Machine], tmp_path: Path) -> None:
    """`[remote]` of regress.toml; the command line is over it."""
    text = (REPOSITORY / "regress.toml").read_text(encoding="utf-8")
    (tmp_path / "regress.toml").write_text(f'{text}\n[remote]\nurl = "{bare}"\nbranch = "runs"\n', encoding="utf-8")
    orin = machine()
    orin.measure()
    assert orin.regress("push").exit.ok
    assert stored(bare, "runs") == contents(orin.history)
    assert orin.regress("push", "--branch", "others").exit.ok
    assert stored(bare, "others") == contents(orin.history)


@pytest.fixture
def host(bare: Path, tmp_path: Path) -> Iterator[Host]:
    """The repository behind HTTP, for whoever has the token."""
    token = base64.b64encode(b"x-access-token:hunter2").decode()
    with serving(Host(root=tmp_path, authorization=f"Basic {token}")) as started:
        git("-C", bare, "config", "http.receivepack", "true")
        started.url += f"/{bare.name}"
        yield started


def test_a_push_over_http_logs_in_as_the_working_folder_does(
    host: Host, bare: Path, machine: Callable[..., Machine], tmp_path: Path
) -> None:
    """As GitHub's checkout leaves it: a header in that repository's own settings. Warm, a push is one exchange."""
    git("init", "--quiet", tmp_path)
    git("-C", tmp_path, "config", f"http.{host.url}.extraheader", f"AUTHORIZATION: {host.authorization}")
    orin = machine()
    for _ in range(2):
        orin.measure()
        host.requests.clear()
        output = orin.push(host.url)
        assert output.exit.ok, output.stderr
    assert [request.rpartition("/")[2] for request in host.requests] == [
        "refs?service=git-receive-pack",
        "git-receive-pack",
    ]
    assert stored(bare) == contents(orin.history)
    other = machine("other")
    assert other.regress("pull", "--remote", host.url).exit.ok
    assert contents(other.history) == contents(orin.history)


def test_a_token_in_a_url_is_used_and_not_shown(host: Host, bare: Path, machine: Callable[..., Machine]) -> None:
    """Nor is it written to any file; a host that is overloaded at first is asked again."""
    host.failures = 2
    orin = machine()
    orin.measure()
    output = orin.push(host.url.replace("http://", "http://x-access-token:hunter2@"))
    assert output.exit.ok, output.stderr
    assert stored(bare) == contents(orin.history)
    assert "hunter2" not in output.stderr + output.stdout
    kept = [path for path in (orin.folder / "orin").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"hunter2" in path.read_bytes()]


def test_who_has_no_token_is_told_so_and_not_asked(host: Host, machine: Callable[..., Machine]) -> None:
    orin = machine(HOME="/nonexistent")
    orin.measure()
    output = orin.push(host.url)
    assert output.exit.code == 7
    assert output.exit.duration_s < 10
    assert "hint: git here has no right to read there" in output.stderr


def test_the_users_settings_do_not_interfere(
    host: Host, bare: Path, machine: Callable[..., Machine], tmp_path: Path
) -> None:
    """No identity, a hook that refuses, signed commits, another repository in the environment: none matters."""
    home = tmp_path / "user"
    (home / "hooks").mkdir(parents=True)
    for name in ("pre-push", "reference-transaction"):
        (home / "hooks" / name).write_text("#!/bin/sh\nexit 1\n")
        (home / "hooks" / name).chmod(0o755)
    (home / ".gitconfig").write_text(
        f"[core]\n\thooksPath = {home}/hooks\n[commit]\n\tgpgSign = true\n"
        "[push]\n\tgpgSign = true\n\tfollowTags = true\n"
        "[safe]\n\tbareRepository = explicit\n[init]\n\tdefaultBranch = x\n[user]\n\tuseConfigOnly = true\n"
    )
    orin = machine(HOME=str(home), GIT_DIR=str(tmp_path / "none"), GIT_INDEX_FILE=str(tmp_path / "index"))
    orin.measure()
    url = host.url.replace("http://", "http://x-access-token:hunter2@")
    output = orin.push(url)
    assert output.exit.ok, output.stderr
    assert orin.regress("pull", "--remote", url).exit.ok
    assert stored(bare) == contents(orin.history)
    assert git("-C", bare, "log", "--format=%an <%ae>", BRANCH) == "regress <regress@localhost>\n"
