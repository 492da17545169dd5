"""The bump: what is newer, and what becomes of regress.toml."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from regress import bundle
from regress.bump import Bump, Release, bump, newest, with_bump
from regress.cli import main
from regress.config import parse_config
from regress.errors import ToolchainError

if TYPE_CHECKING:
    from regress.config import BumpSpec, Config, ToolchainSpec

TODAY = date(2026, 11, 23)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = """# What we measure.
[run]
baseline = "baselines/orin.toml"
toolchains = ["tvm-0.26.0", "tvm-0.27.0"]   # the last one is judged

[bump.tvm]
package = "apache-tvm"
toolchain = "tvm-{version}"
beside = ["numpy"]

[toolchains."tvm-0.26.0"]
packages = ["apache_tvm==0.26.0", "numpy"]
as_of = 2026-08-15

[toolchains."tvm-0.27.0"]
packages = ["apache-tvm==0.27.0", "numpy"]   # newer
as_of = 2026-10-03
"""


def configured(more: str = "") -> Config:
    return parse_config(CONFIG + more, "regress.toml")


def followed(more: str, name: str = "other") -> BumpSpec:
    return configured(more).bump[name]


def bumped(release: Release, name: str = "tvm", more: str = "") -> Bump | None:
    config = configured(more)
    return bump(config, config.bump[name], release, TODAY)


def test_the_newest_release_is_that_of_the_highest_version() -> None:
    releases = [Release(version=text) for text in ("0.9.0", "0.10.0", "0.11.0rc1", "0.10.0.post1", "not-a-version")]

    assert newest(releases, configured().bump["tvm"]).version == "0.10.0.post1"


def test_nightlies_count_where_they_are_asked_for() -> None:
    spec = followed('[bump.other]\npackage = "mlc"\ntoolchain = "mlc-{version}"\nprereleases = true')

    assert newest([Release(version="0.20.0.dev41"), Release(version="0.20.0.dev9")], spec).version == "0.20.0.dev41"


def test_no_release_is_an_error() -> None:
    with pytest.raises(ToolchainError, match="no release of apache-tvm fits"):
        newest([], configured().bump["tvm"])


@pytest.mark.parametrize("version", ["0.27.0", "0.26.0", "0.27.0.dev1"])
def test_a_release_that_is_declared_or_older_is_no_bump(version: str) -> None:
    """The package is known by its normalized name."""
    assert bumped(Release(version=version)) is None


@pytest.mark.parametrize(
    ("uploaded", "as_of"),
    [
        (date(2026, 11, 1), date(2026, 11, 22)),
        (date(2026, 11, 23), date(2026, 11, 23)),  # the day has not ended, but without it there is no such release
        (None, date(2026, 11, 22)),
    ],
)
def test_the_rest_is_resolved_as_of_the_last_day_that_has_ended(uploaded: date | None, as_of: date) -> None:
    assert bumped(Release(version="0.28.0", uploaded_on=uploaded)) == Bump(
        name="tvm-0.28.0",
        release=Release(version="0.28.0", uploaded_on=uploaded),
        packages=("apache-tvm==0.28.0", "numpy"),
        as_of=as_of,
    )


def test_a_pair_of_nightlies_has_one_version() -> None:
    more = """[bump.mlc]
