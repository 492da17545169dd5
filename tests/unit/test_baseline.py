"""Baseline files: cases, tolerances, references, and how a recorded run becomes one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from factories import make_artifact, make_case, make_environment, make_record, sha

from regress.baseline import parse_baseline, with_references
from regress.errors import ConfigError
from regress.recipe import FLAGS

TEXT = """\
# the nightly cases
runner = "cpu"
toolchain = "tvm-0.26.0"
tolerance = { decode_tokens_per_s = 0.05 }  # of the median

[[cases]]
model = "synthetic:llama-mini"   # small
quantization = "q4f32_1"
target = "llvm"
prompt_tokens = 16
new_tokens = 128
tolerance = { prefill_tokens_per_s = 0.15 }

[[cases]]
model = "synthetic:llama-mini"
name = "other"
quantization = "q4f32_1"
target = "cuda-sm_87"
prompt_tokens = 64
new_tokens = 16
"""
KEYS = ("llama-mini/q4f32_1/llvm/p16+128", "other/q4f32_1/cuda-sm_87/p64+16")


def test_cases_have_readable_keys_and_their_own_tolerances() -> None:
    """A case's tolerance adds to the file's and stands before it."""
    baseline = parse_baseline(TEXT, "b.toml")
    assert tuple(case.key for case in baseline.cases) == KEYS
    assert baseline.tolerances(baseline.cases[0]) == {"decode_tokens_per_s": 0.05, "prefill_tokens_per_s": 0.15}
    assert baseline.tolerances(baseline.cases[1]) == {"decode_tokens_per_s": 0.05}
    assert baseline.references() == {}


@pytest.mark.parametrize("path", sorted(Path("baselines").glob("*.toml")), ids=str)
def test_the_shipped_baselines_are_good(path: Path) -> None:
    """Every file in the repository parses."""
    assert parse_baseline(path.read_text(encoding="utf-8"), str(path)).runner == path.stem


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "prompt_tokens = 16",
            "prompt_token = 16",
            "cases[0].prompt_token: unknown key; did you mean 'prompt_tokens'?",
        ),
        ("prompt_tokens = 16", "prompt_tokens = 0", "cases[0].prompt_tokens: Expected `int` >= 1"),
        ("prompt_tokens = 16\n", "", "cases[0].prompt_tokens: missing"),
        (
            'synthetic:llama-mini"   #',
            'synthetic:lama-mini"   #',
            "cases[0].model: model 'synthetic:lama-mini': no preset",
        ),
        (
            "decode_tokens_per_s = 0.05",
            "decode_token_per_s = 0.05",
            "tolerance.decode_token_per_s: unknown metric; did you",
        ),
        ("decode_tokens_per_s = 0.05", "decode_tokens_per_s = 5", "tolerance[...]: Expected `float` < 1.0"),
        ("decode_tokens_per_s = 0.05", "decode_tokens_per_s = nan", "tolerance[...]: Expected `float`"),
        ('name = "other"', 'name = "a/b"', "cases[1].name: Expected `str` matching regex"),
        ('runner = "cpu"', 'runner = ""', "runner: Expected `str` matching regex"),
        (
            "prompt_tokens = 64\nnew_tokens = 16",
            "prompt_tokens = 64\nnew_tokens = -1",
            "cases[1].new_tokens: Expected",
        ),
    ],
)
def test_a_mistake_is_named(old: str, new: str, message: str) -> None:
    """File, key, and the nearest right word."""
    assert old in TEXT
    with pytest.raises(ConfigError) as caught:
        parse_baseline(TEXT.replace(old, new), "b.toml")
    assert str(caught.value).startswith(f"b.toml: {message}")


def test_a_case_that_stands_twice_is_refused() -> None:
    """Two cases of one key cannot both have a verdict."""
    case = TEXT[TEXT.index("[[cases]]") : TEXT.index("tolerance = { prefill")]
    with pytest.raises(ConfigError, match=r"cases: 'llama-mini/q4f32_1/llvm/p16\+128' stands twice"):
        parse_baseline(TEXT + "\n" + case, "b.toml")


def test_references_are_written_and_comments_stay() -> None:
    """The written file reads back as the record's values, for the record's machine and harness."""
    record = make_record(*(make_case(key) for key in KEYS), toolchain="tvm-0.27.0")
    text = with_references(TEXT, "b.toml", [record])
    assert "# the nightly cases" in text
    assert "# of the median" in text
    assert '"synthetic:llama-mini"   # small' in text
    baseline = parse_baseline(text, "b.toml")
    assert baseline.toolchain == "tvm-0.27.0"
    reference = baseline.references()[KEYS[0]]
    assert reference.values["decode_tokens_per_s"] == (50.0, 49.5, 50.5)
    assert reference.token_ids == (1, 2, 3)
    assert baseline.environment == record.environment
    assert baseline.holds_for(record.environment, record.harness)
    assert not baseline.holds_for(make_environment(fingerprint=sha("another")), record.harness)
    assert not baseline.holds_for(record.environment, sha("another"))


def test_writing_twice_gives_the_same_file() -> None:
    """References are replaced, not piled up."""
    record = make_record(*(make_case(key) for key in KEYS))
    once = with_references(TEXT, "b.toml", [record])
    assert with_references(once, "b.toml", [record]) == once


def test_several_records_are_taken_together() -> None:
    """Replicates of two runs are six values; one run given twice is one run."""
    record = make_record(*(make_case(key) for key in KEYS))
    other = make_record(*(make_case(key) for key in KEYS), id="another")
    baseline = parse_baseline(with_references(TEXT, "b.toml", [record, other, record]), "b.toml")
    assert len(baseline.references()[KEYS[0]].values["decode_tokens_per_s"]) == 6


def test_a_record_that_lacks_a_case_is_refused() -> None:
    """A baseline is written whole or not at all."""
    with pytest.raises(ConfigError, match=r"b.toml: no replicates of 'other/q4f32_1/cuda-sm_87/p64\+16'"):
        with_references(TEXT, "b.toml", [make_record(make_case(KEYS[0]))])


def test_a_run_of_another_build_is_no_reference() -> None:
    """A deliberately slow library would make every loss a gain."""
    slow = make_artifact(KEYS[0], flags={**FLAGS, "schedule": "none"})
    record = make_record(make_case(KEYS[0], artifact=slow), make_case(KEYS[1]))
    with pytest.raises(ConfigError, match="was measured with schedule=none, the case says tuned"):
        with_references(TEXT, "b.toml", [record])


def test_a_runner_that_no_baseline_may_have_is_not_written() -> None:
    """What is written can be read."""
    record = make_record(*(make_case(key) for key in KEYS))
    with pytest.raises(ConfigError, match="runner: Expected `str` matching regex"):
        with_references(TEXT, "b.toml", [record], runner="my machine")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"environment": make_environment(fingerprint=sha("another"))}, "machine"),
        ({"harness": sha("another")}, "harness"),
    ],
)
def test_records_of_different_machines_are_not_mixed(change: dict[str, Any], what: str) -> None:
    """What cannot be compared cannot be averaged."""
    cases = [make_case(key) for key in KEYS]
    with pytest.raises(ConfigError, match=f"are of different {what}s"):
        with_references(TEXT, "b.toml", [make_record(*cases), make_record(*cases, id="other", **change)])
