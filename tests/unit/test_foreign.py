"""What other benchmarks wrote: read as they mean it, and refused with the line and the column where it is wrong."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from factories import sha

from regress import foreign
from regress.errors import ConfigError, RegressError, UsageError
from regress.foreign.attribution import Attribution, imports
from regress.imported import Imported, Source
from regress.record import Workload

if TYPE_CHECKING:
    from regress.foreign.figures import Figures

HEAD = (
    "timestamp, hostname, api, model, precision, input_tokens, output_tokens, "
    "prefill_time, prefill_rate, decode_time, decode_rate, memory\n"
)
ROW = "20231012 17:30:00, my-host, mlc, Llama-2-7b-chat-hf, q4f16_ft, 16, 128, 0.027, 582.8, 2.986, 42.9, 5309.1\n"
PRINTED = """\
some log
AVERAGE OVER 3 RUNS, input=16, output=128
/data/models/Llama-2-7b-chat-hf-q4f16_ft/params:  prefill_time 0.025 sec, prefill_rate 632.8 tokens/sec, \
decode_time 2.731 sec, decode_rate 46.9 tokens/sec
"""
EARLY = PRINTED.replace(" RUNS, input=16, output=128", " RUNS:")
TEST = {
    "build_commit": "1c5eba6f",
    "build_number": 4567,
    "cpu_info": "AMD EPYC",
    "gpu_info": "NVIDIA H200",
    "backends": "CUDA",
    "model_filename": "/home/somebody/llama-2-7b.Q4_0.gguf",
    "model_type": "llama 7B Q4_0",
    "n_prompt": 512,
    "n_gen": 0,
    "test_time": "2026-07-01T10:00:00Z",
    "avg_ns": 100_000_000,
    "avg_ts": 5200.0,
    "samples_ns": [90_000_000, 110_000_000],
}
GIVEN = Attribution(
    runner="orin", model="llama-2-7b", target="cuda", device="AGX Orin", toolchain="mlc-2023-10", harness="chat"
)


def read(text: str, workload: Workload | None = None) -> tuple[str, list[Figures]]:
    kind, found = foreign.read(text.encode(), "f", workload)
    return kind, list(found)


def made(text: str, given: Attribution = GIVEN, workload: Workload | None = None) -> list[Imported]:
    kind, found = foreign.read(text.encode(), "f", workload)
    return imports(found, given.checked(), Source(file="f", sha256=sha("f"), format=kind, row=1))


def error(text: str, given: Attribution = GIVEN) -> RegressError:
    with pytest.raises(RegressError) as caught:
        made(text, given)
    return caught.value


def llama(**changes: Any) -> str:  # noqa: ANN401
    return json.dumps([{**TEST, **changes}])


def test_a_row_of_the_table_is_a_case() -> None:
    """Rates are those that stand there; the host is not kept."""
    (found,) = made(HEAD + ROW)
    assert found.case == "llama-2-7b+mlc-chat/q4f16_ft/cuda/p16+128"
    assert found.values == {"prefill_tokens_per_s": 582.8, "decode_tokens_per_s": 42.9}
    assert found.recorded_at == datetime(2023, 10, 12, 17, 30, tzinfo=timezone.utc)
    assert (found.runner, found.device, found.toolchain) == ("orin", "AGX Orin", "mlc-2023-10")
    assert found.said["model"] == "Llama-2-7b-chat-hf"
    assert "my-host" not in str(found)
    assert found.source == Source(file="f", sha256=sha("f"), format="benchmark.py csv", row=1)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2023-10-12T17:30:00Z", datetime(2023, 10, 12, 17, 30, tzinfo=timezone.utc)),
        ("2023-10-12T17:30:00+0200", datetime(2023, 10, 12, 15, 30, tzinfo=timezone.utc)),
        ("2023-10-12 17:30:00", datetime(2023, 10, 12, 17, 30, tzinfo=timezone.utc)),
        ("2023-10-12", datetime(2023, 10, 12, tzinfo=timezone.utc)),
    ],
)
def test_a_moment_without_an_offset_is_taken_for_utc(written: str, moment: datetime) -> None:
    assert made(HEAD + ROW.replace("20231012 17:30:00", written))[0].recorded_at == moment


def test_columns_may_stand_in_any_order_and_lines_be_empty() -> None:
    names, row = HEAD.strip().split(", "), ROW.strip().split(", ")
    text = "\ufeff" + ",".join(names[::-1]) + "\r\n\r\n" + ",".join(row[::-1]) + "\r\n"
    assert made(text)[0].values == made(HEAD + ROW)[0].values


def test_the_same_row_is_the_same_import_however_the_file_has_grown() -> None:
    """And a row that stands twice in a file is one."""
    first, second = made(HEAD + ROW), made(HEAD + ROW + ROW.replace("20231012", "20231013") + ROW)
    assert len(second) == 2
    assert second[0].id == first[0].id != second[1].id
    assert first[0].id.startswith("20231012T173000Z-mlc-2023-10-")


def test_what_is_printed_is_read_out_of_a_log() -> None:
    """Two lines, whatever stands around them; paths are not kept whole."""
    given = Attribution(**{**vars(GIVEN), "quantization": "q4f16_ft", "day": date(2024, 6, 1)})
    (found,) = made(PRINTED, given)
    assert found.case == "llama-2-7b+mlc-chat/q4f16_ft/cuda/p16+128"
    assert (found.values["decode_tokens_per_s"], found.runs) == (46.9, 3)
    assert found.recorded_at == datetime(2024, 6, 1, tzinfo=timezone.utc)
    assert "/data" not in str(found.said)


def test_later_versions_say_the_workload_in_their_own_way() -> None:
    later = PRINTED.replace("RUNS, input=16, output=128", "RUNS  (input_tokens=16, output_tokens=128)")
    assert later != PRINTED
    (found,) = read(later)[1]
    assert (found.prompt_tokens, found.new_tokens, found.runs) == (16, 128, 3)


def test_what_drove_mlc_llm_must_be_said() -> None:
    """Rates of two harnesses are of two cases, and no file says which it was."""
    without = Attribution(**{**vars(GIVEN), "harness": None})
    with pytest.raises(ConfigError, match=r"f: line 2: harness: the file does not say") as refused:
        made(HEAD + ROW, without)
    assert "--harness chat for ChatModule" in str(refused.value.hint)
    assert made(HEAD + ROW.replace(", mlc,", ", tvm,"), without)[0].case == "llama-2-7b/q4f16_ft/cuda/p16+128"
    keys = [made(HEAD + ROW, Attribution(**{**vars(GIVEN), "harness": name}))[0].case for name in ("vm", "engine")]
    assert [key.partition("/")[0] for key in keys] == ["llama-2-7b+mlc", "llama-2-7b+mlc-engine"]


def test_a_row_that_says_what_drove_it_is_believed() -> None:
    """`bench --save` says it; the rows of benchmark.py in the same table do not."""
    ours = "".join(ROW.replace(", mlc,", f", {api},") for api in ("mlc-vm", "mlc-engine"))
    keys = [each.case.partition("/")[0] for each in made(HEAD + ROW + ours)]
    assert keys == ["llama-2-7b+mlc-chat", "llama-2-7b+mlc", "llama-2-7b+mlc-engine"]


def test_a_log_may_begin_with_a_bracket() -> None:
    """As MLC-LLM's does, with the time."""
    assert read("[2024-06-01 12:00:00] INFO auto_device.py:85: Found device\n" + PRINTED)[0] == "benchmark.py text"


