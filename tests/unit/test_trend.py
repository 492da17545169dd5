"""A whole history against its own beginning."""

from __future__ import annotations

import json
import math
import random
import statistics
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from factories import (
    CASE,
    make_artifact,
    make_broken,
    make_case,
    make_environment,
    make_record,
    make_replicate,
    make_report,
    sha,
)

from regress import history
from regress.artifact import Model
from regress.baseline import Epoch, parse_baseline
from regress.cli import main
from regress.history import Entry
from regress.rule import Parameters
from regress.trend import alarms, trend
from regress.trend.drift import cumulative, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from regress.baseline import Baseline
    from regress.record import CaseResult
    from regress.trend import TrendReport, TrendVerdict

START = datetime(2026, 1, 1, 3, 0, tzinfo=timezone.utc)
DECODE, PREFILL = "decode_tokens_per_s", "prefill_tokens_per_s"
TEXT = f"""
runner = "orin"
toolchain = "tvm-0.26.0"
[tolerance]
{DECODE} = 0.05
[[cases]]
model = "synthetic:llama-mini"
name = "tiny"
quantization = "q4f16_1"
target = "llvm"
prompt_tokens = 64
new_tokens = 16
"""


def make_baseline(**changes: Any) -> Baseline:  # noqa: ANN401  # whatever a baseline can have
    return msgspec.structs.replace(parse_baseline(TEXT, "orin.toml"), **changes)


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def measured(*decode: float, at: datetime, prefill: float = 1000.0, **changes: Any) -> CaseResult:  # noqa: ANN401  # as above
    """The case with one replicate per decode rate."""
    replicates = tuple(make_replicate(prefill, rate, at=at + timedelta(minutes=1)) for rate in decode)
    return make_case(replicates=replicates, **changes)


def run(number: int, *decode: float, case: CaseResult | None = None, **changes: Any) -> Entry:  # noqa: ANN401  # as above
    """The run of that day, which nothing was said of."""
    at = changes.pop("at", day(number))
    toolchain = changes.pop("toolchain", f"tvm-{number}")
    record = make_record(case or measured(*decode, at=at), runner="orin", at=at, toolchain=toolchain)
    record = msgspec.structs.replace(record, **changes)
    return Entry(path=Path(f"{record.id}.json"), record=record, report=None)


def refused(entry: Entry) -> Entry:
    """The same run, which the check had called regressed."""
    report = make_report(entry.record, entry.record, against="stored", tolerances={DECODE: 0.05})
    verdicts = tuple(msgspec.structs.replace(each, outcome="regressed", metric=DECODE) for each in report.verdicts)
    return Entry(path=entry.path, record=entry.record, report=msgspec.structs.replace(report, verdicts=verdicts))


def runs(*levels: tuple[int, float], start: int = 0, noise: float = 0.003) -> list[Entry]:
    """So many runs at each level, 0.3 % above and below it in turn."""
    rates = [rate for count, rate in levels for rate in [rate] * count]
    return [
        run(number, rate * math.exp(noise if number % 2 else -noise)) for number, rate in enumerate(rates, start=start)
    ]


def judged(entries: Sequence[Entry], **changes: Any) -> TrendVerdict:  # noqa: ANN401  # as above
    """What is said of the only series."""
    (verdict,) = trend(entries, make_baseline(**changes), "orin.toml").verdicts
    return verdict


def report_of(entries: Sequence[Entry]) -> TrendReport:
    return trend(entries, make_baseline(), "orin.toml")


def test_an_unchanged_series_is_steady() -> None:
    """Forty runs at one level: nothing lost, nothing of the tolerance used."""
    report = report_of(runs((40, 50.0)))
    (verdict,) = report.verdicts
    assert (verdict.outcome, verdict.reason, report.exit_code) == ("steady", "within_noise", 0)
    assert verdict.loss == pytest.approx(0, abs=1e-12)
    assert verdict.changes == ()


def test_a_step_within_the_tolerance_raises_an_alarm_that_does_not_block() -> None:
    """3 % where 5 % pass: the alarm names the last run before, the first after, and their toolchains."""
    report = report_of(runs((40, 50.0), (10, 48.5)))
    (verdict,) = report.verdicts
    assert (verdict.outcome, verdict.reason, report.exit_code) == ("alarm", "window_below_anchor", 0)
    (change,) = verdict.changes
    assert (change.before.toolchain, change.after.toolchain) == ("tvm-39", "tvm-40")
    assert change.loss == pytest.approx(0.03, abs=1e-9)


