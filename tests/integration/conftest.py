"""Fixtures that tests of real builds share, one of each per session."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from integration.workshop import TOOLCHAINS, Workshop


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
