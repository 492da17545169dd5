"""regress.toml: every mistake is one line that names file and key."""

from datetime import date
from pathlib import Path

import pytest

from regress.config import parse_config
from regress.errors import ConfigError, UsageError

RUN = '[run]\nbaseline = "baselines/cpu.toml"\ntoolchains = ["a"]\n'
TOOLCHAIN = '[toolchains.a]\npackages = ["apache-tvm==0.26.0"]\n'


def test_the_shipped_configuration_declares_its_toolchains_and_runners() -> None:
    """The repository's own file is good, and its toolchains of the index are dated; a Jetson has its own."""
    config = parse_config(Path("regress.toml").read_text(encoding="utf-8"), "regress.toml")
    assert list(config.toolchains) == ["tvm-0.25.0.post1", "tvm-0.26.0", "tvm-0.27.0.post1", "mlc-jetson"]
    assert config.toolchains["tvm-0.26.0"].as_of == date(2026, 8, 15)
    assert list(config.runners) == ["h200", "orin"]
    assert config.measured("orin") == ("mlc-jetson",)
    assert config.measured("h200") == config.measured("nobody") == ("tvm-0.26.0", "tvm-0.27.0.post1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run = ", "r.toml: not valid TOML: "),
        (TOOLCHAIN, "r.toml: run: missing"),
        (
            RUN.replace("baseline", "baselin") + TOOLCHAIN,
            "r.toml: run.baselin: unknown key; did you mean 'baseline'?",
        ),
        ("titel = 'x'\n" + RUN + TOOLCHAIN, "r.toml: titel: unknown key; did you mean 'title'?"),
        (RUN + TOOLCHAIN.replace("packages", "package"), "r.toml: toolchains.a.package: unknown key; did you mean"),
        (
            RUN + '[toolchains.a]\nkind = "venv"\n',
            "r.toml: toolchains.a.packages: a venv toolchain needs at least one",
        ),
        (RUN + '[toolchains.a]\nkind = "vens"\n', "r.toml: toolchains.a.kind: Invalid enum value 'vens'"),
        (RUN + '[toolchains.a]\nkind = "source"\n', "r.toml: toolchains.a.path: required for kind 'source'"),
        (RUN + TOOLCHAIN + "as_of = 5\n", "r.toml: toolchains.a.as_of: Expected `date | null`, got `int`"),
        (RUN + '[toolchains."a/b"]\npackages = ["x"]\n', "r.toml: toolchains.a/b: a toolchain's name holds letters"),
        (RUN + TOOLCHAIN.replace(".a]", ".ab]"), "r.toml: run.toolchains: no toolchain 'a'; did you mean 'ab'?"),
        ("toolchains = 1\n" + RUN, "r.toml: toolchains: expected a table of toolchains"),
        (RUN + TOOLCHAIN + "[remote]\nurll = 'x'\n", "r.toml: remote.urll: unknown key; did you mean 'url'?"),
        (RUN + TOOLCHAIN + "[remote]\nurl = ''\n", "r.toml: remote.url: Expected `str` of length >= 1"),
        (RUN + TOOLCHAIN + "[remote]\nbranch = 1\n", "r.toml: remote.branch: Expected `str`, got `int`"),
        (RUN.replace('["a"]', "[]") + TOOLCHAIN, "r.toml: run.toolchains: Expected `array` of length >= 1"),
    ],
)
def test_a_mistake_is_named(text: str, message: str) -> None:
    """File, key and the nearest right word."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "r.toml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_history_is_shared_where_the_file_says() -> None:
    """On a branch of its own, where it does not say which."""
    assert parse_config(RUN + TOOLCHAIN, "r.toml").remote.url is None
    remote = parse_config(RUN + TOOLCHAIN + '[remote]\nurl = "origin"\n', "r.toml").remote
    assert (remote.url, remote.branch) == ("origin", "regress-history")


def test_an_unknown_toolchain_is_a_usage_error() -> None:
    """Asking for a toolchain that is not declared suggests one and lists all."""
    config = parse_config(RUN + TOOLCHAIN, "r.toml")
    with pytest.raises(UsageError) as caught:
        config.toolchain("A")
    assert caught.value.hint == "declared: a"
