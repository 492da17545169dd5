"""`check --dry-run`: what would be done, and each thing that keeps it from a verdict."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from factories import make_environment, make_record, make_toolchain
from site_entries import make_baseline

from regress import rehearsal, toolchain
from regress.baseline import Baseline, Published
from regress.config import parse_config
from regress.errors import ConfigError
from regress.guard import Required
from regress.job import Job
from regress.progress import Reporter
from regress.record import Environment, Failure, Method, Record, digest
from regress.report.machine import prospect_json
from regress.report.prospect import prospect_text
from regress.toolchain import InstalledToolchain, Listed

if TYPE_CHECKING:
    from pathlib import Path

    from regress.prospect import Prospect

CONFIG = """
[run]
baseline = "b.toml"
toolchains = ["tvm-0.27.0"]
[toolchains."tvm-0.26.0"]
packages = ["apache-tvm==0.26.0"]
[toolchains."tvm-0.27.0"]
packages = ["apache-tvm==0.27.0"]
[toolchains.mlc]
packages = ["mlc-llm-nightly-cu128"]
[toolchains.here]
kind = "current"
[toolchains.boxed]
kind = "container"
image = "someone/mlc:1"
"""


class Here:
    """A machine, as a job sees it."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._home, self._patch = tmp_path, monkeypatch
        self.is_on(make_environment())
        digests = dict.fromkeys(("vm", "engine", "chat"), make_record().harness)
        monkeypatch.setattr(rehearsal, "harness_digest", digests.__getitem__)
        monkeypatch.setattr(rehearsal, "harness_digests", lambda: digests)
        monkeypatch.setattr(Job, "require_gpu", lambda _: None)

    def is_on(self, environment: Environment) -> None:
        self._patch.setattr(Job, "machine", lambda *_: environment)

    def has(self, listed: Listed) -> None:
        self._patch.setattr(toolchain, "listed", lambda *_: listed)

    def has_no_gpu(self) -> None:
        def refuse(_: Job) -> None:
            raise ConfigError("there is none")

        self._patch.setattr(Job, "require_gpu", refuse)

    def prospect(self, baseline: Baseline, name: str = "tvm-0.27.0") -> Prospect:
        job = Job(
            config=parse_config(CONFIG, "regress.toml"),
            baseline=baseline,
            baseline_name="b.toml",
            home=self._home,
            history=self._home,
            reporter=Reporter(),
            flags={},
        )
        return rehearsal.rehearse(job, name, "baselines/b.toml")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(tmp_path, monkeypatch)


def stored(record: Record | None = None, **changes: Any) -> Baseline:  # noqa: ANN401
    """A baseline with a stored reference that was taken as its own `[measure]` says."""
    baseline = make_baseline(record or make_record())
    (case,) = baseline.cases
    assert case.reference is not None
    method = digest(Method(warmups=2, repeats=10, seed=0))
    case = msgspec.structs.replace(case, reference=msgspec.structs.replace(case.reference, method=method))
    return msgspec.structs.replace(baseline, cases=(case,), **changes)


def published(**changes: Any) -> Baseline:  # noqa: ANN401
    rates = Published(source="a page", device="Orin", values={"decode_tokens_per_s": 46.9})
    baseline = make_baseline()
    case = msgspec.structs.replace(baseline.cases[0], published=rates, **changes)
    return msgspec.structs.replace(baseline, cases=(case,))


def reasons(prospect: Prospect) -> list[str]:
    """All that keeps it from a verdict."""
    held = [case.obstacle for case in prospect.cases if case.obstacle]
    return [each.reason for each in (*held, *prospect.obstacles)]


def test_where_a_stored_reference_holds_a_verdict_is_possible(here: Here) -> None:
    """Exit 0, and the looks that the budget of 8 covers."""
    prospect = here.prospect(stored())
    assert (prospect.exit_code, prospect.possible, reasons(prospect)) == (0, True, [])
    (case,) = prospect.cases
    assert (case.against, case.reference, case.looks) == ("stored", "tvm-0.26.0", (3, 5, 8))
    assert prospect.toolchain.state == "absent"
    assert "not installed; it would be resolved and installed first" in prospect_text(prospect)
    assert prospect_text(prospect).endswith("could judge here; nothing was measured\n")


