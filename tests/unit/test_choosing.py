"""Which cases of a baseline `--case` chooses."""

from __future__ import annotations

import pytest
from factories import TWO_CASES, TWO_KEYS

from regress.baseline import parse_baseline
from regress.commands.choosing import chosen_cases, only_case, require_own_builds, require_token_ids
from regress.errors import UsageError

BOTH = parse_baseline(TWO_CASES, "b.toml")


@pytest.mark.parametrize(
    ("patterns", "keys"),
    [
        ([], TWO_KEYS),
        ([TWO_KEYS[1]], TWO_KEYS[1:]),
        (["*"], TWO_KEYS),
        # Given in another order, or twice, the baseline's order stands.
        ([TWO_KEYS[1], TWO_KEYS[0], "*"], TWO_KEYS),
    ],
)
def test_cases_are_chosen_by_their_keys(patterns: list[str], keys: list[str]) -> None:
    assert [case.key for case in chosen_cases(BOTH, patterns).cases] == list(keys)


def test_a_pattern_that_matches_nothing_is_refused_though_another_matches() -> None:
    with pytest.raises(UsageError, match=r"--case: no case 'absent/\*'") as caught:
        chosen_cases(BOTH, ["*", "absent/*"])
    assert caught.value.hint == f"known: {', '.join(TWO_KEYS)}"


def test_a_single_case_is_the_first_that_matches() -> None:
    assert [only_case(BOTH, pattern).cases[0].key for pattern in (None, "*", TWO_KEYS[1])] == [
        TWO_KEYS[0],
        TWO_KEYS[0],
        TWO_KEYS[1],
    ]


def test_a_command_of_our_own_builder_refuses_a_case_of_another_one() -> None:
    """It would be told of a flag that it never wrote."""
    require_own_builds(BOTH, "profile")
    mlc = parse_baseline(TWO_CASES.replace('target = "llvm"', 'target = "llvm"\nbuilder = "mlc"', 1), "b.toml")
    with pytest.raises(UsageError, match=r"profile: 'llama-mini\+mlc/q4f32_1/llvm/p16\+128' is built by MLC-LLM"):
        require_own_builds(mlc, "profile")


def test_prompts_of_token_ids_are_refused_where_text_alone_is_taken() -> None:
    """An engine takes them, a chat module does not."""
    require_token_ids(BOTH)
    driven = 'target = "llvm"\nbuilder = "mlc"\nharness = "chat"'
    with pytest.raises(
        UsageError, match=r"--prompt: 'llama-mini\+mlc-chat/q4f32_1/llvm/p16\+128' is driven by ChatModule"
    ):
        require_token_ids(parse_baseline(TWO_CASES.replace('target = "llvm"', driven, 1), "b.toml"))
