"""Faults in records: each must be seen, and a gate that is blind must be caught."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from factories import NOON, make_case, make_record, make_replicate

from regress import drill, pipeline
from regress.baseline import parse_baseline
from regress.check import Beside, check
from regress.drill import LATENCY, record_drills
from regress.errors import BenchError
from regress.fault import Fault
from regress.replicate import Discarded
from regress.report.proof import faults_text
from regress.verdict import missing

if TYPE_CHECKING:
    from regress.job import Job
    from regress.record import Record

KEY = "llama-mini/q4f32_1/llvm/p16+128"
TEXT = """
runner = "cpu"
toolchain = "tvm-0.26.0"
[[cases]]
model = "synthetic:llama-mini"
quantization = "q4f32_1"
target = "llvm"
prompt_tokens = 16
new_tokens = 128
"""


HOT = Discarded(started_at=NOON, reason="throttled", text="it was hot")


class FakeJob:
    """As much of a job as drills of records need."""

    baseline = parse_baseline(TEXT, "b.toml")
    baseline_name = "b.toml"


def plain() -> Record:
    """Eight replicates .5 % apart, with times per token as the reverse of their rates."""
    replicates = []
    for index, rate in enumerate(50 * np.exp(np.random.default_rng(3).normal(0, 0.005, 8))):
        made = make_replicate(1000, float(rate))
        samples = {**made.samples, LATENCY: (1 / float(rate),)}
        replicates.append(_replaced(made, samples=samples, started_at=made.started_at.replace(minute=index)))
    return make_record(make_case(KEY, replicates=tuple(replicates)))


def _replaced(struct: Any, **changes: Any) -> Any:  # noqa: ANN401
    import msgspec  # noqa: PLC0415

    return msgspec.structs.replace(struct, **changes)


def drilled() -> list[Fault]:
    job: Job = FakeJob()  # type: ignore[assignment]
    return record_drills(job, plain())


def test_every_fault_of_a_record_is_seen() -> None:
    """A case gone, a NaN, a time that trebles, and one that falls to a third."""
    assert [(fault.name, fault.outcome, fault.found) for fault in drilled()] == [
        ("a case vanished", "missing", "seen"),
        ("a rate is NaN", "broken", "seen"),
        ("time per token times 3", "regressed", "seen"),
        ("time per token divided by 3, which is none", "improved", "seen"),
    ]


def test_a_gate_that_takes_everything_in_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were every verdict green, every drill would say so."""
    real = check

    def blind(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        report = real(*args, **kwargs)
        verdicts = tuple(_replaced(verdict, outcome="pass") for verdict in report.verdicts)
        return _replaced(report, verdicts=verdicts)

    monkeypatch.setattr(drill, "check", blind)
    monkeypatch.setattr(drill, "replicate_of", lambda *_: None)
    assert [fault.found for fault in drilled()] == ["green", "green", "green", "seen"]


def test_a_gate_with_the_wrong_direction_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time that falls must not be red."""
    real = drill._scaled

    def turned(record: Record, metric: str, factor: float) -> Record:
        return real(record, metric, 1 / factor)

    monkeypatch.setattr(drill, "_scaled", turned)
    assert [fault.found for fault in drilled()][2:] == ["green", "green"]


def test_the_text_counts_what_became_of_the_faults() -> None:
    """Each with its sentence; a gate that stayed green is shouted."""
    faults = [
        Fault(name="one", outcome="regressed", text="so", found="seen"),
        Fault(name="two", outcome="pass", text="so", found="green"),
        Fault(name="three", outcome="inconclusive", text="so", found="hidden"),
    ]
    text = faults_text(faults)
    assert "seen       one: regressed\n           so\n" in text
    assert text.endswith(
        "drill: 1 seen, 1 hidden by the noise of this machine, 1 NOT SEEN: the gate is green where it must be red\n"
    )


GAVE_UP = make_case(KEY, replicates=(), gave_up="throttled", discarded=(HOT,))


class HotCampaign:
    """The build as it is can be measured, the slower one not."""

    def __init__(self, *_: object) -> None:
        self.device = nullcontext

    def measure(self, _wanted: object) -> None:
        """Takes no time."""

    def records(self) -> list[Record]:
        return [plain(), make_record(GAVE_UP)]


def test_a_device_too_hot_to_drill_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was kept of the slower build, so that nobody knows what extra work costs."""
    monkeypatch.setattr(drill, "Campaign", HotCampaign)
    job = SimpleNamespace(baseline=FakeJob.baseline, baseline_name="b.toml", flags={})
    with pytest.raises(BenchError) as caught:
        drill.drill(job, "tvm-0.26.0")  # type: ignore[arg-type]
    assert str(caught.value) == f"drill: {KEY} cannot be measured"
    assert caught.value.cause == "1 replicate discarded (throttled), the last because it was hot"


def test_a_slower_build_that_could_not_be_measured_is_not_called_green(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its build passes the gates that need no device, and these verdicts come first."""
    beside = Beside(record=plain(), stands_in=False)
    report = check(make_record(GAVE_UP), FakeJob.baseline, "b.toml", beside)
    assert [verdict.outcome for verdict in report.verdicts] == ["pass", "inconclusive"]
    monkeypatch.setattr(pipeline, "measure_and_judge", lambda *_: ([], report))
    job = SimpleNamespace(baseline=FakeJob.baseline, baseline_name="b.toml", flags={})
    fault = drill._slower_build(job, "tvm-0.26.0", 0.1, 10)  # type: ignore[arg-type]
    assert (fault.outcome, fault.found) == ("inconclusive", "hidden")


def test_a_missing_case_is_no_pass() -> None:
    """Missing and inconclusive are two things: only noise hides."""
    assert drill._found(missing(KEY, "case_vanished", "gone")) == "seen"
