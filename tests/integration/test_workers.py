"""Every way a worker can end is a value: processes that raise, crash, hang and lie, and a real broken toolchain."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from integration.workshop import LATEST, Artifact, Workshop
from processes import alive

from regress import process, supervisor
from regress.answers import agreement_of
from regress.config import ToolchainSpec
from regress.recipe import FLAGS
from regress.record import Failure
from regress.supervisor import Launch, run_worker, worker_environment
from regress.toolchain.check import SCRIPT, events

if TYPE_CHECKING:
    from collections.abc import Callable

# As every worker is: a module with `main`, served by the real other end of the protocol.
MODULES = {
    "good": "channel.progress('step', 1, 2)\n    return {'answer': request['question'] + 1}",
    "chatty": "import os; print('to the log'); os.system('echo this too'); return {'answer': 1}",
    "raising": "raise ValueError('the weights are upside down')",
    "exiting": "import sys; sys.exit('the disk is full')",
    "segfault": "import ctypes; ctypes.string_at(0)",
    "killed": "import os, signal; print('allocating', flush=True); os.kill(os.getpid(), signal.SIGKILL)",
    "aborting": "import os; os.abort()",
    "out_of_memory": (
        "import resource\n    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n    return {'x': bytes(2**31)}"
    ),
    "hanging": "import time; time.sleep(60)",
    "not_a_number": "return {'answer': float('nan')}",
    "no_module": "import tvm_that_is_not_there",
}
MODULE = "def main(request, channel):\n    {}\n"

# These speak for themselves, past the protocol.
SCRIPTS = {
    "nonsense": "print('hello, orchestrator')",
    "no_hello": """print('{"event": "result", "answer": 1}')""",
    "other_protocol": """print('{"event": "hello", "protocol": 2}')""",
    "two_results": """print('{"event": "hello", "protocol": 1}'); [print('{"event": "result"}') for _ in 'ab']""",
    "nonsense_later": """print('{"event": "hello", "protocol": 1}'); print('Segmentation fault')""",
    "not_utf8": """import os; os.write(1, b'{"event": "hello", "protocol": 1}\\n{"event": "\\xff"}\\n')""",
    "an_array": """print('{"event": "hello", "protocol": 1}'); print('[1, 2]')""",
    "silent": "",
    "nothing_after_hello": """print('{"event": "hello", "protocol": 1}')""",
    "half_a_result": """print('{"event": "hello", "protocol": 1}\\n{"event": "res', end='')""",
    "result_then_crash": """
import os
print('{"event": "hello", "protocol": 1}\\n{"event": "result"}', flush=True)
os.abort()
""",
    "result_then_error": """
print('{"event": "hello", "protocol": 1}\\n{"event": "result"}', flush=True)
raise OSError('No space left on device')
""",
}
NONSENSE_AND_ON = "import time; print('hello, orchestrator', flush=True); time.sleep(60)"


def launch(timeout_s: float = 20, on_progress: Callable[[supervisor.Progress], None] = lambda _: None) -> Launch:
    return Launch(
        python=Path(sys.executable),
        env=worker_environment(os.environ, {}),
        timeout_s=timeout_s,
        on_progress=on_progress,
    )


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the workers those of `MODULES`, with the protocol's real other end."""
    folder = tmp_path / "regress" / "worker"
    folder.mkdir(parents=True)
    for name in ("__init__.py", "__main__.py", "protocol.py"):
        shutil.copyfile(supervisor.WORKERS / name, folder / name)
    for name, body in MODULES.items():
        (folder / f"{name}.py").write_text(MODULE.format(body))
    monkeypatch.setattr(supervisor, "WORKERS", folder)


