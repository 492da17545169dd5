"""What llama.cpp's `llama-bench -o json` prints: a list of tests, each either of a prompt or of generation."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  # msgspec reads the annotations at run time
from typing import TYPE_CHECKING, Annotated

import msgspec

from regress.errors import ConfigError
from regress.foreign.figures import Figures, in_utc
from regress.stored import DAMAGED

if TYPE_CHECKING:
    from collections.abc import Sequence

_SETTINGS = ("n_gpu_layers", "flash_attn", "n_threads", "n_batch", "n_ubatch", "type_k", "type_v")
"""What decides a rate besides model and device."""
_Tokens = Annotated[int, msgspec.Meta(ge=0, le=2**24)]


class _Test(msgspec.Struct, frozen=True, kw_only=True):
    """One test; fields that are not named are not read.

    Attributes:
        n_depth: Tokens that are in the context before it begins.
        avg_ns: Mean time of all its tokens, in nanoseconds.
        samples_ns: The time of each run.
    """

    build_commit: str
    build_number: int
    model_type: str
    model_filename: str
    n_prompt: _Tokens
    n_gen: _Tokens
    test_time: datetime
    avg_ns: Annotated[float, msgspec.Meta(gt=0, le=1e15)]
    samples_ns: tuple[Annotated[float, msgspec.Meta(gt=0, le=1e15)], ...] = ()
    n_depth: _Tokens = 0
    n_gpu_layers: int | None = None
    flash_attn: bool | int | str | None = None
    n_threads: int | None = None
    n_batch: int | None = None
    n_ubatch: int | None = None
    type_k: str | None = None
    type_v: str | None = None
    backends: str = ""
    gpu_info: str = ""
    cpu_info: str = ""


def read(text: str, name: str) -> Sequence[Figures]:
    """The tests in a text.

    Raises:
        ConfigError: It is not JSON, or of another tool, or a test has no rate of a prompt or of generation alone.
    """
    try:
        tests = msgspec.json.decode(text, type=list[_Test])
    except DAMAGED as error:
        raise ConfigError(f"{name}: not what `llama-bench -o json` prints: {error}") from error
    _require_one_setting(tests, name)
    return [_figures(test, f"{name}: [{number}]") for number, test in enumerate(tests)]


def _settings(test: _Test) -> dict[str, str]:
    """How a test was run, as far as it says, and as it says it."""
    return {name: str(value) for name in _SETTINGS if (value := getattr(test, name)) is not None}


def _require_one_setting(tests: Sequence[_Test], name: str) -> None:
    """Refuses a file in which one case stands with several settings: they would be runs of one series."""
    seen: dict[tuple[str, int, int, int], dict[str, str]] = {}
    for number, test in enumerate(tests):
        case = (test.model_type, test.n_prompt, test.n_gen, test.n_depth)
        before = seen.setdefault(case, _settings(test))
        if before != _settings(test):
            now = _settings(test)
            other = next(key for key in _SETTINGS if before.get(key) != now.get(key))
            raise ConfigError(
                f"{name}: [{number}].{other}: {now.get(other)}, where the same test stands with {before.get(other)}",
                hint="import a file for each setting, each with a --toolchain of its own",
            )


def _figures(test: _Test, where: str) -> Figures:
    prompt, new, metric = _workload(test, where)
    called, _, variety = test.model_type.partition(" - ")
    model, _, quantization = called.rpartition(" ")
    on_cuda = "CUDA" in test.backends
    return Figures(
        where=where,
        prompt_tokens=prompt,
        new_tokens=new,
        values={metric: (test.n_prompt or test.n_gen) / (test.avg_ns * 1e-9)},
        builder="llama.cpp",
        measured_at=in_utc(test.test_time, f"{where}.test_time"),
        model=model,
        quantization=f"{quantization}-{variety}" if variety else quantization,
        target="cuda" if on_cuda else "",
        device=test.gpu_info if on_cuda else test.cpu_info,
        toolchain=f"llama.cpp-b{test.build_number}",
        runs=len(test.samples_ns) or None,
        said={
            "model_type": test.model_type,
            "model_filename": test.model_filename.rpartition("/")[2],
            "backends": test.backends,
            "build_commit": test.build_commit,
            **_settings(test),
        },
    )


def _workload(test: _Test, where: str) -> tuple[int, int, str]:
    """Prompt and new tokens of a test's case, and the metric that it gives.

    A test of a prompt ends with the first token that is predicted. One of generation begins behind `n_depth` tokens, or
    behind the one that begins every text.
    """
    if test.n_prompt and not test.n_gen and not test.n_depth:
        return test.n_prompt, 1, "prefill_tokens_per_s"
    if test.n_gen and not test.n_prompt:
        return test.n_depth or 1, test.n_gen, "decode_tokens_per_s"
    raise ConfigError(
        f"{where}: n_prompt {test.n_prompt}, n_gen {test.n_gen}, n_depth {test.n_depth}: no case has such a rate",
        hint="a test of a prompt alone, or of generation alone: llama-bench -p and -n, without -pg",
    )
