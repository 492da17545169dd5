"""What a workflow's environment says."""

from __future__ import annotations

import pytest

from regress.actions import place_from, run_address
from regress.errors import UsageError

SHA = "0123456789abcdef0123456789abcdef01234567"
ENV = {
    "GITHUB_TOKEN": " ghs_abcdefghijkl\n",
    "GITHUB_API_URL": "https://github.example/api/v3/",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_REPOSITORY": "octo/kernels",
    "GITHUB_SHA": SHA,
    "GITHUB_RUN_ID": "7",
}


def test_a_place_is_what_the_environment_says() -> None:
    """And never shows its token."""
    place = place_from(ENV, None, None)
    assert (place.api, place.repository, place.sha) == ("https://github.example/api/v3", "octo/kernels", SHA)
    assert (place.token, place.run) == ("ghs_abcdefghijkl", "https://github.example/octo/kernels/actions/runs/7")
    assert "ghs_" not in repr(place)


def test_a_command_line_goes_before_the_environment() -> None:
    """For another repository, or another commit."""
    place = place_from(ENV, "octo/other", SHA[::-1])
    assert (place.repository, place.sha) == ("octo/other", SHA[::-1])


def test_a_person_at_a_shell_needs_a_token_and_a_repository_alone() -> None:
    """The rest is GitHub's own."""
    place = place_from({"GITHUB_TOKEN": "x"}, "octo/kernels", None)
    assert (place.api, place.sha, place.run) == ("https://api.github.com", "", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"GITHUB_TOKEN": " "}, "GITHUB_TOKEN: not set"),
        ({"GITHUB_TOKEN": "a b"}, "GITHUB_TOKEN: no token"),
        ({"GITHUB_REPOSITORY": ""}, "--repository: ''"),
        ({"GITHUB_REPOSITORY": "octo/kernels/issues"}, "--repository: 'octo/kernels/issues'"),
        ({"GITHUB_REPOSITORY": "octo/kernels?x"}, "not of the form OWNER/NAME"),
        ({"GITHUB_SHA": "HEAD"}, "--sha: 'HEAD'"),
        ({"GITHUB_API_URL": "http://github.example"}, "GITHUB_API_URL"),
        ({"GITHUB_API_URL": "file:///etc"}, "GITHUB_API_URL"),
    ],
)
def test_what_says_too_little_is_refused(change: dict[str, str], said: str) -> None:
    """By its name; a token never goes over the network in the clear."""
    with pytest.raises(UsageError, match="publish") as caught:
        place_from({**ENV, **change}, None, None)
    assert said in str(caught.value)


@pytest.mark.parametrize("change", [{"GITHUB_RUN_ID": ""}, {"GITHUB_RUN_ID": "7)"}, {"GITHUB_REPOSITORY": "x y"}])
def test_outside_of_a_workflow_there_is_no_run(change: dict[str, str]) -> None:
    """Nor where its number is none."""
    assert run_address({**ENV, **change}) == ""
