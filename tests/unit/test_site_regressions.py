"""What got worse and when: verdicts gathered into events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from factories import (
    CASE,
    make_artifact,
    make_broken,
    make_case,
    make_environment,
    make_record,
    make_report,
    make_toolchain,
    sha,
)
from site_entries import OTHER, Entry, entry, judged, later, make_baseline, runner, series, slow, whole

from regress.recipe import FLAGS
from regress.site.regressions import Event, events
from regress.verdict import Outcome, Reason, Verdict

if TYPE_CHECKING:
    from regress.record import CaseResult

DECODE = "decode_tokens_per_s"
FIRST = make_record(toolchain="a")
"""What all are judged by: 50 tokens/s decode."""


def bad(day: float, toolchain: str, decode: float = 40.0) -> Entry:
    return judged(later(day, slow(decode), toolchain=toolchain), FIRST)


def good(day: float, toolchain: str) -> Entry:
    return judged(later(day, toolchain=toolchain), FIRST)


def broken(day: float, toolchain: str) -> Entry:
    return judged(later(day, make_broken(), toolchain=toolchain), FIRST)


def said(day: float, toolchain: str, outcome: Outcome, reason: Reason, metric: str | None = None) -> Entry:
    """A run that was measured and of which only that was said."""
    record = later(day, toolchain=toolchain)
    verdict = Verdict(case=CASE, outcome=outcome, reason=reason, text=reason, metric=metric)
    return Entry(record=record, report=make_report(record, FIRST, verdicts=[verdict]))


def events_of(*entries: Entry) -> list[Event]:
    """What happened, the newest first."""
    return list(runner(entry(FIRST), *entries).events)


def told(*entries: Entry) -> list[tuple[str | None, str, str, str]]:
    """Metric, kind, state and first toolchain of each event."""
    return [(each.metric, each.kind, each.state, each.first.label) for each in events_of(*entries)]


def test_an_event_begins_with_the_first_run_that_a_check_called_worse() -> None:
    (event,) = events_of(good(1, "b"), bad(2, "c"), bad(3, "d", 39.0))

    assert (event.runner, event.key, event.metric, event.kind) == ("bench", CASE, DECODE, "regressed")
    assert (event.first.label, event.last.label) == ("c", "d")
    assert event.before is not None
    assert event.before.label == "b"
    assert event.loss == pytest.approx(0.2)  # 1 - 40/50: what was said first, not last
    assert event.text == "decode rate: loss 20.0%, tolerance 5.0%"
    assert (event.state, event.fixed, event.accepted) == ("open", None, "")
    assert event.updated == event.first.run.recorded_at


def test_where_nothing_was_judged_before_the_reference_is_the_last_good_run() -> None:
    """Nobody judged it, but it is what the bad run was held against."""
    (event,) = events_of(bad(1, "b"))

    assert event.before is not None
    assert event.before.run.id == FIRST.id


def test_an_event_without_a_measured_reference_has_no_run_before() -> None:
    (event,) = events(series(bad(1, "b")), None)

    assert event.before is None


def test_another_machine_in_order_fixes_nothing() -> None:
    elsewhere = later(2, make_case(), toolchain="c", environment=make_environment(fingerprint=sha("elsewhere")))

    (event,) = events_of(bad(1, "b"), judged(elsewhere, FIRST))

    assert event.state == "open"


def test_an_accepted_toolchain_that_passes_against_itself_stays_accepted() -> None:
    event = accepted_by(bad(1, "b"), good(2, "b"), reference=slow(), toolchain="b")

    assert (event.state, event.accepted) == ("accepted", "the safer softmax")


def test_a_later_toolchain_in_order_fixes_it() -> None:
    (event,) = events_of(bad(1, "b"), bad(2, "b"), good(3, "c"), good(4, "c"))

    assert event.state == "fixed"
    assert event.fixed is not None
    assert event.fixed.label == "c"
    assert (event.last.run.recorded_at - event.first.run.recorded_at).days == 1
    assert event.updated == event.fixed.run.recorded_at


def test_the_same_toolchain_in_order_again_fixes_it() -> None:
    """It was the machine, or the build's luck: nothing of the toolchain is slower now."""
    assert told(bad(1, "b"), good(2, "b")) == [(DECODE, "regressed", "fixed", "b")]


def test_an_older_toolchain_measured_again_fixes_nothing() -> None:
    """As references are, beside every candidate: it was in order all the time."""
    assert told(good(1, "b"), bad(2, "c"), good(3, "b"), good(4, "a")) == [(DECODE, "regressed", "open", "c")]


