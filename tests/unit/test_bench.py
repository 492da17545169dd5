"""Prompt files, and results that cannot be."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from factories import sha

from regress import bench
from regress.device.monitor import Monitor
from regress.errors import ConfigError
from regress.record import Failure
from regress.replicate import Replicate
from regress.telemetry import Reading

if TYPE_CHECKING:
    from regress.telemetry import DeviceKind

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


def test_a_prompt_file_in_another_encoding_is_named() -> None:
    """Latin-1's ü is no UTF-8."""
    with pytest.raises(ConfigError, match=r"p\.json: not a prompt file: 'utf-8' codec can't decode byte 0xfc"):
        bench.parse_prompts('[{"text": "Gr\xfc\xdfe", "tokens": [1]}]'.encode("latin-1"), "p.json")


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


class FakeSensor:
    """A GPU that draws 300 W, and of whose memory the worker holds 3 GiB."""

    kind: DeviceKind = "nvidia"

    def __init__(self, *, energy: bool = True) -> None:
        self._reads, self._energy = 0, energy

    def read(self, worker: int | None = None) -> Reading:
        self._reads += 1
        energy_j = 300.0 * self._reads if self._energy else None
        own = 3 * 2**30 if worker and self._energy else None
        return Reading(at_ns=self._reads * 10**9, energy_j=energy_j, memory_own_bytes=own, clock_hz=1.98e9)

    def close(self) -> None:
        pass


PASSES = [[1_200_000_000, 1_500_000_000, 3_500_000_000], [3_600_000_000, 3_700_000_000, 4_700_000_000]]
"""Two passes, of 2 and of 1 s of decode, while readings are taken at 1, 2, 3 … s."""


def watched(*, energy: bool = True) -> Monitor:
    """A monitor with five readings, the first of them before the worker was started."""
    monitor = Monitor(FakeSensor(energy=energy), period_s=3600.0)
    for _ in range(4):
        with monitor.watching(4000):
            pass
    return monitor


def test_what_a_device_says_joins_the_replicate() -> None:
    """3 s at 300 W for two passes of one token each: 450 J per token; and its memory in place of the host's."""
    replicate = bench.replicate_of({**RESULT, "passes": PASSES, "read_bytes": 8}, NOW, watched())
    assert isinstance(replicate, Replicate)
    assert replicate.value("energy_per_token_j") == pytest.approx(450.0)
    assert replicate.value("peak_memory_bytes") == 3 * 2**30
    assert replicate.value("roofline_fraction") is None
    assert replicate.telemetry is not None
    assert replicate.telemetry.samples == 3
    assert replicate.telemetry.energy_j == pytest.approx(300 * (4.7 - 1.2))


def test_what_a_device_does_not_say_is_left_out() -> None:
    """A host's memory is not reported as a device's, and energy is not made up."""
    replicate = bench.replicate_of({**RESULT, "passes": PASSES}, NOW, watched(energy=False))
    assert isinstance(replicate, Replicate)
    assert set(replicate.samples) == {"decode_tokens_per_s"}
    assert replicate.telemetry is not None
    assert replicate.telemetry.energy_j is None


def test_the_share_of_the_roofline_is_what_reading_the_parameters_takes() -> None:
    """50 tokens/s that read 2,000 bytes each are a quarter of 400,000 bytes/s."""
    replicate = bench.replicate_of({**RESULT, "read_bytes": 2000}, NOW, bandwidth=400_000.0)
    assert isinstance(replicate, Replicate)
    assert replicate.samples["roofline_fraction"] == (0.25,)


@pytest.mark.parametrize("passes", [[[1, 2]], [["a", "b", "c"]], "now"])
def test_impossible_passes_are_a_failure(passes: object) -> None:
    """The worker's word is checked like any file's."""
    assert isinstance(bench.replicate_of({**RESULT, "passes": passes}, NOW), Failure)


def test_a_worker_that_tells_no_tokens_at_all_is_a_failure() -> None:
    """One whose harness knows none says so with an empty list."""
    silent = {name: value for name, value in RESULT.items() if name != "token_ids"}

    failure = bench.replicate_of(silent, NOW)

    assert isinstance(failure, Failure)
    assert "token_ids" in failure.cause
    assert not isinstance(bench.replicate_of({**RESULT, "token_ids": []}, NOW), Failure)
