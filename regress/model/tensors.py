"""Tensors of a synthetic model: what they are called, how they are spread, and their values.

Every tensor is seeded by the model's and its own name, so neither order nor sharding changes it. The bits
come from PCG64's raw stream, which numpy never changes (its policy, NEP 19, lets only the distributions
change), sixteen for a weight. They index a table of 65,536 evenly spread float16 values, computed in float64
from square roots, products and sums alone, which IEEE 754 rounds in one way only.

Weights are uniform, with the variance that keeps a vector's size (one over the inputs): activations stay far
inside float16's range at any depth, and the logits have a standard deviation of about two. Queries are twice
as large, because attention that hardly tells its tokens apart lets greedy decoding run into a loop of two or
three tokens.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from regress.shape import PRESETS, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

GENERATOR = 1
"""Version of the code below; it changes whenever the same plan gives other bytes."""

_CHUNK = 2**18
"""Weights made at a time, a multiple of the four that one raw number gives.

They stay in a core's cache: with their bits and the indices that numpy makes of them they take 3 MiB.
"""

_LOGIT_GAIN = 2.0
_QUERY_GAIN = 2.0
_BIAS_STD = 0.3
_NORM_STD = 0.05


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor to write.

    Attributes:
        name: As Hugging Face names it.
        shape: Its dimensions.
        mean: Mean of its values.
        std: Their standard deviation.
    """

    name: str
    shape: tuple[int, ...]
    mean: float
    std: float

    @property
    def count(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Its size as float16."""
        return 2 * self.count


def planned(preset: str) -> list[Tensor]:
    """The tensors of a preset's model, in the order of the network."""
    shape = msgspec.convert(PRESETS[preset], Shape)
    return [_tensor(name, dimensions, shape) for name, dimensions in shape.tensors()]


def _tensor(name: str, shape: tuple[int, ...], model: Shape) -> Tensor:
    if name.endswith("norm.weight"):
        return Tensor(name=name, shape=shape, mean=1.0, std=_NORM_STD)
    if name.endswith(".bias"):
        return Tensor(name=name, shape=shape, mean=0.0, std=_BIAS_STD)
    return Tensor(name=name, shape=shape, mean=0.0, std=_gain(name, model) / math.sqrt(shape[1]))


def _gain(name: str, model: Shape) -> float:
    """How much longer than its input a matrix makes a vector, on average."""
    if name.endswith("q_proj.weight"):
        return _QUERY_GAIN
    is_head = name == "lm_head.weight" or (model.tie_word_embeddings and name == "model.embed_tokens.weight")
    return _LOGIT_GAIN if is_head else 1.0


def weights(tensor: Tensor, preset: str) -> Iterator[npt.NDArray[np.float16]]:
    """The values of a tensor in row-major order, in chunks.

    Args:
        tensor: What to make.
        preset: The model it belongs to.
    """
    import numpy as np  # noqa: PLC0415  # not needed where the model is there

    seed = hashlib.sha256(f"{GENERATOR}/{preset}/{tensor.name}".encode()).digest()
    bits = np.random.PCG64(int.from_bytes(seed, "little"))
    table = _table(tensor)
    for start in range(0, tensor.count, _CHUNK):
        count = min(_CHUNK, tensor.count - start)
        raw = bits.random_raw(-(-count // 4)).astype("<u8", copy=False)
        # Each index is in range: to clip spares the check, and with it a slower way of numpy's.
        yield table.take(raw.view("<u2")[:count], mode="clip")


def _table(tensor: Tensor) -> npt.NDArray[np.float16]:
    """65,536 evenly spread values, symmetric about the mean, with the tensor's standard deviation."""
    import numpy as np  # noqa: PLC0415  # as above

    odd = 2 * np.arange(2**16, dtype=np.int64) - (2**16 - 1)
    widest = math.sqrt(3 * tensor.std * tensor.std)  # a uniform distribution's, in terms of its deviation
    return (tensor.mean + odd * (widest / 2**16)).astype("<f2")
