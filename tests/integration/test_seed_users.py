"""What users of jetson-containers' MLC container come with: their baseline, and the results that they have."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from regress import process

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def regress(tmp_path: Path) -> Callable[..., process.Output]:
    """Runs the command line in an empty folder, with an empty cache and this repository's configuration."""
    config = REPOSITORY / "regress.toml"
    env = {"PATH": "/usr/bin:/bin", "REGRESS_HOME": str(tmp_path / "home"), "PYTHONPATH": str(REPOSITORY)}

    def call(*arguments: str | Path) -> process.Output:
        argv = [sys.executable, "-m", "regress", *arguments, "--config", str(config)]
        return process.run(argv, cwd=tmp_path, env=env, timeout_s=120)

    return call


def test_a_dry_run_explains_the_orin_on_any_machine(regress: Callable[..., process.Output]) -> None:
    """It measures nothing, installs nothing, and says why there can be no verdict: 8."""
    baseline = REPOSITORY / "baselines" / "orin.toml"
    output = regress("check", "--baseline", baseline, "--dry-run")
    assert output.exit.code == 8, output.stderr
    assert "would measure mlc-jetson as runner orin" in output.stdout
    assert "a loss of 5.0% from 46.9 tokens/s passes" in output.stdout
    assert output.stdout.count("no verdict (no_reference)") == 8
    assert output.stdout.endswith("could not judge here\n")
    found = json.loads(regress("check", "--baseline", baseline, "--dry-run", "--json").stdout)
    assert [case["key"].rpartition("/p")[2] for case in found["cases"]] == [f"{2**power}+128" for power in range(4, 13)]


@pytest.mark.parametrize("name", ["cpu.toml", "h200.toml"])
def test_a_dry_run_takes_every_baseline(regress: Callable[..., process.Output], tmp_path: Path, name: str) -> None:
    """Here it could judge or not, which it says with its exit code; what it did not do leaves no trace."""
    output = regress("check", "--baseline", REPOSITORY / "baselines" / name, "--dry-run", "--json")
    found = json.loads(output.stdout)
    assert output.exit.code == found["exit_code"] in (0, 8)
    assert {case["against"] for case in found["cases"]} <= {"stored", "side_by_side"}
    assert found["toolchain"]["state"] == "absent"
    assert list(tmp_path.rglob("*.json")) == []


def test_a_dry_run_is_not_of_a_record(regress: Callable[..., process.Output]) -> None:
    output = regress("check", "--dry-run", "--record", "some.json")
    assert output.exit.code == 2
    assert "check: --dry-run is for measuring" in output.stderr


HEAD = (
    "timestamp, hostname, api, model, precision, input_tokens, output_tokens, "
    "prefill_time, prefill_rate, decode_time, decode_rate, memory\n"
)
ROW = "20231012 17:30:00, host, mlc, Llama-2-7b-chat-hf, q4f16_ft, 16, 128, 0.027, 582.8, 2.986, 42.9, 5309.1\n"
IMPORT = (
    "import",
    "t.csv",
    "--runner",
    "orin",
    "--model",
    "llama-2-7b",
    "--target",
    "cuda",
    "--device",
    "AGX Orin",
    "--harness",
    "chat",
)
KEY = "llama-2-7b+mlc-chat~q4f16_ft~cuda~p16+128"


def test_a_table_becomes_history_on_every_machine_and_a_page(
    regress: Callable[..., process.Output], tmp_path: Path
) -> None:
    """Imported, shared through a git branch, taken elsewhere byte for byte, and shown; twice adds nothing."""
    (tmp_path / "t.csv").write_text(HEAD + ROW, encoding="utf-8")
    process.run(["git", "init", "--quiet", "--bare", "remote.git"], cwd=tmp_path, timeout_s=60)
    outputs = [regress(*IMPORT, "--toolchain", "mlc-2023", "--history", "here") for _ in range(2)]
    assert [output.exit.code for output in outputs] == [0, 0], outputs[0].stderr
    assert outputs[1].stdout == ""
    (path,) = (tmp_path / "here").rglob("*.json")
    for action, folder in (("push", "here"), ("pull", "there"), ("verify", "there")):
        remote = () if action == "verify" else ("--remote", "remote.git")
        output = regress("history", action, "--history", folder, *remote)
        assert output.exit.code == 0, output.stderr
    assert "records 0, reports 0, imports 1, problems 0" in output.stderr
    taken = tmp_path / "there" / path.relative_to(tmp_path / "here")
    assert taken.read_bytes() == path.read_bytes()
    assert regress("site", "--history", "there", "--site", "site").exit.code == 0
    assert regress("site", "check", "--site", "site").exit.code == 0
    page = (tmp_path / "site" / "series" / "orin" / f"{KEY}.html").read_text(encoding="utf-8")
    assert "imported, not judged" in page
    assert "582.8" in page


def test_a_bad_table_leaves_nothing(regress: Callable[..., process.Output], tmp_path: Path) -> None:
    """The error names file, line and column, and is no traceback."""
    (tmp_path / "t.csv").write_text(HEAD + ROW + ROW.replace("42.9", "nan"), encoding="utf-8")
    output = regress(*IMPORT, "--toolchain", "mlc-2023")
    assert output.exit.code == 3
    assert output.stderr == (
        "regress: error: t.csv: line 3: decode_rate: nan cannot be: a number above zero is expected\n"
    )
    assert not (tmp_path / "history").exists()


def test_the_published_rates_are_in_the_history_with_their_source(regress: Callable[..., process.Output]) -> None:
    """Importing the files of docs/orin again adds nothing; the newer one is the published value of the baseline."""
    for day in ("2023-10", "2024-06"):
        file = REPOSITORY / "docs" / "orin" / f"published-{day}.csv"
        output = regress(
            *("import", file, "--runner", "orin", "--model", "llama-2-7b", "--target", "cuda", "--harness", "chat"),
            *("--device", "Jetson AGX Orin 64GB", "--toolchain", f"mlc-{day}", "--history", REPOSITORY / "history"),
            "--json",
        )
        (row,) = json.loads(output.stdout)
        assert row["new"] is False
        assert row["import"]["case"] == "llama-2-7b+mlc-chat/q4f16_ft/cuda/p16+128"
    baseline = (REPOSITORY / "baselines" / "orin.toml").read_text(encoding="utf-8")
    assert row["import"]["values"] == {"prefill_tokens_per_s": 632.8, "decode_tokens_per_s": 46.9}
    assert "values = { prefill_tokens_per_s = 632.8, decode_tokens_per_s = 46.9 }" in baseline
