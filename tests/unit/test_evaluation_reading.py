"""Series from the files of others: which columns are which, what is left out, and what is refused."""

from __future__ import annotations

import gzip
import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from regress.errors import ConfigError, UsageError
from regress.evaluation.columns import Choice, direction, find_columns
from regress.evaluation.reading import read_sources

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write(folder: Path, name: str, lines: Sequence[str]) -> Path:
    path = folder / name
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


@pytest.mark.parametrize(
    ("header", "time", "value", "key"),
    [
        ("series,date_ms,commit,python,vllm,value", "date_ms", "value", ("series", "python", "vllm")),
        ("series,date_ms,commit,value_MiB_s", "date_ms", "value_MiB_s", ("series",)),
        (
            "benchmark,commit_date_ms,commit,py/numpy,median_s,q25,q75",
            "commit_date_ms",
            "median_s",
            ("benchmark", "py/numpy"),
        ),
        ("device,series,date_ms,commit,iter_per_s,stddev_s,rounds", "date_ms", "iter_per_s", ("device", "series")),
        ("metric,timestamp_s,commit,value,unit", "timestamp_s", "value", ("metric",)),
        ("model,gpu,date,mean_latency_ms,min_ms,n", "date", "mean_latency_ms", ("model", "gpu")),
    ],
)
def test_columns_are_found_by_their_names(header: str, time: str, value: str, key: tuple[str, ...]) -> None:
    """Times, values and identifying columns of six real kinds of tables."""
    columns = find_columns(header.split(","), Choice(), "x.csv")
    assert columns is not None
    assert (columns.time, columns.value, columns.key) == (time, value, key)


@pytest.mark.parametrize(
    ("unit", "higher"),
    [
        *((unit, True) for unit in ("tx/s", "value_MiB_s", "iter_per_s", "tokens/s", "ops/s")),
        *((unit, False) for unit in ("ms", "median_s", "s/op", "peak_bytes")),
        *((unit, None) for unit in ("value", "series", "py/numpy")),
    ],
)
def test_direction_follows_the_unit(unit: str, higher: bool | None) -> None:  # noqa: FBT001  # a table of cases
    """Rates are better high, times and sizes low, and a bare name says nothing."""
    assert direction(unit) is higher


def test_a_table_without_time_or_value_describes_series(tmp_path: Path) -> None:
    """Its units give the direction of the other table's rows: 2 ms is slower than 1 ms, 2 tokens/s faster than 1."""
    write(tmp_path, "points.csv.gz", ["series,date_ms,value", "a,2,2", "a,1,1", "b,1,1", "b,2,2"])
    write(tmp_path, "what.csv", ["series,unit,gpu", "a,ms,A10G", "b,tokens/s,L4"])
    points, what = read_sources([tmp_path], Choice())
    speeds = {series.key: series.speeds for series in points.series}
    np.testing.assert_allclose(speeds["a"], [0.0, -math.log(2)])
    np.testing.assert_allclose(speeds["b"], [0.0, math.log(2)])
    assert what.series == ()
    assert "describes" in what.remark


def test_where_keeps_the_rows_of_described_series(tmp_path: Path) -> None:
    """The column may stand in the describing table alone."""
    write(tmp_path, "points.csv", ["series,date_ms,value", "a,1,1", "b,1,1"])
    write(tmp_path, "what.csv", ["series,unit,gpu", "a,ms,NVIDIA A10G", "b,ms,L4"])
    points, _ = read_sources([tmp_path], Choice(), ("gpu", "A10G"))
    assert [series.key for series in points.series] == ["a"]
    with pytest.raises(UsageError, match="colour"):
        read_sources([tmp_path], Choice(), ("colour", "red"))


def test_rows_that_cannot_be_values_are_left_out_and_counted(tmp_path: Path) -> None:
    """NaN, nothing, infinity, zero and a repeated row: six of eight go, and the remark says why."""
    rows = ["a,1,5", "a,2,nan", "a,3,", "a,4,inf", "a,5,0", "a,6,-1", "a,1,5", "a,7,6"]
    path = write(tmp_path, "t.csv", ["series,date_ms,value_ms", *rows])
    (source,) = read_sources([path], Choice())
    np.testing.assert_allclose(source.series[0].speeds, [-math.log(5), -math.log(6)])
    assert (
        source.remark
        == "1 rows left out: a duplicate, 3 rows left out: no finite value, 2 rows left out: zero or below"
    )


