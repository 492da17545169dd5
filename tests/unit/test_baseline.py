"""Baseline files: cases, tolerances and references."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from factories import BASELINE_KEYS as KEYS
from factories import BASELINE_TEXT as TEXT
from factories import make_environment, sha

from regress.baseline import parse_baseline
from regress.errors import ConfigError
from regress.guard import Required
from regress.record import Method, digest


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
        ('name = "other"', 'builder = "mlcc"', "cases[1].builder: Invalid enum value 'mlcc'"),
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


ONE_CASE = TEXT[: TEXT.index("[[cases]]")] + TEXT[TEXT.rindex("[[cases]]") :]
REFERENCE = """
[cases.reference]
toolchain = "tvm-0.26.0"
toolchain_fingerprint = "{sha}"
artifact = "{sha}"
harness = "{sha}"
method = "{sha}"
model_digest = "{sha}"
written_on = 2026-10-03
reason = "first"
[[cases.reference.sessions]]
record = "r1"
recorded_at = 2026-10-03T12:00:00Z
[cases.reference.sessions.values]
decode_tokens_per_s = [50.0, 49.5]
""".replace("{sha}", sha("x"))
EPOCH = '[[epochs]]\nsince = 2026-10-03T12:00:00Z\nreason = "x"\ncases = ["othr"]\n'
ARTIFACT = f"""
[artifacts.{sha("x")}]
model_lib_bytes = 1
model_lib_sha256 = "{sha("x")}"
param_bytes = 1
bits_per_param = 4.5
planned_memory_bytes = {{}}
kv_cache = "create_tir_paged_kv_cache"
kernels = {{}}
resolved_target = "cuda"
"""


def test_a_reference_and_its_artifact_are_read() -> None:
    """Sessions with their replicates, and the build they are of."""
    reference = parse_baseline(TEXT + REFERENCE + ARTIFACT, "b.toml").references()[KEYS[1]]
    assert reference.form == "two_sample"
    assert reference.values("decode_tokens_per_s") == [(50.0, 49.5)]
    assert reference.build is not None
    assert reference.build.bits_per_param == 4.5


MLC = TEXT.replace('target = "cuda-sm_87"', 'target = "cuda-sm_87"\nbuilder = "mlc"')


def test_each_builder_has_cases_of_its_own() -> None:
    """The key says who built; what we build with TVM alone is called as ever."""
    baseline = parse_baseline(MLC, "b.toml")
    assert [case.key for case in baseline.cases] == [KEYS[0], "other+mlc/q4f32_1/cuda-sm_87/p64+16"]
    twice = TEXT.replace('name = "other"\n', "") + MLC[MLC.rindex("[[cases]]") :].replace('name = "other"\n', "")
    assert len(parse_baseline(twice, "b.toml").cases) == 3


def test_each_harness_has_cases_of_its_own() -> None:
    """The key says what drives the build, where it is not our own loop."""
    keys = [
        parse_baseline(MLC.replace('builder = "mlc"', f'builder = "mlc"\nharness = "{harness}"'), "b.toml").cases[1].key
        for harness in ("vm", "engine", "chat")
    ]
    assert keys == [f"other+mlc{driven}/q4f32_1/cuda-sm_87/p64+16" for driven in ("", "-engine", "-chat")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace('target = "cuda-sm_87"', 'target = "cuda-sm_87"\nharness = "engine"'), "'engine' is MLC-LLM's"),
        (MLC.replace('builder = "mlc"', 'builder = "mlc"\nharness = "http"'), "Invalid enum value 'http'"),
    ],
)
def test_a_harness_that_cannot_drive_a_build_is_refused(text: str, message: str) -> None:
    """Builds with TVM alone have no engine."""
    with pytest.raises(ConfigError, match=rf"b.toml: cases\[1\].harness: {message}"):
        parse_baseline(text, "b.toml")


def test_a_reference_of_another_builder_is_refused() -> None:
    """A case whose builder is changed in place keeps its reference, which is of something else then."""
    text = "the reference was built by 'tvm', the case asks for 'mlc'"
    with pytest.raises(ConfigError, match=rf"b.toml: cases\[1\].reference.builder: {text}"):
        parse_baseline(MLC + REFERENCE + ARTIFACT, "b.toml")
    own = REFERENCE.replace("[cases.reference]\n", '[cases.reference]\nbuilder = "mlc"\n')
    assert parse_baseline(MLC + own + ARTIFACT, "b.toml").cases[1].reference is not None
    with pytest.raises(ConfigError, match="the reference was built by 'mlc', the case asks for 'tvm'"):
        parse_baseline(TEXT + own + ARTIFACT, "b.toml")


def test_a_published_rate_is_a_reference_without_runs() -> None:
    """Until somebody stores runs of this very machine."""
    published = """