def test_the_numbers_of_a_verdict() -> None:
    """The same by the statistics module and a table of Student's t."""
    entries = runs((40, 50.0), (10, 48.5))
    verdict = judged(entries)
    logs = [math.log(entry.record.cases[0].values(DECODE)[0]) for entry in entries]
    first, last = logs[:30], logs[-10:]
    drop = statistics.fmean(first) - statistics.fmean(last)
    sd = statistics.stdev(first)
    assert verdict.anchor is not None
    assert verdict.recent is not None
    assert verdict.anchor.value == pytest.approx(math.exp(statistics.fmean(first)))
    assert verdict.recent.value == pytest.approx(math.exp(statistics.fmean(last)))
    assert verdict.recent.runs == 10
    assert verdict.sd == pytest.approx(sd)
    assert verdict.loss == pytest.approx(1 - math.exp(-drop))
    assert verdict.z == pytest.approx(drop / (sd * math.sqrt(1 / 30 + 1 / 10)))
    assert verdict.budget_used == pytest.approx(drop / -math.log(0.95))
    # pooled over 29 + 9 degrees of freedom; t(.999, 38) = 3.319
    pooled = math.sqrt((29 * sd**2 + 9 * statistics.stdev(last) ** 2) / 38)
    low = drop - 3.319 * pooled * math.sqrt(1 / 30 + 1 / 10)
    assert verdict.loss_low == pytest.approx(1 - math.exp(-low), rel=1e-4)
    # 5 and 1.645 standard errors of .003051 * sqrt(.13333) = .001114: .00557 is below 1.5 %, .015 + .001833
    assert verdict.detectable_loss == pytest.approx(1 - math.exp(-0.016833), rel=1e-3)


def test_a_run_counts_once_however_many_replicates_it_has() -> None:
    """Its value is the mean of the logarithms: 40 and 62.5 are 50."""
    entries = [run(number, 40.0, 62.5, 50.0) for number in range(40)]
    verdict = judged(entries)
    assert verdict.anchor is not None
    assert verdict.anchor.value == pytest.approx(50.0)


def test_ten_accepted_losses_of_one_percent_are_seen() -> None:
    """Each passes a check of 5 %; together they are 9.6 %, and the anchor has not moved."""
    levels = [(4, 50 * 0.99**step) for step in range(1, 11)]
    verdict = judged(runs((30, 50.0), *levels))
    assert (verdict.outcome, verdict.reason) == ("regressed", "loss_beyond_tolerance")
    assert verdict.loss_low is not None
    assert verdict.loss_low > 0.05
    assert len(verdict.changes) > 3


def test_the_budget_shows_how_much_of_the_tolerance_is_used_up() -> None:
    """After two losses of 1 % it is 2 ln .99 / ln .95 = 39 %, after six more than all."""
    two = judged(runs((30, 50.0), (4, 49.5), (10, 49.5 * 0.99)))
    six = judged(runs((30, 50.0), *((10, 50 * 0.99**step) for step in range(1, 7))))
    assert (two.outcome, six.outcome) == ("alarm", "regressed")
    assert [two.budget_used, six.budget_used] == pytest.approx([0.392, 1.176], abs=0.001)


def test_a_loss_beyond_the_tolerance_blocks() -> None:
    """7 % where 5 % pass, once eight of the last ten runs show it."""
    assert report_of(runs((40, 50.0), (7, 46.5))).outcome == "alarm"
    report = report_of(runs((40, 50.0), (8, 46.5)))
    assert (report.outcome, report.exit_code) == ("regressed", 1)


def test_a_step_is_seen_where_the_anchor_hardly_scatters() -> None:
    """Drawn in around the anchor, at two standard deviations of 0.1 %, a loss of 2 % would look like 0.2 %."""
    assert judged(runs((40, 50.0), (10, 49.0), noise=0.0001)).outcome == "alarm"


