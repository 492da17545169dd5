"""What the doctor's probes read: the kernel's locks, systemd's units, sizes of folders."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from regress import probe
from regress.doctor.facts import Holder

if TYPE_CHECKING:
    from pathlib import Path

LOCKS = """\
1: POSIX  ADVISORY  WRITE 77 fe:00:4242 0 EOF
2: FLOCK  ADVISORY  WRITE 812 fe:00:4242 0 EOF
2: -> FLOCK  ADVISORY  WRITE 813 fe:00:4242 0 EOF
3: FLOCK  ADVISORY  WRITE 0 fe:00:17 0 EOF
"""


@pytest.mark.parametrize(("inode", "holder"), [(4242, 812), (17, None), (99, None)])
def test_the_holder_of_a_lock_is_the_one_the_kernel_names(inode: int, holder: int | None) -> None:
    """Not one who waits for it, nor one with a lock of another kind; a container hides the number."""
    assert probe.locking_in(LOCKS, inode) == holder


def test_a_lock_that_nobody_holds(tmp_path: Path) -> None:
    """It may not be there, and is not made."""
    assert probe._holder(tmp_path / "measuring.lock") is None
    assert not list(tmp_path.iterdir())
    (tmp_path / "measuring.lock").touch()
    assert probe._holder(tmp_path / "measuring.lock") is None


def test_a_lock_that_is_held(tmp_path: Path) -> None:
    """By this very process, as the kernel sees it; filelock knows its own locks of a process."""
    filelock = pytest.importorskip("filelock")
    with filelock.FileLock(tmp_path / "measuring.lock"):
        found = probe._holder(tmp_path / "measuring.lock")
    assert found in (Holder(process=os.getpid()), Holder(process=None))


def test_units_are_the_first_word_of_each_line() -> None:
    listing = "actions.runner.a-b.c.service loaded active running GitHub Actions Runner\n\n"
    assert probe.services_in(listing) == ["actions.runner.a-b.c.service"]
    assert probe.services_in("") == []


def test_a_file_that_has_two_names_takes_its_place_once(tmp_path: Path) -> None:
    """As uv links packages into its environments."""
    (tmp_path / "a").write_bytes(bytes(50_000))
    before = probe._size_bytes(tmp_path)
    assert before >= 50_000
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert probe._size_bytes(tmp_path) == before
    assert probe._size_bytes(tmp_path / "none") == 0


def test_a_token_is_only_looked_for(tmp_path: Path) -> None:
    """Its value goes nowhere."""
    assert probe._has_hub_token({"HF_TOKEN": "hf_secret"}, tmp_path) is True
