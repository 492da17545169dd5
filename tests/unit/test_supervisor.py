"""What is understood of a worker's lines and of its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from regress import supervisor
from regress.process import Exit
from regress.supervisor import Progress

if TYPE_CHECKING:
    from regress.record import Failure

CRASH = """\
!!!!!!! Segfault encountered !!!!!!!
  File "./signal/../sysdeps/unix/sysv/linux/x86_64/libc_sigaction.c", line 0, in 0x00007f4c9225a04f
  File "<unknown>", line 0, in tvm::ffi::ToJSONGraph(tvm::ffi::Any const&, tvm::ffi::Any const&)
  File "<unknown>", line 0, in tvm::s_tir::Tensorize(tvm::s_tir::ScheduleState, tvm::tirx::StmtSRef const&)
  File "Objects/call.c", line 214, in _PyObject_MakeTpCall
"""


def failed(log: str, **end: object) -> Failure:
    fields: dict[str, Any] = {"code": None, "signal": None, "timed_out": False, "duration_s": 1.0, **end}
    return supervisor.failure("build", Exit(**fields), log, 60)


def test_the_last_exception_is_the_cause_even_when_more_is_printed_after_it() -> None:
    """A traceback's last exception tells more than a note behind it."""
    log = (
        "Traceback (most recent call last):\n"
        "ValueError: first\n"
        "OSError: /a/b/lib/libtvm_runtime.so: undefined symbol: _ZN3tvm\n"
        "  note: see the manual\n"
    )
    failure = failed(log, code=1)
    assert failure.cause == "OSError: …/lib/libtvm_runtime.so: undefined symbol: _ZN3tvm"
    assert (failure.stage, failure.how, failure.signal) == ("build", "exit status 1", None)


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("tvm.error.InternalError: Check failed\n", "tvm.error.InternalError: Check failed"),
        ("one\ntwo\n\n", "two"),
        (" \n", None),
    ],
)
def test_the_telling_line(log: str, line: str | None) -> None:
    """An exception of any module, else the last line, else nothing."""
    assert supervisor.telling_line(log) == line


def test_a_crash_is_told_by_the_functions_it_happened_in() -> None:
    """TVM prints the innermost frame first; people read the outermost first."""
    failure = failed(CRASH, signal="SIGSEGV")
    assert failure.cause == "crashed in tvm::s_tir::Tensorize -> tvm::ffi::ToJSONGraph"
    assert failure.signal == "SIGSEGV"


def test_a_crash_without_a_word_is_told_by_its_signal() -> None:
    """There is always a cause."""
    assert failed("", signal="SIGSEGV").cause == "killed by SIGSEGV"
    assert failed("", code=0).cause == "no result (exit status 0)"


def test_a_crash_without_a_name_is_not_told_by_a_frame_of_its_stack() -> None:
    """TVM's report of a crash outside TVM: a headline, and frames that it knows nothing of."""
    log = '!!!!!!! Segfault encountered !!!!!!!\n  File "<unknown>", line 0, in 0xffffffffffffffff\n'
    assert failed(log, signal="SIGSEGV").cause == "!!!!!!! Segfault encountered !!!!!!!"
    assert failed('  File "<unknown>", line 0, in _start\n', signal="SIGSEGV").cause == "killed by SIGSEGV"


def test_a_kill_is_the_cause_whatever_was_printed_before_it() -> None:
    """Out of memory and out of time say nothing themselves."""
    assert "memory" in failed("Warning: x\n", signal="SIGKILL").cause
    assert failed("Error: x\n", signal="SIGKILL", timed_out=True).cause == "killed at its time limit of 60 s"


def test_a_long_log_keeps_its_beginning_and_its_end() -> None:
    """A crash report begins with what matters, a traceback ends with it."""
    log = failed("\n".join(f"line {number}" for number in range(1000)), code=1).log.splitlines()
    assert (log[0], log[-1]) == ("line 0", "line 999")
    assert len(log) == supervisor.LOG_LINES + 1


def test_secrets_do_not_reach_the_workers() -> None:
    """A worker gets what a compiler needs, and the settings, and nothing else."""
    env = {"PATH": "/bin", "HF_TOKEN": "hf_x", "GITHUB_TOKEN": "y", "TVM_NUM_THREADS": "4", "LD_PRELOAD": "z"}
    given = supervisor.worker_environment(env, {"PYTHONPATH": ""})
    assert given["PATH"] == "/bin"
    assert given["TVM_NUM_THREADS"] == "4"
    assert given["PYTHONPATH"] == ""
    assert not {"HF_TOKEN", "GITHUB_TOKEN", "LD_PRELOAD"} & given.keys()


def hear(*lines: str) -> tuple[list[Progress], dict[str, Any] | None]:
    seen: list[Progress] = []
    listener = supervisor._Listener(seen.append)
    for line in lines:
        listener.hear(line.encode() + b"\n")
    return seen, listener.result


def test_progress_and_a_result_are_understood() -> None:
    """The protocol as the workers speak it."""
    seen, result = hear(
        '{"event": "hello", "protocol": 1, "worker": "w", "python": "3.11"}',
        '{"event": "progress", "text": "repeat", "done": 1, "total": 5}',
        '{"event": "result", "x": 1}',
    )
    assert seen == [Progress(text="repeat", done=1, total=5)]
    assert result == {"x": 1}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["nonsense"], "'nonsense', which is not of the protocol"),
        (['{"event": "result"}'], "which is not of the protocol"),
        (['{"event": "hello", "protocol": 2}'], "protocol 2, where 1 is spoken here"),
        (['{"event": "hello", "protocol": 1}', "[1]"], "which is not of the protocol"),
        (['{"event": "hello", "protocol": 1}', '{"event": "dance"}'], "an event 'dance' that was not expected"),
        (
            ['{"event": "hello", "protocol": 1}'] + ['{"event": "result"}'] * 2,
            "an event 'result' that was not expected",
        ),
    ],
)
def test_nonsense_is_called_nonsense(lines: list[str], said: str) -> None:
    """Whatever is not of the protocol ends the worker, with its words in the cause."""
    with pytest.raises(supervisor._Nonsense, match=said):
        hear(*lines)
