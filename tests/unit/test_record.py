"""The record: a schema that stays, checks on reading, and nothing in it that must not be published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from factories import make_broken, make_case, make_record, make_replicate, sha
from msgspec.structs import replace

from regress.errors import HistoryError
from regress.record import SCHEMA, decode_record, digest, encode
from regress.redact import publishable

GOLDEN = Path(__file__).parent / "golden"


def test_a_golden_record_reads_and_writes_the_same() -> None:
    """A file written once is read, and written again byte for byte."""
    data = (GOLDEN / "record-3.json").read_bytes()
    assert encode(decode_record(data, "golden")) == data


@pytest.mark.parametrize("name", ["record-2-before.json", "record-2.json"])
def test_a_record_of_schema_2_is_the_same(name: str) -> None:
    """It has each replicate's tokens, all of it stands in lines, and at first each number did."""
    before, now = (decode_record((GOLDEN / each).read_bytes(), each) for each in (name, "record-3.json"))
    assert replace(before, schema=now.schema) == now


def test_tokens_stand_once_in_a_case_but_where_they_differ() -> None:
    """And each replicate has its own again when the record is read."""
    first, same, other = (replace(make_replicate(1000, 50), token_ids=tokens) for tokens in ((7, 8), (7, 8), (7, 9)))
    record = make_record(make_case(replicates=(first, same, other)))

    stored = encode(record)

    told = [each.get("token_ids") for each in json.loads(stored)["cases"][0]["replicates"]]
    assert told == [[7, 8], None, [7, 9]]
    assert decode_record(stored, "r.json") == record


def test_only_a_record_of_schema_3_leaves_tokens_out() -> None:
    """Of one before, a replicate without them has none, which an engine always tells."""
    engine = make_case(
        "tiny+mlc-engine/q4f16_1/llvm/p64+16",
        replicates=(make_replicate(1000, 50), replace(make_replicate(1000, 50), token_ids=())),
        harness="engine",
        harness_digest=sha("engine"),
    )
    stored = json.loads(encode(make_record(engine)))
    assert decode_record(json.dumps(stored).encode(), "r.json").schema == SCHEMA

    with pytest.raises(HistoryError, match="lacks the answer that the harness 'engine' tells"):
        decode_record(json.dumps({**stored, "schema": 2}).encode(), "r.json")


def test_a_replicate_stands_on_a_line() -> None:
    """A record is half as large so, and its lines are still of a length that tools show."""
    lines = encode(make_record()).splitlines()
    assert sum(line.lstrip().startswith(b'{"started_at":') for line in lines) == 3
    assert b' "schema": 3,' in lines


def test_a_record_of_before_telemetry_stays_readable() -> None:
    """Schema 1: all that it says is kept, and what it does not say is not known."""
    data = (GOLDEN / "record-1.json").read_bytes()
    record = decode_record(data, "golden")
    told = {**json.loads(data), "schema": SCHEMA}
    for replicate in told["cases"][0]["replicates"][1:]:
        replicate["token_ids"] = None  # which are those of the first one
    assert _less(json.loads(encode(record)), told) == told
    assert record.cases[0].replicates[0].telemetry is None
    assert (record.cases[0].discarded, record.cases[0].gave_up) == ((), None)
    assert (record.environment.power_mode, record.memory_bandwidth_bytes_per_s) == (None, None)


def _less(new: Any, old: Any) -> Any:  # noqa: ANN401
    """What is in both, as the new one has it."""
    if isinstance(new, dict):
        return {key: _less(new.get(key), old[key]) for key in old}
    if isinstance(new, list):
        return [_less(*both) for both in zip(new, old, strict=True)]
    return new


def test_a_case_that_was_given_up_says_what_was_discarded() -> None:
    """Every reader names the last reason; a file without one is refused, and is no crash later."""
    record = encode(make_record(make_case(gave_up="throttled")))
    with pytest.raises(HistoryError, match=r"r\.json: cases\[0\]: gave up, and nothing was discarded"):
        decode_record(record, "r.json")


def test_a_record_survives_a_round_trip() -> None:
    """What is written is what is read, broken cases included."""
    record = make_record(make_case(), make_broken("tiny/q0f16/llvm/p64+16"))
    assert decode_record(encode(record), "r.json") == record


def _broken(change: dict[str, Any]) -> bytes:
    fields = json.loads(encode(make_record()))
    fields.update(change)
    return json.dumps(fields).encode()


def _with_sample(value: object) -> bytes:
    fields = json.loads(encode(make_record()))
    fields["cases"][0]["replicates"][1]["samples"]["decode_tokens_per_s"] = [value]
    return json.dumps(fields).encode()


FAILURE = {"stage": "build", "cause": "x", "how": "exit status 1"}


def _broken_case(change: dict[str, Any]) -> bytes:
    fields = json.loads(encode(make_record()))
    fields["cases"][0].update(change)
    return json.dumps(fields).encode()


