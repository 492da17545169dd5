"""One fresh process that measured, and why one is not kept."""

from __future__ import annotations

import statistics
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from regress.stored import Instant, Positive, Sha256, Stored
from regress.telemetry import Telemetry  # noqa: TC001  # msgspec reads the annotations at run time


class Replicate(Stored, frozen=True, omit_defaults=True):
    """One fresh process that loaded the artifact, warmed up and measured.

    Attributes:
        started_at: When it started, with its UTC offset.
        samples: Metric name to the value of each timed repeat, in order.
        token_ids: The greedy tokens it generated; empty where the harness hands out text alone.
        logits_sha256: Digest of the logits of the prefill and of each decode step (little-endian float32); `None` where
            the harness hands out none.
        text_sha256: Digest of the text it generated; absent where its tokens are known.
        telemetry: What the device said of itself meanwhile; `None` where nobody asked it.
    """

    started_at: Instant
    samples: dict[str, Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1)]]
    token_ids: tuple[int, ...] = ()
    logits_sha256: Sha256 | None = None
    text_sha256: Sha256 | UnsetType = UNSET
    telemetry: Telemetry | None = None

    def value(self, metric: str) -> float | None:
        """The median of the metric's timed repeats: the unit of statistics; `None` where it was not measured."""
        samples = self.samples.get(metric)
        return statistics.median(samples) if samples else None


GuardReason = Literal["throttled", "power_capped", "shared_device", "wrong_mode"]
"""Why a replicate says nothing of the code: the device was not in the state that rates are compared in."""


class Discarded(Stored, frozen=True):
    """A replicate that was not kept.

    Attributes:
        started_at: When it was started, or would have been.
        reason: Why it was not kept, as a code.
        text: Why, as one sentence.
        telemetry: What the device said of itself meanwhile; `None` where it was found out before the start.
    """

    started_at: Instant
    reason: GuardReason
    text: str
    telemetry: Telemetry | None = None