def test_equal_values_are_steady_and_any_change_of_them_is_judged_by_the_smallest_spread() -> None:
    """Zero variance is taken as a standard deviation of 0.1 %."""
    steady = judged(runs((45, 50.0), noise=0))
    assert (steady.outcome, steady.sd, steady.correlation) == ("steady", 0.001, 0)
    assert judged(runs((40, 50.0), (10, 49.6), noise=0)).outcome == "steady"
    assert judged(runs((40, 50.0), (10, 49.0), noise=0)).outcome == "alarm"


def test_a_repaired_loss_is_no_alarm_any_more() -> None:
    """Sixty slow runs, then ten as fast as ever: the past does not outvote the present."""
    assert judged(runs((40, 50.0), (60, 48.0))).outcome == "alarm"
    assert judged(runs((40, 50.0), (60, 48.0), (10, 50.0))).outcome == "steady"


@pytest.mark.parametrize("slow", [{35}, {33, 34, 35}, {41, 42, 43}, {34, 35, 36, 41, 42}])
def test_a_disturbed_host_raises_no_alarm(slow: set[int]) -> None:
    """One to three runs 40 % slow, and even five of the last ten."""
    entries = [run(number, rate * 0.6) if number in slow else run(number, rate) for number, rate in noisy(44)]
    assert judged(entries).outcome == "steady"


def test_two_disturbances_do_not_fill_the_cumulative_sum() -> None:
    """Three runs and two, at 1.3 % noise: 6 - 4 * .77 + 4 = 6.9 of 10; in steps of 3 it would be 11.9."""
    slow = {32, 33, 34, 39, 40}
    entries = [
        run(number, 50 * math.exp(0.013 if number % 2 else -0.013) * (0.6 if number in slow else 1))
        for number in range(41)
    ]
    assert judged(entries).outcome == "steady"


def test_a_disturbed_host_in_the_anchor_does_not_blind_the_trend() -> None:
    """Three of thirty runs 40 % slow would make the standard deviation 15 %."""
    entries = [run(number, rate * 0.6) if number in {7, 8, 9} else run(number, rate) for number, rate in noisy(40)]
    entries += runs((10, 48.0), start=40)
    verdict = judged(entries)
    assert verdict.outcome == "alarm"
    assert verdict.sd is not None
    assert verdict.sd < 0.01


def noisy(count: int) -> list[tuple[int, float]]:
    """Runs around 50 with a standard deviation of 0.3 %."""
    chance = random.Random(1)  # noqa: S311  # noise, not a secret
    return [(number, 50 * math.exp(chance.gauss(0, 0.003))) for number in range(count)]


def test_an_improvement_is_told_and_passes() -> None:
    """4 % faster: a stale anchor would hide a later loss of 4 %."""
    report = report_of(runs((40, 50.0), (10, 52.0)))
    (verdict,) = report.verdicts
    assert (verdict.outcome, verdict.reason, report.exit_code) == ("improved", "window_above_anchor", 0)
    assert verdict.loss == pytest.approx(-0.04)
    (change,) = verdict.changes
    assert change.after.toolchain == "tvm-40"


def test_only_steps_in_the_direction_of_the_verdict_are_named() -> None:
    """2 % lost, then 6 % gained: the gain explains the improvement."""
    verdict = judged(runs((40, 50.0), (10, 49.0), (10, 52.0)))
    assert verdict.outcome == "improved"
    assert [change.after.toolchain for change in verdict.changes] == ["tvm-50"]


def test_a_run_whose_case_was_called_broken_is_refused() -> None:
    """Whatever the rate: of wrong answers none is a fair value."""
    entries = runs((41, 50.0))
    bad = refused(entries[35])
    assert bad.report is not None
    verdicts = tuple(msgspec.structs.replace(each, outcome="broken", metric=None) for each in bad.report.verdicts)
    entries[35] = replace(bad, report=msgspec.structs.replace(bad.report, verdicts=verdicts))
    assert [each.why for each in judged(entries).left_out] == ["refused"]


def test_a_duration_that_grows_is_a_loss() -> None:
    """Time to first token from 0.1 to 0.103 s: the sign is turned, the level stays in seconds."""
    name = "time_to_first_token_s"

    def entry(number: int, time_s: float) -> Entry:
        at = day(number)
        replicate = make_replicate(1000.0, 50.0, at=at)
        replicate = msgspec.structs.replace(replicate, samples={name: (time_s,)})
        return run(number, case=make_case(replicates=(replicate,)))

    entries = [entry(number, 0.1 if number < 40 else 0.103) for number in range(50)]
    verdict = judged(entries, tolerance={name: 0.05})
    assert verdict.outcome == "alarm"
    assert verdict.loss == pytest.approx(1 - 0.1 / 0.103)
    assert verdict.recent is not None
    assert verdict.recent.value == pytest.approx(0.103)


