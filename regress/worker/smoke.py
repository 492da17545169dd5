"""The check of a toolchain: imports TVM, compiles one linear layer for the CPU and compares it with NumPy.

Run by the toolchain's own Python, with nothing but the standard library, NumPy and the toolchain. Prints one
JSON object per line: first `hello`, before anything that may crash is imported, then `result`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROTOCOL = 1
"""Version of the lines below; the reader refuses any other."""

TOLERANCE = 1e-5
"""Largest accepted absolute difference from NumPy: 64 products of numbers below 1, added in float32."""


def main() -> None:
    """Prints what this Python holds, then what the check found; a failure is an exception, or a crash."""
    emit("hello", hello())
    emit("result", result())
    os._exit(0)  # as in every worker: the toolchain's own shutdown is not what is checked


def emit(event: str, fields: Mapping[str, object]) -> None:
    """Prints one line, at once: the next step may end the process."""
    print(json.dumps({"event": event, **fields}), flush=True)  # noqa: T201


def hello() -> dict[str, object]:
    """Version and platform of this Python, and its packages by normalised name with their digests."""
    packages: dict[str, dict[str, str | None]] = {}
    for distribution in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
        # The first one on the path is the one that is imported.
        packages.setdefault(name, {"version": distribution.version, "sha256": content(distribution)})
    return {
        "protocol": PROTOCOL,
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "packages": {name: packages[name] for name in sorted(packages) if name},
    }


def content(distribution: importlib.metadata.Distribution) -> str | None:
    """SHA-256 over the files a distribution lists, the same on every machine; `None` where it lists none.

    It tells two builds of one version apart. What depends on the machine is left out: bytecode, scripts with
    the interpreter's path in them, links to a checkout, and the installer's own notes.
    """
    listed = distribution.read_text("RECORD")
    if not listed:
        return None
    lines = sorted(line for line in listed.splitlines() if not _MACHINE.search(line.rsplit(",", 2)[0]))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


_NOTES = "INSTALLER|REQUESTED|RECORD|direct_url\\.json|uv_\\w+\\.json"
_MACHINE = re.compile(rf"^\.\.|^/|\.(?:pyc|pth)$|\.dist-info/(?:{_NOTES})$")


def result() -> dict[str, object]:
    """TVM's version, whether it has LLVM, its native libraries, and the error of the layer it ran."""
    import tvm  # noqa: PLC0415  # the subject of the check: a crash here must come after the first line

    llvm = bool(tvm.runtime.enabled("llvm"))
    if not llvm:
        raise RuntimeError("this TVM was built without LLVM")
    error = linear_error()
    if not error <= TOLERANCE:
        raise RuntimeError(f"a linear layer differs from NumPy by {error:.3g}; at most {TOLERANCE:g} is right")
    return {"tvm": tvm.__version__, "llvm": llvm, "max_abs_error": error, "libraries": dict(libraries())}


def linear_error() -> float:
    """Largest absolute difference between a layer that TVM compiled for the CPU and NumPy's product."""
    import numpy as np  # noqa: PLC0415  # as `tvm` above
    import tvm  # noqa: PLC0415
    from tvm import relax  # noqa: PLC0415
    from tvm.relax.frontend import nn  # noqa: PLC0415

    layer = nn.Linear(64, 48, bias=False)
    module, _ = layer.export_tvm(spec={"forward": {"x": nn.spec.Tensor([4, 64], "float32")}})
    # The era of MLC-LLM's ChatModule came with TVM 0.15, and these are the names that it has.
    compiled = getattr(tvm, "compile", None) or relax.build
    tensor = getattr(tvm.runtime, "tensor", None) or tvm.nd.array
    machine = relax.VirtualMachine(compiled(module, target="llvm"), tvm.cpu())
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (4, 64)).astype("float32")
    weight = random.uniform(-1, 1, (48, 64)).astype("float32")
    found = machine["forward"](tensor(x), tensor(weight)).numpy()
    return float(np.abs(found - x @ weight.T).max())


def libraries() -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of each of TVM's native libraries in this process, and of MLC-LLM's, which is not loaded."""
    for path in sorted({*loaded(), *engines()}):
        with path.open("rb") as file:
            yield path.name, hashlib.sha256(file.read()).hexdigest()


def loaded() -> Iterator[Path]:
    """TVM's native libraries in this process; none where /proc is not there."""
    maps = Path("/proc/self/maps")
    text = maps.read_text() if maps.exists() else ""
    paths = {Path(line.split(maxsplit=5)[5]) for line in text.splitlines() if "/" in line}
    return (path for path in paths if re.match(r"(?:lib)?(?:tvm|mlc)", path.name) and path.is_file())


def engines() -> Iterator[Path]:
    """MLC-LLM's native libraries, by its own list of places: a checkout's commit may change them and no Python."""
    spec = importlib.util.find_spec("mlc_llm")
    for folder in spec.submodule_search_locations or () if spec else ():
        source = Path(folder) / "libinfo.py"
        find = runpy.run_path(str(source)).get("find_lib_path") if source.is_file() else None
        if find is not None:
            found = [path for name in ("mlc_llm", "mlc_llm_module") for path in find(name, optional=True)]
            yield from (Path(path).resolve() for path in found)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, whose modules must not hide the toolchain's
    main()
