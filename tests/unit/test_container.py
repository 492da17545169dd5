"""How commands are run in an image: the command line, the folders that are given, and how an end is read."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    mounts = [Mount(folder=Path("/opt/regress/worker")), Mount(folder=Path("/srv/cache"), writable=True)]
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
    assert volumes(Mount(folder=cache, writable=True), Mount(folder=inner)) == ["/srv/cache:/srv/cache:rw"]
    assert volumes(Mount(folder=cache), Mount(folder=inner, writable=True)) == [
        "/srv/cache:/srv/cache:ro",
        "/srv/cache/models:/srv/cache/models:rw",
    ]
    assert volumes(Mount(folder=cache), Mount(folder=cache, writable=True)) == ["/srv/cache:/srv/cache:rw"]


def test_a_name_that_only_begins_like_a_folder_is_another_folder() -> None:
    assert len(volumes(Mount(folder=Path("/srv/cache")), Mount(folder=Path("/srv/cache-2")))) == 2


def test_a_path_that_docker_would_take_apart_is_refused() -> None:
    with pytest.raises(ToolchainError, match=r"/srv/a:b: a folder with a colon"):
        volumes(Mount(folder=Path("/srv/a:b")))


def test_what_a_folder_links_to_is_readable_too(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "0a").write_text("{}")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "config.json").symlink_to("../blobs/0a")
    assert readable(tmp_path / "snapshot") == [Mount(folder=tmp_path / "blobs"), Mount(folder=tmp_path / "snapshot")]


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