@pytest.mark.parametrize(("count", "outcome", "needed"), [(1, "too_few", 39), (29, "too_few", 11), (30, "too_few", 10)])
def test_with_too_few_runs_it_says_how_many_more(count: int, outcome: str, needed: int) -> None:
    """Thirty for the anchor, ten after it."""
    verdict = judged(runs((count, 50.0)))
    assert (verdict.outcome, verdict.reason, verdict.needed) == (outcome, "too_few_runs", needed)
    assert f"{needed} more" in verdict.text


def test_a_large_loss_right_after_the_anchor_is_not_kept_back_until_ten_runs_have_shown_it() -> None:
    """Seven runs 3 % slower fill the cumulative sum; six do not, and 34 runs are too few to call steady."""
    seven, six = judged(runs((30, 50.0), (7, 48.5))), judged(runs((30, 50.0), (6, 48.5)))
    assert (seven.outcome, seven.reason, seven.loss_low) == ("alarm", "cusum_below_anchor", None)
    assert (six.outcome, six.needed) == ("too_few", 4)


def test_an_empty_history_is_not_green() -> None:
    """Nothing could be judged: exit 8, for each series the reason."""
    report = report_of([])
    assert (report.outcome, report.exit_code, report.runs) == ("too_few", 8, 0)
    assert [verdict.reason for verdict in report.verdicts] == ["no_runs"]


def test_a_baseline_without_metrics_is_not_green() -> None:
    """No series, nothing judged."""
    report = trend(runs((40, 50.0)), make_baseline(tolerance={}), "orin.toml")
    assert (report.verdicts, report.exit_code) == ((), 8)


def test_runs_of_another_runner_are_named_and_not_judged() -> None:
    """Two machines of one model are not one series."""
    report = trend(runs((40, 50.0)), make_baseline(runner="thor"), "thor.toml")
    assert (report.exit_code, report.runs, report.other_runners) == (8, 0, ("orin",))


def test_one_judged_series_is_enough_for_an_exit_code() -> None:
    """The case of the other metric has too few runs; the first is steady."""
    baseline = make_baseline(tolerance={DECODE: 0.05, "peak_memory_bytes": 0.05, "energy_per_token_j": 0.05})
    report = trend(runs((40, 50.0)), baseline, "orin.toml")
    assert [verdict.outcome for verdict in report.verdicts] == ["steady", "steady", "too_few"]
    assert (report.outcome, report.exit_code) == ("steady", 0)


def other_flags(_: Entry) -> Entry:
    return run(35, case=measured(30.0, at=day(35), artifact=make_artifact(flags={"flash_attention": "0"})))


def set_back(_: Entry) -> Entry:
    """The replicate says that it started a day before its run."""
    return run(35, case=measured(30.0, at=day(34)))


def without_metric(_: Entry) -> Entry:
    replicate = msgspec.structs.replace(make_replicate(1000.0, 30.0, at=day(35)), samples={PREFILL: (1000.0,)})
    return run(35, case=make_case(replicates=(replicate,)))


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("refused", refused),
        ("failed", lambda _: run(35, case=make_broken())),
        ("not_measured", lambda _: run(35, case=make_case(replicates=()))),
        ("metric_vanished", without_metric),
        ("other_flags", other_flags),
        ("clock_set_back", set_back),
    ],
)
def test_a_run_that_is_no_fair_value_is_left_out_and_named(why: str, change: Callable[[Entry], Entry]) -> None:
    """Forty-one runs, one of them not accepted: forty count."""
    entries = runs((41, 50.0))
    entries[35] = change(entries[35])
    verdict = judged(entries)
    assert (verdict.outcome, verdict.runs) == ("steady", 40)
    assert [(each.run, each.why) for each in verdict.left_out] == [(entries[35].record.id, why)]


def test_a_refused_loss_does_not_become_the_anchor() -> None:
    """Thirty runs that the check had refused are none of the anchor's."""
    entries = [refused(entry) for entry in runs((30, 40.0))] + runs((40, 50.0), start=30)
    verdict = judged(entries)
    assert verdict.anchor is not None
    assert (verdict.outcome, round(verdict.anchor.value)) == ("steady", 50)


