"""Directions and losses of metrics."""

import pytest

from regress.metric import METRICS, Direction


def test_a_rate_that_falls_is_a_loss() -> None:
    """100 to 95 tokens/s loses 5 %."""
    assert METRICS["decode_tokens_per_s"].loss(100, 95) == pytest.approx(0.05)


def test_a_time_that_rises_is_a_loss() -> None:
    """100 to 105 s loses 5 %."""
    assert METRICS["build_duration_s"].loss(100, 105) == pytest.approx(0.05)


@pytest.mark.parametrize("name", METRICS)
def test_names_end_in_their_unit(name: str) -> None:
    """The key of a metric says its base unit, and rates are the only ones that shall be high."""
    metric = METRICS[name]
    suffixes = {"tokens/s": "_per_s", "s": "_s", "bytes": "_bytes", "J": "_j", "bit": "bits_per_param"}
    assert name.endswith(suffixes[metric.unit])
    assert (metric.better is Direction.HIGHER) == name.endswith("tokens_per_s")
