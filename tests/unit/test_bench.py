"""Prompt files, and results that cannot be."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from factories import sha

from regress import bench
from regress.errors import ConfigError
from regress.record import Failure, Replicate

PROMPTS = [
    {"text": "Once upon a time", "tokens": [1, 9038, 2501], "num_tokens": 3},
    {"text": "A great place", "tokens": [1, 319, 2107], "num_tokens": 3},
]


def test_prompts_as_jetson_containers_has_them() -> None:
    """A list of text, tokens and their number."""
    assert bench.parse_prompts(json.dumps(PROMPTS).encode(), "p.json") == ((1, 9038, 2501), (1, 319, 2107))


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "p.json: not a prompt file: Expected `array` of length >= 1"),
        ({"a": 1}, "p.json: not a prompt file: Expected `array`, got `object`"),
        ([{"text": "x"}], "p.json: not a prompt file: Object missing required field `tokens`"),
        ([{"tokens": []}], "p.json: not a prompt file: Expected `array` of length >= 1 - at `$[0].tokens`"),
        ([{"tokens": [-1]}], "p.json: not a prompt file: Expected `int` >= 0 - at `$[0].tokens[0]`"),
        ([{"tokens": [1, 2], "num_tokens": 3}], "p.json: [0].num_tokens: says 3, but there are 2 tokens"),
        ([{"tokens": [1, 2]}, {"tokens": [1]}], "p.json: [1].tokens: 1 tokens, where the first prompt has 2"),
    ],
)
def test_a_bad_prompt_file_is_named(prompts: object, message: str) -> None:
    """File, place and what is wrong there."""
    with pytest.raises(ConfigError) as caught:
        bench.parse_prompts(json.dumps(prompts).encode(), "p.json")
    assert str(caught.value).startswith(message)


RESULT = {
    "samples": {"decode_tokens_per_s": [50.0]},
    "token_ids": [1, 2],
    "logits_sha256": sha("logits"),
}
NOW = datetime(2026, 10, 3, tzinfo=timezone.utc)


def test_a_result_becomes_a_replicate() -> None:
    """With the time it was started at."""
    replicate = bench.replicate_of(RESULT, NOW)
    assert isinstance(replicate, Replicate)
    assert replicate.value("decode_tokens_per_s") == 50.0


@pytest.mark.parametrize("samples", [{"decode_tokens_per_s": [0.0]}, {"decode_tokens_per_s": [None]}, {"x": []}])
def test_an_impossible_result_is_a_failure(samples: object) -> None:
    """A rate of zero, of nothing, or no sample at all was not measured."""
    failure = bench.replicate_of({**RESULT, "samples": samples}, NOW)
    assert isinstance(failure, Failure)
    assert failure.cause.startswith("impossible result: ")