def test_a_run_measured_as_the_reference_of_another_is_no_point() -> None:
    """It is an old toolchain, measured once more beside the new one of each night."""
    entries: list[Entry] = []
    for number in range(45):
        reference = run(number, 60.0, toolchain="tvm-old")
        candidate = run(number, 50.0)
        report = make_report(candidate.record, reference.record, tolerances={DECODE: 0.9})
        entries += [reference, Entry(path=candidate.path, record=candidate.record, report=report)]
    verdict = judged(entries)
    assert (verdict.outcome, verdict.runs) == ("steady", 45)
    assert {each.why for each in verdict.left_out} == {"reference"}


def test_a_record_that_stands_twice_counts_once() -> None:
    """A folder copied into the history does not make the anchor of copies."""
    entries = runs((30, 50.0))
    verdict = judged([*entries, *entries])
    assert (verdict.runs, len(verdict.left_out), verdict.needed) == (30, 30, 10)
    assert {each.why for each in verdict.left_out} == {"duplicate"}


def test_the_order_of_the_files_does_not_matter() -> None:
    """Runs are ordered by moment, those of one moment by id."""
    entries = runs((40, 50.0), (10, 48.5))
    twin = run(44, 48.0, toolchain="tvm-twin")
    assert judged([*entries, twin]) == judged([twin, *reversed(entries)])


def test_an_epoch_starts_the_series_anew() -> None:
    """After an accepted loss the runs before it are no anchor, and the next loss is measured against the new level."""
    entries = runs((40, 50.0), (40, 46.0))
    epoch = Epoch(since=day(40), reason="fp32 accumulation")
    assert judged(entries).outcome == "regressed"
    verdict = judged(entries, epochs=(epoch,))
    assert (verdict.outcome, verdict.runs, verdict.epoch) == ("steady", 40, "fp32 accumulation")
    assert judged([*entries, *runs((10, 44.5), start=80)], epochs=(epoch,)).outcome == "alarm"


@pytest.mark.parametrize(
    ("epoch", "count"),
    [
        (Epoch(since=day(60), reason="later"), 50),
        (Epoch(since=day(5), reason="other", cases=("other/q4f16_1/llvm/p64+16",)), 50),
        (Epoch(since=day(5), reason="this", cases=(CASE,)), 45),
        (Epoch(since=day(49), reason="at the newest run"), 1),
    ],
)
def test_an_epoch_holds_from_its_first_run_and_for_its_cases(epoch: Epoch, count: int) -> None:
    """One that no run has reached, or of other cases, changes nothing."""
    assert judged(runs((50, 50.0)), epochs=(epoch,)).runs == count


def test_the_newest_epoch_counts() -> None:
    """In whatever order they stand in the file."""
    epochs = (Epoch(since=day(20), reason="a, the later"), Epoch(since=day(10), reason="b, the earlier"))
    verdict = judged(runs((50, 50.0)), epochs=epochs)
    assert (verdict.epoch, verdict.runs) == ("a, the later", 30)


def changed_case(differs: str, number: int) -> CaseResult:
    """The case of that day, with other weights where these are what differs."""
    weights = "other weights" if differs == "model" else "model"
    artifact = make_artifact(model=Model(source="synthetic:tiny", name="tiny", digest=sha(weights)))
    return measured(40.0, at=day(number), artifact=artifact)


@pytest.mark.parametrize(
    ("differs", "changes"),
    [
        ("environment", {"environment": make_environment(fingerprint=sha("another driver"))}),
        ("harness", {"harness": sha("another worker")}),
        ("model", {}),
    ],
)
def test_another_machine_worker_or_model_starts_a_series(differs: str, changes: dict[str, Any]) -> None:
    """Ten runs on the new one are not compared with the forty before, which are mentioned."""
    old = runs((40, 50.0))
    new = [run(number, case=changed_case(differs, number), **changes) for number in range(40, 50)]
    verdict = judged(old + new)
    assert (verdict.outcome, verdict.runs) == ("too_few", 10)
    (older,) = verdict.older
    assert (older.differs, older.runs, older.last.id) == ((differs,), 40, old[-1].record.id)


