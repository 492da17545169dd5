"""Toolchains in an image through the real command line, with a stand-in for docker that makes real namespaces."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from integration.workshop import LATEST, REPOSITORY

from regress import process
from regress.record import decode_record

if TYPE_CHECKING:
    from pathlib import Path

    from integration.workshop import Workshop

    from regress.record import Record

RUNTIME = REPOSITORY / "tests" / "standins" / "container_runtime.py"
IMAGE = "someone/mlc:1.0-r36.4.0"
ID = "sha256:" + "5a" * 32
CONFIG = """\
[run]
baseline = "here.toml"
toolchains = ["image"]

[toolchains.image]
kind = "container"
{image}
python = "{python}"
options = ["--shm-size", "1g"]
"""
BASELINE = """\
runner = "here"
toolchain = "image"

[tolerance]
prefill_tokens_per_s = 0.9
decode_tokens_per_s = 0.9

[measure]
replicates = 2
warmups = 1
repeats = 2
bench_timeout_s = {limit_s}

[measure.environment]
TVM_NUM_THREADS = "1"

[[cases]]
model = "{model}"
quantization = "q4f32_1"
target = "llvm"
prompt_tokens = 16
new_tokens = 8
"""


class Host:
    """A machine with a runtime for containers, whose one image is a toolchain of the tests."""

    def __init__(self, folder: Path, workshop: Workshop) -> None:
        self.folder, self.state, self.home = folder, folder / "docker", workshop.home
        python = workshop.toolchain(LATEST).python
        self.python = python
        self.env = {
            **os.environ,
            "REGRESS_HOME": str(self.home),
            "DOCKER_STANDIN": str(self.state),
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        self.state.mkdir()
        (folder / "bin").mkdir()
        self.program("docker", f'exec {sys.executable} {RUNTIME} "$@"')
        own = {str(python.parents[1]), str(python.resolve().parents[1])}
        folders = [*own, "/usr", "/bin", "/lib", "/lib64", "/etc"]
        self.images(
            [{"Id": ID, "names": [IMAGE], "RepoDigests": [f"someone/mlc@{ID}"], "here": True, "folders": folders}]
        )
        self.write(f'image = "{IMAGE}"')

    def program(self, name: str, script: str) -> None:
        """Puts a program on the path."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def images(self, images: list[dict[str, Any]]) -> None:
        (self.state / "images.json").write_text(json.dumps(images))

    def write(self, image: str, model: str = "synthetic:llama-mini", limit_s: int = 300) -> None:
        """The configuration, and a baseline of one case."""
        (self.folder / "regress.toml").write_text(CONFIG.format(image=image, python=self.python))
        (self.folder / "here.toml").write_text(BASELINE.format(model=model, limit_s=limit_s))

    def limit(self, seconds: float) -> None:
        """Ends a replicate after so long."""
        path = self.folder / "here.toml"
        path.write_text(re.sub(r"bench_timeout_s = .*", f"bench_timeout_s = {seconds}", path.read_text()))

    def regress(self, *arguments: str | Path) -> process.Output:
        return process.run([sys.executable, "-m", "regress", *arguments], cwd=self.folder, env=self.env, timeout_s=600)

    @property
    def calls(self) -> list[list[str]]:
        """What the runtime was asked, oldest first."""
        return [json.loads(line) for line in (self.state / "calls.jsonl").read_text().splitlines()]

    @property
    def containers(self) -> list[Path]:
        """The containers that are still there."""
        return list(self.state.glob("regress-*"))


@pytest.fixture
def host(tmp_path: Path, workshop: Workshop) -> Host:
    return Host(tmp_path, workshop)


def record_of(output: process.Output) -> Record:
    return decode_record(output.printed, "printed")


def encloses() -> bool:
    """Whether this machine lets the stand-in hide its files."""
    return process.run(["/usr/bin/unshare", "-Urm", "true"]).exit.ok


def test_a_toolchain_in_an_image_builds_measures_and_is_named_by_its_digest(host: Host) -> None:
    output = host.regress("bench", "--toolchain", "image", "--json")
    assert output.exit.code == 0, output.stderr
    record = record_of(output)
    assert (record.toolchain.kind, record.toolchain.image) == ("container", f"someone/mlc@{ID}")
    assert [package.version for package in record.toolchain.packages if package.name == "apache-tvm"] == [
        LATEST.removeprefix("tvm-")
    ]
    (case,) = record.cases
    assert len(case.replicates) == 2
    runs = [call for call in host.calls if call[0] == "run"]
    # By id: a tag may move between two workers of one run.
    assert all(ID in call and IMAGE not in call for call in runs)
    assert all("--shm-size" in call and call[call.index("--network") + 1] == "none" for call in runs)
    assert not host.containers


