"""Recorded runs as references of a baseline file: what is written, and what is refused."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from factories import BASELINE_KEYS as KEYS
from factories import BASELINE_TEXT as TEXT
from factories import NOON, make_artifact, make_case, make_environment, make_mlc_build, make_record, sha

from regress.baseline import parse_baseline
from regress.errors import ConfigError
from regress.proposal import Why, diff, with_references
from regress.recipe import FLAGS

if TYPE_CHECKING:
    from regress.record import Record

WHY = Why(written_on=date(2026, 10, 3), reason="first")


def session(number: int, *, sd: float = 0.003, runs: int = 4, level: float = 1.0, **changes: Any) -> Record:  # noqa: ANN401
    """A recorded run of both cases at 1,000 and 50 tokens/s; its replicates are as far apart as `sd` says."""
    spread = np.random.default_rng(number).permutation(np.linspace(-1.5, 1.5, runs)) * sd
    cases = [
        make_case(key, prefill=(1000 * np.exp(spread)).tolist(), decode=(50 * level * np.exp(spread)).tolist())
        for key in KEYS
    ]
    return make_record(*cases, at=NOON + timedelta(days=number), **{"id": f"r{number}", **changes})


RECORDS = [session(number) for number in range(3)]


def test_references_are_written_and_comments_stay() -> None:
    """The written file reads back as the records' values, for their machine and harness, with date and reason."""
    text = with_references(TEXT, "b.toml", RECORDS, WHY)
    assert "# the nightly cases" in text
    assert "# of the rate" in text
    assert '"synthetic:llama-mini"   # small' in text
    baseline = parse_baseline(text, "b.toml")
    stored = baseline.cases[0].reference
    assert stored is not None
    assert (stored.written_on, stored.reason) == (date(2026, 10, 3), "first")
    assert [each.record for each in stored.sessions] == ["r0", "r1", "r2"]
    reference = baseline.references()[KEYS[0]]
    assert reference.values("decode_tokens_per_s") == [
        tuple(record.cases[0].values("decode_tokens_per_s")) for record in RECORDS
    ]
    assert reference.token_ids == (1, 2, 3)
    assert reference.build == make_artifact(KEYS[0]).facts
    assert baseline.environment == RECORDS[0].environment
    assert baseline.holds_for(RECORDS[0].environment, {"vm": RECORDS[0].harness}, RECORDS[0].method)


def test_a_reference_says_who_built_it_where_that_was_not_us() -> None:
    """A file of before the other builder came to be stays as it is."""
    mlc = TEXT.replace('name = "other"', 'name = "other"\nbuilder = "mlc"')
    artifact = make_artifact(KEYS[1].replace("other", "other+mlc"), mlc=make_mlc_build())
    records = [
        msgspec.structs.replace(
            record,
            cases=(
                record.cases[0],
                msgspec.structs.replace(record.cases[1], key=KEYS[1].replace("other", "other+mlc"), artifact=artifact),
            ),
        )
        for record in RECORDS
    ]
    baseline = parse_baseline(with_references(mlc, "b.toml", records, WHY), "b.toml")
    assert [case.reference.builder for case in baseline.cases if case.reference] == ["tvm", "mlc"]
    assert "builder" not in with_references(TEXT, "b.toml", RECORDS, WHY)


def test_writing_twice_gives_the_same_file() -> None:
    """References are replaced, not piled up, and the order of the records does not matter."""
    once = with_references(TEXT, "b.toml", RECORDS, WHY)
    assert with_references(once, "b.toml", RECORDS[::-1], WHY) == once
    assert with_references(TEXT, "b.toml", [*RECORDS, RECORDS[0]], WHY) == once


def test_the_spread_of_what_is_replaced_is_carried_on() -> None:
    """New runs of the same machine: the old spread stands beside them; runs that stay are not counted twice."""
    once = with_references(TEXT, "b.toml", RECORDS, WHY)
    again = parse_baseline(with_references(once, "b.toml", [session(n) for n in (3, 4, 5)], WHY), "b.toml")
    reference = again.cases[0].reference
    assert reference is not None
    prior = reference.earlier["decode_tokens_per_s"]
    logs = np.log([value for record in RECORDS for value in record.cases[0].values("decode_tokens_per_s")])
    assert prior.sd == pytest.approx(logs.std(ddof=1))
    assert prior.degrees == 11
    kept = parse_baseline(with_references(once, "b.toml", [*RECORDS, session(3)], WHY), "b.toml")
    assert kept.cases[0].reference is not None
    assert kept.cases[0].reference.earlier == {}
    elsewhere = [session(n, environment=make_environment(fingerprint=sha("another"))) for n in (3, 4, 5)]
    moved = parse_baseline(with_references(once, "b.toml", elsewhere, WHY), "b.toml").cases[0].reference
    assert moved is not None
    assert moved.earlier == {}


