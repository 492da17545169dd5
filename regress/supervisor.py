"""Runs one worker with a toolchain's Python and turns every way it can end into a value.

A worker may raise, segfault, be killed for memory, hang, or print nonsense: each becomes a `Failure` with its cause,
its signal and its log; none of them stops `regress`.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from regress import container, process
from regress.container import Mount, readable
from regress.record import Failure, Stage, digest
from regress.redact import publishable, without_secrets
from regress.stored import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from regress.container import Container
    from regress.process import Exit, Watch

PROTOCOL = 1
"""Version of the worker protocol spoken here; `regress.worker.protocol` is its other end."""

WORKERS = Path(__file__).resolve().parent / "worker"
LOG_LINES = 40
"""Lines of a log that a failure keeps."""

_KEPT = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "CXX",
    "LD_LIBRARY_PATH",
    "CUDA_PATH",
    "CUDA_VISIBLE_DEVICES",
)
_KEPT_PREFIXES = ("TVM_", "OMP_")


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="progress"):
    """How far a worker is: `done` of `total` steps of `text`; no count where `total` is 0."""

    text: str
    done: int = 0
    total: int = 0


class _Hello(msgspec.Struct, frozen=True, tag_field="event", tag="hello"):
    protocol: int


class _Nonsense(Exception):  # noqa: N818  # never leaves this module
    """A line that is not of the protocol."""


def worker_environment(env: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """The environment a worker gets: what a compiler needs of ours, and nothing that may be a secret.

    Args:
        env: The environment of this process.
        extra: Variables to set besides.
    """
    kept = {name: value for name, value in env.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    # CUDA's first device is then NVML's first, too, and not the fastest one.
    ours = {"PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return without_secrets({**kept, **ours, **extra})


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How a toolchain's workers are started.

    Attributes:
        python: The toolchain's interpreter.
        env: Their whole environment.
        timeout_s: Seconds after which one is killed.
        on_progress: Called with each progress event.
        watch: Entered with a worker's process id while it runs.
        container: Where the interpreter is; on the host where `None`.
    """

    python: Path
    env: Mapping[str, str]
    timeout_s: float
    on_progress: Callable[[Progress], None]
    watch: Watch = nullcontext
    container: Container | None = None

    def reading(self, folder: Path) -> Launch:
        """The same, for a worker that reads a folder outside of the cache."""
        return replace(self, container=self.container and self.container.with_mounts(readable(folder)))


