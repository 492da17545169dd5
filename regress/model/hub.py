"""Models from the Hugging Face hub, at a pinned commit.

`huggingface_hub` downloads: a broken connection goes on within ten megabytes of where it broke, finished
files are kept for the next run, and only the files at which a run was given up start anew. A file appears
under its name when it is complete. A commit that lies here complete is used without asking the hub.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from regress.errors import BuildError
from regress.model.folder import CONFIG, INDEX, check, read_shape
from regress.redact import publishable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from huggingface_hub.errors import HfHubHTTPError

    from regress.source import Source

COMMIT = re.compile(r"[0-9a-f]{40}")

FILES = [
    CONFIG,
    INDEX,
    "generation_config.json",
    "model*.safetensors",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
]
"""What a build needs; the same weights in another format would only double the download."""

_ROOM = "set REGRESS_HOME, or HF_HOME, to a folder that can be written and has room"


@dataclass(frozen=True, kw_only=True)
class Hub:
    """How to reach the hub, and where its files go.

    Attributes:
        endpoint: Address of the hub; the public one where `None`.
        token: Access token; the one that `hf auth login` stored, if any, where `None`.
        cache: Folder in the layout of `huggingface_hub`'s cache.
    """

    endpoint: str | None
    token: str | None
    cache: Path

    def __repr__(self) -> str:
        return f"Hub(endpoint={self.endpoint!r}, cache={self.cache!r})"  # without the token

    def page(self, repository: str) -> str:
        """Address of a repository's page."""
        return f"{(self.endpoint or 'https://huggingface.co').rstrip('/')}/{repository}"


def hub_from(env: Mapping[str, str], home: Path) -> Hub:
    """The hub as the environment describes it.

    Args:
        env: `HF_ENDPOINT`, `HF_TOKEN` or `HUGGINGFACE_TOKEN`, and `HF_HUB_CACHE` or `HF_HOME` count.
        home: Cache folder of `regress`, for files when the environment names no cache of the hub's.
    """
    cache = home / "models" / "hf"
    if env.get("HF_HUB_CACHE"):
        cache = Path(env["HF_HUB_CACHE"]).expanduser()
    elif env.get("HF_HOME"):
        cache = Path(env["HF_HOME"]).expanduser() / "hub"
    token = (env.get("HF_TOKEN") or env.get("HUGGINGFACE_TOKEN") or "").strip()
    return Hub(endpoint=env.get("HF_ENDPOINT") or None, token=token or None, cache=cache)


def fetch(source: Source, hub: Hub, *, log: Callable[[str], None]) -> tuple[Path, str]:
    """Folder and commit of a repository's model, downloaded as far as it is not here.

    Args:
        source: An `hf:` source.
        hub: Where from and where to.
        log: Receives a line before a download.

    Raises:
        BuildError: The repository or revision does not exist or is not open to us, the hub cannot be reached,
            the disk is full, or what was downloaded is not a model that can be built.
    """
    if source.revision and COMMIT.fullmatch(source.revision) and (folder := _here(source, hub)):
        return folder, source.revision
    try:
        commit = _commit(source, hub)
        log(f"downloading {source.subject} at {commit[:12]} to {hub.cache}, as far as it is not there")
        _require_known_shape(_download(source.subject, commit, hub, [CONFIG]))
        folder = _download(source.subject, commit, hub, FILES)
        check(folder)
    except Exception as error:  # the transport below raises its own: requests', httpx's, Xet's, by version
        raise _explained(error, source, hub) from error
    return folder, commit


def _require_known_shape(folder: Path) -> None:
    """Refuses a model that cannot be built by its configuration, before its weights are downloaded."""
    if not (folder / CONFIG).exists():
        raise BuildError(f"the repository has no {CONFIG}", hint="GGUF files, say, cannot be built")
    read_shape(folder)


def _here(source: Source, hub: Hub) -> Path | None:
    """The folder of a pinned commit if it is complete on this machine; asks nobody."""
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415  # slow to import

    try:
        folder = _download(source.subject, source.revision or "", hub, FILES, local_files_only=True)
        check(folder)
    except (LocalEntryNotFoundError, BuildError):
        return None
    return folder