def _with_metric(name: str) -> bytes:
    fields = json.loads(encode(make_record()))
    fields["cases"][0]["replicates"][0]["samples"][name] = [1.0]
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encode(make_record())[:200], "r.json: Input data was truncated"),
        (b"", "r.json: Input data was truncated"),
        (encode(make_record()).replace(b'"runner": "', b'"runner": "\xff'), "r.json: 'utf-8' codec can't decode byte"),
        (b"{}", "r.json: Object missing required field `schema`"),
        (_broken({"schema": 4}), "r.json: schema 4 is newer than this regress reads (3)"),
        (_broken({"host": "x"}), "r.json: Object contains unknown field `host`"),
        (_broken({"runner": "../x"}), "r.json: Expected `str` matching regex"),
        (_with_sample(0), "r.json: Expected `float` > 0.0 - at `$.cases[0].replicates[1].samples[...][0]`"),
        (_with_sample(-1), "r.json: Expected `float` > 0.0 - at `$.cases[0].replicates[1].samples[...][0]`"),
        (_with_sample(float("nan")), "r.json: JSON is malformed"),
        (_with_sample(None), "r.json: Expected `float`, got `null` - at `$.cases[0].replicates[1].samples"),
        (_broken({"schema": 0}), "r.json: Expected `int` >= 1 - at `$.schema`"),
        (_with_sample(1e300), "r.json: Expected `float` <= 1"),
        (_broken_case({"key": "weird"}), "r.json: Expected `str` matching regex"),
        (_broken_case({"key": "a/b/c/p1+1"}), "r.json: cases[0].key: 'a/b/c/p1+1' contradicts the workload p64+16"),
        (_broken_case({"failure": FAILURE}), "r.json: cases[0]: has both a failure and replicates"),
        (
            _broken_case({"harness": "engine"}),
            "r.json: cases[0].key: 'tiny/q4f16_1/llvm/p64+16' contradicts the harness 'engine'",
        ),
        (
            _broken_case({"key": "tiny+mlc-engine/q4f16_1/llvm/p64+16", "harness": "engine"}),
            "r.json: cases[0].harness_digest: that of 'vm' is the record's own, every other stands here",
        ),
        (_broken_case({"harness_digest": sha("x")}), "r.json: cases[0].harness_digest: that of 'vm' is the record's"),
        (_broken_case({"key": "tiny+mlc-disco/q4f16_1/llvm/p64+16"}), "r.json: Expected `str` matching regex"),
        (
            _broken_case(
                {"key": "tiny+mlc-chat/q4f16_1/llvm/p64+16", "harness": "chat", "harness_digest": sha("x")},
            ),
            "r.json: cases[0].replicates: one lacks the answer that the harness 'chat' tells",
        ),
        (_with_metric("decode_token_per_s"), "r.json: cases[0].replicates: unknown metric 'decode_token_per_s'; did"),
        (encode(make_record(make_case(), make_case())), "r.json: cases: 'tiny/q4f16_1/llvm/p64+16' stands twice"),
    ],
)
def test_a_bad_record_is_named(data: bytes, message: str) -> None:
    """Truncated, newer, unknown field, a rate that is no rate: one line with file and place."""
    with pytest.raises(HistoryError) as caught:
        decode_record(data, "r.json")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "published"),
    [
        (
            "OSError: /home/ann/.cache/x/tvm/lib/libtvm.so: undefined symbol",
            "OSError: …/lib/libtvm.so: undefined symbol",
        ),
        ('  File "/opt/venv/lib/python3.11/site-packages/tvm/base.py", line 3', '  File "…/tvm/base.py", line 3'),
        ("token hf_abcdefghijklmnop was refused", "token *** was refused"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("https://ann:secret@example.org/x", "https://***@example.org/x"),
        ("tvm::s_tir::Tensorize -> tvm::ffi::ToJSONGraph", "tvm::s_tir::Tensorize -> tvm::ffi::ToJSONGraph"),
        ("12 tokens/s at 3/4 load", "12 tokens/s at 3/4 load"),
        ("cc -I/home/ann/cuda/include", "cc -I…/include"),
        ("file:///home/ann/secret/x", "…/x"),
        ("path:/home/ann/weights", "path:…/weights"),
        ("cannot enter /home/ann", "cannot enter …"),
        ("https://token@example.org/simple", "https://***@example.org/simple"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
    ],
)
def test_paths_and_secrets_are_not_published(text: str, published: str) -> None:
    """Absolute paths are cut short, tokens and passwords struck out; the rest stays."""
    assert publishable(text) == published


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    """The same mapping has one digest: SHA-256 of its canonical JSON."""
    # echo -n '{"a":1,"b":2}' | sha256sum
    assert digest({"b": 2, "a": 1}) == "43258cff783fe7036d8a43033f830adfc60ec037382473548ac742b888292777"


def test_each_harness_has_its_own_digest() -> None:
    """That of `vm` is the record's, as it was before there was another one; the others stand with their cases."""
    key = "tiny+mlc-engine/q4f16_1/llvm/p64+16"
    told = replace(make_replicate(1000, 50), logits_sha256=None)
    engine = make_case(key, harness="engine", harness_digest=sha("engine"), replicates=(told,))
    record = decode_record(encode(make_record(make_case(), engine)), "r.json")
    assert [record.harness_of(case) for case in record.cases] == [sha("harness"), sha("engine")]
    assert b"harness_digest" not in encode(make_record())
    assert b"text_sha256" not in encode(record)