def test_a_baseline_that_always_pairs_measures_its_own_toolchain_beside(here: Here) -> None:
    """In blocks: 4, 6 or 8."""
    baseline = stored()
    always = msgspec.structs.replace(baseline.check, paired="always")
    prospect = here.prospect(msgspec.structs.replace(baseline, check=always))
    assert (prospect.beside, prospect.cases[0].against, prospect.cases[0].looks) == (
        "tvm-0.26.0",
        "side_by_side",
        (4, 6, 8),
    )
    assert "4, 6 or 8 blocks" in prospect_text(prospect)
    assert "against tvm-0.26.0, measured side by side with it" in prospect_text(prospect)


def test_another_machine_is_named_with_what_differs(here: Here) -> None:
    here.is_on(make_environment(fingerprint="f" * 64, python="3.12"))
    prospect = here.prospect(stored())
    assert (prospect.exit_code, reasons(prospect)) == (8, ["other_environment"])
    assert "(python: 3.11 there, 3.12 here)" in prospect_text(prospect)
    assert "hint: `regress run` measures" in prospect_text(prospect)


def test_no_reference_is_an_obstacle_of_the_case(here: Here) -> None:
    prospect = here.prospect(make_baseline())
    assert reasons(prospect) == ["no_reference"]
    assert prospect.cases[0].against == "nothing"


@pytest.mark.parametrize(("harness", "found"), [("vm", ["other_harness"]), ("engine", ["other_harness"]), ("chat", [])])
def test_published_rates_judge_a_case_of_their_own_harness_alone(here: Here, harness: str, found: list[str]) -> None:
    """Numbers of two harnesses are never compared."""
    rates = Published(source="a page", values={"decode_tokens_per_s": 46.9}, harness="chat")
    (case,) = published(builder="mlc", harness=harness).cases
    baseline = msgspec.structs.replace(published(), cases=(msgspec.structs.replace(case, published=rates),))
    assert reasons(here.prospect(baseline, "mlc")) == found


def test_an_image_needs_what_runs_it(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without starting anything; whether it answers is seen when it is used."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert "no_runtime" in reasons(here.prospect(stored(), "boxed"))
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert "no_runtime" not in reasons(here.prospect(stored(), "boxed"))


def test_published_rates_can_judge_on_their_device_alone(here: Here) -> None:
    assert reasons(here.prospect(published())) == ["other_environment"]
    here.is_on(make_environment(fingerprint="a" * 64, device="NVIDIA Jetson AGX Orin Developer Kit"))
    prospect = here.prospect(published())
    assert reasons(prospect) == []
    assert "a loss of 5.0% from 46.9 tokens/s passes" in prospect_text(prospect)


def test_a_gpu_that_is_not_there_is_an_obstacle_of_all(here: Here) -> None:
    here.has_no_gpu()
    assert reasons(here.prospect(stored())) == ["no_gpu"]


@pytest.mark.parametrize(("mode", "found"), [("MAXN", []), ("30W", ["wrong_mode"]), (None, [])])
def test_another_power_mode_is_an_obstacle_where_it_is_known(here: Here, mode: str | None, found: list[str]) -> None:
    here.is_on(make_environment(power_mode=mode))
    prospect = here.prospect(stored(device=Required(power_mode="MAXN")))
    assert reasons(prospect) == found
    assert "device: power_mode MAXN; replicates measured otherwise are discarded" in prospect_text(prospect)


def test_a_toolchain_whose_check_failed_builds_nothing(here: Here, tmp_path: Path) -> None:
    failure = Failure(stage="toolchain", cause="undefined symbol: x", how="exit status 1")
    installed = InstalledToolchain(
        identity=make_toolchain("tvm-0.27.0"), python=tmp_path, env={}, folder=None, failure=failure, cached=True
    )
    spec = parse_config(CONFIG, "").toolchains["tvm-0.27.0"]
    here.has(Listed(spec=spec, state="broken", toolchain=installed))
    prospect = here.prospect(stored())
    assert reasons(prospect) == ["does_not_build"]
    assert "its check failed: undefined symbol: x" in prospect_text(prospect)


@pytest.mark.parametrize(("name", "found"), [("tvm-0.27.0", ["no_mlc_llm"]), ("mlc", []), ("here", [])])
def test_a_toolchain_without_mlc_llm_cannot_build_its_cases(here: Here, name: str, found: list[str]) -> None:
    """Of an interpreter that is there nobody knows before it is asked."""
    here.is_on(make_environment(device="Orin"))
    assert reasons(here.prospect(published(builder="mlc"), name)) == found


def test_as_json_it_has_the_exit_code_in_front(here: Here) -> None:
    found = json.loads(prospect_json(here.prospect(make_baseline())))
    assert (found["possible"], found["exit_code"]) == (False, 8)
    assert found["cases"][0]["obstacle"]["reason"] == "no_reference"
