"""Where `regress` keeps what it can make again: toolchains, models, artifacts, logs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def cache_home(env: Mapping[str, str] = os.environ) -> Path:
    """The cache folder: `$REGRESS_HOME`, else the platform's cache folder for `regress`; it may not exist yet."""
    if env.get("REGRESS_HOME"):
        return Path(os.path.expanduser(env["REGRESS_HOME"])).absolute()  # noqa: PTH111  # leaves an unknown ~name alone
    import platformdirs  # noqa: PLC0415  # not needed by the commands that only read records

    return Path(platformdirs.user_cache_dir("regress", appauthor=False))
