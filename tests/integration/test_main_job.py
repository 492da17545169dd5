"""The main job through the real command line: two real TVM releases, real builds, real verdicts."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess  # noqa: TID251  # a child that is interrupted while it runs
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from integration.workshop import REPOSITORY

from regress import process
from regress.record import Record, decode_record

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.alone

BASELINE = """\
runner = "here"
toolchain = "tvm-0.26.0"

# Wide: what is tested is the path of a verdict, not this machine's noise.
[tolerance]
prefill_tokens_per_s = 0.7
decode_tokens_per_s = 0.7

[measure]
replicates = 4
warmups = 1
repeats = 3

[measure.environment]
TVM_NUM_THREADS = "1"

# Whether sessions differ is up to the machine, and not what is tested.
[check]
paired = "never"

[[cases]]
model = "synthetic:llama-mini"
quantization = "q4f32_1"
target = "llvm"
prompt_tokens = 16
new_tokens = 24
"""
BROKEN = """
[toolchains.broken]
packages = ["apache-tvm==0.25.0.post1", "apache-tvm-ffi==0.1.14.post1", "numpy"]
as_of = 2026-10-03
"""
KEY = "llama-mini/q4f32_1/llvm/p16+24"


class Machine:
    """A working folder with a configuration, and the command line in it."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "REGRESS_HOME": str(home), "COLUMNS": "200"}
        config = (REPOSITORY / "regress.toml").read_text(encoding="utf-8").replace("baselines/cpu.toml", "here.toml")
        (folder / "regress.toml").write_text(config + BROKEN, encoding="utf-8")
        (folder / "here.toml").write_text(BASELINE, encoding="utf-8")

    def regress(self, *arguments: str | Path, **env: str) -> process.Output:
        """What `regress ARGUMENTS` did."""
        argv = [sys.executable, "-m", "regress", *arguments]
        return process.run(argv, cwd=self.folder, env={**self.env, **env}, timeout_s=600)

    def records(self) -> list[Path]:
        """The records of the history, oldest first."""
        paths = (self.folder / "history").rglob("*.json")
        records = [path for path in paths if not path.name.endswith(".check.json")]
        return sorted(records, key=lambda path: path.stat().st_mtime_ns)

    def record(self, path: Path) -> Record:
        return decode_record(path.read_bytes(), path.name)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, test_home: Path) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"), test_home)


@pytest.fixture(scope="module")
def first_run(machine: Machine) -> process.Output:
    """The main job on a machine that its baseline does not describe."""
    return machine.regress("run")


@pytest.fixture(scope="module")
def sessions(machine: Machine, first_run: process.Output) -> list[Path]:
    """The reference toolchain, recorded until its noise would show the tolerance: three times on a quiet machine."""
    assert first_run.exit.ok, first_run.stderr
    for count in range(1, 10):
        output = machine.regress("bench", "--toolchain", "tvm-0.26.0")
        assert output.exit.ok, output.stderr
        records = machine.records()[-count:]
        proposed = machine.regress("baseline", "propose", "--baseline", "proposed.toml", *given(records))
        if proposed.exit.ok:
            return records
        assert proposed.exit.code == 3, proposed.stderr
    pytest.fail(f"this machine is too noisy to test on: {proposed.stderr}")


def given(records: list[Path]) -> list[str]:
    """Arguments that name records."""
    return [argument for path in records for argument in ("--record", str(path))]


@pytest.fixture(scope="module")
def own_baseline(machine: Machine, sessions: list[Path]) -> Path:
    """This machine's own baseline, stored from those records."""
    output = machine.regress("baseline", "--baseline", "own.toml", *given(sessions))
    assert output.exit.ok, output.stderr
    return machine.folder / "own.toml"


def test_a_run_ends_with_a_verdict_two_records_and_a_page(machine: Machine, first_run: process.Output) -> None:
    """Both toolchains are measured side by side, the newer is judged by the ratio, and it says so."""
    assert first_run.exit.code == 0, first_run.stderr
    assert "against tvm-0.26.0, measured side by side with it on this machine" in first_run.stdout
    assert "blocks side by side, smallest visible loss" in first_run.stdout
    assert "AVERAGE OVER " in first_run.stdout
    assert "RUNS, input=16, output=24\nllama-mini-q4f32_1-llvm: prefill_time" in first_run.stdout
    assert "regress bench --toolchain tvm-0.26.0 --replicates 5\n  regress baseline --baseline" in first_run.stderr
    old, new = (machine.record(path) for path in machine.records()[:2])
    assert {old.toolchain.name, new.toolchain.name} == {"tvm-0.26.0", "tvm-0.27.0.post1"}
    for record in (old, new):
        (case,) = record.cases
        assert len(case.replicates) >= 4
        assert case.artifact is not None
        assert case.artifact.model.source == "synthetic:llama-mini"
    assert old.cases[0].replicates[0].token_ids == new.cases[0].replicates[0].token_ids
    site = machine.folder / "site"
    assert "tvm-0.27.0.post1" in (site / "index.html").read_text(encoding="utf-8")
    (series,) = (site / "series" / new.runner).glob("*.html")
    assert KEY in series.read_text(encoding="utf-8")
    assert (site / "runs" / new.runner / f"{new.id}.html").exists()


