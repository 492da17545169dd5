"""Writes a built model's logits after a prompt and after given tokens: what two builds' answers are compared by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regress.worker.bench_vm import Prompts, vocab_size
from regress.worker.vm_model import VmModel, logits_of

if TYPE_CHECKING:
    from regress.worker.protocol import Channel


def main(request: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Writes the logits to a file.

    Args:
        request: As `bench_vm` takes it, without `warmups` and `repeats`; `token_ids` (fed one by one after the first
            prompt) and `output` (the `.npy` file to write: shape `(1 + len(token_ids), vocab_size)`, float32).
        channel: For progress.

    Returns:
        `positions`, how many rows were written.
    """
    channel.progress("load")
    model = VmModel(Path(request["artifact"]), request["device"], request["prompt_tokens"] + request["new_tokens"])
    prompts = Prompts(request, vocab_size(model))
    prompts.require_known_tokens()
    model.restart()
    rows = [logits_of(model.prefill(model.chunks(prompts[0]))).copy()]
    rows += [logits_of(model.decode(model.to_device([token_id]))).copy() for token_id in request["token_ids"]]
    np.save(request["output"], np.stack(rows))
    return {"positions": len(rows)}
