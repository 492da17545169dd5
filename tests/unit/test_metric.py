"""Names and directions of metrics."""

import pytest

from regress.metric import METRICS, Direction


@pytest.mark.parametrize("name", METRICS)
def test_names_end_in_their_unit(name: str) -> None:
    """The key of a metric says its base unit; rates, and shares of a best rate, are all that shall be high."""
    metric = METRICS[name]
    suffixes = {
        "tokens/s": "_per_s",
        "s": "_s",
        "bytes": "_bytes",
        "J": "_j",
        "bit": "bits_per_param",
        "fraction": "_fraction",
    }
    assert name.endswith(suffixes[metric.unit])
    assert (metric.better is Direction.HIGHER) == name.endswith(("tokens_per_s", "_fraction"))
