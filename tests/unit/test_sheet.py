"""The table of `bench --save`: columns, one line per measured case, and files that are not to be touched."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest
from factories import make_broken, make_case, make_record

from regress import sheet
from regress.errors import ConfigError, HistoryError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = (
    "timestamp,hostname,api,model,precision,input_tokens,output_tokens,"
    "prefill_time,prefill_rate,decode_time,decode_rate,memory\n"
)


def test_a_case_is_a_line_in_the_columns_of_benchmark_py(tmp_path: Path) -> None:
    """64 tokens at 1000/s and 500/s: mean 0.096 s, so 666.667/s; 16 at 50/s: 0.32 s. Memory is 1 GiB, in MiB."""
    path = tmp_path / "bench.csv"
    record = make_record(make_case(prefill=(1000.0, 500.0), decode=(50.0, 50.0)), runner="orin")
    assert sheet.append(path, record) == 1
    line = "2026-10-03T12:00:00Z,orin,tvm,tiny,q4f16_1,64,16,0.096,666.667,0.32,50,1024.0\n"
    assert path.read_text() == HEAD + line


def test_a_case_of_mlc_llm_has_its_api(tmp_path: Path) -> None:
    """The key's `+mlc` is the api, and not part of the model's name; `mlc` alone is benchmark.py's."""
    case = make_case("tiny+mlc/q4f16_ft/cuda/p64+16")
    sheet.append(tmp_path / "t.csv", make_record(case))
    (row,) = csv.DictReader((tmp_path / "t.csv").read_text().splitlines())
    assert (row["api"], row["model"], row["precision"]) == ("mlc-vm", "tiny", "q4f16_ft")


def test_lines_are_appended_and_the_columns_stand_once(tmp_path: Path) -> None:
    """A line that another program left without its end is ended first."""
    path = tmp_path / "t.csv"
    sheet.append(path, make_record())
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    sheet.append(path, make_record(runner="other"))
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["hostname"] for row in rows] == ["bench", "other"]
    assert path.read_text().count("timestamp") == 1


def test_what_was_not_measured_has_no_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert sheet.append(path, make_record(make_broken())) == 0
    assert path.read_text() == HEAD


@pytest.mark.parametrize("head", ["", HEAD, HEAD.replace(",", ", "), "\ufeff" + HEAD.replace("\n", "\r\n")])
def test_a_table_of_theirs_may_be_continued(tmp_path: Path, head: str) -> None:
    """With blanks behind commas, a byte order mark, or the line ends of another system."""
    path = tmp_path / "t.csv"
    path.write_text(head, encoding="utf-8", newline="")
    sheet.require_appendable(path)


@pytest.mark.parametrize("head", ["a,b,c\n", HEAD.replace(",", ";"), HEAD.replace("memory", "power")])
def test_a_table_with_other_columns_is_refused_and_stays(tmp_path: Path, head: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(head)
    with pytest.raises(ConfigError, match=r"t\.csv: line 1: other columns than timestamp, hostname"):
        sheet.require_appendable(path)
    assert path.read_text() == head


def test_a_place_that_is_none_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    """A folder that is not there, or a folder in place of a file; and nothing is made meanwhile."""
    for path in (tmp_path / "none" / "t.csv", tmp_path):
        with pytest.raises(ConfigError):
            sheet.require_appendable(path)
    sheet.require_appendable(tmp_path / "new.csv")
    assert not (tmp_path / "new.csv").exists()
    with pytest.raises(HistoryError, match="cannot be written"):
        sheet.append(tmp_path, make_record())
