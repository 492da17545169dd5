"""Drives a checkout of MLC-LLM through the `mlc` builder, and holds what it gives against the `tvm` builder.

    python benchmarks/mlc_checkout.py ../mlc-llm/python
    python benchmarks/mlc_checkout.py ../mlc-llm/python --tvm 0.26.0 --ffi 0.1.13.post3 --quantization q4f16_1

To be run by hand, once for each change of the builder's commands: MLC-LLM's packages are on no index, so CI has
stand-ins alone. A checkout needs no native library. A small Llama with random weights is built for this processor by
both builders with the same TVM; one line each, exit status 1 where one does not hold:

- the packed weights are the same bytes, name by name (float32 scales as bfloat16 keeps them, which MLC-LLM stores);
- bits per parameter are the same;
- on the same weights, those that MLC-LLM wrote, and after the same tokens, both libraries answer alike: the largest
  difference of their logits over the largest logit is rounding.

Rates stand beside, for no bar: on a processor they are of no use to anyone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regress import attempt, bench
from regress.answers import agreement_of
from regress.baseline import parse_baseline
from regress.config import parse_config
from regress.home import cache_home
from regress.job import Job
from regress.preparation import Preparation
from regress.progress import Reporter
from regress.recipe import MLC_QUANTIZATIONS, QUANTIZATIONS
from regress.record import Failure
from regress.worker.weights import read_shards

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regress.baseline import Case
    from regress.build import Built
    from regress.toolchain import InstalledToolchain

MODEL = "synthetic:llama-mini"
PROMPT, NEW = 16, 24
ROUNDING = {"float32": 2e-5, "float16": 2e-2}
"""Largest difference of two logits over the largest logit, by the model's type: sums in another order."""

# What MLC-LLM's package imports when its commands run; it declares them without versions, psutil not at all.
PACKAGES = (
    *(
        "fastapi",
        "ml-dtypes>=0.5.1",
        "numpy",
        "openai",
        "pandas",
        "prompt-toolkit",
        "psutil",
        "requests",
        "safetensors",
    ),
    *("sentencepiece", "shortuuid", "tiktoken", "torch", "tqdm", "transformers", "uvicorn"),
)
CONFIG = """\
[run]
baseline = "checkout.toml"
toolchains = ["checkout"]

[toolchains.checkout]
kind = "source"
path = "{path}"
packages = [{packages}]
"""
BASELINE = """\
runner = "checkout"
toolchain = "checkout"

[measure]
warmups = 1
repeats = 3

[measure.environment]
TVM_NUM_THREADS = "1"
"""
CASE = """
[[cases]]
model = "{model}"
quantization = "{quantization}"
target = "llvm"
builder = "{builder}"
prompt_tokens = {prompt}
new_tokens = {new}
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one library said: its greedy tokens, the logits after each, and its median rates in tokens/s."""

    tokens: tuple[int, ...]
    logits: NDArray[np.float32]
    rates: dict[str, float]


class Checkout:
    """The checkout as a toolchain, with a case of each builder per quantization.

    Args:
        path: Folder that holds `mlc_llm`.
        packages: What to install beside it.
        quantizations: By MLC's names.
    """

    def __init__(self, path: Path, packages: Sequence[str], quantizations: Sequence[str]) -> None:
        config = CONFIG.format(path=path.absolute(), packages=", ".join(f'"{package}"' for package in packages))
        cases = [
            CASE.format(model=MODEL, quantization=quantization, builder=builder, prompt=PROMPT, new=NEW)
            for quantization in quantizations
            for builder in ("mlc", "tvm")
        ]
        self.job = Job(
            config=parse_config(config, "regress.toml"),
            baseline=parse_baseline(BASELINE + "".join(cases), "checkout.toml"),
            baseline_name="checkout.toml",
            home=cache_home(),
            history=Path(os.devnull),
            reporter=Reporter(),
            flags={},
        )
        preparation = Preparation(self.job)
        recipes = preparation.recipes({})
        self.installed: InstalledToolchain = preparation.install("checkout")
        self.built = dict(
            zip((case.key for case in self.cases), preparation.build_all(self.installed, recipes), strict=True)
        )

    @property
    def cases(self) -> Sequence[Case]:
        """The cases, those of one quantization beside each other."""
        return self.job.baseline.cases

    def answer(self, case: Case, built: Built, tokens: Sequence[int] | None = None) -> Answer:
        """What a build answers; its own greedy tokens are gone on with where none are given."""
        measure, task = self.job.baseline.measure, self.job.task_of(case)
        with self.job.reporter.step(f"bench {case.key}") as step:
            launch = self.job.launch_of(self.installed, measure.bench_timeout_s, step)
            asked = attempt.Asked(
                built=built, task=task, launch=launch, packages={}, required=self.job.baseline.device, bandwidth=None
            )
            taken = attempt.take(lambda: attempt.attempt(asked), measure, lambda _discarded: None).result
            replicate = whole(taken)
            logits = whole(bench.logits(built, task, tokens or replicate.token_ids, launch))
        rates = {name: statistics.median(values) for name, values in replicate.samples.items() if "per_s" in name}
        return Answer(tokens=tuple(replicate.token_ids), logits=logits, rates=rates)


