"""What the script of a series page draws, read back."""

from __future__ import annotations

import json
from dataclasses import replace
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
    make_import,
    make_record,
    make_replicate,
    sha,
)
from scipy import special
from site_entries import HOSTILE, OTHER, entry, judged, later, make_baseline, run_page_of, runner, series, slow, view

from regress.artifact import Model
from regress.recipe import FLAGS
from regress.record import Method
from regress.site.payload import payload, run_payload, runs_payload
from regress.site.series import Series, Step
from regress.site.thinning import MOST_WHOLE

if TYPE_CHECKING:
    from site_entries import Entry

    from regress.record import Record

PREFILL, DECODE = "prefill_tokens_per_s", "decode_tokens_per_s"
OF_RUNS = ("runs", "times", "label", "build", "machine", "harness", "segment", "usual")
OF_VALUES = ("median", "low", "high", "count")


def read(script: bytes, function: str = "regressData") -> dict[str, Any]:
    """The object that the script hands over, and nothing beside it."""
    text = script.decode()
    assert text.startswith(f"{function}(")
    assert text.endswith(");\n")
    found: dict[str, Any] = json.loads(text.removeprefix(f"{function}(").removesuffix(");\n"))
    return found


def run_of(record: Record) -> dict[str, Any]:
    """What a run is compared by."""
    return read(run_payload(run_page_of(entry(record))), "regressRun")


def of(*entries: Entry, **how: Any) -> dict[str, Any]:  # noqa: ANN401
    found = series(*entries, **how)
    return read(payload(found, ()))


def long_series(count: int) -> Series:
    """A series of so many runs of two toolchains in turn, without measuring them."""
    found = series(entry(), entry(later(1)))
    points = [found.points[number % 2] for number in range(count)]
    return replace(
        found,
        points=tuple(
            msgspec.structs.replace(point, run=msgspec.structs.replace(point.run, id=f"run-{number}"))
            for number, point in enumerate(points)
        ),
    )


def test_runs_are_columns_oldest_first() -> None:
    old, new = make_record(), later(1, toolchain="b")

    found = of(entry(new), entry(old), entry(later(2)))

    assert (found["runner"], found["case"], len(found["runs"])) == ("bench", CASE, 3)
    assert found["runs"][:2] == [old.id, new.id]
    assert found["labels"] == ["tvm-0.26.0", "b", "tvm-0.27.0"]
    assert found["label"] == [0, 1, 2]
    # 2026-10-03 12:00 UTC is 20,729 days and half a one after 1970: 20729.5 * 86400.
    assert found["times"] == [1791028800 + day * 86400 for day in range(3)]
    assert found["usual"] == [1, 1, 1]


def test_what_many_runs_say_alike_is_said_once() -> None:
    flagged = make_case(artifact=make_artifact(flags={**FLAGS, "schedule": "none", "cuda_graph": "1"}))
    moved = make_environment(fingerprint=sha("elsewhere"))

    found = of(entry(), entry(later(1, flagged, environment=moved)), entry(later(2)))

    assert (found["builds"], found["build"]) == (["", "cuda_graph=1 schedule=none"], [0, 1, 0])
    assert found["machines"] == [sha("environment")[:8], sha("elsewhere")[:8]]
    assert found["machine"] == [0, 1, 0]
    assert (found["harnesses"], found["harness"]) == ([sha("harness")[:8]], [0, 0, 0])


def test_a_metric_has_median_range_and_number_of_each_runs_replicates() -> None:
    found = of(entry(make_record(make_case(prefill=(90.0, 100.0, 130.0), decode=(9.0, 10.0, 12.0)))))

    decode = found["metrics"][DECODE]
    assert (decode["label"], decode["unit"]) == ("Decode rate", "tokens/s")
    assert [decode[name] for name in OF_VALUES] == [[10], [9], [12], [3]]
    assert "outcome" not in decode


def test_a_run_without_the_metric_has_a_hole() -> None:
    found = of(entry(), entry(later(1, make_broken(cause="no kernel", how="exit status 1"))))

    decode = found["metrics"][DECODE]
    assert [decode[name][1] for name in OF_VALUES] == [None, None, None, 0]
    assert found["broken"] == [[1, "build failed, exit status 1: no kernel"]]


def test_metrics_that_no_run_has_are_left_out() -> None:
    samples = {DECODE: (50.0,), "energy_per_token_j": (0.5,)}
    kept = msgspec.structs.replace(make_replicate(1, 1), samples=samples)

    assert set(of(entry())["metrics"]) == {PREFILL, DECODE, "peak_memory_bytes"}
    assert set(of(entry(make_record(make_case(replicates=(kept,)))))["metrics"]) == {DECODE, "energy_per_token_j"}


