"""Weights on this machine, from wherever a baseline says: the one way in is `resolve`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regress.artifact import Model
from regress.model import folder, hub, synthetic
from regress.source import parse_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from regress.source import Source

__all__ = ["LocalModel", "resolve"]


@dataclass(frozen=True, kw_only=True)
class LocalModel:
    """Weights that lie on this machine, complete and checked.

    Attributes:
        folder: Folder with `config.json`, the safetensors files and, where there is one, the tokenizer.
        identity: What the record says about them.
    """

    folder: Path
    identity: Model


def _silent(_: str) -> None:
    return


def resolve(
    source_text: str,
    home: Path,
    *,
    log: Callable[[str], None] = _silent,
    env: Mapping[str, str] = os.environ,
) -> LocalModel:
    """The model that a source names, complete on this machine.

    Args:
        source_text: Such as `synthetic:llama-mini`, `path:DIR` or `hf:REPO@REVISION`.
        home: Cache folder of `regress`; synthetic and downloaded models lie in `models` below it.
        log: Receives a line when something takes time.
        env: Environment, for the hub's address, token and cache.

    Raises:
        ConfigError: The text names no source.
        BuildError: The model cannot be written, found, downloaded or used.
    """
    source = parse_source(source_text)
    if source.scheme == "synthetic":
        where, digest = synthetic.ensure(source.subject, home, log=log)
        return _model(source, where, str(source), digest)
    if source.scheme == "path":
        where, published = source.folder, f"path:{source.folder.name}"
    else:
        where, commit = hub.fetch(source, hub.hub_from(env, home), log=log)
        published = f"hf:{source.subject}@{commit}"
    return _model(source, where, published, folder.content_digest(folder.check(where), home, log=log))


def _model(source: Source, where: Path, published: str, digest: str) -> LocalModel:
    return LocalModel(folder=where, identity=Model(source=published, name=source.name, digest=digest))
