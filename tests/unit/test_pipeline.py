"""Measuring until it is decided, on a campaign that is made up."""

from __future__ import annotations

import signal
from contextlib import nullcontext
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from factories import NOON, TWO_CASES, TWO_KEYS, make_artifact, make_case, make_record, make_toolchain, sha

from regress import history, pipeline
from regress.baseline import parse_baseline
from regress.campaign import Side
from regress.errors import HistoryError, ToolchainError
from regress.pipeline import Plan, judge_and_save, measure_and_judge, measure_and_save
from regress.proposal import Why, with_references
from regress.replicate import Discarded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from regress.baseline import Baseline
    from regress.record import CaseResult, Record

OLD, NEW = Side(toolchain="tvm-0.26.0"), Side(toolchain="tvm-0.27.0")


def rates(level: float, count: int, seed: int) -> list[float]:
    spread = np.random.default_rng(seed).normal(0, 0.003, 40)[:count]
    return [float(rate) for rate in level * np.exp(spread)]


def case(key: str, decode: float, count: int, seed: int, **changes: Any) -> CaseResult:  # noqa: ANN401
    return make_case(key, prefill=rates(1000, count, seed), decode=rates(decode, count, seed + 1), **changes)


def baseline_of(extra: str = "") -> Baseline:
    records = [
        make_record(*(case(key, 50, 4, 10 * day) for key in TWO_KEYS), at=NOON + timedelta(days=day), id=f"r{day}")
        for day in range(3)
    ]
    why = Why(written_on=date(2026, 10, 3), reason="first")
    return parse_baseline(with_references(TWO_CASES + extra, "b.toml", records, why), "b.toml")


class FakeCampaign:
    """Sides that run at a given decode rate per case, with as many replicates as were wanted.

    Attributes:
        rates: Toolchain to the decode rate of each case.
        refused: Toolchains that cannot be installed.
        anew: Toolchains that are not what they were when the baseline was stored.
    """

    rates: Mapping[str, Sequence[float]] = {}
    refused: tuple[str, ...] = ()
    anew: tuple[str, ...] = ()
    rounds = 0

    def __init__(self, job: object, sides: Sequence[Side]) -> None:
        del job
        self.sides = list(sides)
        self.counts: list[Mapping[str, int]] = [dict.fromkeys(TWO_KEYS, 0) for _ in sides]

    def join(self, side: Side) -> int:
        if side.toolchain in self.refused:
            raise ToolchainError("no network")
        self.sides.append(side)
        self.counts.append(dict.fromkeys(TWO_KEYS, 0))
        return len(self.sides) - 1

    def measure(self, wanted: Sequence[Mapping[str, int]]) -> None:
        type(self).rounds += 1
        assert self.rounds < 20
        self.counts = [
            {key: max(have[key], want[key]) for key in TWO_KEYS} for have, want in zip(self.counts, wanted, strict=True)
        ]

    def device(self) -> object:
        return nullcontext()

    def agreements(self, *_: int) -> dict[str, object]:
        return {}

    def records(self) -> list[Record]:
        return [self._record(number, side) for number, side in enumerate(self.sides)]

    def _record(self, number: int, side: Side) -> Record:
        name = side.toolchain
        toolchain = make_toolchain(name, fingerprint=sha("anew")) if name in self.anew else make_toolchain(name)
        cases = [
            case(key, rate, self.counts[number][key], 100 * (number + 1), artifact=make_artifact(key))
            for key, rate in zip(TWO_KEYS, self.rates[name], strict=True)
        ]
        return make_record(*cases, toolchain=toolchain, id=f"record-{number}")


class FakeJob:
    def __init__(self, baseline: Baseline, folder: Path = Path("nowhere")) -> None:
        self.baseline, self.baseline_name = baseline, "b.toml"
        self.home, self.history, self.flags = folder / "home", folder / "history", dict[str, str]()
        self.config = type("Config", (), {"toolchains": {"tvm-0.26.0": None, "tvm-0.27.0": None}})()
        self.notes: list[str] = []
        self.reporter = type("Reporter", (), {"note": lambda _, text: self.notes.append(text)})()


@pytest.fixture
def campaign(monkeypatch: pytest.MonkeyPatch) -> type[FakeCampaign]:
    made = type("Made", (FakeCampaign,), {})
    monkeypatch.setattr(pipeline, "Campaign", made)
    return made


def judged(plan: Plan, extra: str = "") -> tuple[list[Record], Any, FakeJob]:
    job = FakeJob(baseline_of(extra))
    records, report = measure_and_judge(job, plan)  # type: ignore[arg-type]
    return records, report, job


def decode(report: Any) -> list[tuple[str, str]]:  # noqa: ANN401
    return [(each.outcome, each.decision.form) for each in report.verdicts if each.metric == "decode_tokens_per_s"]