def test_a_table_may_begin_with_blank_lines() -> None:
    assert len(read("\n\n" + HEAD + ROW)[1]) == 1
    assert str(error("\n\n" + HEAD.replace("memory", "ram"))).startswith("f: line 3: unknown column 'ram'")


@pytest.mark.parametrize(
    ("model_type", "model", "quantization"),
    [
        ("llama 8B Q4_K - Medium", "llama 8B", "Q4_K-Medium"),
        ("qwen2 7B IQ4_NL - 4.5 bpw", "qwen2 7B", "IQ4_NL-4.5 bpw"),
        ("llama 7B Q4_0", "llama 7B", "Q4_0"),
    ],
)
def test_a_quantization_has_its_variety(model_type: str, model: str, quantization: str) -> None:
    (found,) = read(llama(model_type=model_type))[1]
    assert (found.model, found.quantization) == (model, quantization)


def test_one_case_with_two_settings_is_refused() -> None:
    """They would be runs of one series; what was set is kept with each."""
    tests = [{**TEST, "n_gpu_layers": layers} for layers in (99, 0)]
    assert str(error(json.dumps(tests))) == "f: [1].n_gpu_layers: 0, where the same test stands with 99"
    (found,) = read(json.dumps(tests[1:]))[1]
    assert found.said["n_gpu_layers"] == "0"