def _commit(source: Source, hub: Hub) -> str:
    from huggingface_hub import HfApi  # noqa: PLC0415  # slow to import

    api = HfApi(endpoint=hub.endpoint, token=hub.token, library_name="regress")
    commit = api.model_info(source.subject, revision=source.revision).sha
    if commit is None or not COMMIT.fullmatch(commit):
        raise BuildError("the hub names no commit for it", hint="is HF_ENDPOINT a hub?")
    return commit


def _download(repository: str, commit: str, hub: Hub, files: list[str], *, local_files_only: bool = False) -> Path:
    """The folder of a commit, with those of its files in it that match a pattern of `files`."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415  # slow to import

    folder = snapshot_download(
        repository,
        revision=commit,
        cache_dir=hub.cache,
        endpoint=hub.endpoint,
        token=hub.token,
        allow_patterns=files,
        local_files_only=local_files_only,
        library_name="regress",
    )
    return Path(folder)


def _explained(error: Exception, source: Source, hub: Hub) -> BuildError:
    """The failure as one line about the source, and what to do about it."""
    from huggingface_hub import errors  # noqa: PLC0415  # slow to import

    cause = _root(error)
    if isinstance(cause, BuildError):
        return BuildError(f"{source}: {cause}", cause=cause.cause, hint=cause.hint)
    if isinstance(cause, errors.HfHubHTTPError):
        return _refused(cause, source, hub)
    if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, ConnectionError | TimeoutError):
        place = cause.filename or hub.cache
        return BuildError(f"{source}: cannot write to {place}: {cause.strerror}", hint=_ROOM)
    return _unreachable(cause, source, hub)


def _root(error: BaseException) -> BaseException:
    """What really happened, below huggingface_hub's remark that the file is not in the cache either."""
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415  # slow to import

    while isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _gated(source: Source, hub: Hub) -> BuildError:
    page = hub.page(source.subject)
    if hub.token is None:
        hint = f"accept its licence at {page}, then set HF_TOKEN to a token of that account"
    else:
        hint = f"accept its licence at {page} with the account of the token; it may have to be granted first"
    return BuildError(f"{source}: the repository is gated and not open to us", hint=hint)


def _refused(answer: HfHubHTTPError, source: Source, hub: Hub) -> BuildError:
    """What the hub's answer means."""
    from huggingface_hub import errors  # noqa: PLC0415  # slow to import

    if isinstance(answer, errors.GatedRepoError):  # which is a kind of RepositoryNotFoundError
        return _gated(source, hub)
    if isinstance(answer, errors.RepositoryNotFoundError):
        return BuildError(
            f"{source}: the hub has no repository '{source.subject}' that we may see",
            hint="check its spelling; a private one needs HF_TOKEN",
        )
    if isinstance(answer, errors.RevisionNotFoundError):
        return BuildError(
            f"{source}: the repository has no revision '{source.revision}'",
            hint=f"its commits: {hub.page(source.subject)}/commits/main",
        )
    status = answer.response.status_code
    if status == HTTPStatus.UNAUTHORIZED:
        return BuildError(f"{source}: the hub refuses the token", hint="set HF_TOKEN to a valid one")
    rights = "the token may lack the right to read this repository" if status == HTTPStatus.FORBIDDEN else None
    return BuildError(f"{source}: the hub answers with status {status}", cause=_telling(answer, hub), hint=rights)


def _unreachable(error: BaseException, source: Source, hub: Hub) -> BuildError:
    commits = sorted(path.name for path in _snapshots(source, hub) if COMMIT.fullmatch(path.name))
    if commits and source.revision not in commits:
        hint = f"without a network, pin a commit that is here: {', '.join(commits)}"
    else:
        hint = "run again when the network is back: what is complete is kept"
    return BuildError(f"{source}: cannot be downloaded", cause=_telling(error, hub), hint=hint)


def _snapshots(source: Source, hub: Hub) -> list[Path]:
    folder = hub.cache / f"models--{source.subject.replace('/', '--')}" / "snapshots"
    return list(folder.iterdir()) if folder.is_dir() else []


def _telling(error: BaseException, hub: Hub) -> str:
    """The first line of what the library said, without the token."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return publishable(text.replace(hub.token, "***") if hub.token else text)