def test_the_same_model_gives_the_same_answers_inside_and_outside(host: Host, workshop: Workshop) -> None:
    inside = record_of(host.regress("bench", "--toolchain", "image", "--json"))
    (host.folder / "regress.toml").write_text(
        f'[run]\nbaseline = "here.toml"\ntoolchains = ["out"]\n\n[toolchains.out]\nkind = "current"\n'
        f'python = "{workshop.toolchain(LATEST).python}"\n'
    )
    outside = record_of(host.regress("bench", "--toolchain", "out", "--json"))
    one, other = (record.cases[0].replicates[0] for record in (inside, outside))
    assert one.logits_sha256 == other.logits_sha256
    assert inside.toolchain.fingerprint != outside.toolchain.fingerprint


def test_a_model_outside_of_the_cache_is_read_where_it_lies(host: Host, workshop: Workshop) -> None:
    """Through links, too, as a cache of the hub's has them: what they point to is mounted, and nothing is written."""
    folder, blobs = host.folder / "snapshot", host.folder / "blobs"
    folder.mkdir()
    shutil.copytree(workshop.model("llama-mini"), blobs)
    for file in blobs.iterdir():
        (folder / file.name).symlink_to(file)
    host.write(f'image = "{IMAGE}"', model=f"path:{folder}")
    output = host.regress("build", "--toolchain", "image", "--rebuild", "--json")
    assert output.exit.code == 0, output.stderr
    (build,) = [call for call in host.calls if "build_tvm" in call]
    volumes = {build[at + 1] for at, argument in enumerate(build) if argument == "--volume"}
    files = {f"{file}:{file}:ro" for file in blobs.iterdir()}
    assert {f"{folder}:{folder}:ro", *files, f"{host.home}:{host.home}:rw"} <= volumes
    # A link's folder may hold anything; it is not given.
    assert not any(volume.startswith(f"{blobs}:") for volume in volumes)
    assert not any(volume.endswith(":rw") and "worker" in volume for volume in volumes)


def test_an_image_that_is_not_here_is_pulled_once(host: Host) -> None:
    images = json.loads((host.state / "images.json").read_text())
    host.images([{**images[0], "here": False}])
    for _ in range(2):
        output = host.regress("toolchain", "install", "image")
        assert output.exit.code == 0, output.stderr
    assert [call for call in host.calls if call[0] == "pull"] == [["pull", "--quiet", IMAGE]]


def test_another_image_under_the_same_tag_is_another_toolchain(host: Host) -> None:
    first = host.regress("toolchain", "install", "image").stdout
    images = json.loads((host.state / "images.json").read_text())
    other = "sha256:" + "7b" * 32
    host.images([{**images[0], "Id": other, "RepoDigests": [f"someone/mlc@{other}"]}])
    assert host.regress("toolchain", "install", "image").stdout != first


def test_autotag_chooses_the_image(host: Host) -> None:
    """As `jetson-containers run $(autotag mlc)` does, without its questions."""
    host.program("autotag", f'echo "-- L4T_VERSION=36.4.0" >&2; echo "$@" > {host.folder}/asked; echo {IMAGE}')
    host.write('autotag = "mlc"')
    output = host.regress("toolchain", "install", "image")
    assert output.exit.code == 0, output.stderr
    assert (host.folder / "asked").read_text().split() == ["mlc", "--quiet", "--disable", "build"]


def test_a_worker_that_never_ends_takes_its_container_with_it(host: Host, tmp_path: Path) -> None:
    """Killing docker's client leaves the container running: it is removed by its name."""
    host.regress("build", "--toolchain", "image")
    slow = tmp_path / "slow"
    slow.write_text(f'#!/bin/sh\ncase "$*" in *bench_vm*) exec sleep 600;; esac\nexec {host.python} "$@"\n')
    slow.chmod(0o755)
    images = json.loads((host.state / "images.json").read_text())
    images[0]["folders"].append(str(tmp_path / "bin-in-image"))
    (tmp_path / "bin-in-image").mkdir()
    shutil.move(slow, tmp_path / "bin-in-image" / "python")
    host.images(images)
    host.python = tmp_path / "bin-in-image" / "python"
    host.write(f'image = "{IMAGE}"', limit_s=4)
    output = host.regress("bench", "--toolchain", "image", "--replicates", "1", "--json")
    (case,) = record_of(output).cases
    assert case.failure is not None
    assert case.failure.how == "killed at its time limit of 4 s"
    assert any(call[:2] == ["rm", "--force"] for call in host.calls)
    assert not host.containers
    assert not process.run(["pgrep", "-f", f"{tmp_path}.*bench_vm"]).stdout


