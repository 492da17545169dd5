"""The files of a history as git stores them."""

import pytest

from regress.remote.tree import blob_id, message

RUN = "orin/2026/10/20261003T120000Z-tvm-0.26.0-0a1b2c3d"


def test_an_id_is_the_one_that_git_gives() -> None:
    """By `printf 'hello\\n' | git hash-object --stdin`, and of the empty file, which every git knows."""
    assert blob_id(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ([f"{RUN}.json"], "orin: 20261003T120000Z-tvm-0.26.0-0a1b2c3d"),
        ([f"{RUN}.json", f"{RUN}.check.json"], "orin: 20261003T120000Z-tvm-0.26.0-0a1b2c3d"),
        ([f"{RUN}.check.json"], "orin: 0 records, 1 report"),
        (
            ["a/2026/10/a.json", "b/2026/10/b.json", "a/2026/10/a.check.json"],
            "a, b: 2 records, 1 report",
        ),
        (["a/2026/10/a.import.json"], "a: 0 records, 0 reports, 1 import"),
        (["a/2026/10/a.json", "b/2026/10/b.import.json"], "a, b: 1 record, 0 reports, 1 import"),
    ],
)
def test_the_log_names_the_run_or_counts_them(names: list[str], line: str) -> None:
    assert message(names) == line
