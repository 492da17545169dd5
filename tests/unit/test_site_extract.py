"""What the page of one run takes of its record."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from factories import CASE, make_artifact, make_case, make_record, make_replicate, sha
from site_entries import OTHER

from regress.artifact import Artifact, Kernel
from regress.errors import HistoryError
from regress.record import CaseResult, Record, decode_record, encode
from regress.replicate import Replicate
from regress.site import extract as module
from regress.site.extract import extract
from regress.telemetry import Range, Telemetry

KERNELS = (Kernel(name="decode", sha256=sha("decode")), Kernel(name="prefill", sha256=sha("prefill")))


def measured() -> bytes:
    """A record of two cases with one artifact."""
    telemetry = Telemetry(
        device="nvidia",
        samples=9,
        clock_hz=Range(min=1.0e9, median=1.5e9, max=2.0e9),
        reasons={"sw_power_cap": 0.5},
        power_w=300.0,
        temperature_celsius=60.0,
    )
    replicate = msgspec.structs.replace(make_replicate(1000.0, 50.0), telemetry=telemetry)
    artifact = make_artifact(CASE, kernels=KERNELS)
    cases = [make_case(key, artifact=artifact, replicates=(replicate,)) for key in (CASE, OTHER)]
    return encode(make_record(*cases, memory_bandwidth_bytes_per_s=2e11))


def test_what_it_takes_is_what_the_record_says() -> None:
    """Compared as plain JSON with what the file has at the same place."""
    data = measured()
    found, stored = msgspec.json.decode(msgspec.json.encode(extract(data, "r.json"))), msgspec.json.decode(data)

    assert _taken(found, stored) == found
    assert [kernel["name"] for kernel in found["cases"][0]["artifact"]["kernels"]] == ["decode", "prefill"]
    assert "token_ids" not in found["cases"][0]["replicates"][0]


def _taken(found: Any, stored: Any) -> Any:  # noqa: ANN401
    """What is stored in the places of what was found."""
    if isinstance(found, dict):
        return {name: _taken(value, stored.get(name)) for name, value in found.items()}
    if isinstance(found, list):
        return [_taken(*both) for both in zip(found, stored, strict=True)]
    return stored


def test_kernels_that_cases_share_are_read_once() -> None:
    module._kernels.cache_clear()
    one, two = extract(measured(), "r.json").cases

    assert one.artifact is not None
    assert two.artifact is not None
    assert one.artifact.kernels is two.artifact.kernels


@pytest.mark.parametrize(
    ("stored", "other", "said"),
    [
        (b'"name":"decode",', b'"name":7,', "kernels"),
        (b'"clock_hz":{', b'"clock_hz":"fast","x":{', "clock_hz"),
        (b'"system": "', b'"system": 7, "x": "', "environment.system"),
        (b'"schema": 3', b'"schema": 99', "schema 99 is newer"),
        (b'"decode_tokens_per_s"', b'"decode_tokens"', "unknown metric 'decode_tokens'; did you mean"),
        (b'"prompt_tokens": 64', b'"prompt_tokens": 65', "contradicts the workload"),
        (b'"cases": [', b'"cases": [[', "r.json: "),
    ],
)
def test_what_cannot_be_is_refused_by_file_and_place(stored: bytes, other: bytes, said: str) -> None:
    data = measured()
    assert stored in data

    with pytest.raises(HistoryError, match=r"^r\.json: ") as error:
        extract(data.replace(stored, other), "r.json")

    assert said in str(error.value)


def test_what_is_not_shown_is_not_looked_at() -> None:
    """That is for `regress history verify`, which refuses the same record."""
    data = measured().replace(b'"token_ids":[', b'"token_ids":["none",', 1)

    assert extract(data, "r.json").id
    with pytest.raises(HistoryError, match="token_ids"):
        decode_record(data, "r.json")


@pytest.mark.parametrize(
    ("part", "whole"),
    [
        (module.Extract, Record),
        (module.CaseResult, CaseResult),
        (module.Artifact, Artifact),
        (module.Replicate, Replicate),
        (module.Telemetry, Telemetry),
    ],
)
def test_a_field_is_held_to_what_the_record_itself_holds_it_to(part: type, whole: type) -> None:
    """But for those that are parts themselves."""
    of_part, of_whole = ({each.name: each for each in msgspec.structs.fields(kind)} for kind in (part, whole))
    parts = {"cases", "artifact", "replicates", "telemetry", "stored_kernels"}

    for name in of_part.keys() - parts:
        assert of_part[name].type == of_whole[name].type, name
        assert of_part[name].required == of_whole[name].required, name
