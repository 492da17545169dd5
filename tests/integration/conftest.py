"""Fixtures that tests of real builds share, one of each per session, and the browser of those of the site."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from integration.workshop import TOOLCHAINS, Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def test_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder of the tests; set REGRESS_TEST_HOME to keep toolchains from one session to the next."""
    kept = os.environ.get("REGRESS_TEST_HOME")
    return Path(kept).expanduser().absolute() if kept else tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def workshop(test_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(test_home, tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="session", params=TOOLCHAINS)
def tvm_toolchain(request: pytest.FixtureRequest) -> str:
    """The name of each toolchain in regress.toml in turn."""
    return str(request.param)


def need(message: str) -> None:
    """Skips at home; fails where CI promised a browser."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        need("chromium is not installed: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415  # its absence is a skip with a reason
    except ModuleNotFoundError:
        need("playwright is not installed: pip install playwright")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield chromium
        chromium.close()
