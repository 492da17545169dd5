"""How commands are run in an image: the command line, the folders that are given, and how an end is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from regress import container, image, process
from regress.config import parse_config
from regress.container import Container, Mount, portable, readable
from regress.errors import ConfigError, ToolchainError
from regress.process import Exit

IMAGE = "sha256:" + "5a" * 32
CONTAINER = Container(runtime="/usr/bin/docker", image=IMAGE, options=("--runtime", "nvidia"))
CONFIG = '[run]\nbaseline = "b.toml"\ntoolchains = ["t"]\n\n[toolchains.t]\n'


def volumes(*mounts: Mount) -> list[str]:
    argv = CONTAINER.with_mounts(mounts).argv("regress-1", ["python3"], {})
    return [argv[at + 1] for at, argument in enumerate(argv) if argument == "--volume"]


def test_the_command_line_of_a_worker() -> None:
    """As docker's manual has it: options, the image, then what runs in it."""
    mounts = [Mount(path=Path("/opt/regress/worker")), Mount(path=Path("/srv/cache"), writable=True)]
    argv = CONTAINER.with_mounts(mounts).argv("regress-1", ["python3", Path("/opt/regress/worker")], {"TVM_X": "a b"})
    assert argv == [
        *("/usr/bin/docker", "run", "--rm", "--name", "regress-1", "--network", "none", "--entrypoint", ""),
        *("--runtime", "nvidia"),
        *("--volume", "/opt/regress/worker:/opt/regress/worker:ro", "--volume", "/srv/cache:/srv/cache:rw"),
        *("--env", "HOME=/tmp", "--env", "TVM_X=a b"),
        *(IMAGE, "python3", "/opt/regress/worker"),
    ]


def test_a_folder_within_another_is_given_once_unless_it_may_be_written() -> None:
    cache, inner = Path("/srv/cache"), Path("/srv/cache/models")
    assert volumes(Mount(path=cache, writable=True), Mount(path=inner)) == ["/srv/cache:/srv/cache:rw"]
    assert volumes(Mount(path=cache), Mount(path=inner, writable=True)) == [
        "/srv/cache:/srv/cache:ro",
        "/srv/cache/models:/srv/cache/models:rw",
    ]
    assert volumes(Mount(path=cache), Mount(path=cache, writable=True)) == ["/srv/cache:/srv/cache:rw"]


def test_a_name_that_only_begins_like_a_folder_is_another_folder() -> None:
    assert len(volumes(Mount(path=Path("/srv/cache")), Mount(path=Path("/srv/cache-2")))) == 2


def test_a_path_that_docker_would_take_apart_is_refused() -> None:
    with pytest.raises(ToolchainError, match=r"/srv/a:b: what has a colon in its path"):
        volumes(Mount(path=Path("/srv/a:b")))


def test_what_a_folder_links_to_is_readable_too(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "0a").write_text("{}")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "config.json").symlink_to("../blobs/0a")
    (tmp_path / "snapshot" / "gone").symlink_to("/nowhere/at/all")
    (tmp_path / "snapshot" / "folder").symlink_to("/usr")
    blob = tmp_path / "blobs" / "0a"
    assert readable(tmp_path / "snapshot") == [Mount(path=tmp_path / "snapshot"), Mount(path=blob, source=blob)]


def test_of_a_link_to_a_link_the_file_is_given_under_the_first_ones_name(tmp_path: Path) -> None:
    """Else the second link would lead nowhere in the container; a cache of the hub's may itself be a link."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "0a").write_text("{}")
    (tmp_path / "cache").symlink_to("disk")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").symlink_to("../cache/0a")
    _, linked = readable(tmp_path / "model")
    assert volumes(linked) == [f"{tmp_path}/disk/0a:{tmp_path}/cache/0a:ro"]


def test_what_cannot_be_removed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A worker that was not ended holds the device."""
    answers = {"kill": "", "rm": "Cannot connect to the Docker daemon"}

    def asked(_: str, command: str, *__: str) -> process.Output:
        return process.Output(
            exit=Exit(code=1, signal=None, timed_out=False, duration_s=0.1), printed=b"", stderr=answers[command]
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(container, "ask", asked)
        with CONTAINER.running() as name:
            pass
        assert f"container {name} may still run: Cannot connect" in capsys.readouterr().err
        answers["rm"] = f"Error response from daemon: No such container: {name}"
        with CONTAINER.running():
            pass
        assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "digests", "named"),
    [
        ("someone/mlc:1", ["other.example/mirror/x@sha256:bb", "someone/mlc@sha256:aa"], "someone/mlc@sha256:aa"),
        ("someone/mlc:1", ["docker.io/someone/mlc@sha256:aa"], "docker.io/someone/mlc@sha256:aa"),
        ("mlc", ["docker.io/library/mlc@sha256:aa"], "docker.io/library/mlc@sha256:aa"),
        ("host:5000/mlc", ["host:5000/mlc@sha256:aa"], "host:5000/mlc@sha256:aa"),
        ("someone/mlc:1", ["other.example/mirror/x@sha256:bb"], "someone/mlc:1@sha256:cc"),
        ("someone/mlc:1", None, "someone/mlc:1@sha256:cc"),
    ],
)
def test_an_image_is_named_as_it_was_asked_for(asked: str, digests: list[str] | None, named: str) -> None:
    """Another registry's name for the same image may be a private one's."""
    assert image._Image(id="sha256:cc", repo_digests=None if digests is None else tuple(digests)).name(asked) == named


