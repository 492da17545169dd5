"""Real toolchains, models and artifacts for the tests, each made once: what the fixture `workshop` hands out."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np
from integration.reference_llama import Reference

from regress import model, process, toolchain
from regress.config import parse_config
from regress.recipe import FLAGS
from regress.record import Failure
from regress.supervisor import WORKERS, Launch, run_worker, worker_environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from regress.config import ToolchainSpec
    from regress.record import Stage
    from regress.toolchain import InstalledToolchain

    Logits = NDArray[Any]

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("llama_probe.py")
GRAPH_PROBE = Path(__file__).with_name("graph_probe.py")
CONFIG = parse_config((REPOSITORY / "regress.toml").read_text(), "regress.toml")
TOOLCHAINS = ("tvm-0.25.0.post1", "tvm-0.26.0", "tvm-0.27.0.post1")
LATEST = TOOLCHAINS[-1]

NVRTC_PACKAGES = (
    "cuda-bindings==13.0.*",
    "nvidia-cuda-nvrtc==13.0.*",
    "nvidia-cuda-runtime==13.0.*",
    "nvidia-cuda-cccl==13.0.*",
    "nvidia-cuda-crt==13.0.*",
)
"""NVIDIA's compiler and headers as packages: with them TVM compiles CUDA on a machine without a GPU or a toolkit."""

STEPS = {1: 3, 2: 0, 6: 1, 7: 12, 15: 1, 16: 2, 17: 17, 32: 1, 33: 2, 130: 20}
"""Prompt lengths to the decode steps behind them.

Odd lengths, lengths around the 16 tokens of a page, steps from one page to the next, one prompt over many pages, and
pairs that differ by one token.
"""