def unserved(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every worker that script."""
    (folder / "worker").mkdir()
    (folder / "worker" / "__main__.py").write_text(source)
    monkeypatch.setattr(supervisor, "WORKERS", folder / "worker")


def failed(result: dict[str, Any] | Failure) -> Failure:
    assert isinstance(result, Failure), result
    return result


@pytest.mark.usefixtures("served")
def test_a_workers_result_and_its_progress_come_back(tmp_path: Path) -> None:
    seen: list[supervisor.Progress] = []
    result = run_worker("good", {"question": 41}, launch(on_progress=seen.append), stage="bench", folder=tmp_path)
    assert result == {"answer": 42}
    assert seen == [supervisor.Progress(text="step", done=1, total=2)]


@pytest.mark.usefixtures("served")
def test_whatever_a_worker_prints_goes_to_the_log(tmp_path: Path) -> None:
    """Also what the programs print that it starts, as compilers do."""
    assert run_worker("chatty", {}, launch(), stage="build", folder=tmp_path) == {"answer": 1}
    assert set((tmp_path / "chatty.log").read_text().splitlines()) == {"to the log", "this too"}


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("worker", "cause", "how", "signal"),
    [
        ("raising", "ValueError: the weights are upside down", "exit status 1", None),
        ("exiting", "the disk is full", "exit status 1", None),
        ("segfault", "Fatal Python error: Segmentation fault", "killed by SIGSEGV", "SIGSEGV"),
        ("aborting", "Fatal Python error: Aborted", "killed by SIGABRT", "SIGABRT"),
        (
            "killed",
            "killed by SIGKILL, as the kernel does when memory runs out",
            "killed by SIGKILL, as the kernel does when memory runs out",
            "SIGKILL",
        ),
        ("out_of_memory", "MemoryError", "exit status 1", None),
        ("not_a_number", "ValueError: Out of range float values are not JSON compliant", "exit status 1", None),
        (
            "no_module",
            "ModuleNotFoundError: No module named 'tvm_that_is_not_there'",
            "exit status 1",
            None,
        ),
        ("absent", "ModuleNotFoundError: No module named 'regress.worker.absent'", "exit status 1", None),
    ],
)
def test_the_end_of_a_worker_is_a_failure_with_its_cause(
    tmp_path: Path, worker: str, cause: str, how: str, signal: str | None
) -> None:
    failure = failed(run_worker(worker, {}, launch(), stage="build", folder=tmp_path))
    assert failure.cause.startswith(cause)
    assert (failure.stage, failure.how, failure.signal) == ("build", how, signal)


@pytest.mark.usefixtures("served")
def test_a_failure_carries_the_end_of_the_log(tmp_path: Path) -> None:
    raising = failed(run_worker("raising", {}, launch(), stage="build", folder=tmp_path))
    assert raising.log.startswith("Traceback")
    assert raising.log.endswith("ValueError: the weights are upside down")
    killed = failed(run_worker("killed", {}, launch(), stage="build", folder=tmp_path))
    assert killed.log == "allocating"
    segfault = failed(run_worker("segfault", {}, launch(), stage="build", folder=tmp_path))
    assert "segfault.py" in segfault.log


@pytest.mark.usefixtures("served")
def test_a_worker_that_hangs_is_killed_at_its_time_limit(tmp_path: Path) -> None:
    started = time.monotonic()
    failure = failed(run_worker("hanging", {}, launch(timeout_s=1), stage="bench", folder=tmp_path))
    assert time.monotonic() - started < 10
    assert failure.cause == failure.how == "killed at its time limit of 1 s"
    assert failure.signal == "SIGKILL"


def test_what_a_worker_started_dies_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that goes on would take the next measurement's processor."""
    child = tmp_path / "child"
    source = f"import os, time\npid = os.fork()\nif pid: open({str(child)!r}, 'w').write(str(pid))\ntime.sleep(60)\n"
    unserved(tmp_path, source, monkeypatch)
    started = time.monotonic()
    failed(run_worker("w", {}, launch(timeout_s=1), stage="build", folder=tmp_path))
    assert time.monotonic() - started < 10
    deadline = time.monotonic() + 10
    while alive(int(child.read_text())):
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("script", "cause", "how"),
    [
        ("nonsense", "the worker printed 'hello, orchestrator', which is not of the protocol", "killed for it"),
        ("no_hello", 'the worker printed \'{"event": "result"', "killed for it"),
        ("other_protocol", "the worker printed protocol 2, where 1 is spoken here", "killed for it"),
        ("two_results", "the worker printed an event 'result' that was not expected", "killed for it"),
        ("nonsense_later", "the worker printed 'Segmentation fault'", "killed for it"),
        ("not_utf8", 'the worker printed \'{"event": "', "killed for it"),
        ("an_array", "the worker printed '[1, 2]'", "killed for it"),
        ("half_a_result", 'the worker printed \'{"event": "res\'', "killed for it"),
        ("silent", "no result (exit status 0)", "exit status 0"),
        ("nothing_after_hello", "no result (exit status 0)", "exit status 0"),
        ("result_then_crash", "killed by SIGABRT", "killed by SIGABRT"),
        ("result_then_error", "OSError: No space left on device", "exit status 1"),
    ],
)
def test_a_worker_that_does_not_keep_to_the_protocol_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, cause: str, how: str
) -> None:
    unserved(tmp_path, SCRIPTS[script], monkeypatch)
    failure = failed(run_worker("w", {}, launch(), stage="bench", folder=tmp_path))
    assert failure.cause.startswith(cause)
    assert failure.how == how


def test_a_worker_that_prints_nonsense_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unserved(tmp_path, NONSENSE_AND_ON, monkeypatch)
    started = time.monotonic()
    failed(run_worker("w", {}, launch(timeout_s=60), stage="bench", folder=tmp_path))
    assert time.monotonic() - started < 10