def test_verdicts_stand_beside_the_values_and_sentences_only_where_not_all_is_well() -> None:
    found = of(entry(), judged(later(1)), judged(later(2, slow())))

    assert found["metrics"][DECODE]["outcome"] == ["", "pass", "regressed"]
    assert found["metrics"][DECODE]["text"] == [[2, "decode rate: loss 20.0%, tolerance 5.0%"]]
    assert "outcome" not in found["metrics"]["peak_memory_bytes"]


def test_all_columns_are_of_one_length() -> None:
    entries = [
        entry(),
        judged(later(1, slow())),
        judged(later(2, make_broken())),
        judged(later(3, make_case("o/q/t/p1+1"))),
    ]

    found = of(*entries, entry(later(4)))

    assert {len(found[name]) for name in OF_RUNS} == {5}
    columns = [
        metric[name] for metric in found["metrics"].values() for name in (*OF_VALUES, "outcome") if name in metric
    ]
    assert {len(column) for column in columns} == {5}


@pytest.mark.parametrize(
    ("value", "written"),
    [(1234.56789, 1234.57), (0.000123456789, 0.000123457), (98765432.1, 98765400.0), (50.0, 50.0)],
)
def test_numbers_have_six_digits(value: float, written: float) -> None:
    """A tenth of a thousandth of a percent: less than any noise, and half the size of the file."""
    found = of(entry(make_record(make_case(prefill=(1.0,), decode=(value,)))))

    assert found["metrics"][DECODE]["median"] == [written]


def test_traces_tell_what_machines_there_were() -> None:
    other = make_environment(fingerprint=sha("other"), device="Orin")
    found = of(entry(), entry(later(1, environment=other)), entry(later(2)))

    assert found["segment"] == [0, 1, 0]
    harness, model = sha("harness")[:8], sha("model")[:8]
    assert found["traces"] == [
        f"AMD EPYC 9654, machine {sha('environment')[:8]}, harness {harness}, weights {model}",
        f"Orin, machine {sha('other')[:8]}, harness {harness}, weights {model}",
    ]


def test_builds_with_other_flags_are_the_last_trace() -> None:
    tried = make_case(artifact=make_artifact(flags={**FLAGS, "cuda_graph": "1"}))

    found = of(entry(), entry(later(1)), entry(later(2, tried)))

    assert found["usual"] == [1, 1, 0]
    assert found["traces"] == ["AMD EPYC 9654", "other build flags"]


def test_bands_and_steps_are_told() -> None:
    baseline = make_baseline(make_record(slow(50.0)), tolerance={DECODE: 0.1})
    bad = later(1, slow())
    plain = series(entry(), judged(bad), baseline=baseline)
    stepped = replace(plain, steps=(Step(point=plain.points[1], metric=DECODE, loss=0.2000001),))

    found = read(payload(stepped, ()))

    assert found["bands"][DECODE] == {"level": 50, "tolerance": 0.1, "toolchain": "tvm-0.26.0"}
    assert found["steps"] == [[1, DECODE, 0.2]]


def test_a_script_holds_what_is_drawn_of_a_long_series() -> None:
    found = read(payload(long_series(10 * MOST_WHOLE), ()))

    assert {len(found[name]) for name in OF_RUNS} == {len(found["runs"])}
    assert len(found["runs"]) <= MOST_WHOLE
    assert (found["runs"][0], found["runs"][-1]) == ("run-0", f"run-{10 * MOST_WHOLE - 1}")
    assert {len(metric[name]) for metric in found["metrics"].values() for name in OF_VALUES} == {len(found["runs"])}


def test_a_step_is_told_by_the_place_of_its_run_among_those_that_are_drawn() -> None:
    found = long_series(10 * MOST_WHOLE)
    steps = (Step(point=found.points[1234], metric=DECODE, loss=0.1),)

    drawn = read(payload(replace(found, steps=steps), ()))

    assert drawn["steps"] == [[drawn["runs"].index("run-1234"), DECODE, 0.1]]


def test_runs_that_have_a_page_are_told() -> None:
    """A click on another one would lead nowhere."""
    old, new = make_record(), later(1)

    assert read(payload(series(entry(old), entry(new)), {new.id}))["pages"] == [1]


def test_the_quantiles_are_those_of_students_t() -> None:
    found = read(runs_payload([]), "regressRuns")

    assert found["t95"] == pytest.approx(special.stdtrit(np.arange(1, 101), 0.975), rel=1e-5)


