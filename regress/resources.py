"""Where the files that travel with the package lie: in the repository, or in an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shared(name: str) -> Path:
    """The path of a shared file or folder, such as `templates`, `site/assets` or `regress.toml`."""
    installed = _PACKAGE / "_share" / name
    return installed if installed.exists() else _PACKAGE.parent / name