def test_a_container_sees_nothing_of_the_host_but_what_it_is_given(host: Host, tmp_path: Path) -> None:
    if not encloses():
        pytest.skip("this machine lets nobody make namespaces")
    (tmp_path / "secret").write_text("mine")
    (tmp_path / "bin-in-image").mkdir()
    spy = tmp_path / "bin-in-image" / "python"
    spy.write_text(
        "#!/bin/sh\n"
        f"test ! -e {tmp_path}/secret || exit 9\n"
        f'for last in "$@"; do :; done\n'
        f"! touch $(dirname $last)/written 2>/dev/null || exit 8\n"
        f'test -z "$DOCKER_STANDIN$GITHUB_TOKEN" || exit 7\n'
        f'exec {host.python} "$@"\n'
    )
    spy.chmod(0o755)
    images = json.loads((host.state / "images.json").read_text())
    images[0]["folders"].append(str(spy.parent))
    host.images(images)
    host.python = spy
    host.write(f'image = "{IMAGE}"')
    host.env["GITHUB_TOKEN"] = "ghp_" + "x" * 36
    output = host.regress("toolchain", "install", "image")
    assert output.exit.code == 0, output.stderr


@pytest.mark.parametrize(
    ("image", "setting", "text"),
    [
        ('image = "nobody/nothing:1"', {}, "no image nobody/nothing:1"),
        ('image = "nobody/nothing:1"', {}, "pull access denied for nobody/nothing:1"),
        (f'image = "{IMAGE}"', {"DOCKER_STANDIN_DOWN": "1"}, "docker does not answer"),
        (f'image = "{IMAGE}"', {"DOCKER_STANDIN_DOWN": "1"}, "Is the docker daemon running?"),
        (f'image = "{IMAGE}"\nruntime = "nerdctl-of-ours"', {}, "no program 'nerdctl-of-ours' to run containers with"),
        ('autotag = "mlc"', {}, "no program 'autotag'"),
    ],
)
def test_what_is_missing_is_named(host: Host, image: str, setting: dict[str, str], text: str) -> None:
    host.write(image)
    host.env |= setting
    output = host.regress("run")
    assert output.exit.code == 4
    assert text in output.stderr
    assert not (host.folder / "history").exists()


def test_an_image_without_that_python_says_so(host: Host) -> None:
    host.python = host.folder / "no-such-python"
    host.write(f'image = "{IMAGE}"')
    output = host.regress("toolchain", "install", "image")
    assert output.exit.code == 4
    assert "toolchain 'image'" in output.stderr
    assert "no-such-python" in output.stderr


@pytest.mark.parametrize("runtime", ["docker", "podman"])
def test_what_runs_containers_on_this_machine_runs_workers(host: Host, workshop: Workshop, runtime: str) -> None:
    """An empty image of our own, this machine's system folders as volumes: build, measure, and end at a time limit."""
    program = shutil.which(runtime)
    if program is None or not process.run([program, "info"], timeout_s=60).exit.ok:
        pytest.skip(f"no {runtime} that answers")
    image = "regress-test-empty:1"
    imported = process.run([program, "import", "-", image], stdin=_empty_archive(), timeout_s=60)
    assert imported.exit.ok, imported.stderr
    python = workshop.toolchain(LATEST).python
    folders = ["/usr", "/bin", "/lib", "/lib64", "/etc", str(python.resolve().parents[1]), str(python.parents[1])]
    options = [argument for folder in folders for argument in ("--volume", f"{folder}:{folder}:ro")]
    # Within another container many a runtime answers, and may start nothing.
    tried = process.run([program, "run", "--rm", "--network", "none", *options, image, python, "-V"], timeout_s=60)
    if not tried.exit.ok:
        pytest.skip(f"{runtime} runs nothing here: {tried.stderr.strip().splitlines()[-1:]}")
    host.write(f'image = "{image}"\nruntime = "{program}"')
    text = (host.folder / "regress.toml").read_text()
    (host.folder / "regress.toml").write_text(text.replace('["--shm-size", "1g"]', json.dumps(options)))
    output = host.regress("bench", "--toolchain", "image", "--rebuild", "--json")
    assert output.exit.code == 0, output.stderr
    assert len(record_of(output).cases[0].replicates) == 2
    host.limit(0.5)
    (case,) = record_of(host.regress("bench", "--toolchain", "image", "--replicates", "1", "--json")).cases
    assert case.failure is not None
    assert case.failure.how == "killed at its time limit of 0.5 s"
    assert "regress-" not in process.run([program, "ps", "--all", "--format", "{{.Names}}"]).stdout


def _empty_archive() -> bytes:
    with io.BytesIO() as data:
        with tarfile.open(fileobj=data, mode="w") as archive:
            folder = tarfile.TarInfo("tmp")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(folder)
        return data.getvalue()