def test_nothing_in_it_ends_the_script_or_a_line_of_it() -> None:
    """The text is read back whole, and the file has no `<`, and no line end of JavaScript's but its own."""
    toolchain, cause = f"{HOSTILE}<!--", "one\u2028two\u2029three\nfour"
    found = series(entry(make_record(toolchain=toolchain)), entry(later(1, make_broken(cause=cause))))
    script = payload(found, ())

    assert read(script)["labels"][0] == toolchain
    assert read(script)["broken"][0][1].endswith(cause)
    assert b"<" not in script
    assert script.decode().splitlines(keepends=True) == [script.decode()]


def test_the_same_runs_give_the_same_bytes() -> None:
    runs = [entry(), judged(later(1, slow())), judged(later(2))]

    one, two = view(*runs), view(*runs[::-1])

    assert payload(one.series[0], ()) == payload(two.series[0], ())


def test_a_run_is_compared_by_all_that_is_known_of_machine_and_method() -> None:
    """With the fingerprints: nothing is called the same that has not the same ones."""
    environment = make_environment(driver="580", mig=True, power_mode="700 W", settings={"TVM_NUM_THREADS": "8"})
    method = Method(warmups=2, repeats=5, seed=7, prompts_sha256=sha("prompts"))

    found = run_of(make_record(environment=environment, method=method))

    assert found["machine"] == {
        "runner": "bench",
        "device": "AMD EPYC 9654",
        "driver": "580",
        "power mode": "700 W",
        "MIG": "split into instances",
        "processor": "AMD EPYC 9654",
        "logical processors": "16",
        "architecture": "x86_64",
        "memory": "64 GiB",
        "system": "Debian GNU/Linux 12",
        "kernel": "6.1.0-26-amd64",
        "Python": "3.11",
        "setting TVM_NUM_THREADS": "8",
        "fingerprint": sha("environment")[:12],
    }
    assert {name: value for name, value in found["method"].items() if name != "fingerprint"} == {
        "passes to warm up": "2",
        "timed passes": "5",
        "seed": "7",
        "prompts": sha("prompts")[:12],
    }
    assert found["toolchain"]["fingerprint"] == sha("tvm-0.26.0")[:12]
    other = run_of(make_record(method=msgspec.structs.replace(method, seed=8)))
    assert found["method"]["fingerprint"] != other["method"]["fingerprint"]


def test_a_case_names_its_flags_weights_and_harness() -> None:
    model = Model(source="path:x", name="x", digest=sha("weights"))
    chat = "tiny+mlc-chat/q0f16/llvm/p64+16"
    driven = make_case(chat, harness="chat", harness_digest=sha("chat"), artifact=make_artifact(chat, model=model))
    flagged = make_case(artifact=make_artifact(flags={**FLAGS, "arch": "sm_90a"}))

    one, two = run_of(make_record(flagged, driven))["cases"]

    assert one["flags"] == {"arch": "sm_90a"}
    assert (one["weights"], one["harness"]) == (sha("model")[:12], sha("harness")[:12])
    assert ("flags" in two, two["weights"], two["harness"]) == (False, sha("weights")[:12], sha("chat")[:12])


def test_every_case_is_there_one_without_rates_with_the_cause() -> None:
    """But none that only a verdict names: it is in the other run alone."""
    broken = make_broken(OTHER, cause="no kernel", how="exit status 1")
    shown = judged(make_record(make_case(), broken), make_record(make_case(), make_case("gone/q/t/p1+1")))

    found = read(run_payload(run_page_of(shown)), "regressRun")["cases"]

    assert [case["key"] for case in found] == [CASE, OTHER]
    assert found[0]["values"] == {PREFILL: [1000, 990, 1010], DECODE: [50, 49.5, 50.5]}
    assert (found[1]["fault"], "values" in found[1]) == ("build failed, exit status 1: no kernel", False)


def test_a_metric_without_values_is_left_out() -> None:
    """As of a harness that tells no prefill."""
    kept = msgspec.structs.replace(make_replicate(1, 1), samples={DECODE: (50.0,)})

    (case,) = run_of(make_record(make_case(replicates=(kept,))))["cases"]

    assert case["values"] == {DECODE: [50]}


def test_runners_without_runs_of_their_own_cannot_be_chosen() -> None:
    runners = [runner(make_import(runner="orin")), runner(entry())]

    assert [each["name"] for each in read(runs_payload(runners), "regressRuns")["runners"]] == ["bench"]
