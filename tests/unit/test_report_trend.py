"""What a person reads of a trend."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
from factories import CASE

from regress.report.machine import report_json
from regress.report.trend import trend_text
from regress.trend.verdict import SCHEMA, Change, LeftOut, Level, Older, Run, TrendReport, TrendVerdict

START = datetime(2026, 1, 1, 3, 0, tzinfo=timezone.utc)


def make_run(number: int, toolchain: str | None = None) -> Run:
    return Run(id=f"r{number}", recorded_at=START + timedelta(days=number), toolchain=toolchain or f"tvm-{number}")


def make_verdict(**changes: Any) -> TrendVerdict:  # noqa: ANN401  # whatever a verdict can have
    verdict = TrendVerdict(
        case=CASE,
        metric="decode_tokens_per_s",
        outcome="alarm",
        reason="window_below_anchor",
        text="decode rate 3.0% worse than its anchor, 59% of the 5.0% tolerance used up",
        tolerance=0.05,
        runs=50,
        anchor=Level(value=50.0, runs=30, first=make_run(0), last=make_run(29)),
        recent=Level(value=48.5, runs=10, first=make_run(40), last=make_run(49)),
        sd=0.003,
        correlation=0.0,
        loss=0.03,
        loss_low=0.025,
        budget_used=0.59,
        z=27.3,
        cusum=12.0,
        detectable_loss=0.017,
        changes=(Change(before=make_run(39), after=make_run(40), loss=0.03),),
    )
    return msgspec.structs.replace(verdict, **changes)


def text_of(*verdicts: TrendVerdict, **changes: Any) -> str:  # noqa: ANN401  # as above
    report = TrendReport(schema=SCHEMA, runner="orin", baseline="orin.toml", runs=50, verdicts=verdicts)
    return trend_text(msgspec.structs.replace(report, **changes))


def test_an_alarm_says_its_numbers_where_it_began_and_how_to_accept_it() -> None:
    """Levels with days and counts, the runs around the step with their toolchains, and the epoch to write."""
    text = text_of(make_verdict())
    assert text.startswith("trend of orin by orin.toml, 50 runs in the history\n\n" + CASE)
    assert "  alarm        decode rate 3.0% worse than its anchor, 59% of the 5.0% tolerance used up\n" in text
    assert (
        "anchor 50 (30 runs, 2026-01-01 to 2026-01-30), sd 0.3% -> 48.5 (10 runs, 2026-02-10 to 2026-02-19) tokens/s"
    ) in text
    assert "smallest step seen within ten runs: 1.7%, now z 27.3, cusum 12.0" in text
    assert "3.0% worse after r39, by r40: from tvm-39 to tvm-40" in text
    assert "\nverdict: alarm\n" in text
    assert "accept it in orin.toml:\n  [[epochs]]\n  since = 2026-02-10T03:00:00+00:00\n" in text
    assert text.endswith(f'  cases = ["{CASE}"]\n')


def test_a_change_under_one_toolchain_points_at_the_machine() -> None:
    """No dependency moved between the two runs."""
    change = Change(before=make_run(39, "tvm"), after=make_run(40, "tvm"), loss=-0.02)
    text = text_of(make_verdict(outcome="improved", changes=(change,)))
    assert "2.0% better after r39, by r40: both tvm: look at the machine" in text


def test_a_slide_is_said_to_be_none() -> None:
    """An alarm without a step, whose epoch would begin at the newest runs."""
    text = text_of(make_verdict(changes=()))
    assert "no single step: it slid" in text
    assert "since = 2026-02-10T03:00:00+00:00" in text


def test_only_the_largest_steps_are_named_in_order_of_time() -> None:
    """Three of five."""
    losses = (0.03, 0.01, 0.02, 0.005, 0.04)
    changes = tuple(
        Change(before=make_run(place), after=make_run(place + 1), loss=loss) for place, loss in enumerate(losses)
    )
    lines = [line.split()[0] for line in text_of(make_verdict(changes=changes)).splitlines() if " worse after " in line]
    assert lines == ["3.0%", "2.0%", "4.0%"]


def test_runs_that_do_not_count_are_counted_and_named() -> None:
    """By reason; of many, the newest five. Series that ended, with what differs."""
    left_out = tuple(LeftOut(run=f"r{number}", why="refused") for number in range(7))
    older = Older(differs=("environment", "model"), runs=12, last=make_run(20))
    verdict = make_verdict(left_out=(*left_out, LeftOut(run="r8", why="clock_set_back")), older=(older,), epoch="fp32")
    text = text_of(verdict)
    assert "left out, refused by the check: 7 (the newest: r2, r3, r4, r5, r6)" in text
    assert "left out, during which the clock was set back: 1 (r8)" in text
    assert "not compared, another environment and model: 12 runs until r20" in text
    assert "since the epoch: fp32" in text


def test_a_steady_history_needs_no_advice() -> None:
    """Nothing to accept."""
    text = text_of(make_verdict(outcome="steady", reason="within_noise", changes=()))
    assert text.endswith("\nverdict: steady\n")
    assert "epochs" not in text


def test_a_history_of_another_runner_is_told() -> None:
    """The likely cause: the wrong baseline file."""
    bare = TrendVerdict(case=CASE, metric="x", outcome="too_few", reason="no_runs", text="x", tolerance=0.1, runs=0)
    text = text_of(bare, runs=0, other_runners=("cpu", "thor"))
    assert "0 runs in the history\nthe history holds runs of cpu, thor alone\n" in text


def test_json_says_the_gravest_outcome_first() -> None:
    """With the exit code: of an improvement and a loss beyond the tolerance, the loss."""
    verdicts = (make_verdict(outcome="improved"), make_verdict(outcome="regressed"))
    report = TrendReport(schema=SCHEMA, runner="orin", baseline="orin.toml", runs=50, verdicts=verdicts)
    said = json.loads(report_json(report))
    assert list(said)[:2] == ["outcome", "exit_code"]
    assert (said["outcome"], said["exit_code"], said["verdicts"][1]["changes"][0]["after"]["id"]) == (
        "regressed",
        1,
        "r40",
    )
