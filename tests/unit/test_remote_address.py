"""What a remote may be called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from regress.errors import UsageError
from regress.git import Answer
from regress.remote.address import GitAddress, StoreAddress, address_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCP = "git@github.com:team/runs.git"


class Repository:
    """Stands in for git in a repository that knows some remotes; in none where `None`."""

    def __init__(self, remotes: Mapping[str, str] | None) -> None:
        self.remotes = remotes

    def __call__(self, *arguments: str) -> Answer:
        if self.remotes is None:
            return Answer(ok=False, timed_out=False, printed=b"", stderr="fatal: no repository", how="")
        text = "\n".join(self.remotes) if arguments == ("remote",) else self.remotes[arguments[-1]]
        return Answer(ok=True, timed_out=False, printed=text.encode() + b"\n", stderr="", how="")


NOWHERE = Repository(None)


@pytest.mark.parametrize(
    "url", ["https://github.com/team/runs", "ssh://git@there/x", "git://there/x", "file:///srv/x.git", SCP, "there:x"]
)
def test_gits_own_addresses_are_gits(url: str) -> None:
    address = address_of(url, NOWHERE)
    assert isinstance(address, GitAddress)
    assert (address.url, address.push_url) == (url, url)


@pytest.mark.parametrize("url", ["s3://bucket/runs", "hf://datasets/team/runs", "memory://x", "S3://bucket/x"])
def test_other_schemes_are_stores(url: str) -> None:
    address = address_of(url, NOWHERE)
    assert isinstance(address, StoreAddress)
    assert address.scheme == url.partition(":")[0].lower()


def test_a_folder_is_a_repository_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git runs elsewhere."""
    (tmp_path / "runs.git").mkdir()
    monkeypatch.chdir(tmp_path)
    address = address_of("runs.git", NOWHERE)
    assert isinstance(address, GitAddress)
    assert (address.shown, address.url, address.path) == (
        "runs.git",
        str(tmp_path / "runs.git"),
        tmp_path / "runs.git",
    )


def test_a_name_is_what_the_repository_here_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a folder is called the same, as git does it."""
    (tmp_path / "origin").mkdir()
    monkeypatch.chdir(tmp_path)
    address = address_of("origin", Repository({"origin": "https://me:hunter2@there/x"}))
    assert isinstance(address, GitAddress)
    assert (address.shown, address.url) == ("origin", "https://me:hunter2@there/x")
    found = address_of("origin", Repository({"upstream": SCP}))
    assert isinstance(found, GitAddress)
    assert found.path == tmp_path / "origin"


@pytest.mark.parametrize("text", ["", "-x", "--upload-pack=x", "nosuch", "ext::sh -c x", "a\nb", "s3://", "x y:z"])
def test_anything_else_is_a_usage_error(text: str) -> None:
    """Nothing that git would take for an option, or start a program for."""
    with pytest.raises(UsageError, match=r"^remote '"):
        address_of(text, NOWHERE)


def test_a_secret_is_not_shown_and_does_not_change_the_key() -> None:
    """A token that is changed every hour leaves the cache where it is."""
    one, two = (address_of(f"https://me:{token}@there/x", NOWHERE) for token in ("hunter2", "other"))
    assert one.shown == "https://***@there/x"
    assert one.key == two.key
    assert one.key != address_of("https://there/y", NOWHERE).key
