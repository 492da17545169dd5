"""An object store, through the one of fsspec's that lies in memory."""

from __future__ import annotations

import errno
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

import fsspec
import pytest
from factories import NOON, make_record, make_report
from fsspec.implementations.memory import MemoryFile

from regress import history
from regress.errors import HistoryError, UsageError
from regress.remote import store as module
from regress.remote.address import StoreAddress
from regress.remote.folder import Folder
from regress.remote.seen import Seen
from regress.remote.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from regress.remote.exchange import Exchanged


@pytest.fixture
def url() -> str:
    return f"memory://{secrets.token_hex(4)}/history"


class Machine:
    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.root = folder / "history"
        self.url = url

    def measure(self, day: int = 0, *, judged: bool = True) -> Path:
        record = make_record(at=NOON + timedelta(days=day))
        path = history.append(record, self.root)
        if judged:
            history.append_report(make_report(record, record), path)
        return path

    def exchange(self, action: str) -> tuple[Exchanged, list[str]]:
        """What went, and what was wrong."""
        side = Folder(self.root, Seen(self.folder / "seen.json"))
        store = Store(StoreAddress(shown=self.url, url=self.url, scheme=self.url.partition(":")[0]))
        exchanged = store.push(side) if action == "push" else store.pull(side)
        side.seen.save()
        return exchanged, [str(error) for error in side.problems]


def stored(url: str) -> dict[str, bytes]:
    fs, root = fsspec.url_to_fs(url)
    return {path.removeprefix(f"{root}/"): fs.cat_file(path) for path in fs.find(root)}


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.json")}


def test_a_push_gives_records_first_and_a_pull_takes_them(tmp_path: Path, url: str) -> None:
    """And nothing is given or taken twice."""
    ours, theirs = Machine(tmp_path / "ours", url), Machine(tmp_path / "theirs", url)
    ours.measure(0)
    ours.measure(1)
    exchanged, problems = ours.exchange("push")
    assert [name.endswith(".check.json") for name in exchanged.moved] == [False, False, True, True]
    assert problems == []
    assert stored(url) == contents(ours.root)
    assert len(theirs.exchange("pull")[0].moved) == 4
    assert contents(theirs.root) == contents(ours.root)
    for machine, action in ((ours, "push"), (theirs, "pull"), (theirs, "push"), (ours, "pull")):
        assert machine.exchange(action)[0].moved == ()


def test_of_the_months_without_news_one_is_listed(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: two of three are known, one is new."""
    machine = Machine(tmp_path, url)
    machine.measure(0)
    machine.measure(40)
    for _ in range(2):
        machine.exchange("push")
    listed: list[str] = []
    real = Store._ls

    def ls(store: Store, month: str) -> object:
        listed.append(month)
        return real(store, month)

    monkeypatch.setattr(Store, "_ls", ls)
    machine.measure(80)
    assert len(machine.exchange("push")[0].moved) == 2
    assert listed == ["bench/2026/11", "bench/2026/12"]


def test_a_store_that_was_emptied_gets_all_of_it_again(tmp_path: Path, url: str) -> None:
    """Other months, too."""
    machine = Machine(tmp_path, url)
    machine.measure(0)
    machine.measure(40)
    for _ in range(2):
        machine.exchange("push")
    fs, root = fsspec.url_to_fs(url)
    fs.rm(root, recursive=True)
    machine.measure(80)
    assert len(machine.exchange("push")[0].moved) == 6
    assert stored(url) == contents(machine.root)


def test_a_half_written_file_is_never_seen(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets its name once it is whole; the next push makes good what one that was killed left."""
    machine = Machine(tmp_path, url)
    machine.measure()
    fs, _ = fsspec.url_to_fs(url)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(fs), "mv", die)
        with pytest.raises(KeyboardInterrupt):
            machine.exchange("push")
    assert not [name for name in stored(url) if name.endswith(".json")]
    machine.exchange("push")
    assert contents(machine.root).items() <= stored(url).items()
    other = Machine(tmp_path / "other", url)
    assert other.exchange("pull")[1] == []
    assert contents(other.root) == contents(machine.root)