package = "mlc-llm-nightly-cu128"
same_version = ["mlc-ai-nightly-cu128"]
toolchain = "mlc-{version}"
prereleases = true
"""
    found = bumped(Release(version="0.20.dev41"), "mlc", more)

    assert found is not None
    assert found.packages == ("mlc-llm-nightly-cu128==0.20.dev41", "mlc-ai-nightly-cu128==0.20.dev41")


def test_a_branch_is_followed_by_its_commit() -> None:
    more = '[bump.git]\nrepository = "https://example.org/mlc.git"\npath = "python"\ntoolchain = "mlc-{version}"\n'
    found = bumped(Release(version=COMMIT), "git", more)

    assert found is not None
    assert found.name == "mlc-0123456789ab"
    text = with_bump(CONFIG + more, "regress.toml", followed(more, "git"), found)
    assert f'kind = "source"\nrepository = "https://example.org/mlc.git"\ncommit = "{COMMIT}"\npath = "python"' in text
    again = parse_config(text, "regress.toml")
    assert bump(again, again.bump["git"], Release(version=COMMIT), TODAY) is None


def test_the_file_keeps_its_comments_and_judges_the_new_one() -> None:
    found = bumped(Release(version="0.28.0", uploaded_on=date(2026, 11, 1)))
    assert found is not None

    text = with_bump(CONFIG, "regress.toml", configured().bump["tvm"], found)

    kept = CONFIG.replace('"tvm-0.27.0"]   #', '"tvm-0.28.0"]   #')
    assert text.startswith(kept.rstrip("\n"))
    assert text.removeprefix(kept.rstrip("\n")).split() == (
        ['[toolchains."tvm-0.28.0"]', "packages", "=", '["apache-tvm==0.28.0",', '"numpy"]', "as_of", "=", "2026-11-22"]
    )


def test_the_only_toolchain_stays_as_the_reference() -> None:
    alone = CONFIG.replace('"tvm-0.26.0", "tvm-0.27.0"]', '"tvm-0.27.0"]')
    found = bumped(Release(version="0.28.0"))
    assert found is not None

    text = with_bump(alone, "regress.toml", configured().bump["tvm"], found)

    assert parse_config(text, "regress.toml").run.toolchains == ("tvm-0.27.0", "tvm-0.28.0")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    names = [
        "0.27.0-py3-none-manylinux_2_28_x86_64",
        "0.28.0-py3-none-manylinux_2_28_x86_64",
        "0.28.0-py3-none-manylinux_2_28_aarch64",
        "0.29.0-py3-none-macosx_11_0_arm64",
    ]
    for name in names:
        (wheels / f"apache_tvm-{name}.whl").touch()
    (wheels / "other-9.0-py3-none-any.whl").touch()
    (wheels / "no wheel.whl").touch()
    links = 'beside = ["numpy"]\nfind_links = ["wheels"]\nplatform = "x86_64"'
    (tmp_path / "regress.toml").write_text(CONFIG.replace('beside = ["numpy"]', links))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_newer_wheel_for_the_platform_is_declared_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "regress.toml").read_text()

    assert main(["bump", "--check"]) == 9
    assert (folder / "regress.toml").read_text() == before
    assert capsys.readouterr().out == "tvm-0.28.0\n"

    assert main(["bump", "--json"]) == 0
    yesterday = (datetime.now(timezone.utc).date() - timedelta(days=1)).isoformat()
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "toolchain": "tvm-0.28.0",
        "version": "0.28.0",
        "uploaded_on": None,
        "as_of": yesterday,
        "commit": None,
    }
    config = parse_config((folder / "regress.toml").read_text(), "regress.toml")
    assert config.toolchain("tvm-0.28.0").find_links == ("wheels",)
    assert config.run.toolchains[-1] == "tvm-0.28.0"

    assert main(["bump", "--check"]) == 0
    output, said = capsys.readouterr()
    assert output == ""
    assert "nothing newer" in said


def test_wheels_are_archived_as_a_bundle_of_the_new_toolchain(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[list[str], Path]] = []

    def packed(specs: list[ToolchainSpec], destination: Path, **_: object) -> list[Path]:
        asked.append(([spec.name for spec in specs], destination))
        return [destination / "tvm-0.28.0.tar"]

    monkeypatch.setattr(bundle, "bundle", packed)

    assert main(["bump", "--archive", "kept"]) == 0

    assert asked == [(["tvm-0.28.0"], Path("kept"))]
    assert (folder / "kept").is_dir()
    assert "archived: kept/tvm-0.28.0.tar" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "change", "code", "said"),
    [
        (("tvn",), ("", ""), 2, "no [bump.tvn]; did you mean 'tvm'?"),
        ((), ("[bump.tvm]", "[bump.tvm]\nrepository = 'x'"), 3, "bump.tvm: needs either `package` or `repository`"),
        ((), ("tvm-{version}", "tvm"), 3, "bump.tvm.toolchain: a name with {version} in it"),
        ((), ("tvm-{version}", "tvm {version}"), 3, "bump.tvm.toolchain: a name with {version} in it"),
        ((), ("[bump.tvm]", "[bump.tvm]\npakage = 'x'"), 3, "bump.tvm.pakage: unknown key; did you mean 'package'?"),
        ((), ('["wheels"]', '["whels"]'), 4, "find_links: no folder whels"),
        ((), ('"x86_64"', '"riscv64"'), 4, "no release of apache-tvm fits"),
        ((), ("apache_tvm==0.26.0", "apache tvm =="), 9, ""),
    ],
)
def test_what_cannot_be_followed_is_an_error(  # noqa: PLR0913, PLR0917  # a table of them
    folder: Path,
    arguments: tuple[str, ...],
    change: tuple[str, str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = folder / "regress.toml"
    path.write_text(path.read_text().replace(*change))

    assert main(["bump", "--check", *arguments]) == code

    assert said in capsys.readouterr().err


def test_nothing_to_follow_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A night that looks for nothing would be green for ever."""
    path = folder / "regress.toml"
    head, _, rest = path.read_text().partition("[bump.tvm]")
    path.write_text(head + rest[rest.index("[toolchains") :])
    assert main(["bump"]) == 3
    assert "bump: nothing to follow" in capsys.readouterr().err


def test_a_name_that_is_taken_is_not_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "regress.toml"
    path.write_text(
        path.read_text()
        .replace('[toolchains."tvm-0.27.0"]', '[toolchains."tvm-0.28.0"]')
        .replace('"tvm-0.27.0"]', '"tvm-0.28.0"]')
    )
    before = path.read_text()
    assert main(["bump"]) == 3
    assert "toolchains.tvm-0.28.0: is declared already" in capsys.readouterr().err
    assert path.read_text() == before
