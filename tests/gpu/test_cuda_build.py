"""The `tvm` builder on this machine's own GPU: built there, run there, and held against numpy."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from integration.workshop import STEPS, Artifact, Workshop, rows, worst

if TYPE_CHECKING:
    from integration.workshop import Probed

DEVICES = [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("nvhost-gpu")]

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not DEVICES, reason="no NVIDIA device")]

FLOAT16_MOST, FLOAT16_RMS = 0.45, 0.08
"""As for processors, where sums are rounded to float16 at every step; tensor cores round less."""


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    kept = os.environ.get("REGRESS_TEST_HOME")
    home = Path(kept).expanduser().absolute() if kept else tmp_path_factory.mktemp("home")
    return Workshop(home, tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="session", params=["llama-mini", "llama-mini-gqa", "llama-small"])
def preset(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def artifact(workshop: Workshop, preset: str) -> Artifact:
    return workshop.build_with(workshop.cuda_toolchain(), preset, "q4f16_1", target="cuda")


@pytest.fixture(scope="session")
def probed(workshop: Workshop, artifact: Artifact) -> Probed:
    return workshop.probe_artifact(artifact, device="cuda")


def test_prefill_and_every_decode_step_give_the_references_logits(
    workshop: Workshop, preset: str, probed: Probed
) -> None:
    expected = workshop.expected(preset, "q4f16_1")
    for prompt in STEPS:
        most, rms = worst(probed.logits[prompt], rows(expected, prompt))
        assert most < FLOAT16_MOST
        assert rms < FLOAT16_RMS


def test_a_prompt_is_the_prompt_without_its_last_token_and_one_decode_step(probed: Probed) -> None:
    for length in [length for length in STEPS if length - 1 in STEPS]:
        most, rms = worst(probed.logits[length][0], probed.logits[length - 1][1])
        assert most < FLOAT16_MOST
        assert rms < FLOAT16_RMS


def test_a_captured_step_answers_as_its_kernels_one_by_one(workshop: Workshop, preset: str, probed: Probed) -> None:
    """To the last bit: where it is captured, where it is launched again, in the next page and the next sequence."""
    artifact = workshop.build_with(
        workshop.cuda_toolchain(), preset, "q4f16_1", target="cuda", flags={"cuda_graph": "1"}
    )
    for prompt, logits in workshop.probe_artifact(artifact, device="cuda").logits.items():
        assert np.array_equal(logits, probed.logits[prompt])


def test_the_target_is_the_gpu_that_is_here_spelt_for_tensor_cores(artifact: Artifact) -> None:
    """`sm_90`, not `sm_90a`: by the latter TVM's schedules would not know their tensor cores."""
    assert json.loads(artifact.facts["resolved_target"])["arch"].removeprefix("sm_").isdecimal()


def test_a_replicate_answers_the_same_every_time(workshop: Workshop, artifact: Artifact) -> None:
    first = workshop.measured(artifact, device="cuda", new_tokens=8)
    again = workshop.measured(artifact, device="cuda", new_tokens=8)
    assert first["token_ids"] == again["token_ids"]
    assert min(first["samples"]["decode_tokens_per_s"]) > 0
