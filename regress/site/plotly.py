"""Plotly's script: the one that its Python package holds, or a smaller bundle of it."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from regress.errors import HistoryError, UsageError
from regress.site.facts import Fact

GLOB = "plotly-*.min.js"
"""Copies of the script: written by a build, never committed, never copied as a hand-written asset."""
_HEAD_BYTES = 1000
"""Its licence stands at the start, with its name."""


class Script(Fact, frozen=True, kw_only=True):
    """The script that draws the charts.

    Attributes:
        name: Its name among the assets: another one for other content, as browsers keep it for long.
        path: Where it lies.
    """

    name: str
    path: Path


def packaged() -> Script:
    """The script of the Python package, which can draw whatever Plotly can.

    Raises:
        HistoryError: The package is not there.
        OSError: Its script cannot be read.
    """
    package = find_spec("plotly")  # without loading it, which takes longer than to write a small site
    if package is None or package.origin is None:
        raise HistoryError("plotly is not installed, whose script draws the charts", hint="the site was not built")
    path = Path(package.origin).parent / "package_data" / "plotly.min.js"
    return _script(path, path.read_bytes())


def bundle(path: Path) -> Script:
    """A bundle of the script in a file, such as the basic one, of a quarter of the size.

    Raises:
        UsageError: It cannot be read, or is something else.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    if b"plotly.js" not in data[:_HEAD_BYTES]:
        raise UsageError(
            f"{path}: not a script of Plotly's", hint="plotly-basic.min.js of npm's plotly.js-basic-dist-min"
        )
    return _script(path, data)


def _script(path: Path, data: bytes) -> Script:
    return Script(name=f"plotly-{hashlib.sha256(data).hexdigest()[:12]}.min.js", path=path)
