"""What an MLC-LLM build really made, as far as it can be told without MLC-LLM's native library.

Kernels are read from the module that `compile --debug-dump` writes after scheduling: each with the SHA-256 of its
scheduled source, and which of them `decode` calls. The legacy command writes no such file with the arguments given,
and its builds have no list of kernels.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CACHE_FUNCTIONS = ("create_flashinfer_paged_kv_cache", "create_tir_paged_kv_cache", "create_kv_cache")
"""What makes the KV cache, the first one that a library has; the last one is the legacy era's."""
_DUMPS = ("debug-phase4.py", "debug-phase3.py")
_FUNCTION = re.compile(
    r"^    @(?:\w+\.)*(?P<kind>prim_func|function)\b.*\n(?:    @.*\n)*    def (?P<name>\w+)\(", re.MULTILINE
)
_CALL = re.compile(r"\bcls\.(\w+)")
_ALONE = re.compile(r"(?:fused_)?dequantize\d*")
_IN_FORCE = re.compile(r"\s*--opt\s+(\w+=\w+(?:;\w+=\w+)*)")
_TARGET = re.compile(r"\s*--target\s+(\S.*)")
_SHAPE = re.compile(r'"shape":\s*\[[^\]]*\]')
_NAMED = re.compile(r'"(\w+)"(?=\s*[,\]])')


class Kernels(NamedTuple):
    """The kernels of a module: name to SHA-256 of the scheduled source, and those that `decode` calls."""

    digests: dict[str, str]
    called: frozenset[str]


class Seen(NamedTuple):
    """What is known of a build, to be held against what was asked.

    Attributes:
        in_force: Optimisation to value, as MLC-LLM printed them after its own corrections.
        kv_cache: Name of the exported function that makes the KV cache.
        called: The kernels that `decode` calls.
        faster_transformer: Whether the library calls FasterTransformer's kernels.
        cutlass: Whether TVM has CUTLASS.
    """

    in_force: Mapping[str, str]
    kv_cache: str
    called: frozenset[str]
    faster_transformer: bool
    cutlass: bool


def kernels(dump: Path) -> Kernels:
    """The kernels in a folder of dumps; none where there is no dump that is known."""
    path = next((dump / name for name in _DUMPS if (dump / name).is_file()), None)
    return kernels_in(path.read_text(encoding="utf-8")) if path else Kernels({}, frozenset())


def kernels_in(script: str) -> Kernels:
    """The kernels of a module as TVM prints it.

    Taken apart by lines, not parsed as Python: what TVM prints is not always that.
    """
    digests: dict[str, str] = {}
    called: frozenset[str] = frozenset()
    found = list(_FUNCTION.finditer(script))
    for each, following in zip(found, [*found[1:], None], strict=True):
        source = script[each.start() : following.start() if following else len(script)]
        if each["kind"] == "prim_func":
            digests[each["name"]] = hashlib.sha256(source.rstrip().encode()).hexdigest()
        elif each["name"] == "decode":
            called = frozenset(_CALL.findall(source))
    return Kernels(digests, called & digests.keys())


def in_force(lines: list[str]) -> dict[str, str]:
    """Optimisation to value, as `compile` printed them after its own corrections; empty where it printed none."""
    said = _last(_IN_FORCE, lines)
    return dict(pair.split("=") for pair in said.split(";")) if said else {}


def target_in_force(lines: list[str]) -> str | None:
    """The whole target, as `compile` printed it; `None` where it printed none."""
    return _last(_TARGET, lines)


def _last(pattern: re.Pattern[str], lines: list[str]) -> str | None:
    return next((match[1] for line in reversed(lines) if (match := pattern.fullmatch(line))), None)


def calls_faster_transformer(library: Path) -> bool:
    """Whether a library names FasterTransformer's kernels: they are called by name, from outside of it."""
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return re.search(rb"fastertransformer", data, re.IGNORECASE) is not None


def findings(flags: Mapping[str, str], quantization: str, target: str, seen: Seen) -> Iterator[dict[str, str]]:
    """Each thing that was asked for and not built, with no word of MLC-LLM's, as `code` and `text`.

    Args:
        flags: What was asked.
        quantization: By MLC's name; `ft` layouts ask for FasterTransformer.
        target: As the case names it. For a processor MLC-LLM drops CUDA graphs, which is no loss.
        seen: What was built.
    """
    asked = {name for name in ("flashinfer", "cublas_gemm", "faster_transformer", "cutlass") if flags[name] == "1"}
    if target.startswith("cuda") and flags["cudagraph"] == "1":
        asked.add("cudagraph")
    missing = {name: "MLC-LLM switched it off" for name in sorted(asked) if seen.in_force.get(name) == "0"}
    if "flashinfer" in asked and "flashinfer" not in seen.kv_cache:
        missing["flashinfer"] = f"the KV cache is made by {seen.kv_cache}"
    if ("faster_transformer" in asked or quantization.endswith("_ft")) and not seen.faster_transformer:
        missing["faster_transformer"] = "the library calls none of its kernels"
    if flags["flash_attn_mqa"] == "1" and not seen.cutlass:
        missing["flash_attn_mqa"] = "TVM is built without CUTLASS, which has these kernels"
    for name, why in missing.items():
        yield {"code": "fell_back", "text": f"{name} was asked for, and {why}"}
    if alone := sorted(name for name in seen.called if _ALONE.fullmatch(name)):
        text = f"decode dequantizes apart from the matrix product: it calls {', '.join(alone)}"
        yield {"code": "unfused_dequantize", "text": text}


def with_numbers(metadata: str, sizes: Mapping[str, Any]) -> str:
    """A library's metadata with a number for each named size, as long as before.

    MLC-LLM leaves the rows of the embedding open, so that one library serves models whose vocabularies differ, and the
    metadata names them (`"vocab_size"`). The bench worker reads numbers.

    Args:
        metadata: JSON.
        sizes: Name to number.

    Raises:
        ValueError: A name is none of them, or its number takes more room than the name.
    """

    def number(named: re.Match[str]) -> str:
        size = sizes.get(named[1])
        if not isinstance(size, int) or len(str(size)) > len(named[0]):
            raise ValueError(f"lib.so: the size '{named[1]}' in its metadata has no number in mlc-chat-config.json")
        return str(size).ljust(len(named[0]))

    return _SHAPE.sub(lambda shape: _NAMED.sub(number, shape[0]), metadata)


def write_numbers(library: Path, metadata: str, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Puts those numbers into a library; its metadata.

    Args:
        library: The file, in which the metadata's text stands as it is.
        metadata: What its `_metadata` returns.
        sizes: Name to number.

    Raises:
        ValueError: As `with_numbers`, or the text does not stand in the file exactly once.
    """
    numbered = with_numbers(metadata, sizes)
    if numbered != metadata:
        data = library.read_bytes()
        if data.count(metadata.encode()) != 1:
            raise ValueError("lib.so: the text of its metadata, which names sizes, is not found in it exactly once")
        # Another file under the same name: the old one may be mapped into this process.
        changed = library.with_suffix(".numbered")
        changed.write_bytes(data.replace(metadata.encode(), numbered.encode()))
        changed.chmod(library.stat().st_mode)
        changed.replace(library)
    found: dict[str, Any] = json.loads(numbered)
    return found
