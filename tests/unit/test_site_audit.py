"""What is wrong with a built site is found and named; nothing else is."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from site_entries import built, entry, later
from site_sample import wide_history

from regress.site.audit import Audit, first_view

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "site"
    built(folder, wide_history())
    return folder


@pytest.fixture
def site(sample: Path, tmp_path: Path) -> Path:
    """A copy that can be damaged."""
    return Path(shutil.copytree(sample, tmp_path / "site"))


def problems(root: Path) -> list[str]:
    return list(Audit(root).problems())


def a_page(site: Path) -> Path:
    return min(site.glob("series/*/*.html"))


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_site_as_it_was_built_has_no_problem(sample: Path) -> None:
    assert problems(sample) == []


def test_where_there_is_no_site_that_is_the_problem(tmp_path: Path) -> None:
    assert problems(tmp_path / "absent") == ["index.html: there is no site"]


def test_a_link_to_what_is_gone_is_named_with_every_page_that_has_it(site: Path) -> None:
    gone = a_page(site)
    gone.unlink()
    found = problems(site)
    assert {problem.partition(": ")[0] for problem in found} >= {"index.html"}
    assert all(f"/{gone.name}" in problem or problem.endswith(gone.name) for problem in found)


def test_data_that_a_page_loads_and_is_gone_is_a_dead_link(site: Path) -> None:
    page = a_page(site)
    page.with_suffix(".js").unlink()
    assert f"{page.relative_to(site)}: dead link to {page.stem}.js" in problems(site)


def test_data_that_a_pages_script_shows_beside_its_own_and_is_gone_is_a_dead_link(site: Path) -> None:
    """On its own page, which draws it at once, and on that of the other runner."""
    (gone,) = site.glob("lengths/processor/*.js")
    gone.unlink()

    link = f"../../lengths/processor/{gone.name}"
    pages = [path.relative_to(site) for path in sorted(site.glob("lengths/*/*.html"))]
    assert problems(site) == [f"{page}: dead link to {link}" for page in pages]


def _truncate(site: Path) -> str:
    path = a_page(site).with_suffix(".js")
    path.write_bytes(path.read_bytes()[:200])
    return f"{path.relative_to(site)}: damaged data: "


def _truncate_run(site: Path) -> str:
    path = min(site.glob("runs/*/*.js"))
    path.write_bytes(path.read_bytes()[:-20] + b")")
    return f"{path.relative_to(site)}: damaged data: "


def _truncate_lengths(site: Path) -> str:
    path = min(site.glob("lengths/*/*.js"))
    path.write_bytes(path.read_bytes()[:-20] + b")")
    return f"{path.relative_to(site)}: damaged data: "


def _load_from_elsewhere(site: Path) -> str:
    replaced(site / "method.html", '<link rel="stylesheet" href="', '<link rel="stylesheet" href="https://example.org/')
    return "method.html: loads https://example.org/"


def _load_from_another_host(site: Path) -> str:
    replaced(site / "method.html", '<link rel="stylesheet" href="', '<link rel="stylesheet" href="//example.org/')
    return "method.html: loads //example.org/"


def _no_policy(site: Path) -> str:
    replaced(site / "method.html", "Content-Security-Policy", "Content")
    return "method.html: no Content-Security-Policy"


def _a_place_that_is_not_there(site: Path) -> str:
    replaced(site / "method.html", '<a class="skip" href="#content"', '<a class="skip" href="#contents"')
    return "method.html: dead link to #contents"


def _out_of_the_site(site: Path) -> str:
    (site.parent / "secret.html").write_text("", encoding="utf-8")
    replaced(site / "method.html", '<a class="skip" href="#content"', '<a class="skip" href="../secret.html"')
    return "method.html: dead link to ../secret.html"


def _a_large_first_view(site: Path) -> str:
    noise = random.Random(0).randbytes(130_000).hex()  # noqa: S311  # nothing that gzip can make small
    path = site / "assets" / "overview.js"
    path.write_text(f"// {noise}", encoding="utf-8")
    return "index.html: the first view is "


def _much_data(site: Path) -> str:
    path = a_page(site).with_suffix(".js")
    path.write_text(f'regressData("{random.Random(0).randbytes(70_000).hex()}")', encoding="utf-8")  # noqa: S311
    return f"{path.relative_to(site)}: "


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _truncate_run,
        _truncate_lengths,
        _load_from_elsewhere,
        _load_from_another_host,
        _no_policy,
        _a_place_that_is_not_there,
        _out_of_the_site,
        _a_large_first_view,
        _much_data,
    ],
)
def test_what_is_damaged_is_named_with_its_file(site: Path, damage: Callable[[Path], str]) -> None:
    expected = damage(site)
    found = problems(site)
    assert found
    assert all(problem.startswith(expected) for problem in found)


def test_pages_that_cannot_be_read_are_named(site: Path, tmp_path: Path) -> None:
    """One in another encoding, one that leads nowhere, and one that leads out of the site."""
    (site / "other.html").write_bytes("é".encode("latin-1"))
    (site / "nowhere.html").symlink_to(tmp_path / "absent")
    (tmp_path / "outside.html").write_text("", encoding="utf-8")
    (site / "outside.html").symlink_to(tmp_path / "outside.html")
    assert sorted(problem.partition(": ")[0] for problem in problems(site)) == [
        "nowhere.html",
        "other.html",
        "outside.html",
    ]


def test_the_first_view_is_the_page_and_what_it_loads_without_plotly(sample: Path) -> None:
    names = {path.name for path in first_view(sample)}
    assert {"index.html", "site.css", "overview.js"} <= names
    assert not [name for name in names if name.startswith("plotly")]


def test_a_thousand_toolchains_leave_the_pages_small(tmp_path: Path) -> None:
    """Each of them with one run: nothing lists them all but tables that are there to be downloaded."""
    runs = [entry(later(day / 24, toolchain=f"tvm-0.{day}")) for day in range(1000)]
    site = built(tmp_path / "site", runs).parent
    assert problems(site) == []
    assert max(path.stat().st_size for path in site.rglob("*.html")) < 150_000