def test_equal_values_of_other_runs_are_no_duplicates(tmp_path: Path) -> None:
    """Two commits of one minute may well measure the same."""
    path = write(tmp_path, "t.csv", ["series,date_ms,commit,value_ms", "a,1,x,5", "a,1,y,5", "a,2,y,5"])
    (source,) = read_sources([path], Choice())
    assert source.runs == 3
    assert source.remark == ""


def test_times_may_be_dates(tmp_path: Path) -> None:
    """ISO 8601 orders as numbers do, with and without a zone."""
    path = write(tmp_path, "t.csv", ["series,date,value_s", "a,2026-01-02T00:00:00Z,2", "a,2026-01-01,1"])
    (source,) = read_sources([path], Choice())
    np.testing.assert_allclose(source.series[0].speeds, [0.0, -math.log(2)])


def test_a_number_of_its_own_in_every_row_names_no_series(tmp_path: Path) -> None:
    """A column nobody has heard of that differs in nearly every row was measured."""
    rows = [f"a,{i},{i + 1},{40 + i / 7}" for i in range(20)]
    path = write(tmp_path, "t.csv", ["series,date_ms,value_ms,celsius", *rows])
    (source,) = read_sources([path], Choice())
    assert [len(series.speeds) for series in source.series] == [20]


def test_the_command_line_overrides_what_names_say(tmp_path: Path) -> None:
    """Other columns, another direction."""
    path = write(tmp_path, "t.csv", ["host,when,score,value_ms", "h,1,2,9", "h,2,4,9"])
    (source,) = read_sources([path], Choice(time="when", value="score", key=("host",), higher_is_better=True))
    np.testing.assert_allclose(source.series[0].speeds, [math.log(2), math.log(4)])


def test_forks_are_runs_and_their_medians_the_values(tmp_path: Path) -> None:
    """Two forks of three iterations; a fork of zeros is left out; time per operation unless the origin says ops/s."""
    forks = {"bench": [[1.0, 3.0, 2.0], [4.0, 4.0, None], [0.0]]}
    path = tmp_path / "jmh.json"
    path.write_text(json.dumps({"origin": "values (s/op)", "data": forks}))
    (source,) = read_sources([path], Choice())
    np.testing.assert_allclose(source.series[0].speeds, [-math.log(2), -math.log(4)])
    assert source.remark == "1 forks without values"
    path.write_text(json.dumps({"origin": "ops/s", "data": forks}))
    (source,) = read_sources([path], Choice())
    np.testing.assert_allclose(source.series[0].speeds, [math.log(2), math.log(4)])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["series,date_ms,value_ms", "a,1,fast"], "row 2: column 'value_ms': 'fast' is no number"),
        (["series,date_ms,value_ms", "a,1,5", "a,soon,5"], "row 3: column 'date_ms': 'soon' is no time"),
        (["series,date_ms,value_ms", "a,1"], "row 2: 2 fields, the header has 3"),
        (["series,date_ms,value", "a,1,5"], "row 2: neither a unit nor column 'value'"),
        (["date_ms,value_ms", "1,5"], "no column tells series apart"),
        (["series,series,value_ms", "a,1,5"], "row 1: a column without a name"),
    ],
)
def test_a_wrong_table_is_refused_by_file_row_and_column(tmp_path: Path, lines: list[str], said: str) -> None:
    """Each with the place where it is wrong."""
    path = write(tmp_path, "wrong.csv", lines)
    with pytest.raises(ConfigError, match=r"wrong\.csv") as error:
        read_sources([path], Choice())
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv.gz", b"no gzip"),
        ("x.csv", b"\xff\xfe\x00"),
        ("x.csv", b""),
        ("x.json", b"[1]"),
        ("x.csv.gz", b"\x1f\x8b\x08"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path: Path, name: str, content: bytes) -> None:
    """Broken compression, another encoding, nothing in it, another JSON."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=name):
        read_sources([tmp_path / name], Choice())


def test_what_the_command_line_names_must_be_there(tmp_path: Path) -> None:
    """A missing file, a folder without series, and a column that is not in the table, with the nearest name."""
    path = write(tmp_path, "t.csv", ["series,date_ms,value_ms", "a,1,5"])
    with pytest.raises(UsageError, match="no such file"):
        read_sources([tmp_path / "gone.csv"], Choice())
    with pytest.raises(UsageError, match="did you mean 'value_ms'"):
        read_sources([path], Choice(value="valu_ms"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty"):
        read_sources([tmp_path / "empty"], Choice())