def test_blocks_alternate_so_that_a_drift_cancels(machine: Machine, first_run: process.Output) -> None:
    """A B, B A, A B, B A: each toolchain is first in every other block."""
    assert first_run.exit.ok
    old, new = (machine.record(path).cases[0].replicates for path in machine.records()[:2])
    firsts = [one.started_at < other.started_at for one, other in zip(old, new, strict=True)]
    assert all(first != firsts[0] for first in firsts[1::2])
    assert all(first == firsts[0] for first in firsts[::2])


def test_nothing_of_the_machine_is_published(machine: Machine, first_run: process.Output) -> None:
    """No host name, no user's folder, no path of the cache in a record."""
    assert first_run.exit.ok
    for path in (machine.folder / "history").rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        if len(os.uname().nodename) > 3:  # a shorter one, such as `vm`, is part of many words
            assert os.uname().nodename not in text
        assert machine.env["REGRESS_HOME"] not in text
        assert str(Path.home()) + "/" not in text


def test_a_second_run_rebuilds_nothing(machine: Machine, first_run: process.Output) -> None:
    """The artifacts are found, and stay as they are."""
    assert first_run.exit.ok
    artifacts = Path(machine.env["REGRESS_HOME"]) / "artifacts"
    before = {path: path.stat().st_mtime_ns for path in artifacts.rglob("*") if path.is_file()}
    output = machine.regress("run", "--no-site", "--budget", "3", "--exit-zero", "--json")
    assert output.exit.ok, output.stderr
    assert output.stderr.count("found in the cache)") == 2
    assert {path: path.stat().st_mtime_ns for path in artifacts.rglob("*") if path.is_file()} == before
    assert json.loads(output.stdout)["against"] == "measured"


def test_an_unchanged_rebuild_passes_by_the_stored_reference(machine: Machine, own_baseline: Path) -> None:
    """Measured anew on the machine that the baseline describes."""
    output = machine.regress("check", "--baseline", own_baseline, "--toolchain", "tvm-0.26.0")
    assert output.exit.code == 0, output.stdout + output.stderr
    assert "against the stored reference of tvm-0.26.0 in own.toml" in output.stdout
    assert "verdict: pass" in output.stdout or "verdict: improved" in output.stdout


def test_a_really_slower_build_fails(machine: Machine, own_baseline: Path) -> None:
    """A library whose matrix kernels are left unscheduled, judged from its record alone."""
    bench = machine.regress("bench", "--flag", "schedule=none", "--replicates", "6", "--json")
    assert bench.exit.code == 0, bench.stderr
    slow = machine.records()[-1]
    assert json.loads(bench.stdout)["id"] == slow.stem
    (case,) = machine.record(slow).cases
    assert case.artifact is not None
    assert case.artifact.flags["schedule"] == "none"
    output = machine.regress("check", "--baseline", own_baseline, "--record", slow)
    assert output.exit.code == 1, output.stdout
    assert "regressed    decode rate" in output.stdout
    assert machine.regress("check", "--baseline", own_baseline, "--record", slow, "--exit-zero").exit.code == 0


def test_a_really_slower_build_fails_beside_the_reference(machine: Machine, own_baseline: Path) -> None:
    """Measured in blocks with the stored build, which is built without the flag: red, and its answers are compared."""
    text = own_baseline.read_text(encoding="utf-8").replace('paired = "never"', 'paired = "always"')
    (machine.folder / "always.toml").write_text(text, encoding="utf-8")
    arguments = ("--baseline", "always.toml", "--flag", "schedule=none", "--json")
    output = machine.regress("check", *arguments)
    assert output.exit.code == 1, output.stdout + output.stderr
    report = json.loads(output.stdout)
    decode = next(verdict for verdict in report["verdicts"] if verdict["metric"] == "decode_tokens_per_s")
    assert (report["against"], decode["outcome"], decode["decision"]["form"]) == ("measured", "regressed", "paired")
    reference = machine.record(next(path for path in machine.records() if path.stem == report["reference_record"]))
    assert reference.cases[0].artifact is not None
    assert reference.cases[0].artifact.flags["schedule"] == "tuned"
    answers = next(verdict for verdict in report["verdicts"] if verdict["text"].startswith("answers: "))
    assert answers["outcome"] == "pass"


