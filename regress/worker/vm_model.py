"""A built model loaded into TVM's virtual machine: the exported functions behind three calls.

Drives what the `tvm` builder and MLC-LLM's `compile` write alike: `_metadata`, `embed`, `prefill`, `decode` and a
function that creates the KV cache.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tvm
from tvm import relax
from tvm_ffi import Shape

from regress.worker.weights import read_shards

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

PAGE_SIZE = 16
"""Tokens in a page of the KV cache."""
_SEQUENCE = 0


class Tokens(NamedTuple):
    """Token ids on the device, with what a step needs to know of them; made before a step is timed.

    To make one `Shape` takes 3 to 5 microseconds on the host, three of them 2 % of a small model's decode step.

    Attributes:
        ids: int32, shape `(tokens,)`.
        count: `(tokens,)`.
        embedded: `(1, tokens, hidden_size)`.
    """

    ids: tvm.runtime.Tensor
    count: Shape
    embedded: Shape


class VmModel:
    """One sequence of a built model.

    Args:
        artifact: Folder with `lib.so`, `tensor-cache.json` and its shards.
        device: TVM device type, `cpu` or `cuda`.
        context: Tokens the KV cache shall hold.

    Raises:
        RuntimeError: The library exports no function that creates a KV cache, or a parameter is missing.
        ValueError: The library or a shard lost its end.
    """

    def __init__(self, artifact: Path, device: str, context: int) -> None:
        self.device = tvm.device(device, 0)
        if not self.device.exist:
            raise RuntimeError(f"TVM sees no {device} device")
        _require_whole(artifact / "lib.so")
        self._vm = relax.VirtualMachine(tvm.runtime.load_module(str(artifact / "lib.so")), self.device)
        self.metadata = json.loads(str(self._vm["_metadata"]()))
        self.chunk = int(self.metadata["prefill_chunk_size"])
        self._params = self._load_params(artifact)
        self._embed, self._prefill, self._decode = (self._vm[name] for name in ("embed", "prefill", "decode"))
        self._hidden_size = int(self._embed(self._ids([0]), self._params).shape[1])
        self._cache = self._create_cache(context)
        self._sequence = Shape([_SEQUENCE])
        self._shapes: dict[int, tuple[Shape, Shape]] = {}
        builtin = {name: tvm.get_global_func(f"vm.builtin.{name}") for name in _BUILTINS}
        self._reshape = builtin["reshape"]
        self._clear, self._add = builtin["kv_state_clear"], builtin["kv_state_add_sequence"]
        self._begin, self._end = builtin["kv_state_begin_forward"], builtin["kv_state_end_forward"]

    def restart(self) -> None:
        """Empties the KV cache and begins a new sequence."""
        self._clear(self._cache)
        self._add(self._cache, _SEQUENCE)

    def to_device(self, token_ids: Sequence[int]) -> Tokens:
        """Token ids on the device, ready for a step."""
        count = len(token_ids)
        if count not in self._shapes:
            self._shapes[count] = Shape([count]), Shape([1, count, self._hidden_size])
        return Tokens(self._ids(token_ids), *self._shapes[count])

    def prefill(self, chunks: Sequence[Tokens]) -> tvm.runtime.Tensor:
        """Logits `(1, 1, vocab_size)` after the prompt.

        Args:
            chunks: The prompt's tokens, at most `chunk` in each, from `chunks`.
        """
        return self._run(self._prefill, chunks)

    def decode(self, token: Tokens) -> tvm.runtime.Tensor:
        """Logits `(1, 1, vocab_size)` after one more token."""
        return self._run(self._decode, (token,))

    def decode_all(self, tokens: Sequence[Tokens]) -> tvm.runtime.Tensor:
        """Logits `(1, 1, vocab_size)` after the last of more tokens, one step for each."""
        return self._run(self._decode, tokens)

    def chunks(self, token_ids: Sequence[int]) -> list[Tokens]:
        """A prompt on the device, in pieces that one prefill takes."""
        return [self.to_device(token_ids[start : start + self.chunk]) for start in range(0, len(token_ids), self.chunk)]

    def _run(self, function: Any, pieces: Sequence[Tokens]) -> tvm.runtime.Tensor:  # noqa: ANN401
        """Logits after the last piece; each piece is waited for.

        This is what is timed. A step leaves nothing of the interpreter in the processor's caches, so that each name
        looked up in an object costs a fetch from memory: locals alone are used (0.4 % of a small model's decode).
        """
        embed, reshape, begin, end = self._embed, self._reshape, self._begin, self._end
        params, cache, sequence, sync = self._params, self._cache, self._sequence, self.device.sync
        for ids, count, embedded in pieces:
            hidden = reshape(embed(ids, params), embedded)
            begin(cache, sequence, count)
            logits = function(hidden, cache, params)[0]
            end(cache)
            sync()
        return logits

    def _ids(self, token_ids: Sequence[int]) -> tvm.runtime.Tensor:
        return tvm.runtime.tensor(np.array(token_ids, "int32"), device=self.device)

    def _load_params(self, artifact: Path) -> list[tvm.runtime.Tensor]:
        names = [param["name"] for param in self.metadata["params"]]
        wanted = set(names)
        loaded = {
            name: tvm.runtime.tensor(array, device=self.device)
            for name, array in read_shards(artifact)
            if name in wanted
        }
        missing = wanted - loaded.keys()
        if missing:
            raise RuntimeError(f"tensor-cache.json: parameter '{min(missing)}' is missing")
        return [loaded[name] for name in names]

    def _create_cache(self, context: int) -> Any:  # noqa: ANN401
        for name in ("create_flashinfer_paged_kv_cache", "create_tir_paged_kv_cache"):
            try:
                create = self._vm[name]
            except AttributeError:
                continue
            sizes = (1, context, min(self.chunk, context), PAGE_SIZE, 0)
            return create(*(Shape([size]) for size in sizes))
        raise RuntimeError("lib.so exports no function that creates a paged KV cache")


_BUILTINS = (
    "reshape",
    "kv_state_clear",
    "kv_state_add_sequence",
    "kv_state_begin_forward",
    "kv_state_end_forward",
)


_ELF_HEADER = struct.Struct("<5s35xQ10xHH2x")
"""Magic and class; offset, entry size and entry count of the section table, which linkers put at the end."""


def _require_whole(library: Path) -> None:
    """Refuses a library that lost its end: to load one may end the process without a word (SIGBUS)."""
    size = library.stat().st_size
    with library.open("rb") as file:
        header = file.read(_ELF_HEADER.size)
    if len(header) < _ELF_HEADER.size or not header.startswith(b"\x7fELF\x02"):
        return  # the loader says why it takes it, or does not
    _, sections, entry_size, entries = _ELF_HEADER.unpack(header)
    promised = sections + entry_size * entries
    if size < promised:
        raise ValueError(f"{library.name}: {size} bytes, by its header it should be {promised}")


def logits_of(tensor: tvm.runtime.Tensor) -> NDArray[np.float32]:
    """Logits as numpy sees them, shape `(vocab_size,)`, float32."""
    logits: NDArray[np.float32] = tensor.numpy()
    return logits.reshape(-1)