def whole(result: Any) -> Any:  # noqa: ANN401
    """The result; the script ends with the reason where there is none."""
    if result is None or isinstance(result, Failure):
        sys.exit(f"no result: {result.cause if result else 'every replicate was discarded'}")
    return result


def with_weights_of(tvm: Built, mlc: Built, folder: Path) -> Built:
    """The one build's library with the other's weights."""
    both = folder / tvm.folder.name
    shutil.copytree(mlc.folder, both)
    for name in ("lib.so", "manifest.json"):
        shutil.copy2(tvm.folder / name, both / name)
    return type(tvm)(folder=both, artifact=tvm.artifact, cached=True)


def as_stored(array: NDArray[Any]) -> NDArray[Any]:
    """Float32 as bfloat16 keeps it, rounded to nearest even; anything else as it is."""
    if array.dtype != np.float32:
        return array
    bits = array.view(np.uint32)
    rounded: NDArray[Any] = ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32)
    return rounded


def unlike(mlc: Built, tvm: Built) -> list[str]:
    """Names of the parameters that are not the same, or not in both builds."""
    theirs, ours = dict(read_shards(mlc.folder)), dict(read_shards(tvm.folder))
    same = {
        name
        for name in theirs.keys() & ours.keys()
        if theirs[name].shape == ours[name].shape and np.array_equal(as_stored(theirs[name]), as_stored(ours[name]))
    }
    return sorted((theirs.keys() | ours.keys()) - same)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came of a quantization.

    Attributes:
        head: What was compared.
        bars: Line to whether it holds.
        besides: Lines for no bar.
    """

    head: str
    bars: dict[str, bool]
    besides: tuple[str, ...]


def compared(checkout: Checkout, mlc_case: Case, tvm_case: Case, folder: Path) -> Comparison:
    """The two builders' artifacts of a quantization beside each other."""
    mlc, tvm = (whole(checkout.built[case.key]) for case in (mlc_case, tvm_case))
    one = checkout.answer(mlc_case, mlc)
    other = checkout.answer(tvm_case, with_weights_of(tvm, mlc, folder), one.tokens)
    difference = float(np.abs(one.logits - other.logits).max() / np.abs(one.logits).max())
    wrong, bits = unlike(mlc, tvm), (mlc.artifact.bits_per_param, tvm.artifact.bits_per_param)
    bar = ROUNDING["float32" if "f32" in mlc_case.quantization else "float16"]
    agreement = agreement_of(one.logits, other.logits)
    bars = {
        f"weights: {len(wrong)} of them differ {', '.join(wrong[:3])}": not wrong,
        f"bits per parameter: {bits[0]:.4f} and {bits[1]:.4f}": abs(bits[0] - bits[1]) < 1e-4,  # noqa: PLR2004
        f"logits: largest difference {difference:.1e} of the largest, at most {bar:.0e}": difference <= bar,
    }
    return Comparison(
        head=f"{mlc_case.quantization}: kv cache {mlc.artifact.kv_cache}, {len(mlc.artifact.kernels)} kernels",
        bars=bars,
        besides=(
            f"most likely token: {agreement.top1:.0%} the same, divergence {agreement.kl_nats:.1e} nats",
            *(f"{name}: mlc {rate:.1f}, tvm {other.rates[name]:.1f}" for name, rate in one.rates.items()),
        ),
    )


def text(comparison: Comparison) -> str:
    """A quantization as it is printed, line by line."""
    bars = [f"  {'ok' if good else 'MISSED':<7}{line}" for line, good in comparison.bars.items()]
    return "\n".join(["", comparison.head, *bars, *(f"{'':9}{line}" for line in comparison.besides), ""])


def main() -> int:
    """Builds, compares and prints."""
    parser = argparse.ArgumentParser(description="Drives a checkout of MLC-LLM.")
    parser.add_argument("path", type=Path, help="folder that holds mlc_llm")
    parser.add_argument("--tvm", default="0.26.0", help="version of apache-tvm")
    parser.add_argument("--ffi", default="0.1.13.post3", help="version of apache-tvm-ffi that it was made with")
    parser.add_argument("--torch", default="", help="version of torch, such as ==2.13.0")
    both = [name for name in QUANTIZATIONS if name in MLC_QUANTIZATIONS]
    parser.add_argument("--quantization", action="append", choices=both, help="one to build; repeatable (default: all)")
    args = parser.parse_args()
    packages = [f"apache-tvm=={args.tvm}", f"apache-tvm-ffi=={args.ffi}", *PACKAGES]
    packages[packages.index("torch")] += args.torch
    checkout = Checkout(args.path, packages, args.quantization or both)
    pairs = zip(checkout.cases[::2], checkout.cases[1::2], strict=True)
    with tempfile.TemporaryDirectory() as folder:
        comparisons = [compared(checkout, mlc, tvm, Path(folder)) for mlc, tvm in pairs]
    sys.stdout.write("".join(map(text, comparisons)))
    return 0 if all(good for each in comparisons for good in each.bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
