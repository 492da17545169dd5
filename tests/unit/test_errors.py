"""Errors as a person reads them."""

import pytest

from regress import errors


def test_an_error_names_what_it_knows() -> None:
    """Each known detail is a line; an unknown one is not there."""
    error = errors.BuildError("compile failed", cause="out of registers", log="…/compile.log")
    assert error.lines() == [
        "regress: error: compile failed",
        "  cause: out of registers",
        "  log: …/compile.log",
    ]


def test_every_way_to_fail_has_a_code_of_its_own() -> None:
    """No two classes share an exit code, and none shares it with a verdict."""
    codes = [kind.exit_code for kind in errors.RegressError.__subclasses__()]
    assert len(set(codes)) == len(codes)
    assert not {errors.EXIT_PASS, errors.EXIT_REGRESSED, errors.EXIT_INCONCLUSIVE} & set(codes)


@pytest.mark.parametrize(
    ("word", "said"), [("tolerence", "; did you mean 'tolerance'?"), ("mod", "; did you mean 'model'?"), ("xyz", "")]
)
def test_a_near_word_is_suggested(word: str, said: str) -> None:
    """Only a word that is near is suggested."""
    assert errors.did_you_mean(word, ["tolerance", "model"]) == said