def settings(env: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """The variables of a worker that may change its speed, fit to be published: TVM's, OpenMP's, and all of `extra`."""
    given = worker_environment(env, extra)
    names = [name for name in sorted(given) if name in extra or name.startswith(_KEPT_PREFIXES)]
    return {name: publishable(given[name]) for name in names}


def run_worker(
    worker: str, request: Mapping[str, Any], launch: Launch, *, stage: Stage, folder: Path
) -> dict[str, Any] | Failure:
    """What a worker returned, or why it returned nothing.

    Args:
        worker: Name of its module in `regress.worker`.
        request: What it shall do, as JSON.
        launch: How to start it.
        stage: The stage a failure is counted to.
        folder: Existing folder for its request and its log.
    """
    request_file, log = folder / f"{worker}.request.json", folder / f"{worker}.log"
    request_file.write_bytes(msgspec.json.encode(request))
    listener = _Listener(launch.on_progress)
    try:
        end = _stream(launch, [launch.python, WORKERS, worker, request_file], listener, log)
    except _Nonsense as nonsense:
        excerpt = _excerpt(log.read_text(errors="replace"))
        cause = publishable(f"the worker printed {nonsense}")
        return Failure(stage=stage, cause=cause, how="killed for it", log=excerpt)
    except OSError as error:
        return Failure(stage=stage, cause=f"cannot start the worker: {error.strerror}", how="not started")
    if end.ok and listener.result is not None:
        return listener.result
    return _failure_of(launch, listener, end, log.read_text(errors="replace"), stage)


def _failure_of(launch: Launch, listener: _Listener, end: Exit, log: str, stage: Stage) -> Failure:
    """Why a worker gave no result: with the step that it was in, where it was ended in one."""
    found = failure(stage, end, log, launch.timeout_s)
    if launch.container and (refused := launch.container.refusal(end, log)):
        return msgspec.structs.replace(found, cause=refused)
    if listener.last is None or end.signal is None or (crash_site(log) and not end.timed_out):
        return found
    what = f"no answer within {launch.timeout_s:g} s" if end.timed_out else found.cause
    return msgspec.structs.replace(found, cause=publishable(f"{what}, in the step '{listener.last.text}'"))


def _stream(launch: Launch, command: Sequence[str | Path], listener: _Listener, log: Path) -> Exit:
    """How a worker ended, after each of its lines was heard; it sees its own folder besides what its launch says."""
    inside = launch.container and launch.container.with_mounts(
        [Mount(path=WORKERS), Mount(path=log.parent, writable=True)]
    )
    with container.start(inside, command, launch.env, launch.watch) as begun:
        end = process.stream(
            begun.argv, on_line=listener.hear, log=log, env=begun.env, timeout_s=launch.timeout_s, watch=begun.watch
        )
    return inside.ended(end) if inside else end


def failure(stage: Stage, end: Exit, log: str, timeout_s: float) -> Failure:
    """Why a process gave no result, fit to be published.

    Args:
        stage: What it was doing.
        end: How it ended.
        log: Its standard error.
        timeout_s: Its time limit.
    """
    how = end.describe(timeout_s)
    if end.timed_out or end.signal == "SIGKILL":
        cause = how
    elif end.signal is not None:
        cause = crash_site(log) or telling_line(log) or how
    else:
        cause = telling_line(log) or f"no result ({how})"
    return Failure(stage=stage, cause=publishable(cause), how=how, signal=end.signal, log=_excerpt(log))


class _Listener:
    """Follows the lines of a worker: hello first, then progress, then one result."""

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        self._on_progress = on_progress
        self._greeted = False
        self.last: Progress | None = None
        self.result: dict[str, Any] | None = None

    def hear(self, line: bytes) -> None:
        """Takes one line; raises `_Nonsense` where it is not of the protocol."""
        if not self._greeted:
            self._greet(line)
            return
        event = _decoded(line, dict[str, Any])
        kind = event.pop("event", None)
        if kind == "progress":
            self.last = _decoded(line, Progress)
            self._on_progress(self.last)
        elif kind == "result" and self.result is None:
            self.result = event
        else:
            raise _Nonsense(f"an event '{kind}' that was not expected")

    def _greet(self, line: bytes) -> None:
        hello = _decoded(line, _Hello)
        if hello.protocol != PROTOCOL:
            raise _Nonsense(f"protocol {hello.protocol}, where {PROTOCOL} is spoken here")
        self._greeted = True


def _decoded(line: bytes, kind: type[Any]) -> Any:  # noqa: ANN401
    try:
        return msgspec.json.decode(line, type=kind)
    except DAMAGED as error:
        shown = publishable(line[:80].decode(errors="replace").strip())
        raise _Nonsense(f"'{shown}', which is not of the protocol") from error


_EXCEPTION = re.compile(r"(?:Fatal Python error: .*|(?:\w+\.)*\w*(?:Error|Exception|Exit)(?:: .*)?)")
_FRAME = re.compile(r'\s*File "[^"]*", line [0-9]+')
_NATIVE_FRAME = re.compile(r"\b(tvm::\w[\w:]*\w)\(")
_MOST_FRAMES = 3


def telling_line(log: str) -> str | None:
    """The line of a log that says why: the last that names an exception, else the last; `None` where there is none.

    A frame of a stack says where, and not why.
    """
    lines = [line.strip() for line in log.splitlines() if line.strip() and not _FRAME.match(line)]
    exceptions = [line for line in lines if _EXCEPTION.fullmatch(line)]
    return next(reversed(exceptions or lines), None)


def crash_site(log: str) -> str | None:
    """The TVM functions that a crash report of TVM's names, the innermost last; `None` where it names none.

    TVM prints its stack outermost frame last, after a line of its own about the signal.
    """
    frames = list(dict.fromkeys(_NATIVE_FRAME.findall(log)))
    return f"crashed in {' -> '.join(reversed(frames[:_MOST_FRAMES]))}" if frames else None


def _excerpt(log: str) -> str:
    """The beginning and the end of a log, fit to be published: a crash report begins with what matters."""
    lines = log.splitlines()
    if len(lines) > LOG_LINES:
        half = LOG_LINES // 2
        lines = [*lines[:half], f"… {len(lines) - 2 * half} lines …", *lines[-half:]]
    return publishable("\n".join(lines))


def worker_digest(*workers: str) -> str:
    """SHA-256 over the source of those worker modules: another source is another builder, or another harness.

    Args:
        workers: Modules by name; other sources by their path in the workers' folder, such as `cuda/rope.cu`.
    """
    files = {name: WORKERS / (name if "." in name else f"{name}.py") for name in sorted(workers)}
    return digest({name: file.read_text(encoding="utf-8") for name, file in files.items()})
