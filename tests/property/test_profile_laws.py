"""Laws of the difference of two profiles."""

from __future__ import annotations

import pytest
from factories import make_profile, make_times, sha
from hypothesis import given
from hypothesis import strategies as st

from regress.profile import Profile, decode_profile, difference
from regress.record import encode

NAMES = st.sampled_from(["matmul", "norm", "vm.builtin.reshape", "vm.builtin.attention_kv_cache_attention", "rope"])
TIMES = st.dictionaries(NAMES, st.floats(0, 1e3), min_size=1)
SOURCES = st.dictionaries(NAMES, st.sampled_from("ab").map(sha))
PROFILES = st.builds(
    lambda prefill, decode, sources: make_profile(
        prefill=make_times(prefill), decode=make_times(decode), sources=sources
    ),
    TIMES,
    TIMES,
    SOURCES,
)
SWAPPED = {"only_old": "only_new", "only_new": "only_old"}


@given(PROFILES)
def test_a_profile_does_not_differ_from_itself(profile: Profile) -> None:
    """Nor from what comes back from its file."""
    diff = difference(profile, decode_profile(encode(profile), "p.json"))
    assert diff.differs == ()
    for phase in diff.phases:
        assert phase.kernels_change_s == 0
        for row in phase.kernels:
            assert (row.change_s, row.share) == (0, 0)
            assert row.change in (0, None)
            assert row.source in ("equal", "unknown")


@given(PROFILES, PROFILES)
def test_the_other_way_round_every_change_is_negated(one: Profile, other: Profile) -> None:
    """Times swap sides, shares stay."""
    for there, back in zip(difference(one, other).phases, difference(other, one).phases, strict=True):
        assert back.kernels_change_s == pytest.approx(-there.kernels_change_s, abs=1e-9)
        rows = {row.kernel: row for row in back.kernels}
        assert [row.kernel for row in there.kernels] == [row.kernel for row in back.kernels]
        for row in there.kernels:
            again = rows[row.kernel]
            assert again.change_s == -row.change_s
            assert (again.old_s, again.new_s, again.old_calls) == (row.new_s, row.old_s, row.new_calls)
            assert again.share == pytest.approx(row.share)
            assert again.source == SWAPPED.get(row.source, row.source)


@given(PROFILES, PROFILES)
def test_shares_of_what_moved_add_up(one: Profile, other: Profile) -> None:
    """To all of it, or to nothing where nothing moved."""
    for phase in difference(one, other).phases:
        total = sum(row.share for row in phase.kernels)
        assert total == pytest.approx(1) if any(row.change_s for row in phase.kernels) else total == 0