def test_too_few_runs_are_refused_with_what_is_missing() -> None:
    """Each case and metric is named, with how many more runs it needs."""
    with pytest.raises(ConfigError) as caught:
        with_references(TEXT, "b.toml", RECORDS[:2], WHY)
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        f"b.toml: '{KEYS[0]}' decode_tokens_per_s: 8 replicates in 2 recorded runs, a reference needs 10 in 3: "
        "2 more replicates and 1 more recorded run"
    )
    assert len(lines) == 3


def test_runs_of_one_replicate_each_are_refused() -> None:
    """Ten of them say nothing of how the replicates of one run differ."""
    with pytest.raises(ConfigError, match="a recorded run has fewer than 2 replicates"):
        with_references(TEXT, "b.toml", [session(n, runs=1) for n in range(12)], WHY)


def test_a_reference_that_cannot_show_the_tolerance_is_refused() -> None:
    """At 2 % from run to run twelve runs do not show 5 %; how many would is said, and that many are enough."""
    with pytest.raises(ConfigError) as caught:
        with_references(TEXT, "b.toml", [session(n, sd=0.02) for n in range(3)], WHY)
    assert "decode_tokens_per_s: the smallest visible loss is" in str(caught.value)
    assert "the tolerance 5.0%: no number of runs is enough at this noise" in str(caught.value)
    assert "prefill_tokens_per_s" not in str(caught.value)  # 15 % are visible
    with pytest.raises(ConfigError, match=r"decode_tokens_per_s: .* [1-9][0-9]* more replicates"):
        with_references(TEXT, "b.toml", [session(n, sd=0.0145) for n in range(3)], WHY)
    with_references(TEXT, "b.toml", [session(n, sd=0.0145, runs=20) for n in range(5)], WHY)


def test_sessions_that_differ_are_judged_by_what_pairs_would_show() -> None:
    """Levels 3 % apart, replicates .3 % apart: beside its own artifact a candidate is judged all the same."""
    apart = [session(n, level=level) for n, level in enumerate((1.0, 1.03, 0.97))]
    with_references(TEXT, "b.toml", apart, WHY)
    noisy = [session(n, sd=0.03, level=level) for n, level in enumerate((1.0, 1.1, 0.9))]
    with pytest.raises(ConfigError, match=r"a larger budget in \[check\] would help"):
        with_references(TEXT, "b.toml", noisy, WHY)


def test_a_record_that_lacks_a_case_is_refused() -> None:
    """A baseline is written whole or not at all."""
    with pytest.raises(ConfigError, match=r"b.toml: no replicates of 'other/q4f32_1/cuda-sm_87/p64\+16'"):
        with_references(TEXT, "b.toml", [make_record(make_case(KEYS[0]))], WHY)


def test_a_run_of_another_build_is_no_reference() -> None:
    """A deliberately slow library would make every loss a gain; two builds are no one reference."""
    slow = make_artifact(KEYS[0], flags={**FLAGS, "schedule": "none"})
    record = make_record(make_case(KEYS[0], artifact=slow), make_case(KEYS[1]))
    with pytest.raises(ConfigError, match="was measured with schedule=none, the case says tuned"):
        with_references(TEXT, "b.toml", [record], WHY)
    other = make_artifact(KEYS[0], digest=sha("another builder"))
    mixed = make_record(make_case(KEYS[0], artifact=other), make_case(KEYS[1]), id="m")
    with pytest.raises(ConfigError, match="the records have different builds of"):
        with_references(TEXT, "b.toml", [*RECORDS, mixed], WHY)


def test_a_runner_that_no_baseline_may_have_is_not_written() -> None:
    """What is written can be read."""
    with pytest.raises(ConfigError, match="runner: Expected `str` matching regex"):
        with_references(TEXT, "b.toml", RECORDS, Why(written_on=date(2026, 1, 1), reason="r", runner="my machine"))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"environment": make_environment(fingerprint=sha("another"))}, "are of different machines"),
        ({"harness": sha("another")}, f"have '{KEYS[0]}' measured by different workers of its harness"),
    ],
)
def test_records_of_different_machines_are_not_mixed(change: dict[str, Any], what: str) -> None:
    """What cannot be compared cannot be averaged."""
    with pytest.raises(ConfigError, match=re.escape(what)):
        with_references(TEXT, "b.toml", [*RECORDS, session(9, **change)], WHY)


def test_a_proposal_is_a_diff() -> None:
    """What a reviewer reads, and `git apply` takes; nothing where nothing changes."""
    text = with_references(TEXT, "b.toml", RECORDS, WHY)
    proposed = diff(TEXT, text, "baselines/b.toml")
    assert proposed.startswith("--- a/baselines/b.toml\n+++ b/baselines/b.toml\n@@ ")
    assert '\n+reason = "first"\n' in proposed
    assert diff(text, text, "b.toml") == ""
    assert diff("a", "b\n", "/etc/b.toml") == (
        "--- a/etc/b.toml\n+++ b/etc/b.toml\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n"
    )