def test_a_new_reference_is_proposed_as_a_diff(machine: Machine, own_baseline: Path, sessions: list[Path]) -> None:
    """With a reason, and without touching the file: a baseline never moves by itself."""
    before = own_baseline.read_text(encoding="utf-8")
    output = machine.regress("baseline", "--baseline", own_baseline, *given(sessions))
    assert output.exit.code == 2
    assert "own.toml has references already" in output.stderr
    reason = ("--reason", "a new release")
    output = machine.regress("baseline", "propose", "--baseline", own_baseline, *reason, *given(sessions))
    assert output.exit.code == 0, output.stderr
    assert '\n-reason = "first references of this machine"\n+reason = "a new release"\n' in output.stdout
    assert own_baseline.read_text(encoding="utf-8") == before


def test_too_few_runs_make_no_reference(machine: Machine, sessions: list[Path]) -> None:
    """Nothing is written, and what is missing is said."""
    output = machine.regress("baseline", "--baseline", "blind.toml", "--record", sessions[0])
    assert output.exit.code == 3
    assert "4 replicates in 1 recorded runs, a reference needs 10 in 3" in output.stderr
    assert not (machine.folder / "blind.toml").exists()


def test_a_build_is_judged_without_a_device(machine: Machine, own_baseline: Path) -> None:
    """The same build passes; one whose library grew beyond its gate does not."""
    same = machine.regress("build", "--check", "--baseline", own_baseline, "--toolchain", "tvm-0.26.0")
    assert same.exit.code == 0, same.stdout + same.stderr
    assert "the model library is the reference's, byte for byte" in same.stdout
    strict = own_baseline.read_text(encoding="utf-8").replace("[check]", "[gates]\nmodel_lib_bytes = 0.001\n\n[check]")
    (machine.folder / "strict.toml").write_text(strict, encoding="utf-8")
    arguments = ("--baseline", "strict.toml", "--toolchain", "tvm-0.26.0", "--flag", "extra_work=5", "--json")
    worse = machine.regress("build", "--check", *arguments)
    assert worse.exit.code == 1, worse.stdout + worse.stderr
    (verdict,) = json.loads(worse.stdout)["verdicts"]
    assert verdict["reason"] == "larger_library"
    assert verdict["text"].startswith("bytes of the model library ")


def test_a_drill_proves_that_the_gate_can_go_red(machine: Machine) -> None:
    """A build that is really slower by 60 %, and faults in records."""
    arguments = ("--toolchain", "tvm-0.26.0", "--loss", "0.6", "--tolerance", "0.3", "--json")
    output = machine.regress("drill", "--baseline", "here.toml", *arguments)
    assert output.exit.code == 0, output.stdout + output.stderr
    slow, *records = json.loads(output.stdout)
    assert slow["name"].startswith("decode slower by 60% (")
    assert (slow["outcome"], slow["found"]) == ("regressed", "seen")
    assert [fault["found"] for fault in records] == ["seen"] * 4


def test_checks_of_an_unchanged_build_are_counted(machine: Machine, own_baseline: Path) -> None:
    """One with the same artifact, one with an artifact built anew; both are checks whose answer is known."""
    output = machine.regress("aa", "--baseline", own_baseline, "--checks", "2", "--history", "aa", "--json")
    assert output.exit.code == 0, output.stdout + output.stderr
    counts = json.loads(output.stdout)
    assert (counts["reports"], counts["verdicts"], counts["false_fails"]) == (2, 4, 0)
    again = machine.regress("aa", "--count-only", "--history", "aa")
    assert "4 verdicts on identical builds, in 2 checks" in again.stdout


def test_a_baseline_of_another_machine_judges_nothing(machine: Machine, own_baseline: Path) -> None:
    """The stored numbers are not compared: inconclusive, with the reason."""
    text = own_baseline.read_text(encoding="utf-8")
    fingerprint = text.partition('\nfingerprint = "')[2][:64]
    assert len(fingerprint) == 64
    (machine.folder / "elsewhere.toml").write_text(
        text.replace(f'\nfingerprint = "{fingerprint}"', f'\nfingerprint = "{"0" * 64}"'), encoding="utf-8"
    )
    output = machine.regress("check", "--baseline", "elsewhere.toml", "--record", machine.records()[0])
    assert output.exit.code == 8, output.stdout
    assert "missing" in output.stdout
    assert "with another configuration" in output.stdout


