"""What the harnesses of MLC-LLM make of its folder, its statistics and its times."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING

import pytest

from regress.worker import bench_chat, mlc_folder, rates

if TYPE_CHECKING:
    from pathlib import Path

VERBOSE = """\
----------- prefill -----------
throughput: 592.593 tok/s
total tokens: 16 tok
total time: 0.027 s
------------ decode ------------
throughput: 43.200 tok/s
total tokens: 129 tok
total time: 2.986 s
"""


def test_verbose_statistics_are_read() -> None:
    """16 tokens at 592.593/s take 27 ms, 129 at 43.2/s take 2.986 s."""
    said = bench_chat.said(VERBOSE)
    assert (said.prompt_tokens, said.generated) == (16, 129)
    assert said.prefill_s == pytest.approx(0.027, rel=1e-6)
    assert said.decode_s == pytest.approx(2.9861, rel=1e-4)


def test_a_call_that_decodes_nothing_has_statistics_too() -> None:
    """What is divided by no time is `inf` or `nan` in C++."""
    for rate in ("inf", "nan", "-nan"):
        said = bench_chat.said(VERBOSE.replace("43.200", rate))
        assert said.prefill_s == pytest.approx(0.027, rel=1e-6)


@pytest.mark.parametrize("text", ["", "prefill: 582.8 tok/s, decode: 42.9 tok/s", VERBOSE[: VERBOSE.index("decode")]])
def test_statistics_of_another_form_are_no_measurement(text: str) -> None:
    with pytest.raises(RuntimeError, match="the chat module's statistics are of another form"):
        bench_chat.said(text)


@pytest.mark.parametrize("rate", ["inf", "nan", "0.000", "-5.000"])
def test_a_time_that_cannot_be_is_no_measurement(rate: str) -> None:
    """A rate without end takes no time, and one of nothing is none."""
    told = bench_chat.said(VERBOSE.replace("43.200", rate))
    with pytest.raises(
        RuntimeError, match=r"the chat module's counters say that its prefill took 0\.027 s, its decode"
    ):
        bench_chat._require_asked(told, {"prompt_tokens": 16, "new_tokens": 128})


class FakeChat:
    """A module whose tokenizer puts some tokens in front, and makes some of each word."""

    def __init__(self, front: int, each: int) -> None:
        self._front, self._each, self._tokens = front, each, 0

    def benchmark_generate(self, prompt: str, generate_length: int) -> str:
        self._tokens = self._front + self._each * len(prompt.split())
        return "x" * generate_length

    def stats(self, *, verbose: bool) -> str:
        assert verbose
        return VERBOSE.replace("16 tok\n", f"{self._tokens} tok\n")


@pytest.mark.parametrize(("front", "words"), [(0, 16), (1, 15), (15, 1)])
def test_a_prompt_has_as_many_tokens_as_are_asked_for(front: int, words: int) -> None:
    """Whatever the tokenizer puts in front."""
    assert bench_chat._prompt(FakeChat(front, 1), 16) == " ".join(["the"] * words)


@pytest.mark.parametrize(("front", "each"), [(16, 1), (0, 3)])
def test_a_length_that_no_text_has_ends_the_search(front: int, each: int) -> None:
    with pytest.raises(RuntimeError, match=r"no text of 16 tokens was found: 'the' repeated makes [0-9]+"):
        bench_chat._prompt(FakeChat(front, each), 16)


@pytest.mark.parametrize("held_up", [0, 1, 2])
def test_a_single_call_that_is_held_up_says_nothing_of_the_prompt(held_up: int) -> None:
    class HeldUpOnce(FakeChat):
        calls = 0

        def benchmark_generate(self, prompt: str, generate_length: int) -> str:
            time.sleep(0.3 if self.calls == held_up else 0)
            self.calls += 1
            return super().benchmark_generate(prompt, generate_length)

    assert bench_chat._short_s(HeldUpOnce(0, 1), "the") < 0.15


def test_the_rates_are_those_of_the_steps() -> None:
    """16 tokens in 20 ms and 8 steps in 160 ms; memory only where the processor is what computes."""
    found = rates.samples([rates.Times(0.02, 0.16)], 16, 8, "cuda")
    assert found == {
        "prefill_tokens_per_s": [pytest.approx(800.0)],
        "decode_tokens_per_s": [pytest.approx(50.0)],
        "time_to_first_token_s": [0.02],
        "time_per_output_token_s": [pytest.approx(0.02)],
    }
    assert rates.samples([rates.Times(0.02, 0.16)], 16, 8, "cpu")["peak_memory_bytes"][0] > 2**20


@pytest.mark.parametrize(
    ("one_s", "other_s", "apart"),
    [
        (1.0, 1.0, False),
        (1.0, 0.91, False),
        (1.0, 0.88, True),
        (0.88, 1.0, True),
        (0.001, 0.006, False),
        (1.0, math.nan, True),
    ],
)
def test_two_clocks_differ_beyond_a_share_and_a_slack(one_s: float, other_s: float, apart: bool) -> None:  # noqa: FBT001
    """A tenth of the longer one, and 5 ms; what is no number agrees with nothing."""
    assert rates.differ(one_s, other_s) is apart


def artifact(folder: Path, listed: str, tokenizer: str) -> Path:
    made = folder / "artifact"
    made.mkdir()
    shard = {"records": [{"name": "norm", "shape": [4], "dtype": "float32"}]}
    (made / listed).write_text(json.dumps({"records": [shard, shard]}))
    (made / "mlc-chat-config.json").write_text('{"vocab_size": 7}')
    if tokenizer:
        (made / tokenizer).write_text("")
    return made


@pytest.mark.parametrize("listed", ["tensor-cache.json", "ndarray-cache.json"])
def test_a_folder_has_the_list_of_parameters_under_both_names(tmp_path: Path, listed: str) -> None:
    """Each era looks for its own; the artifact itself stays as it is."""
    made = artifact(tmp_path, listed, "tokenizer.model")
    before = sorted(made.iterdir())
    folder = mlc_folder.lay_out(made, tmp_path)
    texts = {(folder / name).read_text() for name in ("tensor-cache.json", "ndarray-cache.json")}
    assert len(texts) == 1
    assert [each["name"] for each in mlc_folder.parameters(folder)] == ["norm", "norm"]
    assert mlc_folder.chat_config(folder) == {"vocab_size": 7}
    assert sorted(made.iterdir()) == before


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the model has no tokenizer"):
        mlc_folder.lay_out(artifact(tmp_path, "tensor-cache.json", ""), tmp_path)