def test_another_file_of_the_same_name_is_not_replaced(tmp_path: Path, url: str) -> None:
    """Neither one that was there nor one that comes in between."""
    machine = Machine(tmp_path, url)
    path = machine.measure(judged=False)
    name = str(path.relative_to(machine.root))
    fs, root = fsspec.url_to_fs(url)
    other = path.read_bytes().replace(b'"0.1.0"', b'"6.6.6"')
    fs.makedirs(f"{root}/{name}".rpartition("/")[0])
    fs.pipe_file(f"{root}/{name}", other)
    exchanged, problems = machine.exchange("push")
    assert exchanged.moved == ()
    assert problems == [f"{name}: the remote has another file of this name"]
    assert stored(url) == {name: other}


@pytest.mark.parametrize("refusal", [FileExistsError(17, "exists"), OSError(22, "PreconditionFailed")])
@pytest.mark.parametrize("same", [True, False])
def test_a_file_that_comes_in_between_is_looked_at(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, refusal: OSError, *, same: bool
) -> None:
    """After the listing and before the write, which the store refuses in one way or another."""
    monkeypatch.setattr(module, "_BUCKETS", frozenset({"memory"}))
    machine = Machine(tmp_path, url)
    path = machine.measure(judged=False)
    name = str(path.relative_to(machine.root))
    fs, root = fsspec.url_to_fs(url)

    def pipe_file(_: object, where: str, data: bytes, mode: str) -> None:
        assert (where, mode) == (f"{root}/{name}", "create")
        fs.store[where] = MemoryFile(fs, where, data if same else b"other")
        raise refusal

    monkeypatch.setattr(type(fs), "pipe_file", pipe_file)
    exchanged, problems = machine.exchange("push")
    assert exchanged.moved == ((name,) if same else ())
    assert problems == ([] if same else [f"{name}: the remote has another file of this name"])


def test_a_store_that_cannot_refuse_to_replace_is_written_all_the_same(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BUCKETS", frozenset({"memory"}))
    machine = Machine(tmp_path, url)
    machine.measure()
    fs, _ = fsspec.url_to_fs(url)

    def pipe_file(_: object, where: str, data: bytes, mode: str = "overwrite") -> None:
        if mode == "create":
            raise OSError(errno.ENOSYS, "A header you provided implies functionality that is not implemented")
        fs.store[where] = MemoryFile(fs, where, data)

    monkeypatch.setattr(type(fs), "pipe_file", pipe_file)
    assert machine.exchange("push")[1] == []
    assert stored(url) == contents(machine.root)


def test_a_file_that_is_too_large_is_not_fetched(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fs, root = fsspec.url_to_fs(url)
    fs.makedirs(f"{root}/bench/2026/10")
    fs.pipe_file(f"{root}/bench/2026/10/x.json", b" " * (33 * 2**20))

    def refuse(*_: object) -> bytes:
        pytest.fail("it was fetched")

    monkeypatch.setattr(Store, "_get", refuse)
    _, problems = Machine(tmp_path, url).exchange("pull")
    assert problems == ["bench/2026/10/x.json: 33 MiB are no record: more than 32 MiB"]


def test_what_a_driver_raises_is_one_line(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what it may quote."""
    fs, _ = fsspec.url_to_fs(url)

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no\nanswer from https://me:hunter2@there/")

    monkeypatch.setattr(type(fs), "pipe_file", refuse)
    machine = Machine(tmp_path, url)
    machine.measure()
    with pytest.raises(HistoryError, match="cannot be written") as caught:
        machine.exchange("push")
    assert caught.value.cause == "no answer from https://***@there/"


def test_a_kind_that_nobody_knows_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown kind 'nosuch'"):
        Machine(tmp_path, "nosuch://x").exchange("pull")
