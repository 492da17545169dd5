"""The command that writes the pages: which baselines it finds, and which of them it holds a runner against."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest
from factories import BASELINE_TEXT
from html_page import read_html

from regress.commands.publishing import build_site

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
[run]
baseline = "baselines/{own}"
toolchains = ["tvm-0.26.0"]

[toolchains."tvm-0.26.0"]
packages = ["apache-tvm==0.26.0"]
"""


def said_of_baselines(folder: Path, own: str) -> list[str]:
    """What the page says of each baseline of a folder that has two for one runner, and a file that is none."""
    (folder / "baselines").mkdir()
    for name, text in {"a.toml": BASELINE_TEXT, "b.toml": BASELINE_TEXT, "notes.toml": "x = 1"}.items():
        (folder / "baselines" / name).write_text(text)
    config = folder / "regress.toml"
    config.write_text(CONFIG.format(own=own))

    (folder / "history").mkdir()
    places = {name: str(folder / name) for name in ("history", "site")}

    assert build_site(argparse.Namespace(config=str(config), **places)) == 0

    page = read_html((folder / "site" / "baselines.html").read_text())
    return [
        each.text.partition(".toml")[0] for each in page.all("p", "more") if "are held against this one" in each.text
    ]


@pytest.mark.parametrize("own", ["a.toml", "b.toml"])
def test_of_two_baselines_of_a_runner_the_commands_own_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    monkeypatch.setenv("REGRESS_HOME", str(tmp_path / "home"))

    assert said_of_baselines(tmp_path, own) == [own.removesuffix(".toml")]


def test_without_the_commands_own_the_last_by_name_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGRESS_HOME", str(tmp_path / "home"))

    assert said_of_baselines(tmp_path, "none.toml") == ["b"]
