"""What a campaign measures and notes, on workers that are made up."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from factories import NOON, TWO_CASES, make_artifact, make_environment, make_replicate, make_toolchain

from regress import attempt, campaign
from regress.baseline import parse_baseline
from regress.build import Built
from regress.campaign import Campaign, Side
from regress.config import parse_config
from regress.guard import Objection
from regress.job import Job
from regress.record import Failure
from regress.replicate import Discarded
from regress.toolchain import InstalledToolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from regress.record import Record

CONFIG = """\
[run]
baseline = "b.toml"
toolchains = ["tvm-0.26.0"]

[toolchains."tvm-0.26.0"]
packages = ["apache-tvm==0.26.0"]
"""
HOT = Discarded(started_at=NOON, reason="throttled", text="it was hot")
SHARED = Objection("shared_device", "1 other process computes on the device")


class Ready:
    """Everything is installed and built."""

    def __init__(self, job: Job) -> None:
        self._cases = job.baseline.cases

    def recipes(self, _flags: object) -> list[None]:
        return []

    def install(self, name: str) -> InstalledToolchain:
        return InstalledToolchain(
            identity=make_toolchain(name), python=Path("python"), env={}, folder=None, failure=None, cached=True
        )

    def build_all(self, *_: object) -> list[Built]:
        return [Built(artifact=make_artifact(case.key), folder=Path("a"), cached=True) for case in self._cases]


class Workers:
    """What attempts and the measuring of bandwidth give, and how often the latter was asked for."""

    def __init__(self, bandwidths: Sequence[object], taken: Callable[[attempt.Asked], object]) -> None:
        self._bandwidths, self._taken = list(bandwidths), taken
        self.asked: list[float | None] = []
        self.measured = 0

    def attempt(self, asked: attempt.Asked) -> Any:  # noqa: ANN401
        self.asked.append(asked.bandwidth)
        return self._taken(asked)

    def bandwidth(self, *_: object) -> Any:  # noqa: ANN401
        self.measured += 1
        return self._bandwidths.pop(0)


def measured(
    monkeypatch: pytest.MonkeyPatch, workers: Workers, target: str = "cuda", count: int = 2
) -> tuple[Record, list[str]]:
    """The record of a campaign of one side, and what was noted on the way."""
    notes: list[str] = []
    reporter = SimpleNamespace(
        note=notes.append, step=lambda _: nullcontext(), broken=lambda each: notes.append(each.cause)
    )
    text = TWO_CASES.replace("llvm", target) + "[measure]\nretries = 1\ncooldown_s = 0\n"
    job = Job(
        config=parse_config(CONFIG, "regress.toml"),
        baseline=parse_baseline(text, "b.toml"),
        baseline_name="b.toml",
        home=Path("home"),
        history=Path("history"),
        reporter=reporter,  # type: ignore[arg-type]
        flags={},
    )
    monkeypatch.setattr(campaign, "Preparation", Ready)
    monkeypatch.setattr(Job, "launch_of", lambda *_: None)
    monkeypatch.setattr(Job, "machine", lambda *_: make_environment())
    monkeypatch.setattr(attempt, "attempt", workers.attempt)
    monkeypatch.setattr(attempt, "bandwidth", workers.bandwidth)
    found = Campaign(job, [Side(toolchain="tvm-0.26.0")])
    found.measure([{case.key: count for case in job.baseline.cases}])
    return found.records()[0], notes


def kept(_: attempt.Asked) -> object:
    return make_replicate(1000, 50)


def test_a_gpus_bandwidth_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all cases of the session; every replicate is told."""
    workers = Workers([4e12], kept)
    record, _ = measured(monkeypatch, workers)
    assert (workers.measured, workers.asked) == (1, [4e12] * 4)
    assert record.memory_bandwidth_bytes_per_s == 4e12


def test_a_bandwidth_of_a_shared_device_is_measured_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """What speaks against the device speaks against that number; one that cannot be measured is asked for no more."""
    workers = Workers([SHARED, 4e12], kept)
    record, notes = measured(monkeypatch, workers)
    assert (workers.measured, workers.asked) == (2, [None, 4e12, 4e12, 4e12])
    assert record.memory_bandwidth_bytes_per_s == 4e12
    assert notes == ["  not measured yet: 1 other process computes on the device"]
    broken = Workers([Failure(stage="bench", cause="out of memory", how="exit status 1")], kept)
    record, notes = measured(monkeypatch, broken)
    assert (broken.measured, broken.asked) == (1, [None] * 4)
    assert (record.memory_bandwidth_bytes_per_s, notes) == (None, ["  not measured (exit status 1): out of memory"])


def test_a_processors_bandwidth_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes seconds, and nothing is judged by it."""
    workers = Workers([], kept)
    record, _ = measured(monkeypatch, workers, target="llvm")
    assert (workers.measured, workers.asked) == (0, [None] * 4)
    assert record.memory_bandwidth_bytes_per_s is None


def test_a_case_of_which_nothing_can_be_kept_is_given_up_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first attempt and its retry; it ends, and the record says what was discarded."""
    hot = parse_baseline(TWO_CASES.replace("llvm", "cuda"), "b.toml").cases[0].workload
    workers = Workers([4e12], lambda asked: HOT if asked.task.workload == hot else make_replicate(1000, 50))
    record, notes = measured(monkeypatch, workers)
    first, second = record.cases
    assert (first.gave_up, first.discarded, first.replicates) == ("throttled", (HOT, HOT), ())
    assert (second.gave_up, second.discarded, len(second.replicates)) == (None, (), 2)
    assert notes == ["  discarded (it was hot); again in 0 s"]