def test_a_case_that_the_record_lacks_is_not_green(machine: Machine, own_baseline: Path) -> None:
    """One more case in the baseline than in the record."""
    more = BASELINE[BASELINE.index("[[cases]]") :].replace("prompt_tokens = 16", "prompt_tokens = 17")
    (machine.folder / "more.toml").write_text(own_baseline.read_text(encoding="utf-8") + "\n" + more, encoding="utf-8")
    reference = next(path for path in machine.records() if "tvm-0.26.0" in path.name)
    output = machine.regress("check", "--baseline", "more.toml", "--record", reference)
    assert output.exit.code == 8, output.stdout
    assert "the record does not have this case" in output.stdout


def test_compare_measures_both_and_judges_the_newer(machine: Machine, first_run: process.Output) -> None:
    """By the ratio, on this machine."""
    assert first_run.exit.ok
    output = machine.regress("compare", "tvm-0.26.0", "tvm-0.27.0.post1")
    assert output.exit.code == 0, output.stdout + output.stderr
    assert output.stdout.startswith("tvm-0.27.0.post1 on here, against tvm-0.26.0, measured side by side with it")


def test_a_prompt_file_is_measured(machine: Machine, first_run: process.Output) -> None:
    """Its length is the workload's; its tokens are the ones fed."""
    assert first_run.exit.ok
    prompts = [{"text": "", "tokens": [7 * i + j for j in range(33)], "num_tokens": 33} for i in range(2)]
    (machine.folder / "prompts.json").write_text(json.dumps(prompts), encoding="utf-8")
    output = machine.regress("bench", "--prompt", "prompts.json", "--new-tokens", "5", "--replicates", "1")
    assert output.exit.code == 0, output.stderr
    (case,) = machine.record(machine.records()[-1]).cases
    assert case.key == "llama-mini/q4f32_1/llvm/p33+5"
    assert len(case.replicates[0].token_ids) == 6
    assert "AVERAGE OVER 3 RUNS, input=33, output=5" in output.stdout


