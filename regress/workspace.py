"""What a command works on: the configuration, the baseline and the folders that its arguments name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from regress.baseline import Baseline, parse_baseline
from regress.config import FILE_NAME, Config, parse_config
from regress.errors import ConfigError
from regress.home import cache_home
from regress.resources import shared

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Configuration and folders of one command.

    Attributes:
        config: `regress.toml`.
        config_path: Where it lies.
        baseline_path: Where the baseline file lies.
        home: Cache folder.
        history: Folder of the records.
        site: Folder of the site.
    """

    config: Config
    config_path: Path
    baseline_path: Path
    home: Path
    history: Path
    site: Path

    @property
    def embedded(self) -> bool:
        """Whether the configuration is the one that travels with the package."""
        return self.config_path == shared(FILE_NAME)

    @property
    def baseline_name(self) -> str:
        """The baseline file's name without its folder: what may stand in a published report."""
        return self.baseline_path.name

    def baseline(self) -> Baseline:
        """The baseline file.

        Raises:
            ConfigError: It is not there or wrong.
        """
        return parse_baseline(read_text(self.baseline_path), shown(self.baseline_path))


def open_workspace(args: argparse.Namespace) -> Workspace:
    """The workspace that a command line names.

    Args:
        args: With `config`, `baseline`, `history` and `site`, each a path or `None`.

    Raises:
        ConfigError: `regress.toml` is not there or wrong.
    """
    config_path = _config_path(args.config)
    config = _anchored(parse_config(read_text(config_path), shown(config_path)), config_path.parent)
    baseline = getattr(args, "baseline", None)
    return Workspace(
        config=config,
        config_path=config_path,
        baseline_path=Path(baseline) if baseline else config_path.parent / config.run.baseline,
        home=cache_home(),
        history=Path(getattr(args, "history", None) or config.history),
        site=Path(getattr(args, "site", None) or config.site),
    )


def _anchored(config: Config, folder: Path) -> Config:
    """The configuration with the folders that its toolchains name taken from where it lies."""
    toolchains = {
        name: msgspec.structs.replace(
            spec,
            path=spec.path if spec.repository else spec.path and _anchored_path(spec.path, folder),
            find_links=tuple(_anchored_link(link, folder) for link in spec.find_links),
        )
        for name, spec in config.toolchains.items()
    }
    return msgspec.structs.replace(config, toolchains=toolchains)


def _anchored_link(link: str, folder: Path) -> str:
    return link if "://" in link else _anchored_path(link, folder)


def _anchored_path(path: str, folder: Path) -> str:
    return str((folder / Path(path).expanduser()).absolute())


def _config_path(given: str | None) -> Path:
    if given is not None:
        return Path(given)
    here = Path(FILE_NAME)
    return here if here.exists() else shared(FILE_NAME)


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{shown(path)}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown(path)}: not UTF-8 text") from error


def shown(path: Path) -> str:
    """A path as an error names it: relative to the working folder where it lies below it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, FileNotFoundError):
        return str(path)