def test_of_early_versions_the_workload_must_be_said() -> None:
    with pytest.raises(ConfigError, match=r"f: line 3: nothing says how many tokens"):
        read(EARLY)
    (found,) = read(EARLY, Workload(prompt_tokens=16, new_tokens=128))[1]
    assert (found.prompt_tokens, found.new_tokens) == (16, 128)
    for text in (PRINTED, HEAD + ROW):
        with pytest.raises(ConfigError, match=r": 16 tokens in and 128 out, where p32\+128 was said"):
            read(text, Workload(prompt_tokens=32, new_tokens=128))


def test_what_regress_prints_is_such_output_too() -> None:
    """The lines of `regress bench`."""
    text = (
        "AVERAGE OVER 2 RUNS, input=64, output=16\n"
        "tiny-q4f16_1-llvm: prefill_time 0.0960 sec, prefill_rate 666.7 tokens/sec, "
        "decode_time 0.3200 sec, decode_rate 50.0 tokens/sec\n"
    )
    assert read(text)[1][0].values["prefill_tokens_per_s"] == 666.7


def test_a_prompt_test_of_llama_bench_is_a_prefill_rate() -> None:
    """512 tokens in 0.1 s are 5120/s, whatever mean of rates stands beside."""
    given = Attribution(runner="h200")
    (found,) = made(llama(), given)
    assert found.case == "llama-7B+llama.cpp/Q4_0/cuda/p512+1"
    assert found.values == {"prefill_tokens_per_s": pytest.approx(5120.0)}
    assert (found.toolchain, found.device, found.runs) == ("llama.cpp-b4567", "NVIDIA H200", 2)
    assert "somebody" not in str(found)


