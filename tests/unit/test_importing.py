"""`import`: what is written, and what every other command makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from factories import make_record

from regress import history
from regress.cli import main
from regress.errors import HistoryError
from regress.imported import decode_imported
from regress.record import encode

CPU = Path(__file__).parents[2] / "baselines" / "cpu.toml"
HEAD = (
    "timestamp,hostname,api,model,precision,input_tokens,output_tokens,"
    "prefill_time,prefill_rate,decode_time,decode_rate,memory\n"
)
ROW = "20231012 17:30:00,host,mlc,llama-2-7b,q4f16_ft,16,128,0.027,582.8,2.986,42.9,5309.1\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(HEAD + ROW)
    return tmp_path


def run(*arguments: str, files: tuple[str, ...] = ("t.csv",)) -> int:
    return main(["import", *files, "--runner", "orin", "--toolchain", "mlc-2023", "--harness", "chat", *arguments])


def written(folder: Path) -> list[Path]:
    return sorted((folder / "history").rglob("*.*"))


SAID = ("--target", "cuda", "--device", "AGX Orin")


def test_an_import_is_a_file_of_the_history(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its path is printed, it can be read, and the history is in order with it."""
    assert run(*SAID) == 0
    (path,) = written(folder)
    assert capsys.readouterr().out == f"{path.relative_to(folder)}\n"
    assert path.name.endswith(".import.json")
    assert path.parent.relative_to(folder).as_posix() == "history/orin/2023/10"
    assert decode_imported(path.read_bytes(), "f").case == "llama-2-7b+mlc-chat/q4f16_ft/cuda/p16+128"
    assert main(["history", "verify"]) == 0
    assert "records 0, reports 0, imports 1, problems 0" in capsys.readouterr().err


def test_importing_twice_adds_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a table that has grown, the new row alone."""
    run(*SAID)
    before = {path: path.read_bytes() for path in written(folder)}
    assert run(*SAID) == 0
    assert {path: path.read_bytes() for path in written(folder)} == before
    (folder / "t.csv").write_text(HEAD + ROW + ROW.replace("20231012", "20231112"))
    capsys.readouterr()
    assert run(*SAID, "--json") == 0
    output, words = capsys.readouterr()
    assert [each["new"] for each in json.loads(output)] == [False, True]
    assert "imported 1, 1 there already" in words
    assert len(written(folder)) == 2


def test_of_a_bad_file_nothing_is_imported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor of a good one beside it."""
    (folder / "bad.csv").write_text(HEAD + ROW + ROW.replace("42.9", "0"))
    assert run(*SAID, files=("t.csv", "bad.csv")) == 3
    assert "bad.csv: line 3: decode_rate: 0 cannot be" in capsys.readouterr().err
    assert not (folder / "history").exists()


def test_a_file_that_is_not_there_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*SAID, files=("t.csv", "none.csv")) == 3
    assert "none.csv: No such file" in capsys.readouterr().err
    assert not (folder / "history").exists()


def test_the_workload_is_said_whole_or_not_at_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*SAID, "--prompt-tokens", "16") == 2
    assert "--prompt-tokens and --new-tokens go together" in capsys.readouterr().err
    assert not (folder / "history").exists()


def test_an_import_is_neither_judged_nor_a_reference(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both say what it is; a command that takes all records does not see it."""
    run(*SAID)
    (path,) = (folder / "history").rglob("*.import.json")
    for command in ("check", "baseline"):
        assert main([command, "--record", str(path), "--baseline", str(CPU)]) == 7
        assert "an import: one sample of others' making, which is neither judged" in capsys.readouterr().err
    with pytest.raises(HistoryError):
        history.load(path)
    complaints: list[HistoryError] = []
    assert history.entries(folder / "history", complaints.append) == []
    assert complaints == []


def test_an_import_that_lies_elsewhere_or_is_cut_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a record is."""
    run(*SAID)
    (path,) = (folder / "history").rglob("*.import.json")
    data = path.read_bytes()
    other = path.with_name("20231012T173000Z-x-00000000.import.json")
    path.rename(other)
    assert main(["history", "verify"]) == 7
    assert f"it is the import orin/2023/10/{path.name}, by its runner" in capsys.readouterr().out
    other.rename(path)
    path.write_bytes(data[:-20])
    assert main(["history", "verify"]) == 7
    path.write_bytes(data.replace(b"582.8", b"-1.0"))
    assert main(["history", "verify"]) == 7
    assert "Expected `float` > 0.0" in capsys.readouterr().out


def test_a_record_under_the_name_of_an_import_is_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = make_record()
    path = folder / "history" / "bench" / "2026" / "10" / f"{record.id}.import.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(encode(record))
    assert main(["history", "verify"]) == 7
    assert f"{record.id}.import.json: " in capsys.readouterr().out


def test_a_golden_import_reads_and_writes_the_same() -> None:
    """A file written once is read, and written again byte for byte."""
    data = (Path(__file__).parent / "golden" / "import-1.json").read_bytes()
    assert encode(decode_imported(data, "golden")) == data
