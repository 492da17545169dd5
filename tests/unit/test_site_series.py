"""One case on one runner over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from factories import CASE, make_artifact, make_broken, make_case, make_environment, make_record, make_toolchain, sha
from site_entries import OTHER, entry, judged, later, make_baseline, series, slow

from regress.artifact import Model
from regress.recipe import FLAGS

if TYPE_CHECKING:
    from site_entries import Entry

    from regress.record import CaseResult
    from regress.site.series import Series

DECODE, PREFILL = "decode_tokens_per_s", "prefill_tokens_per_s"


def flagged(**flags: str) -> CaseResult:
    """A case built with those flags beside the defaults."""
    return make_case(artifact=make_artifact(flags={**FLAGS, **flags}))


def with_weights(digest: str) -> CaseResult:
    model = Model(source="synthetic:tiny", name="tiny", digest=sha(digest))
    return make_case(artifact=make_artifact(model=model))


def on_machine(day: float, name: str, *cases: CaseResult) -> Entry:
    return entry(later(day, *cases, environment=make_environment(fingerprint=sha(name))))


def segments(found: Series) -> list[int]:
    return [point.segment for point in found.points]


def long_history(levels: list[float]) -> list[Entry]:
    """Runs of those decode rates, a tenth of a percent up and down in turn."""
    rates = [level * (1.001 if number % 2 else 0.999) for number, level in enumerate(levels)]
    return [entry(later(day, make_case(prefill=(1000.0 + day % 2,), decode=(rate,)))) for day, rate in enumerate(rates)]


def test_points_are_the_runs_that_have_the_case_oldest_first() -> None:
    runs = [
        entry(later(2, toolchain="c")),
        entry(make_record(toolchain="a")),
        entry(later(1, make_case(OTHER), toolchain="b")),
    ]

    assert [point.label for point in series(*runs).points] == ["a", "c"]


def test_a_value_is_median_range_and_number_of_the_replicates() -> None:
    (point,) = series(entry(make_record(make_case(decode=(50.0, 49.0, 53.0), prefill=(1.0, 2.0, 3.0))))).points

    value = point.value(DECODE)

    assert value is not None
    assert (value.median, value.low, value.high, value.count) == (50.0, 49.0, 53.0, 3)
    assert point.value("energy_per_token_j") is None


def test_points_take_the_labels_of_their_toolchains_and_the_verdict_on_the_case() -> None:
    one, two = make_toolchain("nightly"), make_toolchain("nightly", fingerprint="f" * 64)

    found = series(entry(make_record(toolchain=one)), judged(later(1, slow(), toolchain=two)))

    assert [point.label for point in found.points] == [f"nightly ({sha('nightly')[:8]})", "nightly (ffffffff)"]
    assert [point.outcome for point in found.points] == [None, "regressed"]


def test_another_machine_begins_another_segment() -> None:
    """And the first one is taken up again, when its runs go on."""
    found = series(on_machine(0, "one"), on_machine(1, "two"), on_machine(2, "one"))

    assert segments(found) == [0, 1, 0]
    assert [segment.environment.fingerprint for segment in found.segments] == [sha("one"), sha("two")]


def test_another_harness_begins_another_segment() -> None:
    found = series(entry(), entry(later(1, harness=sha("other harness"))))

    assert segments(found) == [0, 1]
    assert [segment.harness for segment in found.segments] == [sha("harness"), sha("other harness")]


def test_another_version_of_a_cases_own_harness_begins_another_segment() -> None:
    """The record's digest is that of harness `vm`: it says nothing of a case that an engine drives."""
    key = "tiny+mlc-engine/q4f16_1/llvm/p64+16"
    cases = [make_case(key, harness="engine", harness_digest=sha(each)) for each in ("engine", "engine", "newer")]
    runs = [entry(later(number, case)) for number, case in enumerate(cases)]
    found = series(*runs, key=key)

    assert segments(found) == [0, 0, 1]
    assert [segment.harness for segment in found.segments] == [sha("engine"), sha("newer")]


def test_other_weights_begin_another_segment() -> None:
    found = series(entry(make_record(with_weights("old"))), entry(later(1, with_weights("new"))))

    assert segments(found) == [0, 1]
    assert [segment.model_digest for segment in found.segments] == [sha("old"), sha("new")]


def test_a_build_that_broke_stays_in_the_segment_before_it() -> None:
    """Nobody knows its weights; it must not begin a segment of its own that nothing was ever measured in."""
    found = series(on_machine(0, "one"), on_machine(1, "two"), on_machine(2, "two", make_broken()))

    assert segments(found) == [0, 1, 1]
    assert len(found.segments) == 2


def test_a_case_that_never_was_built_has_no_segment() -> None:
    found = series(entry(make_record(make_broken())), entry(later(1, make_broken())))

    assert found.segments == ()
    assert segments(found) == [0, 0]
    assert found.current == ()


def test_the_baseline_says_which_flags_the_case_is_about() -> None:
    """Even where most builds have others: an experiment does not become the case by repetition."""
    runs = [entry(make_record(flagged())), entry(later(1, flagged(cuda_graph="1")))]
    runs += [entry(later(2, flagged())), entry(later(3, flagged()))]

    found = series(*runs, baseline=make_baseline(flags={"cuda_graph": "1"}))

    assert [point.usual for point in found.points] == [False, True, False, False]


def test_a_default_that_the_baseline_writes_out_is_a_default() -> None:
    found = series(entry(), baseline=make_baseline(flags={"cuda_graph": FLAGS["cuda_graph"]}))

    assert [point.usual for point in found.points] == [True]


def test_without_a_baseline_most_builds_say_which_flags_are_usual() -> None:
    runs = [entry(make_record(flagged(cuda_graph="1"))), entry(later(1, flagged())), entry(later(2, make_broken()))]
    runs += [entry(later(3, flagged(cuda_graph="1")))]

    assert [point.usual for point in series(*runs).points] == [True, False, True, True]