@pytest.mark.parametrize(("depth", "workload"), [(0, "p1+128"), (512, "p512+128")])
def test_a_generation_test_is_a_decode_rate_behind_its_depth(depth: int, workload: str) -> None:
    """128 tokens in 0.1 s are 1280/s."""
    (found,) = made(llama(n_prompt=0, n_gen=128, n_depth=depth), Attribution(runner="h200"))
    assert found.case.endswith(f"/{workload}")
    assert found.values == {"decode_tokens_per_s": pytest.approx(1280.0)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f: line 1: '' is neither the table nor the output"),
        ("hello\x1b[2J\n", "f: line 1: 'hello\\x1b[2J' is neither"),
        (HEAD, "f: it has no rows"),
        ((HEAD + ROW).replace(",", ";"), "f: line 1: columns are not separated by ','"),
        ((HEAD + ROW).replace(", ", "\t"), "f: line 1: columns are not separated by ','"),
        (HEAD.replace("memory", "power") + ROW, "f: line 1: unknown column 'power'"),
        (HEAD.replace(", memory", "") + ROW, "f: line 1: no column 'memory'"),
        (HEAD.replace("memory", "api") + ROW, "f: line 1: the column 'api' stands twice"),
        (HEAD + ROW.replace("42.9", "42,9"), "f: line 2: 13 fields, where the head has 12"),
        (HEAD + ROW.replace("42.9", '"42,9"'), "f: line 2: decode_rate: '42,9' is no number"),
        (HEAD + ROW.replace("42.9", "0"), "f: line 2: decode_rate: 0 cannot be"),
        (HEAD + ROW + ROW.replace("582.8", "-1"), "f: line 3: prefill_rate: -1 cannot be"),
        (HEAD + ROW.replace("2.986", "nan"), "f: line 2: decode_time: nan cannot be"),
        (HEAD + ROW.replace("2.986", "inf"), "f: line 2: decode_time: inf cannot be"),
        (HEAD + ROW.replace("2.986", ""), "f: line 2: decode_time: '' is no number"),
        (HEAD + ROW.replace("2.986", "2986"), "f: line 2: decode_rate: 42.9 tokens/s contradict 128 tokens in 2986 s"),
        (HEAD + ROW.replace(" 16,", " 15.7,"), "f: line 2: input_tokens: 15.7 is not a whole number of tokens"),
        (HEAD + ROW.replace(" 16,", " 99999999,"), "f: line 2: input_tokens: 99999999 tokens are more"),
        (HEAD + ROW.replace("20231012 17:30:00", "yesterday"), "f: line 2: timestamp: 'yesterday' is no moment"),
        (HEAD + ROW.replace("5309.1", "much"), "f: line 2: memory: 'much' is no number"),
        (HEAD + ROW.replace("q4f16_ft", ""), "f: line 2: quantization: the file does not say it"),
        (HEAD + ROW.replace("q4f16_ft", "??"), "f: line 2: quantization: '' is no name"),
        (HEAD + ROW.replace("20231012", "00011012"), "f: line 2: timestamp: the year 1 cannot be"),
        (
            HEAD + ROW.replace("20231012 17:30:00", "9999-12-31T23:59:59-2300"),
            "f: line 2: timestamp: the year 9999 cannot be",
        ),
        (HEAD + ROW.replace(" 16,", " 1_6,"), "f: line 2: input_tokens: '1_6' is no number"),
        (HEAD + ROW.replace(" 16,", " \uff11\uff16,"), "f: line 2: input_tokens: "),
        (HEAD + ROW.replace("42.9", "\x1b[2J"), "f: line 2: decode_rate: '\\x1b[2J' is no number"),
        (HEAD + ROW.replace("42.9", "x" * 99), f"f: line 2: decode_rate: '{'x' * 80}…' is no number"),
        (HEAD + '"20231012', "f: line 2: "),
        (HEAD + "a\0b\n", "f: a null character"),
        (PRINTED.partition("/data")[0], "f: line 3: no averages after 'AVERAGE OVER 3 RUNS"),
        (PRINTED.replace("46.9", "46,9"), "f: line 3: decode_rate: '46,9' is no number"),
        (PRINTED.replace("46.9", "0.0"), "f: line 3: decode_rate: 0.0 cannot be"),
        (PRINTED.replace("OVER 3", "OVER 0"), "f: line 3: RUNS: 0 cannot be"),
        (PRINTED, "f: line 3: quantization: the file does not say it"),
        ("[1", "f: not what `llama-bench -o json` prints: "),
        ("[]", "f: it has no rows"),
        ('{"results": []}', "f: not what `llama-bench -o json` prints: Expected `array`"),
        ('[{"name": "other"}]', "f: not what `llama-bench -o json` prints: Object missing required field"),
        (llama(avg_ns=0), "f: not what `llama-bench -o json` prints: Expected `float` > 0.0 - at `$[0].avg_ns`"),
        (llama(n_gen=128), "f: [0]: n_prompt 512, n_gen 128, n_depth 0: no case has such a rate"),
        (llama(test_time="1999-12-31T23:00:00Z"), "f: [0].test_time: the year 1999 cannot be"),
        (llama(n_prompt=0), "f: [0]: n_prompt 0, n_gen 0, n_depth 0: no case has such a rate"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, message: str) -> None:
    """And nothing of the file is imported."""
    assert str(error(text)).startswith(message)


def test_other_encodings_and_huge_files_are_refused() -> None:
    with pytest.raises(ConfigError, match="f: not UTF-8 text"):
        foreign.read((HEAD + ROW).encode("utf-16"), "f")
    with pytest.raises(ConfigError, match="f: 33 MiB are no list of results"):
        foreign.read(b" " * (33 * 2**20), "f")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": None}, "f: line 2: target: the file does not say it"),
        ({"device": None}, "f: line 2: device: the file does not say it"),
        ({"toolchain": None}, "f: line 2: toolchain: the file does not say it"),
        ({"toolchain": "a b"}, "import: --toolchain 'a b': a name holds letters"),
        ({"device": "a\x1b[2Jb"}, "f: line 2: Expected `str` matching regex"),
        ({"toolchain": "t" * 200}, "f: line 2: Expected `str`"),
        ({"runner": "../x"}, "import: --runner '../x'"),
        ({"model": "a/b"}, "import: --model 'a/b'"),
        ({"day": date(2024, 1, 1)}, "import: --date: f: line 2 says when it was measured"),
    ],
)
def test_what_is_not_said_or_cannot_be_said_is_named(changes: dict[str, Any], message: str) -> None:
    assert str(error(HEAD + ROW, Attribution(**{**vars(GIVEN), **changes}))).startswith(message)


def test_several_models_are_not_called_by_one_name() -> None:
    """A file of two models and `--model` would put two series into one."""
    with pytest.raises(UsageError, match=r"--model: the file has several: 'Llama-2-7b-chat-hf', 'Mistral'"):
        made(HEAD + ROW + ROW.replace("Llama-2-7b-chat-hf", "Mistral"))