def test_going_back_to_a_machine_goes_on_with_its_series() -> None:
    """A driver that is taken back is the one that the anchor was measured with."""
    other = run(35, 30.0, environment=make_environment(fingerprint=sha("another driver")))
    entries = [*runs((35, 50.0)), other, *runs((10, 50.0), start=36)]
    verdict = judged(entries)
    assert (verdict.outcome, verdict.runs, verdict.older[0].runs) == ("steady", 45, 1)


def test_too_short_a_history_raises_no_alarm() -> None:
    """Whatever is in it."""
    assert not alarms(np.log(np.linspace(100, 1, 30))[None]).any()


def test_alarms_of_many_series_are_those_of_each() -> None:
    """A campaign decides as a single verdict does."""
    values = np.random.default_rng(3).normal(0, 0.01, (20, 80))
    values[:, 50:] -= 0.03
    each = np.concatenate([alarms(row[None]) for row in values])
    assert (alarms(values) == each).all()
    assert each.any()


def test_an_alarm_needs_no_later_run() -> None:
    """What is said at a run does not change when others follow."""
    values = np.random.default_rng(4).normal(0, 0.01, (20, 80))
    values[:, 50:60] -= 0.05
    assert (alarms(values)[:, :65] == alarms(values[:, :65])).all()


def test_the_loss_is_tested_at_every_tolerance() -> None:
    """A loss of 4 % at sd 1 % is more than 3 %, and not more than 5 %."""
    values = np.random.default_rng(5).normal(0, 0.01, (200, 40))
    values[:, 30:] += math.log(0.96)
    assert cumulative(values, Parameters(tolerance=0.03)).beyond.mean() > 0.9
    assert cumulative(values, Parameters(tolerance=0.05)).beyond.mean() < 0.02


def test_noise_beyond_the_tolerance_does_not_block() -> None:
    """At ten times the tolerance the newest runs are often slower by more than it, and never surely so."""
    values = np.random.default_rng(8).normal(0, 0.1, (2000, 40))
    assert cumulative(values, Parameters(tolerance=0.01)).beyond.mean() < 0.005


def test_steps_are_found_to_the_run() -> None:
    """At five times the noise; three disturbed runs are no step."""
    values = np.random.default_rng(6).normal(0, 0.003, 100)
    values[40:] -= 0.015
    values[70:] += 0.03
    values[[55, 56, 57]] -= 0.5
    assert steps(values) == [40, 70]


def test_steps_of_pure_noise_are_rare() -> None:
    """In fewer than one series in ten is there one."""
    values = np.random.default_rng(7).normal(0, 0.01, (40, 60))
    assert sum(bool(steps(row)) for row in values) < 4


def test_a_step_of_a_long_history_is_found_at_its_place() -> None:
    """Places count from the first run of the series, though only the newest 400 are searched."""
    values = np.zeros(430)
    values[20:] -= 0.05
    values[400:] -= 0.05
    assert steps(values) == [400]


@pytest.fixture
def recorded(tmp_path: Path) -> list[str]:
    """A command line over a history in a folder, whose newest ten runs are 6 % slow."""
    for entry in runs((40, 50.0), (10, 47.0)):
        path = history.append(entry.record, tmp_path / "history")
        if entry.record.recorded_at == day(3):
            history.append_report(make_report(entry.record, entry.record, against="stored"), path)
    (tmp_path / "orin.toml").write_text(TEXT)
    return ["trend", "--baseline", str(tmp_path / "orin.toml"), "--history", str(tmp_path / "history")]


def test_the_command_says_it_and_exits_with_it(recorded: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Text by default, 1 for a loss beyond the tolerance."""
    assert main(recorded) == 1
    assert "regressed    decode rate 6.0% worse than its anchor" in capsys.readouterr().out
    assert main([*recorded, "--exit-zero"]) == 0


def test_the_command_speaks_json(recorded: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The same, with every number."""
    assert main([*recorded, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["outcome"], said["exit_code"], said["verdicts"][0]["runs"]) == ("regressed", 1, 50)


def test_a_damaged_record_is_told_and_the_others_count(
    recorded: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A truncated file does not hide the loss."""
    (tmp_path / "history" / "torn.json").write_text('{"schema": 1, "id"')
    assert main(recorded) == 1
    assert "torn.json" in capsys.readouterr().err