def test_a_toolchain_that_was_there_before_it_with_other_flags_fixes_nothing_either() -> None:
    flagged = make_case(artifact=make_artifact(flags={**FLAGS, "schedule": "none"}))
    assert told(entry(later(1, flagged, toolchain="b")), bad(2, "c"), good(3, "b")) == [
        (DECODE, "regressed", "open", "c")
    ]


def test_a_toolchain_that_came_after_it_fixes_it_even_when_measured_twice() -> None:
    """The older ones are those from before the event began, not those from before the newest run."""
    (event,) = events_of(bad(1, "b"), bad(2, "c"), good(3, "c"))

    assert event.fixed is not None
    assert event.fixed.label == "c"


def test_what_gets_worse_again_is_another_event() -> None:
    assert told(bad(1, "b"), good(2, "c"), bad(3, "d")) == [
        (DECODE, "regressed", "open", "d"),
        (DECODE, "regressed", "fixed", "b"),
    ]


def test_a_run_that_nobody_judged_fixes_no_regression() -> None:
    assert told(bad(1, "b"), entry(later(2, toolchain="c"))) == [(DECODE, "regressed", "open", "b")]


def test_an_inconclusive_check_neither_begins_nor_ends_an_event() -> None:
    doubtful = said(2, "c", "inconclusive", "throttled", DECODE)

    assert told(bad(1, "b"), doubtful) == [(DECODE, "regressed", "open", "b")]
    assert told(doubtful) == []


def test_an_improvement_ends_an_event_and_begins_none() -> None:
    assert told(bad(1, "b"), judged(later(2, slow(60.0), toolchain="c"), FIRST)) == [
        (DECODE, "regressed", "fixed", "b")
    ]


def test_a_build_that_broke_is_fixed_by_one_that_runs() -> None:
    """Also by one that nobody judged: that it runs is plain."""
    assert told(broken(1, "b"), good(2, "c")) == [(None, "broken", "fixed", "b")]
    assert told(broken(1, "b"), entry(later(2, toolchain="c"))) == [(None, "broken", "fixed", "b")]


def test_a_build_that_broke_says_stage_end_and_cause() -> None:
    record = later(1, make_broken(cause="no kernel", how="exit status 1"))

    (event,) = events_of(entry(record))

    assert (event.kind, event.text, event.loss) == ("broken", "build failed, exit status 1: no kernel", None)


def test_a_case_that_vanished_is_missing_until_it_is_back() -> None:
    gone = judged(later(1, make_case(OTHER), toolchain="b"), FIRST)

    assert told(gone) == [(None, "missing", "open", "b")]
    assert told(gone, entry(later(2, toolchain="c"))) == [(None, "missing", "fixed", "b")]


def test_other_answers_are_not_put_right_by_a_run_that_nobody_judged() -> None:
    """That a model runs says nothing of what it answers."""
    other = said(1, "b", "regressed", "other_answers")

    assert told(other, entry(later(2, toolchain="c"))) == [(None, "regressed", "open", "b")]
    assert told(other, said(2, "c", "inconclusive", "unsteady_answers")) == [(None, "regressed", "open", "b")]
    assert told(other, said(2, "c", "pass", "same_answers")) == [(None, "regressed", "fixed", "b")]


def test_a_reference_that_was_missing_is_not_there_because_the_case_runs() -> None:
    nothing = said(1, "b", "missing", "no_reference")

    assert told(nothing, entry(later(2, toolchain="c"))) == [(None, "missing", "open", "b")]
    assert told(nothing, good(2, "c")) == [(None, "missing", "fixed", "b")]  # rates were compared: there is one now


def test_a_regression_that_also_went_missing_is_fixed_with_it() -> None:
    """Two kinds of event on one metric: the later one must not keep the earlier one open for ever."""
    runs = [bad(1, "b"), said(2, "c", "missing", "metric_vanished", DECODE), good(3, "d")]

    assert told(*runs) == [(DECODE, "missing", "fixed", "c"), (DECODE, "regressed", "fixed", "b")]


def test_a_regression_goes_on_after_a_run_that_could_not_tell() -> None:
    runs = [bad(1, "b"), said(2, "c", "missing", "metric_vanished", DECODE), bad(3, "d")]

    regressed = events_of(*runs)[1]

    assert len(events_of(*runs)) == 2
    assert (regressed.first.label, regressed.last.label) == ("b", "d")


def test_each_metric_has_events_of_its_own() -> None:
    both = make_case(prefill=(700.0,), decode=(40.0,))  # 1 - 700/1000, 1 - 40/50
    halved = judged(later(2, make_case(prefill=(1000.0,), decode=(40.0,)), toolchain="c"), FIRST)

    found = told(judged(later(1, both, toolchain="b"), FIRST), halved)

    assert sorted(found, key=str) == [
        (DECODE, "regressed", "open", "b"),
        ("prefill_tokens_per_s", "regressed", "fixed", "b"),
    ]