def test_a_python_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    absent = Launch(python=tmp_path / "python", env={}, timeout_s=1, on_progress=lambda _: None)
    failure = failed(run_worker("w", {}, absent, stage="build", folder=tmp_path))
    assert failure.cause == "cannot start the worker: No such file or directory"
    assert failure.how == "not started"


# Real ones


def test_a_toolchain_that_dies_at_import_is_a_failure_that_names_the_symbol(workshop: Workshop) -> None:
    """As pip resolves it today: apache-tvm 0.25 with an apache-tvm-ffi of 0.27's day."""
    packages = ("apache-tvm==0.25.0.post1", "apache-tvm-ffi==0.1.14.post1", "numpy")
    broken = workshop.install(ToolchainSpec(name="broken", packages=packages))
    assert broken.failure is not None
    request = {
        "model": str(workshop.model("llama-mini")),
        "output": str(workshop.new_folder("broken")),
        "quantization": "q4f32_1",
        "target": "llvm",
        "flags": FLAGS,
    }
    failure = failed(workshop.run("build_tvm", request, broken, stage="build"))
    for told in (broken.failure, failure):
        assert told.cause.startswith("OSError: …/lib/libtvm_")
        assert ": undefined symbol: _ZN3tvm3ffi" in told.cause
        assert (told.how, told.signal) == ("exit status 1", None)
        assert told.log.splitlines()[-1] == told.cause
    assert (broken.failure.stage, failure.stage) == ("toolchain", "build")


@pytest.fixture(scope="session")
def artifact(workshop: Workshop) -> Artifact:
    return workshop.build("llama-mini", "q4f32_1")


@pytest.fixture
def copied(artifact: Artifact, tmp_path: Path) -> Artifact:
    """A copy of an artifact that may be damaged."""
    folder = tmp_path / "artifact"
    shutil.copytree(artifact.folder, folder)
    return Artifact(folder=folder, facts=artifact.facts, toolchain=artifact.toolchain)


def test_a_replicate_has_a_value_for_every_repeat(workshop: Workshop, artifact: Artifact) -> None:
    result = workshop.measured(artifact, prompt_tokens=24, new_tokens=8, repeats=3)
    samples = result["samples"]
    per_repeat = {"prefill_tokens_per_s", "decode_tokens_per_s", "time_to_first_token_s", "time_per_output_token_s"}
    assert set(samples) == {*per_repeat, "peak_memory_bytes"}
    for metric in per_repeat:
        assert len(samples[metric]) == 3
        assert min(samples[metric]) > 0
    for rate, duration in zip(samples["prefill_tokens_per_s"], samples["time_to_first_token_s"], strict=True):
        assert rate * duration == pytest.approx(24)
    for rate, duration in zip(samples["decode_tokens_per_s"], samples["time_per_output_token_s"], strict=True):
        assert rate * duration == pytest.approx(1)
    [peak] = samples["peak_memory_bytes"]
    assert 2**25 < peak < 2**33
    assert len(result["token_ids"]) == 1 + 8
    assert len(result["logits_sha256"]) == 64


def test_a_replicate_answers_the_same_every_time_and_by_its_prompt(workshop: Workshop, artifact: Artifact) -> None:
    few: dict[str, Any] = {"new_tokens": 4, "repeats": 1}
    first = workshop.measured(artifact, **few)
    again = workshop.measured(artifact, **few)
    other = workshop.measured(artifact, seed=2, **few)
    answer = ("token_ids", "logits_sha256")
    assert [again[key] for key in answer] == [first[key] for key in answer]
    assert other["logits_sha256"] != first["logits_sha256"]


def test_given_prompts_are_taken_as_they_are(workshop: Workshop, artifact: Artifact) -> None:
    """The greedy token after a prompt and after each token is what the same prompt and those tokens give at once."""
    prompt = list(range(100, 120))
    given = workshop.measured(artifact, prompts=[prompt], prompt_tokens=20, new_tokens=3, repeats=1)
    longer = [*prompt, *given["token_ids"][:2]]
    at_once = workshop.measured(artifact, prompts=[longer], prompt_tokens=22, new_tokens=1, repeats=1)
    assert at_once["token_ids"] == given["token_ids"][2:]


@pytest.mark.parametrize("kept", [0, 1000, 100_000, -1])
def test_a_truncated_library_is_a_failure_that_names_it(workshop: Workshop, copied: Artifact, kept: int) -> None:
    """Left to the loader, most lengths end the process with SIGBUS and not a word."""
    library = copied.folder / "lib.so"
    library.write_bytes(library.read_bytes()[:kept])
    failure = failed(workshop.bench(copied))
    assert "lib.so: " in failure.cause
    assert (failure.stage, failure.signal) == ("bench", None)