@pytest.mark.parametrize("answer", [b"", b"[]", b"hello", b"{}", b'[{"id": "small"}]'])
def test_what_does_not_answer_as_docker_does_is_named(answer: bytes) -> None:
    with pytest.raises(ToolchainError, match="/usr/bin/echo does not answer as docker does"):
        image._decoded("/usr/bin/echo", answer)


def test_where_things_lie_on_the_host_is_not_said_inside() -> None:
    host = {
        "PATH": "/usr/bin",
        "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
        "HOME": "/home/runner",
        "TVM_NUM_THREADS": "1",
    }
    assert portable(host) == {"TVM_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("code", "signal"),
    [
        (139, "SIGSEGV"),
        (137, "SIGKILL"),
        (125, None),
        (1, None),
        (255, None),
    ],
)
def test_a_signal_comes_as_an_exit_status(code: int, signal: str | None) -> None:
    """Docker's own failures are 125 to 127; a Python that raised ends with 1."""
    end = CONTAINER.ended(Exit(code=code, signal=None, timed_out=False, duration_s=1.0))
    assert (end.code, end.signal) == ((None, signal) if signal else (code, None))


def test_what_docker_itself_refuses_is_told_by_its_first_line() -> None:
    """The last one says how to get help; of what ran in the container the log says more."""
    log = (
        'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]].\n\n'
        "Run 'docker run --help' for more information\n"
    )
    for code, refused in ((125, True), (127, True), (1, False), (139, False)):
        said = CONTAINER.refusal(Exit(code=code, signal=None, timed_out=False, duration_s=1.0), log)
        assert said == (log.splitlines()[0] if refused else None)


def test_a_client_that_was_killed_at_its_limit_stays_that() -> None:
    end = Exit(code=None, signal="SIGKILL", timed_out=True, duration_s=1.0)
    assert CONTAINER.ended(end) == end


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('kind = "container"', r"toolchains\.t: needs either `image` or `autotag`"),
        ('kind = "container"\nimage = "a:1"\nautotag = "mlc"', "needs either `image` or `autotag`"),
        (
            'kind = "container"\nimage = "a:1"\npackages = ["numpy"]',
            r"toolchains\.t\.packages: not for kind 'container'",
        ),
        ('kind = "container"\nimage = "a:1"\npath = "x"', r"toolchains\.t\.path: "),
        ('packages = ["numpy"]\nimage = "a:1"', r"toolchains\.t\.image: for kind 'container' alone"),
        ('packages = ["numpy"]\nruntime = "docker"', r"toolchains\.t\.runtime: for kind 'container' alone"),
        ('kind = "container"\nimage = "--privileged"', r"toolchains\.t\.image: "),
        ('kind = "container"\nimage = "a b"', r"toolchains\.t\.image: "),
        ('kind = "container"\nimage = ""', r"toolchains\.t\.image: "),
        ('kind = "container"\nimage = "a"\noptions = ["--env", "A=b"]', r"options\[0\]: '--env' is not to be given"),
        ('kind = "container"\nimage = "a"\noptions = ["-eHF_TOKEN=x"]', r"options\[0\]: '-eHF_TOKEN' is not to be"),
        ('kind = "container"\nimage = "a"\noptions = ["--ipc=host", "--detach"]', r"options\[1\]: '--detach' is not"),
        (
            'kind = "container"\nimage = "a:1"\nimages = "b"',
            r"toolchains\.t\.images: unknown key; did you mean 'image'",
        ),
    ],
)
def test_keys_of_another_kind_are_named(table: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(CONFIG + table, "regress.toml")


def test_an_image_is_declared() -> None:
    spec = parse_config(f'{CONFIG}kind = "container"\nimage = "dustynv/mlc:0.20.0-r36.4.0"', "regress.toml").toolchain(
        "t"
    )
    assert (spec.image, spec.runtime, spec.options) == ("dustynv/mlc:0.20.0-r36.4.0", "docker", ())