def test_builds_with_other_flags_make_no_events() -> None:
    """An experiment is not the case: that it is slower is nobody's regression."""
    tried = make_artifact(flags={**FLAGS, "schedule": "none"})
    record = later(1, make_case(decode=(40.0,), prefill=(1000.0,), artifact=tried))

    assert told(judged(record, FIRST), good(2, "c")) == []


def accepted_by(*entries: Entry, reference: CaseResult, toolchain: str) -> Event:
    baseline = make_baseline(make_record(reference, toolchain=toolchain), reason="the safer softmax")
    (event,) = events(series(entry(FIRST), *entries, baseline=baseline), baseline)
    return event


def test_a_loss_is_accepted_where_the_baseline_takes_that_toolchain_for_its_reference() -> None:
    event = accepted_by(bad(1, "b"), reference=slow(), toolchain="b")

    assert (event.state, event.accepted) == ("accepted", "the safer softmax")


def test_a_reference_of_another_toolchain_accepts_nothing() -> None:
    assert accepted_by(bad(1, "b"), reference=make_case(), toolchain="a").state == "open"
    assert accepted_by(bad(1, "b"), bad(2, "c"), reference=slow(), toolchain="b").state == "open"


def test_what_is_broken_or_fixed_is_not_accepted() -> None:
    assert accepted_by(broken(1, "b"), reference=make_case(), toolchain="b").state == "open"
    assert accepted_by(bad(1, "b"), good(2, "c"), reference=slow(), toolchain="b").state == "fixed"


def test_the_baseline_of_another_runner_accepts_nothing() -> None:
    baseline = make_baseline(make_record(slow(), toolchain="b"))

    found = whole(entry(FIRST), bad(1, "b"), baselines={"elsewhere": baseline})

    assert {event.state for event in found.events} == {"open"}


def test_a_name_stays_what_it_is_while_the_history_grows() -> None:
    """A reader of the feed would see an old event as a new one."""
    (before,) = events_of(bad(1, "b"))
    fixed = events_of(bad(1, "b"), bad(2, "b"), good(3, "c"), bad(4, "d"))[-1]

    assert fixed.first.label == "b"
    assert fixed.state == "fixed"
    assert before.name == fixed.name
    assert before.name.startswith("urn:sha256:")


def test_no_two_events_share_a_name() -> None:
    """Two runners of the same record's id, two cases, two metrics, two runs, and two kinds about the case itself."""
    cases = (make_case(prefill=(700.0,), decode=(40.0,)), make_case(OTHER, prefill=(700.0,), decode=(40.0,)))
    reference = make_record(make_case(), make_case(OTHER))
    records = [later(day, *cases, toolchain="b", runner="bench") for day in (1, 3)]
    records += [msgspec.structs.replace(record, runner="elsewhere") for record in records]
    between = [later(2, make_case(), make_case(OTHER), toolchain="c")]
    between += [msgspec.structs.replace(record, runner="elsewhere") for record in between]
    found = [
        event
        for name in ("bench", "elsewhere")
        for event in runner(
            *(judged(record, reference) for record in records + between if record.runner == name)
        ).events
    ]
    verdicts = [
        Verdict(case=CASE, outcome="regressed", reason="other_answers", text="other"),
        Verdict(case=CASE, outcome="missing", reason="no_reference", text="none"),
    ]
    for verdict in verdicts:
        record = later(9, toolchain="z")
        found += events_of(Entry(record=record, report=make_report(record, FIRST, verdicts=[verdict])))

    assert len(found) == 2 * 2 * 2 * 2 + 2
    assert len({event.name for event in found}) == len(found)


def test_events_are_in_order_of_their_beginning_the_newest_first() -> None:
    other = judged(
        later(2, make_case(OTHER, decode=(40.0,), prefill=(1000.0,)), toolchain="c"), make_record(make_case(OTHER))
    )
    runs = [entry(FIRST), bad(1, "b"), other, broken(3, "d")]

    found = runner(*runs).events

    assert [(event.key, event.first.label) for event in found] == [(CASE, "d"), (OTHER, "c"), (CASE, "b")]


def test_the_toolchain_is_known_by_its_fingerprint_and_not_its_name() -> None:
    """A nightly in order again is another one: it fixes what the nightly before broke."""
    old, new = make_toolchain("nightly"), make_toolchain("nightly", fingerprint=sha("new"))
    runs = [judged(later(1, toolchain=old), FIRST), bad(2, "b"), judged(later(3, toolchain=new), FIRST)]

    (event,) = events_of(*runs)

    assert event.state == "fixed"
    assert events_of(*runs[:2], judged(later(3, toolchain=old), FIRST))[0].state == "open"