def test_an_unchanged_build_is_decided_after_three_replicates(campaign: type[FakeCampaign]) -> None:
    """A third of ten, and the reference is not even installed."""
    campaign.rates = {"tvm-0.27.0": (50, 50)}
    (record,), report, job = judged(Plan(sides=[NEW]))
    assert [len(each.replicates) for each in record.cases] == [3, 3]
    assert (report.outcome, job.notes) == ("pass", [])


def test_a_slow_case_is_seen_again_beside_the_reference(campaign: type[FakeCampaign]) -> None:
    """Only that case; the other keeps its verdict by the stored replicates, and the reference's record lacks it."""
    campaign.rates = {"tvm-0.27.0": (40, 50), "tvm-0.26.0": (50, 50)}
    (reference, record), report, _ = judged(Plan(sides=[NEW]))
    assert decode(report) == [("regressed", "paired"), ("pass", "two_sample")]
    assert [(each.key, len(each.replicates)) for each in reference.cases] == [(TWO_KEYS[0], 8)]
    assert [len(each.replicates) for each in record.cases] == [6 + 8, 3]
    assert (report.record, report.reference_record, report.exit_code) == (record.id, reference.id, 1)


def test_a_slow_host_is_not_a_slow_build(campaign: type[FakeCampaign]) -> None:
    """Both are 20 % off what is stored: the verdict is about the runner."""
    campaign.rates = {"tvm-0.27.0": (40, 40), "tvm-0.26.0": (40, 40)}
    _, report, _ = judged(Plan(sides=[NEW]))
    reasons = {each.reason for each in report.verdicts if each.metric == "decode_tokens_per_s"}
    assert (report.exit_code, reasons) == (8, {"runner_drifted"})


@pytest.mark.parametrize("change", [{"anew": ("tvm-0.26.0",)}, {"refused": ("tvm-0.26.0",)}])
def test_what_is_stored_has_the_last_word_where_the_reference_cannot_be_had(
    campaign: type[FakeCampaign], change: dict[str, Any]
) -> None:
    """Resolved anew it is as slow as the candidate, or it cannot be installed: red, and nothing is lost."""
    campaign.rates = {"tvm-0.27.0": (40, 50), "tvm-0.26.0": (40, 50)}
    for name, value in change.items():
        setattr(campaign, name, value)
    records, report, job = judged(Plan(sides=[NEW]))
    assert decode(report) == [("regressed", "two_sample"), ("pass", "two_sample")]
    assert [record.id for record in records] == ["record-0"]
    assert len(job.notes) == 2


def test_never_is_never(campaign: type[FakeCampaign]) -> None:
    """A baseline that wants no comparison on the spot gets none."""
    campaign.rates = {"tvm-0.27.0": (40, 50)}
    _, report, job = judged(Plan(sides=[NEW]), '[check]\npaired = "never"\n')
    assert (decode(report)[0], job.notes) == (("regressed", "two_sample"), [])


def test_what_somebody_asks_to_compare_with_is_what_is_compared(campaign: type[FakeCampaign]) -> None:
    """`compare` of two toolchains on the machine of the baseline: its references have no say."""
    campaign.rates = {"tvm-0.26.0": (30, 30), "tvm-0.27.0": (30, 30)}
    campaign.anew = ("tvm-0.26.0",)
    (old, new), report, _ = judged(Plan(sides=[OLD, NEW], beside=0, stands_in=False))
    assert decode(report) == [("pass", "paired")] * 2
    assert [len(record.cases[0].replicates) for record in (old, new)] == [4, 4]


def test_a_reference_that_was_given_up_beside_is_kept_with_what_was_discarded() -> None:
    """The report names it; what was only built is left out."""
    hot = Discarded(started_at=NOON, reason="throttled", text="it was hot")
    given_up = make_case(TWO_KEYS[0], replicates=(), discarded=(hot,), gave_up="throttled")
    record = make_record(given_up, make_case(TWO_KEYS[1], replicates=()))
    assert pipeline._measured_part(record).cases == (given_up,)


def test_other_toolchains_get_their_replicates_and_no_more(campaign: type[FakeCampaign]) -> None:
    """A third one that is neither the candidate nor the reference."""
    campaign.rates = {"tvm-0.25.0": (50, 50), "tvm-0.27.0": (40, 50), "tvm-0.26.0": (50, 50)}
    records, _, _ = judged(Plan(sides=[Side(toolchain="tvm-0.25.0"), NEW]))
    names = [record.toolchain.name for record in records]
    assert names == ["tvm-0.25.0", "tvm-0.26.0", "tvm-0.27.0"]
    assert [len(each.replicates) for each in records[0].cases] == [3, 3]