TOKENS: list[int] = np.random.default_rng(5).integers(0, 2048, 150).tolist()
"""Every run takes its prompt and its further tokens from the front of these."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """What a build left, what it said, and the toolchain that runs it."""

    folder: Path
    facts: dict[str, Any]
    toolchain: InstalledToolchain

    def file(self, name: str) -> Any:  # noqa: ANN401
        return json.loads((self.folder / name).read_text())

    @property
    def kernels(self) -> dict[str, str]:
        found: dict[str, str] = self.facts["kernels"]
        return found


@dataclass(frozen=True)
class Probed:
    """What a built model answered: its metadata, and its logits by prompt length, `(1 + steps, vocab_size)`."""

    metadata: dict[str, Any]
    functions: list[str]
    logits: dict[int, Logits]


class Workshop:
    """Makes each thing when it is first asked for, and once.

    Args:
        home: Cache folder for toolchains and models.
        folder: For artifacts and logs, fresh in every session: a build is what is tested.
    """

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        self._count = 0
        self._made: dict[tuple[object, ...], Any] = {}

    def once(self, make: Callable[[], T], *what: object) -> T:
        """What `make` makes, made once for all who ask for the same."""
        if what not in self._made:
            self._made[what] = make()
        made: T = self._made[what]
        return made

    def new_folder(self, name: str) -> Path:
        self._count += 1
        folder = self.folder / f"{self._count}-{name}"
        folder.mkdir()
        return folder

    def model(self, preset: str) -> Path:
        return model.resolve(f"synthetic:{preset}", self.home).folder

    def toolchain(self, name: str = LATEST) -> InstalledToolchain:
        installed = self.once(lambda: self.install(CONFIG.toolchain(name)), "toolchain", name)
        assert installed.failure is None, installed.failure
        return installed

    def install(self, spec: ToolchainSpec) -> InstalledToolchain:
        return toolchain.install(spec, self.home)

    def cuda_toolchain(self) -> InstalledToolchain:
        """A toolchain that can compile CUDA, GPU or not: with the machine's nvcc, else with NVRTC's packages."""
        if shutil.which("nvcc"):
            return self.toolchain(LATEST)
        spec = CONFIG.toolchain(LATEST)
        packages = (*spec.packages, *NVRTC_PACKAGES)
        return self.install(msgspec.structs.replace(spec, name=f"{LATEST}-nvrtc", packages=packages))

    def run(
        self,
        worker: str,
        request: dict[str, Any],
        installed: InstalledToolchain,
        *,
        stage: Stage,
        env: dict[str, str] | None = None,
    ) -> dict[str, Any] | Failure:
        """What a worker returned, or why it returned nothing."""
        launch = Launch(
            python=installed.python,
            env=worker_environment(os.environ, {**installed.env, **(env or {})}),
            timeout_s=300,
            on_progress=lambda _: None,
        )
        return run_worker(worker, request, launch, stage=stage, folder=self.new_folder(worker))

    def build(self, preset: str, quantization: str, toolchain: str = LATEST, **flags: str) -> Artifact:
        """The artifact for this machine's processor, built by the first who asks."""

        def make() -> Artifact:
            return self.build_with(self.toolchain(toolchain), preset, quantization, flags=flags)

        return self.once(make, "build", preset, quantization, toolchain, *flags.items())

    def build_with(  # noqa: PLR0913  # one per part of a recipe
        self,
        installed: InstalledToolchain,
        preset: str,
        quantization: str,
        *,
        target: str = "llvm",
        flags: dict[str, str] | None = None,
        env: dict[str, str] | None = None,
    ) -> Artifact:
        """A new artifact, whether or not there is such a one."""
        folder = self.new_folder(f"{preset}-{quantization}")
        request = {
            "model": str(self.model(preset)),
            "output": str(folder),
            "quantization": quantization,
            "target": target,
            "flags": {**FLAGS, **(flags or {})},
        }
        facts = self.run("build_tvm", request, installed, stage="build", env=env)
        assert not isinstance(facts, Failure), f"{facts.cause}\n{facts.log}"
        return Artifact(folder=folder, facts=facts, toolchain=installed)

    def probe(self, preset: str, quantization: str, toolchain: str = LATEST, **flags: str) -> Probed:
        """What that artifact answers, asked once."""
        artifact = self.build(preset, quantization, toolchain, **flags)
        return self.once(lambda: self.probe_artifact(artifact), "probe", artifact.folder)

    def probe_artifact(self, artifact: Artifact, device: str = "cpu") -> Probed:
        folder = self.new_folder("probe")
        runs = {str(prompt): (TOKENS[:prompt], TOKENS[prompt : prompt + n]) for prompt, n in STEPS.items()}
        request = {
            "regress": str(WORKERS.parent),
            "artifact": str(artifact.folder),
            "device": device,
            "context": len(TOKENS),
            "runs": runs,
            "output": str(folder / "logits.npz"),
        }
        (folder / "request.json").write_text(json.dumps(request))
        output = process.run(
            [artifact.toolchain.python, PROBE, folder / "request.json"],
            env={**os.environ, **artifact.toolchain.env},
            timeout_s=120,
        )
        assert output.exit.ok, output.stderr
        with np.load(folder / "logits.npz") as found:
            logits = {int(name): found[name] for name in runs}
        return Probed(**json.loads(output.stdout.splitlines()[-1]), logits=logits)

    def expected(self, preset: str, quantization: str) -> Logits:
        """The reference's logits after each of `TOKENS`."""

        def make() -> Logits:
            return Reference(self.model(preset), quantization).logits(TOKENS)

        return self.once(make, "expected", preset, quantization)

    def bench(self, artifact: Artifact, device: str = "cpu", **changes: Any) -> dict[str, Any] | Failure:  # noqa: ANN401
        """What the bench worker says about an artifact."""
        request = {
            "artifact": str(artifact.folder),
            "device": device,
            "prompt_tokens": 24,
            "new_tokens": 32,
            "warmups": 1,
            "repeats": 3,
            "seed": 1,
            "prompts": None,
            **changes,
        }
        return self.run("bench_vm", request, artifact.toolchain, stage="bench")

    def measured(self, artifact: Artifact, device: str = "cpu", **changes: Any) -> dict[str, Any]:  # noqa: ANN401
        """What the bench worker measured; it must not fail."""
        found = self.bench(artifact, device, **changes)
        assert not isinstance(found, Failure), f"{found.cause}\n{found.log}"
        return found


def worst(found: Logits, expected: Logits) -> tuple[float, float]:
    """The largest and the root mean square difference."""
    difference = found.astype(np.float64) - expected
    return float(np.abs(difference).max()), float(np.sqrt((difference**2).mean()))


def rows(expected: Logits, prompt: int) -> Logits:
    """The reference's logits that a run with that prompt gives: after the prompt, and after every step."""
    return expected[prompt - 1 : prompt + STEPS[prompt]]
