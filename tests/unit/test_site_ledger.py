"""What was written, and of what: nothing is written again that stands as it shall be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
import pytest

from regress.history import Stamp
from regress.site.ledger import Ledger, Made, is_whole, keep, recall

if TYPE_CHECKING:
    from pathlib import Path


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """Something that is kept."""

    made: dict[str, Made]


def written(root: Path) -> Ledger:
    """A ledger with one file, made of `flour`."""
    ledger = Ledger(root, {})
    ledger.write("bread/loaf.html", b"loaf", "flour")
    return ledger


def test_a_file_is_made_while_it_stands_as_it_was_written(tmp_path: Path) -> None:
    again = Ledger(tmp_path, written(tmp_path).made)

    assert again.is_made(["bread/loaf.html"], "flour")
    assert again.made == written(tmp_path).made
    assert not again.is_made(["bread/loaf.html"], "rye")
    assert not again.is_made(["bread/loaf.html", "bread/roll.html"], "flour")


@pytest.mark.parametrize("harm", ["touched", "longer", "gone"])
def test_a_file_that_somebody_changed_is_not_made(tmp_path: Path, harm: str) -> None:
    made, path = written(tmp_path).made, tmp_path / "bread" / "loaf.html"
    if harm == "touched":
        os.utime(path, (1, 1))
    elif harm == "longer":
        path.write_bytes(b"a longer loaf")
    else:
        path.unlink()

    assert not Ledger(tmp_path, made).is_made(["bread/loaf.html"], "flour")
    assert not is_whole(tmp_path, "bread/loaf.html", made["bread/loaf.html"])


def test_a_file_with_that_content_is_left_alone(tmp_path: Path) -> None:
    """Whether or not the ledger knows of it: a copy to a web server then moves what is new alone."""
    path = tmp_path / "bread" / "loaf.html"
    written(tmp_path)
    os.utime(path, (1, 1))

    ledger = Ledger(tmp_path, {})
    ledger.write("bread/loaf.html", b"loaf")

    assert path.stat().st_mtime == 1
    assert ledger.made == {"bread/loaf.html": Made(Stamp.of(path.stat()), "")}
    ledger.write("bread/loaf.html", b"crumb")
    assert path.read_bytes() == b"crumb"


def test_a_text_is_asked_for_only_where_it_is_needed(tmp_path: Path) -> None:
    first = Ledger(tmp_path, {})
    first.make("index.html", "flour", lambda: "brötchen")

    Ledger(tmp_path, first.made).make("index.html", "flour", lambda: pytest.fail("it was asked for"))

    assert (tmp_path / "index.html").read_text(encoding="utf-8") == "brötchen"


def test_nothing_but_whole_files_is_left(tmp_path: Path) -> None:
    def interrupted(partial: Path) -> None:
        partial.write_bytes(b"hal")
        raise KeyboardInterrupt

    ledger = written(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        ledger.create("bread/loaf.html", "other flour", interrupted)

    assert {path.name for path in (tmp_path / "bread").iterdir()} == {"loaf.html"}
    assert (tmp_path / "bread" / "loaf.html").read_bytes() == b"loaf"


def test_what_is_kept_is_recalled(tmp_path: Path) -> None:
    kept = Kept(written(tmp_path).made)
    keep(tmp_path / "cache" / "it.msgpack", kept)

    assert recall(tmp_path / "cache" / "it.msgpack", Kept) == kept


@pytest.mark.parametrize("content", [b"", b"\x00", b"{}", msgspec.msgpack.encode([{"a": 1}]), b"\x91\x81\xa1\xff\x01"])
def test_what_cannot_be_what_was_kept_is_nothing(tmp_path: Path, content: bytes) -> None:
    """A cache is anybody's to delete or to damage: it is made anew."""
    path = tmp_path / "it.msgpack"
    assert recall(path, Kept) is None

    path.write_bytes(content)
    assert recall(path, Kept) is None