[cases.published]
source = "a forum post"
device = "Orin"
values = { decode_tokens_per_s = 46.9 }
"""
    reference = parse_baseline(TEXT + published, "b.toml").references()[KEYS[1]]
    assert (reference.form, reference.name, reference.device) == ("one_sample", "a forum post", "Orin")
    assert reference.values("decode_tokens_per_s") == [(46.9,)]
    both = parse_baseline(TEXT + published + REFERENCE + ARTIFACT, "b.toml")
    assert both.references()[KEYS[1]].form == "two_sample"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (REFERENCE, r"cases\[1\].reference.artifact: no such digest under \[artifacts\]"),
        (REFERENCE.replace("[50.0, 49.5]", "[]") + ARTIFACT, "Expected `array` of length >= 1"),
        (REFERENCE.replace("49.5", "-1.0") + ARTIFACT, r"Expected `float` > 0"),
        (REFERENCE.replace("49.5", "nan") + ARTIFACT, r"Expected `float` > 0|Expected `float` <= "),
        (REFERENCE.replace("49.5", "inf") + ARTIFACT, r"Expected `float` <= "),
        (REFERENCE.replace('"first"', '""') + ARTIFACT, "reason: Expected `str` of length >= 1"),
        (REFERENCE.replace("decode_tokens", "decode_token") + ARTIFACT, r"sessions\[0\].values.*unknown metric"),
        (
            REFERENCE + REFERENCE[REFERENCE.index("[[") :] + ARTIFACT,
            r"cases\[1\].reference.sessions: the record r1 stands twice",
        ),
        ("[check]\nbudget = 2\n", "check.budget: Expected `int` >= 3"),
        ("[check]\nbudgets = 8\n", "check.budgets: unknown key; did you mean 'budget'"),
        ("[device]\npowermode = 'MAXN'\n", "device.powermode: unknown key; did you mean 'power_mode'"),
        ("[device]\nmin_sm_clock_mhz = 0\n", "device.min_sm_clock_mhz: Expected `float` > 0.0"),
        ("[measure]\nretries = -1\n", "measure.retries: Expected `int` >= 0"),
        ("[measure.environment]\nTVM_TOKEN = 'x'\n", "measure.environment.TVM_TOKEN: its name says secret"),
        ("[gates]\nbits = 0.1\n", "gates.bits: unknown gate; did you mean 'bits_per_param'"),
        (
            '[[epochs]]\nsince = 2026-10-03T12:00:00Z\nreason = "x"\ncases = ["othr"]\n',
            r"epochs\[0\].cases: no case 'othr'",
        ),
    ],
)
def test_what_cannot_be_a_reference_is_an_error(extra: str, message: str) -> None:
    """File and key, before anything is measured."""
    with pytest.raises(ConfigError, match=message):
        parse_baseline(TEXT + extra, "b.toml")


def test_references_hold_for_one_machine_one_harness_and_one_method() -> None:
    """Another machine, another bench worker, other repeats, and nothing can be compared."""
    environment, method = make_environment(), Method(warmups=2, repeats=10, seed=0)
    text = (REFERENCE + ARTIFACT).replace(f'method = "{sha("x")}"', f'method = "{digest(method)}"')
    baseline = parse_baseline(ONE_CASE + text, "b.toml")
    assert not baseline.holds_for(environment, {"vm": sha("x")}, method)
    here = msgspec.structs.replace(baseline, environment=environment)
    assert here.holds_for(environment, {"vm": sha("x")}, method)
    assert not here.holds_for(make_environment(fingerprint=sha("another")), {"vm": sha("x")}, method)
    assert not here.holds_for(environment, {"vm": sha("another")}, method)
    assert not here.holds_for(environment, {"vm": sha("x")}, Method(warmups=2, repeats=11, seed=0))
    both = msgspec.structs.replace(parse_baseline(TEXT + text, "b.toml"), environment=environment)
    assert not both.holds_for(environment, {"vm": sha("x")}, method)  # one case has no reference


@pytest.mark.parametrize(
    ("levels", "mode", "pairs"),
    [
        ((50.0, 50.0, 50.0), "auto", False),
        ((50.0, 52.0, 48.0), "auto", True),
        ((50.0, 52.0, 48.0), "never", False),
        ((50.0, 50.0, 50.0), "always", True),
    ],
)
def test_sessions_that_differ_ask_for_a_comparison_on_the_spot(
    levels: tuple[float, ...], mode: str, *, pairs: bool
) -> None:
    """Three sessions at their own levels; a mode that says otherwise is obeyed."""
    sessions = "".join(
        f"[[cases.reference.sessions]]\nrecord = 'r{index}'\nrecorded_at = 2026-10-03T12:00:00Z\n"
        f"[cases.reference.sessions.values]\ndecode_tokens_per_s = {[level, level * 1.002, level * 0.998]}\n"
        for index, level in enumerate(levels)
    )
    text = REFERENCE[: REFERENCE.index("[[")] + sessions + ARTIFACT
    baseline = parse_baseline(f"{ONE_CASE}{text}[check]\npaired = '{mode}'\n", "b.toml")
    assert baseline.pairs() is pairs


def test_a_case_without_tolerances_is_refused() -> None:
    """Nothing would be judged, and that would be green."""
    with pytest.raises(ConfigError, match=r"b.toml: cases\[1\]: no metric has a tolerance"):
        parse_baseline(TEXT.replace("{ decode_tokens_per_s = 0.05 }", "{}"), "b.toml")


def test_all_verdicts_of_a_run_share_the_chance_of_a_false_alarm() -> None:
    """Two metrics of the first case and one of the second."""
    baseline = parse_baseline(TEXT + "[check]\nbudget = 12\n", "b.toml")
    parameters = baseline.parameters(baseline.cases[0])
    assert {metric: (each.tolerance, each.budget, each.checks) for metric, each in parameters.items()} == {
        "decode_tokens_per_s": (0.05, 12, 3),
        "prefill_tokens_per_s": (0.15, 12, 3),
    }


def test_a_device_is_required_to_be_in_a_state() -> None:
    """Nothing is, where the file does not say so; how often a replicate is taken again has a default."""
    plain = parse_baseline(TEXT, "b.toml")
    assert plain.device == Required()
    assert (plain.measure.retries, plain.measure.cooldown_s) == (2, 10.0)
    text = TEXT + '\n[device]\npower_mode = "MAXN"\nmin_sm_clock_mhz = 1300.5\n'
    assert parse_baseline(text, "b.toml").device == Required(power_mode="MAXN", min_sm_clock_mhz=1300.5)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('power_mode = " "', "device.power_mode: Expected `str` matching regex"),
        ('power_mode = "700 W "', "device.power_mode: Expected `str` matching regex"),
        ("min_sm_clock_mhz = nan", "device.min_sm_clock_mhz: Expected `float` > 0.0"),
        ("min_sm_clock = 1300", "device.min_sm_clock: unknown key; did you mean 'min_sm_clock_mhz'?"),
    ],
)
def test_a_state_that_no_device_can_be_in_is_named(line: str, message: str) -> None:
    """A mode that is no word, or has a space at its end, would discard every replicate."""
    with pytest.raises(ConfigError) as caught:
        parse_baseline(f"{TEXT}\n[device]\n{line}\n", "b.toml")
    assert str(caught.value).startswith(f"b.toml: {message}")