def test_a_baseline_of_other_cases_says_nothing_of_this_one() -> None:
    found = series(
        entry(make_record(flagged(cuda_graph="1"))), baseline=make_baseline(make_record(make_case(OTHER)), key=OTHER)
    )

    assert [point.usual for point in found.points] == [True]
    assert found.bands == {}


def test_a_band_is_the_reference_and_the_largest_loss_that_passes() -> None:
    reference = make_record(make_case(prefill=(990.0, 1000.0, 1030.0), decode=(49.0, 52.0, 51.0)))

    found = series(entry(), baseline=make_baseline(reference, tolerance={DECODE: 0.03}))

    decode, prefill = found.bands[DECODE], found.bands[PREFILL]
    assert (decode.level, decode.tolerance, decode.toolchain) == (51.0, 0.03, "tvm-0.26.0")
    assert (prefill.level, prefill.tolerance) == (1000.0, 0.05)  # the file's own


def test_a_band_is_over_the_replicates_of_all_sessions() -> None:
    baseline = make_baseline(make_record(make_case(decode=(40.0, 41.0), prefill=(1.0, 1.0))))
    (case,) = baseline.cases
    assert case.reference is not None
    more = msgspec.structs.replace(case.reference.sessions[0], record="other", values={DECODE: (45.0,)})
    reference = msgspec.structs.replace(case.reference, sessions=(*case.reference.sessions, more))
    both = msgspec.structs.replace(baseline, cases=(msgspec.structs.replace(case, reference=reference),))

    assert series(entry(), baseline=both).bands[DECODE].level == 41.0  # of 40, 41, 45; not of 40.5 and 45


def test_a_metric_that_the_reference_lacks_has_no_band() -> None:
    baseline = make_baseline(make_record(), tolerance={"energy_per_token_j": 0.1})

    assert set(series(entry(), baseline=baseline).bands) == {PREFILL, DECODE}


def test_no_reference_no_band() -> None:
    assert series(entry(), baseline=make_baseline()).bands == {}
    assert series(entry()).bands == {}


def test_a_loss_that_stays_is_found_in_a_long_series() -> None:
    found = series(*long_history([50.0] * 30 + [45.0] * 20))

    (step,) = found.steps
    assert (step.metric, step.point) == (DECODE, found.points[30])
    # The medians of each side are 0.1 % above or below the level: 1 - 45/50 = 0.1 but for 0.002.
    assert step.loss == pytest.approx(0.1, abs=0.0025)


def test_a_gain_is_a_step_below_zero() -> None:
    (step,) = series(*long_history([50.0] * 25 + [55.0] * 25)).steps

    assert step.loss == pytest.approx(-0.1, abs=0.0025)  # 1 - 55/50


def test_a_short_series_and_a_level_one_have_no_steps() -> None:
    assert series(*long_history([50.0] * 15 + [40.0] * 14)).steps == ()
    assert series(*long_history([50.0] * 40)).steps == ()


def test_steps_are_searched_among_runs_that_can_be_compared() -> None:
    """Another machine is no step: its runs are a series of their own, too short to search."""
    old = long_history([50.0] * 30)
    new = [on_machine(30 + day, "other machine", slow(40.0)) for day in range(20)]

    assert series(*old, *new).steps == ()


def test_current_runs_are_those_that_can_be_compared_with_the_newest_measured_one() -> None:
    runs = [
        on_machine(0, "old"),
        on_machine(1, "new"),
        on_machine(2, "new", flagged(cuda_graph="1")),
        on_machine(3, "new"),
        on_machine(4, "new", make_broken()),
    ]

    found = series(*runs)

    assert found.current == (found.points[1], found.points[3])


def test_the_newest_point_is_the_newest_with_the_usual_flags() -> None:
    found = series(entry(), entry(later(1)), entry(later(2, make_broken())), entry(later(3, flagged(cuda_graph="1"))))

    assert found.newest is found.points[2]


def test_a_series_without_a_usual_build_still_has_a_newest_point() -> None:
    found = series(entry(make_record(flagged(cuda_graph="1"))), baseline=make_baseline())

    assert found.newest is found.points[0]
    assert found.current == ()


def test_the_key_names_model_quantization_target_and_workload() -> None:
    found = series(entry())

    assert found.key == CASE
    assert (found.model, found.quantization, found.target, found.workload) == ("tiny", "q4f16_1", "llvm", "p64+16")


def test_a_reference_of_another_machine_harness_or_weights_is_no_band() -> None:
    """It says nothing of these runs."""
    baseline = make_baseline(make_record())
    for changes in ({"environment": make_environment(fingerprint=sha("there"))}, {"harness": sha("new harness")}):
        assert series(entry(make_record(**changes)), baseline=baseline).bands == {}
    assert series(entry(make_record(with_weights("others"))), baseline=baseline).bands == {}
    assert series(entry(), baseline=baseline).bands


def test_a_run_that_does_not_build_belongs_to_its_machine() -> None:
    runs = [entry(), on_machine(1, "there"), entry(later(2, make_broken())), on_machine(3, "there", make_broken())]

    assert segments(series(*runs)) == [0, 1, 0, 1]


def test_steps_of_the_machine_before_stay() -> None:
    """What happened on it is history, too; the change of machine itself is none."""
    old = long_history([50.0] * 30 + [45.0] * 20)
    new = [on_machine(50 + day, "other machine", slow(30.0)) for day in range(5)]

    (step,) = series(*old, *new).steps

    assert (step.metric, step.point.segment) == (DECODE, 0)
    assert step.loss == pytest.approx(0.1, abs=0.0025)
