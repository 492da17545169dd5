"""How the site writes quantities."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest
from factories import NOON

from regress.site import units


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12345.6, "12,346"),
        (1000, "1,000"),
        (999.96, "1,000"),
        (123.45, "123.5"),
        (26.21, "26.21"),
        (0.01234, "0.0123"),
    ],
)
def test_rates_keep_about_four_digits(value: float, text: str) -> None:
    assert units.rate(value) == text


@pytest.mark.parametrize(
    ("loss", "text"), [(0.1234, "12.3% worse"), (-0.004, "0.4% better"), (0.0004, "no change"), (-0.0, "no change")]
)
def test_a_loss_says_which_way_it_goes(loss: float, text: str) -> None:
    assert units.change(loss) == text


@pytest.mark.parametrize(("fraction", "text"), [(0.05, "5%"), (0.1234, "12.3%"), (0.0, "0%"), (1.5, "150%")])
def test_a_fraction_is_percent_to_a_tenth(fraction: float, text: str) -> None:
    assert units.percent(fraction) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1.031, "+3.1%"), (0.88, "-12%"), (1.0, "±0%"), (1.0004, "±0%"), (0.9996, "±0%"), (2, "+100%")]
)
def test_a_ratio_of_rates_is_a_change_with_its_sign(value: float, text: str) -> None:
    assert units.ratio(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.977 KiB"),  # 1000 / 1024
        (3 * 2**20, "3 MiB"),
        (4_200_000_000, "3.91 GiB"),  # 4.2e9 / 1024^3 = 3.9116
        (999.7 * 2**40, "1,000 TiB"),
        (5000 * 2**40, "5,000 TiB"),
    ],
)
def test_sizes_take_the_nearest_binary_prefix(count: float, text: str) -> None:
    assert units.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1234.5, "1,234 s"),
        (42.5, "42.5 s"),
        (1.0, "1 s"),
        (0.9996, "1 s"),  # rounds to three digits of the next unit, and is written in that
        (0.00456, "4.56 ms"),
        (0.0009996, "1 ms"),
        (0.000789, "789 µs"),
    ],
)
def test_a_time_has_three_digits_and_never_an_exponent(seconds: float, text: str) -> None:
    assert units.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (123.45, "tokens/s", "123.5"),
        (4_200_000_000, "bytes", "3.91 GiB"),
        (0.614, "fraction", "61.4%"),
        (0.0342, "s", "34.2 ms"),
        (0.5123, "J", "0.512 J"),
    ],
)
def test_a_cell_names_its_unit_unless_the_head_of_its_column_does(value: float, unit: str, text: str) -> None:
    assert units.cell(value, unit) == text


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (123.45, "decode_tokens_per_s", "123.5 tokens/s"),
        (4_200_000_000, "peak_memory_bytes", "3.91 GiB"),
        (0.5123, "energy_per_token_j", "0.512 J"),
    ],
)
def test_a_quantity_is_written_with_the_unit_of_its_metric(value: float, metric: str, text: str) -> None:
    assert units.quantity(value, metric) == text


def test_times_are_shown_in_utc() -> None:
    japan = NOON.astimezone(timezone(timedelta(hours=9)))

    assert units.when(japan) == "2026-10-03 12:00 UTC"
    assert units.when(NOON.replace(tzinfo=None)) == "2026-10-03 12:00 UTC"


def test_a_day_a_clock_and_a_machines_time_are_in_utc_too() -> None:
    """An hour after midnight in Japan it still is the day before in UTC."""
    early = (NOON - timedelta(hours=20, seconds=-30)).astimezone(timezone(timedelta(hours=9)))

    assert early.day == 3  # 2026-10-02 16:00:30 UTC is the third, 01:00:30, there
    assert units.day(early) == "2026-10-02"
    assert units.clock(early) == "16:00:30"
    assert units.iso(early) == "2026-10-02T16:00:30+00:00"


@pytest.mark.parametrize(
    ("name", "label"),
    [("prefill_tokens_per_s", "prefill"), ("peak_memory_bytes", "peak memory"), ("of_another_day", "of_another_day")],
)
def test_a_metric_is_called_as_in_a_sentence(name: str, label: str) -> None:
    assert units.metric_label(name) == label
