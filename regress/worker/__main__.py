"""Runs one worker with the toolchain's Python: `python .../regress/worker NAME REQUEST.json`.

The toolchain's Python has none of the orchestrator's packages, and the orchestrator's folder must not be on its
path, or its modules would be importable here. So this makes `regress.worker` importable by itself and nothing else
of `regress` is imported from here.
"""

import importlib
import sys
import types
from pathlib import Path


def main() -> None:
    """Imports `regress.worker.NAME` and runs its `main` on the request."""
    sys.path.pop(0)  # this folder: its modules are imported as regress.worker.*
    package = types.ModuleType("regress")
    package.__path__ = [str(Path(__file__).resolve().parent.parent)]
    sys.modules["regress"] = package
    name, request = sys.argv[1:]
    protocol = importlib.import_module("regress.worker.protocol")
    protocol.serve(name, Path(request))


main()
