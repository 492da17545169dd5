"""A history in an object store, a server of S3 on loopback: many writers, and what may go wrong between them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from integration.sharing import ROUNDS, WRITERS, Machine, campaign, contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import s3fs

PREFIX = "team/history"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server that has no bucket yet."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415  # 2 s that no other test needs

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def env(server: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """What makes the driver find the server; a test may change some of it."""
    return {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **getattr(request, "param", {}),
    }


@pytest.fixture
def bucket(server: str) -> Iterator[s3fs.S3FileSystem]:
    """Reaches the server from here, with an empty bucket `runs`."""
    import s3fs  # noqa: PLC0415  # 1 s

    keys = {"key": "testing", "secret": "testing"}
    fs = s3fs.S3FileSystem(endpoint_url=server, use_listings_cache=False, skip_instance_cache=True, **keys)
    fs.mkdir("runs")
    yield fs
    fs.rm("runs", recursive=True)


@pytest.fixture
def machine(tmp_path: Path, env: dict[str, str]) -> Callable[..., Machine]:
    def make(name: str = "orin", **more: str) -> Machine:
        return Machine(name=name, folder=tmp_path, env={**env, **more})

    return make


REMOTE = f"s3://runs/{PREFIX}"


def stored(bucket: s3fs.S3FileSystem) -> dict[str, bytes]:
    paths = bucket.find(f"runs/{PREFIX}")
    return {path.removeprefix(f"runs/{PREFIX}/"): data for path, data in bucket.cat(paths).items()} if paths else {}


def test_writers_that_are_killed_lose_nothing_and_double_nothing(
    bucket: s3fs.S3FileSystem, machine: Callable[..., Machine]
) -> None:
    """What a push said is there is there, byte for byte; never half a file, nor a report without its record."""
    machines = [machine(f"runner-{number}") for number in range(WRITERS)]

    ends = campaign(machines, REMOTE, ROUNDS, seed=12, longest_s=9.0)

    assert ends["pushed"]
    assert ends["killed"]
    expected = {name: data for each in machines for name, data in contents(each.history).items()}
    assert len(expected) == 2 * WRITERS * ROUNDS
    before = stored(bucket)
    said = set().union(*(each.said for each in machines))
    assert said <= set(before)
    assert before.items() <= expected.items()
    reports = {name for name in before if name.endswith(".check.json")}
    assert {f"{name.removesuffix('.check.json')}.json" for name in reports} <= set(before)
    with ThreadPoolExecutor(4) as pool:
        for output in pool.map(lambda each: each.push(REMOTE), machines):
            assert output.exit.ok, output.stderr
    assert stored(bucket) == expected


def test_a_push_gives_what_is_missing_and_a_pull_takes_it(
    bucket: s3fs.S3FileSystem, machine: Callable[..., Machine]
) -> None:
    """Twice is harmless; the other machine has the very bytes."""
    ours, theirs = machine("orin"), machine("other")
    ours.measure()
    assert len(ours.push(REMOTE).stdout.splitlines()) == 2
    assert ours.push(REMOTE).stdout == ""
    ours.measure()
    assert len(ours.push(REMOTE).stdout.splitlines()) == 2
    assert stored(bucket) == contents(ours.history)
    theirs.measure()
    output = theirs.regress("pull", "--remote", REMOTE)
    assert output.exit.ok, output.stderr
    assert len(output.stdout.splitlines()) == 4
    assert contents(ours.history).items() <= contents(theirs.history).items()
    assert theirs.regress("pull", "--remote", REMOTE).stdout == ""


def test_a_record_that_differs_is_named_and_not_replaced(
    bucket: s3fs.S3FileSystem, machine: Callable[..., Machine]
) -> None:
    """Of the same size, too; the others go."""
    orin = machine()
    path = orin.measure(judged=False)
    name = str(path.relative_to(orin.history))
    other = path.read_bytes().replace(b'"regress": "0.1.0"', b'"regress": "6.6.6"')
    bucket.pipe_file(f"runs/{PREFIX}/{name}", other)
    good = orin.measure(judged=False)
    for action in ("push", "pull", "push"):
        output = orin.regress(action, "--remote", REMOTE)
        assert output.exit.code == 7
        assert f"regress: error: {name}: the remote has another file of this name" in output.stderr
    assert stored(bucket) == {name: other, str(good.relative_to(orin.history)): good.read_bytes()}


def test_an_emptied_bucket_gets_all_of_it_again(bucket: s3fs.S3FileSystem, machine: Callable[..., Machine]) -> None:
    """Although the machine has seen the files there."""
    orin = machine()
    for _ in range(2):
        orin.measure()
        orin.push(REMOTE)
    orin.push(REMOTE)
    bucket.rm(f"runs/{PREFIX}", recursive=True)
    assert orin.push(REMOTE).exit.ok
    assert stored(bucket) == contents(orin.history)


def test_what_is_no_record_does_not_arrive(bucket: s3fs.S3FileSystem, machine: Callable[..., Machine]) -> None:
    """Named, and the rest is taken; nothing is written outside the history."""
    orin, other = machine("orin"), machine("other")
    orin.measure()
    orin.push(REMOTE)
    bucket.pipe_file(f"runs/{PREFIX}/orin/2026/10/bad.json", b"{}")
    bucket.pipe_file(f"runs/{PREFIX}/../../evil.json", b"{}")
    bucket.pipe_file(f"runs/{PREFIX}/notes.txt", b"")
    output = other.regress("pull", "--remote", REMOTE)
    assert output.exit.code == 7
    assert "orin/2026/10/bad.json: Object missing required field" in output.stderr
    assert "the remote has what is no file of a history: " in output.stderr
    assert contents(other.history) == contents(orin.history)
    assert not list(other.folder.rglob("evil.json"))


NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": "/nonexistent"}


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    ("env", "remote", "said"),
    [
        ({}, "s3://nosuchbucket/x", "cannot be written\n  cause: The specified bucket does not exist"),
        (
            NO_KEYS,
            REMOTE,
            "cannot be written\n  cause: Unable to locate credentials\n  hint: give its driver credentials",
        ),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            REMOTE,
            'cause: Could not connect to the endpoint URL: "http://127',
        ),
    ],
    indirect=["env"],
)
def test_what_the_store_refuses_is_one_line(machine: Callable[..., Machine], remote: str, said: str) -> None:
    """With the way out, and within seconds."""
    orin = machine()
    orin.measure()
    output = orin.push(remote)
    assert output.exit.code == 7, output.stderr
    assert f"regress: error: {remote}: " in output.stderr
    assert said in output.stderr
    assert "Traceback" not in output.stderr
    assert "hunter2" not in output.stderr
    assert output.exit.duration_s < 60


def test_a_driver_that_is_not_installed_is_named(machine: Callable[..., Machine], tmp_path: Path) -> None:
    """And how to install it: a package that fails to import stands in for it."""
    (tmp_path / "s3fs").mkdir()
    (tmp_path / "s3fs" / "__init__.py").write_text("raise ImportError('no s3fs here')\n", encoding="utf-8")
    orin = machine()
    orin.measure()
    argv = ["-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from regress.cli import main; sys.exit(main())"]
    output = orin.regress("push", "--remote", REMOTE, python=argv)
    assert output.exit.code == 2
    assert "its driver is not installed\n  hint: pip install s3fs\n" in output.stderr