@pytest.fixture
def interrupted(campaign: type[FakeCampaign], monkeypatch: pytest.MonkeyPatch) -> type[FakeCampaign]:
    """A campaign that somebody ends after its first replicates; its second case has none of them yet."""
    campaign.rates = {"tvm-0.27.0": (50, 50)}

    def measure(self: FakeCampaign, _wanted: object) -> None:
        self.counts = [{TWO_KEYS[0]: 2, TWO_KEYS[1]: 0} for _ in self.sides]
        raise KeyboardInterrupt

    monkeypatch.setattr(campaign, "measure", measure)
    return campaign


@pytest.mark.usefixtures("interrupted")
def test_what_was_measured_before_an_interrupt_is_kept(tmp_path: Path) -> None:
    job = FakeJob(baseline_of(), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        measure_and_judge(job, Plan(sides=[NEW]))  # type: ignore[arg-type]
    (note,) = job.notes
    record = history.load(Path(note.removeprefix("kept what was measured: ")))
    assert [(each.key, len(each.replicates)) for each in record.cases] == [(TWO_KEYS[0], 2)]


@pytest.mark.usefixtures("interrupted")
def test_an_interrupt_stays_one_where_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "unsaved").write_text("in the way", encoding="utf-8")
    job = FakeJob(baseline_of(), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        measure_and_judge(job, Plan(sides=[NEW]))  # type: ignore[arg-type]
    assert "unsaved" in job.notes[0]


@pytest.fixture
def pair(campaign: type[FakeCampaign], tmp_path: Path) -> FakeJob:
    """A job of two builds that run alike."""
    campaign.rates = {"tvm-0.26.0": (50, 50), "tvm-0.27.0": (50, 50)}
    return FakeJob(baseline_of(), tmp_path)


BOTH = Plan(sides=[OLD, NEW], beside=0, stands_in=False)
NAMES = [OLD.toolchain, NEW.toolchain]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody presses Ctrl-C whenever a record is about to be written, and whenever one was."""
    append = history.append

    def interrupted(record: Record, root: Path) -> Path:
        signal.raise_signal(signal.SIGINT)
        path = append(record, root)
        signal.raise_signal(signal.SIGINT)
        return path

    monkeypatch.setattr(history, "append", interrupted)


@pytest.mark.usefixtures("_impatient")
def test_an_interrupt_between_two_records_waits_until_both_and_the_report_are_saved(pair: FakeJob) -> None:
    """And nothing is kept a second time."""
    with pytest.raises(KeyboardInterrupt):
        judge_and_save(pair, BOTH)  # type: ignore[arg-type]
    assert files(pair.history) == ["record-0.json", "record-1.check.json", "record-1.json"]
    assert files(pair.home) == pair.notes == []


@pytest.mark.usefixtures("_impatient")
def test_an_interrupt_between_records_without_verdicts_waits_until_all_are_saved(pair: FakeJob) -> None:
    with pytest.raises(KeyboardInterrupt):
        measure_and_save(pair, NAMES)  # type: ignore[arg-type]
    assert files(pair.history) == ["record-0.json", "record-1.json"]
    assert files(pair.home) == []


@pytest.mark.usefixtures("_impatient", "interrupted")
def test_a_second_interrupt_while_records_are_kept_loses_none(pair: FakeJob) -> None:
    with pytest.raises(KeyboardInterrupt):
        judge_and_save(pair, BOTH)  # type: ignore[arg-type]
    assert files(pair.home / "unsaved") == ["record-0.json", "record-1.json"]
    assert len(pair.notes) == 2
    assert not pair.history.exists()


@pytest.mark.parametrize(
    "measured", [lambda job: judge_and_save(job, BOTH), lambda job: measure_and_save(job, NAMES)], ids=["judged", "not"]
)
def test_an_interrupt_after_measuring_and_before_saving_loses_nothing(
    pair: FakeJob, monkeypatch: pytest.MonkeyPatch, measured: Callable[[FakeJob], object]
) -> None:
    def interrupt(*_: object) -> list[Path]:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        measured(pair)
    assert files(pair.home / "unsaved") == ["record-0.json", "record-1.json"]


def test_what_the_history_could_not_take_is_kept_once(pair: FakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full for the second record: the first one stays where it is."""
    append = history.append

    def full(record: Record, root: Path) -> Path:
        if root == pair.history and record.id == "record-1":
            raise HistoryError("disk full")
        return append(record, root)

    monkeypatch.setattr(history, "append", full)
    with pytest.raises(HistoryError, match="disk full") as raised:
        judge_and_save(pair, BOTH)  # type: ignore[arg-type]
    assert files(pair.history) == ["record-0.json"]
    assert files(pair.home / "unsaved") == ["record-1.json"]
    assert str(raised.value.hint).startswith("kept instead: ")
    assert pair.notes == []