def test_a_missing_shard_is_a_failure_that_names_it(workshop: Workshop, copied: Artifact) -> None:
    (copied.folder / "params_shard_0.bin").unlink()
    failure = failed(workshop.bench(copied))
    assert failure.cause.startswith("FileNotFoundError: ")
    assert "params_shard_0.bin" in failure.cause


def test_a_shard_that_lost_its_end_is_a_failure_that_names_it(workshop: Workshop, copied: Artifact) -> None:
    shard = copied.folder / "params_shard_0.bin"
    shard.write_bytes(shard.read_bytes()[:-1000])
    failure = failed(workshop.bench(copied))
    assert failure.cause.startswith("ValueError: params_shard_0.bin: ")


def test_a_model_whose_logits_are_no_numbers_is_a_failure(workshop: Workshop, copied: Artifact) -> None:
    """However fast it is: its scales are overwritten with NaN."""
    shard = copied.folder / "params_shard_0.bin"
    shard.write_bytes(np.full(shard.stat().st_size // 4, np.nan, "<f4").tobytes())
    assert "the logits of token 0 are not finite" in failed(workshop.bench(copied)).cause


def test_logits_after_given_tokens_are_those_of_the_answer(workshop: Workshop, artifact: Artifact) -> None:
    """Fed its own greedy tokens, the model finds each of them the likeliest again."""
    token_ids = workshop.measured(artifact)["token_ids"]
    output = workshop.new_folder("logits") / "logits.npy"
    request = {
        "artifact": str(artifact.folder),
        "device": "cpu",
        "prompt_tokens": 24,
        "new_tokens": 32,
        "seed": 1,
        "prompts": None,
        "token_ids": token_ids[:-1],
        "output": str(output),
    }
    assert workshop.run("logits_vm", request, artifact.toolchain, stage="bench") == {"positions": 33}
    logits = np.load(output)
    assert (logits.shape, logits.dtype) == ((33, 2048), np.float32)
    assert logits.argmax(axis=1).tolist() == token_ids
    alike = agreement_of(logits, logits)
    assert (alike.top1, alike.kl_nats) == (1, 0)


def test_a_parameter_that_the_library_wants_and_the_shards_lack_is_named(workshop: Workshop, copied: Artifact) -> None:
    table = copied.folder / "tensor-cache.json"
    table.write_text(table.read_text().replace('"model.norm.weight"', '"model.other.weight"'))
    failure = failed(workshop.bench(copied))
    assert failure.cause == "RuntimeError: tensor-cache.json: parameter 'model.norm.weight' is missing"


def test_the_bandwidth_of_a_memory_is_what_copies_of_it_move(workshop: Workshop) -> None:
    """Of the processor's here, whatever it is: above a GB/s, and below what any memory moves."""
    request = {"device": "cpu", "bytes": 2**24, "copies": 2, "repeats": 3}
    result = workshop.run("bandwidth_vm", request, workshop.toolchain(), stage="bench")
    assert isinstance(result, dict)
    assert 1e9 < result["bytes_per_s"] < 1e13


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a GPU here")
def test_a_device_that_is_not_there_is_a_failure(workshop: Workshop, artifact: Artifact) -> None:
    failure = failed(workshop.bench(artifact, device="cuda"))
    assert failure.cause == "RuntimeError: TVM sees no cuda device"


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"quantization": "q9f99"}, "KeyError: 'q9f99'"),
        ({"model": "/nowhere"}, "FileNotFoundError: "),
    ],
)
def test_a_build_that_raises_is_a_failure(workshop: Workshop, changes: dict[str, str], cause: str) -> None:
    request = {
        "model": str(workshop.model("llama-mini")),
        "output": str(workshop.new_folder("raising")),
        "quantization": "q4f32_1",
        "target": "llvm",
        "flags": FLAGS,
        **changes,
    }
    failure = failed(workshop.run("build_tvm", request, workshop.toolchain(LATEST), stage="build"))
    assert failure.cause.startswith(cause)


OLD_NAMES = """
import runpy, sys, types
import tvm
tvm.nd = types.SimpleNamespace(array=tvm.runtime.tensor)
del tvm.runtime.tensor, tvm.compile
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def test_a_toolchain_is_checked_by_the_names_of_an_older_tvm_where_it_has_no_others(workshop: Workshop) -> None:
    """Those of the time of ChatModule, of which no package index has a wheel: here a newer one goes by them."""
    python = workshop.toolchain(LATEST).python
    output = process.run([python, "-c", OLD_NAMES, SCRIPT])
    assert output.exit.ok, output.stderr
    _, result = events(output.stdout)
    assert result is not None
