"""A stand-in for docker's command line: the commands that regress gives, and no others.

No image can be pulled where tests run, and most such machines have no docker. So an image is a list of folders of this
machine, in `images.json` of the folder `DOCKER_STANDIN`. A container is a process of its own session, which killing the
client does not end. Where the machine lets anybody make namespaces, it sees nothing but its image and the volumes
that were given, read-only where they are; elsewhere it sees all. Every call is noted in `calls.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess  # noqa: TID251  # the stand-in is no part of regress
import sys
import threading
from pathlib import Path
from typing import IO, Any, NoReturn

UNSHARE = "/usr/bin/unshare"
STATE = Path(os.environ["DOCKER_STANDIN"])


def fail(text: str, code: int = 1) -> NoReturn:
    sys.stderr.write(f"{text}\n")
    sys.exit(code)


def image_of(name: str) -> dict[str, Any] | None:
    images = json.loads((STATE / "images.json").read_text())
    return next((image for image in images if name in (image["Id"], *image["names"])), None)


def inspect_image(arguments: list[str]) -> None:
    image = image_of(arguments[0])
    if image is None or not image["here"]:
        fail(f"Error response from daemon: No such image: {arguments[0]}")
    said = {"Id": image["Id"], "RepoDigests": image["RepoDigests"], "RepoTags": image["names"]}
    sys.stdout.write(json.dumps([said]))


def pull(arguments: list[str]) -> None:
    images = json.loads((STATE / "images.json").read_text())
    found = [image for image in images if arguments[-1] in image["names"]]
    if not found:
        fail(f"Error response from daemon: pull access denied for {arguments[-1]}, repository does not exist")
    found[0]["here"] = True
    (STATE / "images.json").write_text(json.dumps(images))


def run(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("docker run", allow_abbrev=False)
    parser.add_argument("--rm", action="store_true", required=True)
    for name in ("--name", "--network", "--entrypoint"):
        parser.add_argument(name, required=True)
    parser.add_argument("--user")
    parser.add_argument("--shm-size")
    for name in ("--group-add", "--volume", "--env"):
        parser.add_argument(name, action="append", default=[])
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    image = image_of(given.image)
    assert image is not None
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", **dict(pair.split("=", 1) for pair in given.env)}
    program = given.command
    if subprocess.run([UNSHARE, "-Urm", "true"], capture_output=True, check=False).returncode == 0:  # noqa: S603
        program = [UNSHARE, "-Urm", "sh", "-ec", enclosed(image["folders"], given.volume, program)]
    # Not of the client's session, nor with its pipes: docker's containers are the daemon's, and the client hands on.
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    child = subprocess.Popen(program, env=env, cwd="/", start_new_session=True, **pipes)  # type: ignore[call-overload]  # noqa: S603
    (STATE / given.name).write_text(str(child.pid))
    handing_on = [threading.Thread(target=hand_on, args=ends) for ends in ((child.stdout, 1), (child.stderr, 2))]
    for thread in handing_on:
        thread.start()
    status = child.wait()
    for thread in handing_on:
        thread.join()
    (STATE / given.name).unlink(missing_ok=True)
    sys.exit(status if status >= 0 else 128 - status)


def hand_on(pipe: IO[bytes], to: int) -> None:
    while data := os.read(pipe.fileno(), 65536):
        os.write(to, data)


def enclosed(folders: list[str], volumes: list[str], command: list[str]) -> str:
    """A script that runs a command in a root made of the image's folders and the volumes."""
    lines = ["root=$(mktemp -d)", "mount -t tmpfs none $root", "mkdir $root/tmp"]
    for folder in (*folders, "/dev", "/proc"):
        place = f"$root{shlex.quote(folder)}"
        if Path(folder).is_symlink():
            lines.append(f"mkdir -p $(dirname {place}); ln -s {shlex.quote(str(Path(folder).readlink()))} {place}")
        else:
            lines.append(f"mkdir -p {place}; mount --rbind {shlex.quote(folder)} {place}")
    for volume in volumes:
        source, place, mode = volume.split(":")
        inside = f"$root{shlex.quote(place)}"
        made = f"mkdir -p {inside}" if Path(source).is_dir() else f"mkdir -p $(dirname {inside}); touch {inside}"
        lines.append(f"{made}; mount --bind {shlex.quote(source)} {inside}")
        if mode == "ro":
            lines.append(f"mount -o remount,bind,ro {inside}")
    return "\n".join([*lines, f"exec /usr/sbin/chroot $root {shlex.join(command)}"])


def inspect(arguments: list[str]) -> None:
    container = STATE / arguments[-1]
    if not container.exists():
        fail(f"Error: No such object: {arguments[-1]}")
    sys.stdout.write(f"{container.read_text()}\n")


def remove(arguments: list[str]) -> None:
    container = STATE / arguments[-1]
    if not container.exists():
        fail(f"Error response from daemon: No such container: {arguments[-1]}")
    container.unlink()


def kill(arguments: list[str]) -> None:
    container = STATE / arguments[-1]
    if not container.exists():
        fail(f"Error response from daemon: No such container: {arguments[-1]}")
    os.killpg(int(container.read_text()), signal.SIGKILL)


def main() -> None:
    with (STATE / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(sys.argv[1:]) + "\n")
    if os.environ.get("DOCKER_STANDIN_DOWN"):
        fail("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
    if sys.argv[1:3] == ["image", "inspect"]:
        inspect_image(sys.argv[3:])
        return
    {"pull": pull, "run": run, "inspect": inspect, "kill": kill, "rm": remove}[sys.argv[1]](sys.argv[2:])


main()
