"""Model sources as a baseline names them: `synthetic:PRESET`, `path:DIR`, `hf:REPO[@REVISION]`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from regress.errors import ConfigError, RegressError, did_you_mean
from regress.shape import PRESETS

Scheme = Literal["synthetic", "path", "hf"]

_FORMS = "a model source is synthetic:PRESET, path:DIR or hf:REPO[@REVISION]"
_REPOSITORY = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*", re.ASCII)
_REVISION = re.compile(r"[\w][\w./+-]*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where weights shall come from, checked for form only.

    Attributes:
        scheme: Kind of source.
        subject: The preset, the folder or the repository.
        revision: Branch, tag or commit of a repository; `None` for its main branch and for the other kinds.
    """

    scheme: Scheme
    subject: str
    revision: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.scheme}:{self.subject}{revision}"

    @property
    def name(self) -> str:
        """Short name for keys and pages: the preset, or the last part of folder or repository, lower case."""
        last = self.folder.name if self.scheme == "path" else self.subject.rpartition("/")[2]
        return re.sub(r"[^0-9a-z._-]+", "-", last.lower()).strip("._-") or "model"

    @property
    def folder(self) -> Path:
        """The absolute folder of a `path:` source."""
        return Path(os.path.abspath(Path(self.subject).expanduser()))  # noqa: PTH100  # links keep their names


def parse_source(text: str, error: type[RegressError] = ConfigError) -> Source:
    """The source that a text names.

    Args:
        text: Such as `hf:Qwen/Qwen2.5-7B@main`.
        error: What to raise where it names none.

    Raises:
        RegressError: As `error`: the scheme or preset is unknown, or the repository's name cannot be one.
    """
    scheme, colon, subject = text.partition(":")
    if not colon or scheme not in get_args(Scheme):
        raise error(f"model '{text}': {_no_scheme(text, scheme, colon)}", hint=_FORMS)
    if not subject.strip():
        raise error(f"model '{text}': nothing after '{scheme}:'", hint=_FORMS)
    if scheme == "hf":
        return _hub_source(text, subject, error)
    if scheme == "path":
        return Source(scheme="path", subject=subject)
    if subject not in PRESETS:
        raise error(
            f"model '{text}': no preset '{subject}'{did_you_mean(subject.lower(), PRESETS)}",
            hint=f"presets: {', '.join(PRESETS)}",
        )
    return Source(scheme="synthetic", subject=subject)


def peek_name(text: str, error: type[RegressError] = ConfigError) -> str:
    """The short name that a source's model will have in keys, without looking at the model.

    Raises:
        RegressError: As `error`: the text names no source.
    """
    return parse_source(text, error).name


def _no_scheme(text: str, scheme: str, colon: str) -> str:
    if colon:
        return f"no source is called '{scheme}:'{did_you_mean(scheme, get_args(Scheme))}"
    if text in PRESETS:
        return f"no source in front; did you mean 'synthetic:{text}'?"
    if text.startswith((".", "/", "~")):
        return f"no source in front; did you mean 'path:{text}'?"
    return f"no source in front; did you mean 'hf:{text}'?" if "/" in text else "no source in front"


def _hub_source(text: str, subject: str, error: type[RegressError]) -> Source:
    repository, at, revision = subject.partition("@")
    if not _REPOSITORY.fullmatch(repository) or "--" in repository or ".." in repository:
        raise error(f"model '{text}': '{repository}' cannot be the name of a repository", hint=_FORMS)
    if at and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise error(f"model '{text}': '{revision}' cannot be a revision", hint=_FORMS)
    return Source(scheme="hf", subject=repository, revision=revision or None)