def test_the_table_of_benchmark_py_is_continued(machine: Machine, first_run: process.Output) -> None:
    """One line per case and run, with the rates that are printed; one with other columns stops before measuring."""
    assert first_run.exit.ok
    (machine.folder / "one.json").write_text(json.dumps([{"tokens": [1, 5, 9]}]), encoding="utf-8")
    asked = ["bench", "--prompt", "one.json", "--max-new-tokens", "4", "--replicates", "1", "--save", "table.csv"]
    outputs = [machine.regress(*asked) for _ in range(2)]
    assert all(output.exit.ok for output in outputs), outputs[0].stderr
    rows = list(csv.DictReader((machine.folder / "table.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 2
    for row, output in zip(rows, outputs, strict=True):
        assert (row["hostname"], row["model"], row["input_tokens"], row["output_tokens"]) == (
            "here",
            "llama-mini",
            "3",
            "4",
        )
        assert f"decode_rate {float(row['decode_rate']):.1f} tokens/sec" in output.stdout
        assert float(row["output_tokens"]) / float(row["decode_time"]) == pytest.approx(
            float(row["decode_rate"]), rel=1e-4
        )
    before = machine.records()
    (machine.folder / "other.csv").write_text("a,b\n", encoding="utf-8")
    assert machine.regress(*asked[:-1], "other.csv").exit.code == 3
    assert machine.records() == before


def test_a_prompt_beyond_the_vocabulary_is_refused(machine: Machine, first_run: process.Output) -> None:
    """Token ids of another model are the user's mistake, not a broken toolchain: nothing is recorded."""
    assert first_run.exit.ok
    (machine.folder / "far.json").write_text(json.dumps([{"tokens": [1, 30000]}]), encoding="utf-8")
    before = machine.records()
    output = machine.regress("bench", "--prompt", "far.json", "--replicates", "1")
    assert output.exit.code == 3, output.stderr
    assert "token id 30000 of the prompts is not below the 2048 of llama-mini" in output.stderr
    assert machine.records() == before


def test_a_damaged_artifact_is_built_again(machine: Machine, first_run: process.Output) -> None:
    """A shard that was cut short does not stay in the cache."""
    assert first_run.exit.ok
    (case,) = machine.record(machine.records()[0]).cases
    assert case.artifact is not None
    shard = Path(machine.env["REGRESS_HOME"]) / "artifacts" / case.artifact.digest / "params_shard_0.bin"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:1000])
    toolchain = machine.record(machine.records()[0]).toolchain.name
    assert machine.regress("build", "--toolchain", toolchain).exit.ok
    assert shard.read_bytes() == whole


def test_a_verdict_reads_the_same_for_a_program(machine: Machine, own_baseline: Path, sessions: list[Path]) -> None:
    """Outcome and exit code are in the JSON, whatever the process exits with."""
    arguments = ("--record", sessions[0], "--json", "--exit-zero")
    output = machine.regress("check", "--baseline", own_baseline, *arguments)
    assert output.exit.code == 0, output.stderr
    report = json.loads(output.stdout)
    assert (report["outcome"], report["exit_code"]) == ("pass", 0)


@pytest.mark.parametrize(("where", "code"), [("| true; exit ${PIPESTATUS[0]}", 141), ("> /dev/full", 7)])
def test_output_that_nobody_gets_is_never_green(machine: Machine, own_baseline: Path, where: str, code: int) -> None:
    """A reader that went away, and a full disk behind standard output."""
    record = next(path for path in machine.records() if "tvm-0.26.0" in path.name)
    command = f"{sys.executable} -m regress check --baseline {own_baseline} --record {record} {where}"
    output = process.run(["bash", "-c", command], cwd=machine.folder, env=machine.env)
    assert output.exit.code == code, output.stderr
    assert "Traceback" not in output.stderr


def test_a_toolchain_that_does_not_import_is_broken_and_recorded(machine: Machine) -> None:
    """apache-tvm 0.25.0.post1 with a newer apache-tvm-ffi: a known broken pair. Exit 5, with a readable cause."""
    output = machine.regress("build", "--toolchain", "broken")
    assert output.exit.code == 5, output.stderr
    assert "undefined symbol" in output.stderr
    assert "libtvm_runtime.so" in output.stderr
    (case,) = machine.record(machine.records()[-1]).cases
    assert case.failure is not None
    assert case.failure.stage == "toolchain"
    check = machine.regress("check", "--record", machine.records()[-1])
    assert check.exit.code == 5
    assert "broken" in check.stdout


def test_a_history_that_cannot_be_written_loses_no_measurement(machine: Machine, first_run: process.Output) -> None:
    """The record is kept in the cache folder, and the error says where."""
    assert first_run.exit.ok
    (machine.folder / "file").write_text("", encoding="utf-8")
    arguments = ("compare", "tvm-0.26.0", "tvm-0.27.0.post1", "--history", "file", "--budget", "3")
    output = machine.regress(*arguments)
    assert output.exit.code == 7, output.stderr
    paths = [Path(path) for path in output.stderr.rpartition("kept instead: ")[2].strip().split(", ")]
    assert [machine.record(path).toolchain.name for path in paths] == ["tvm-0.26.0", "tvm-0.27.0.post1"]
    assert all(machine.record(path).cases[0].replicates for path in paths)
    shutil.rmtree(paths[0].parents[3])


@pytest.fixture
def interrupted(machine: Machine, first_run: process.Output) -> Iterator[subprocess.Popen[bytes]]:
    assert first_run.exit.ok
    argv = [sys.executable, "-m", "regress", "bench", "--replicates", "50"]
    env = {**machine.env, "TMPDIR": str(machine.folder)}
    with subprocess.Popen(argv, cwd=machine.folder, env=env, stderr=subprocess.PIPE) as child:  # noqa: S603
        yield child
        child.kill()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_nothing_half_written(
    machine: Machine, interrupted: subprocess.Popen[bytes], how: signal.Signals
) -> None:
    """Ctrl-C or a cancelled job while it measures: exit 130, nothing in the history, no worker.

    What was measured is kept in the cache folder.
    """
    before = set((machine.folder / "history").rglob("*"))
    assert interrupted.stderr is not None
    for line in interrupted.stderr:
        if line.startswith(b"replicate 1/50"):
            break
    time.sleep(0.5)
    interrupted.send_signal(how)
    assert interrupted.wait(30) == 130
    *_, kept, last = interrupted.stderr.read().decode().splitlines()
    assert last == "regress: interrupted"
    path = Path(kept.removeprefix("kept what was measured: "))
    assert 1 <= len(machine.record(path).cases[0].replicates) < 50
    shutil.rmtree(path.parents[3])
    assert set((machine.folder / "history").rglob("*")) == before
    # Requests lie in the temporary folder, so its path is in the command line of this test's workers alone.
    assert process.run(["pgrep", "-f", f"bench_vm {machine.folder}"]).stdout == ""
    assert not list(machine.folder.glob("regress-bench-*"))
