"""`regress site serve`: what a browser gets, and how it ends."""

from __future__ import annotations

import signal
import subprocess  # noqa: TID251  # a child that is interrupted while it serves
import sys
from typing import TYPE_CHECKING
from urllib.request import urlopen

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = '[run]\nbaseline = "bench.toml"\ntoolchains = ["a"]\n[toolchains.a]\npackages = ["apache-tvm==0.26.0"]\n'


def test_the_site_is_served_until_somebody_ends_it(tmp_path: Path) -> None:
    (tmp_path / "regress.toml").write_text(CONFIG, encoding="utf-8")
    argv = [sys.executable, "-m", "regress", "site", "serve", "--config", "regress.toml", "--site", "site"]
    env = {"REGRESS_HOME": str(tmp_path / "home"), "PATH": ""}
    with subprocess.Popen(  # noqa: S603
        argv, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline().endswith("index.html\n")
        address = child.stdout.readline().strip()
        with urlopen(address, timeout=10) as answer:  # noqa: S310  # our own server's address
            assert b"<!doctype html>" in answer.read()
        child.send_signal(signal.SIGINT)
        assert child.wait(10) == 0
