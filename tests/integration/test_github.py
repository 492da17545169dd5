"""What is published to a GitHub on this machine: checks, one comment, issues through their life, and its bad days."""

from __future__ import annotations

import os
import re
import sys
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from delivered import OTHER, deliver, gathered, judged, plan_text, slow
from factories import CASE, NOON, make_broken, make_case, make_record, make_report, make_toolchain
from integration.github_server import BOT, REPOSITORY, TOKEN, Fault, LocalGitHub, secondary_limit, serving

from regress import process
from regress.actions import Place
from regress.errors import PublishError
from regress.github import Patience, Session
from regress.publication import publish_checks, publish_comment, publish_issues
from regress.publication.comment import MARKER
from regress.report.annotations import remarks
from regress.report.markdown import Links
from regress.verdict import missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from regress.delivery import Deliveries
    from regress.record import CaseResult

SHA = "5" * 40
STRANGER = {"login": "mallory", "type": "User"}


@pytest.fixture
def github() -> Iterator[LocalGitHub]:
    with serving(LocalGitHub()) as hub:
        yield hub


class Waits:
    """Waiting that takes no time, and is remembered."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def session(github: LocalGitHub, waits: Waits | None = None, *, limit_s: float = 600, token: str = TOKEN) -> Session:
    place = Place(api=github.endpoint, repository=REPOSITORY, token=token, sha=SHA, run="https://example.org/run/7")
    waits = waits or Waits()
    clock = lambda: sum(waits.seconds)  # noqa: E731  # time passes by waiting alone
    return Session(place, Patience(lambda _: None, limit_s=limit_s, sleep=waits, clock=clock))


def checks(github: LocalGitHub, deliveries: Deliveries, *, of: Session | None = None) -> None:
    own = of or session(github)
    found = {each.planned.runner: remarks(each, {CASE: 12}) for each in deliveries.runners}
    own.completed(partial(publish_checks, own, deliveries, found, Links()), "checks", "checks: write")


def comment(github: LocalGitHub, deliveries: Deliveries, *, of: Session | None = None) -> None:
    own = of or session(github)
    own.completed(partial(publish_comment, own, deliveries, 5, Links()), "comment on #5", "pull-requests: write")


def issues(github: LocalGitHub, deliveries: Deliveries, *, of: Session | None = None) -> None:
    own = of or session(github)
    own.completed(partial(publish_issues, own, deliveries, Links()), "issues", "issues: write")


def run_of(
    folder: Path, *cases: CaseResult, days: float = 0, toolchain: str = "tvm-0.27.0", runner: str = "orin"
) -> Deliveries:
    """What one more run of a runner delivered, in a folder of its own."""
    judged(folder, make_record(*cases, toolchain=toolchain, runner=runner, at=NOON + timedelta(days=days)))
    return gathered(folder, [runner])


def test_a_check_says_fail_error_and_cannot_tell_apart(github: LocalGitHub, tmp_path: Path) -> None:
    """One check run per runner; only a loss that was measured is a failure."""
    judged(tmp_path, make_record(runner="well"))
    judged(tmp_path, make_record(slow(), runner="slow"))
    judged(tmp_path, make_record(make_broken(), runner="torn"))
    unlike = make_record(runner="unlike")
    verdicts = [missing(CASE, "other_environment", "another machine")]
    deliver(tmp_path, unlike, make_report(unlike, unlike, verdicts=verdicts))
    checks(github, gathered(tmp_path, ["well", "slow", "torn", "unlike", "away"]))
    told = {each["name"]: (each["status"], each["conclusion"]) for each in github.checks}
    assert told == {
        "regress / well": ("completed", "success"),
        "regress / slow": ("completed", "failure"),
        "regress / torn": ("completed", "action_required"),
        "regress / unlike": ("completed", "neutral"),
        "regress / away": ("completed", "action_required"),
    }
    of_slow = next(each for each in github.checks if each["name"] == "regress / slow")
    assert of_slow["title"] == f"regressed: {CASE}: decode rate: loss 20.0%, tolerance 5.0%"
    assert (of_slow["head_sha"], of_slow["details_url"]) == (SHA, "https://example.org/run/7")
    assert [(each["path"], each["start_line"], each["annotation_level"]) for each in of_slow["annotations"]] == [
        ("baselines/slow.toml", 12, "failure")
    ]


def test_checks_that_are_there_are_not_made_again(github: LocalGitHub, tmp_path: Path) -> None:
    """Publishing twice changes nothing; other content is another check run, which GitHub shows in its place."""
    deliveries = run_of(tmp_path / "1", slow())
    checks(github, deliveries)
    before = len(github.writes)
    checks(github, deliveries)
    assert len(github.writes) == before == 1
    checks(github, run_of(tmp_path / "2", make_case(), days=1))
    assert [each["conclusion"] for each in github.checks] == ["failure", "success"]


def test_many_annotations_go_in_several_requests_and_none_twice(github: LocalGitHub, tmp_path: Path) -> None:
    """GitHub takes 50 at once and adds them up; a publish that died between two is completed by the next one."""
    keys = [f"tiny/q4f16_1/llvm/p{number}+16" for number in range(1, 121)]
    deliveries = run_of(tmp_path, *(slow(key) for key in keys))
    github.dies_after = 1
    with pytest.raises(PublishError, match="checks: GitHub failed with 502"):
        checks(github, deliveries)
    assert (github.checks[0]["status"], len(github.checks[0]["annotations"])) == ("in_progress", 50)
    github.dies_after = None
    checks(github, deliveries)
    assert len(github.checks) == 1
    assert (github.checks[0]["status"], github.checks[0]["conclusion"]) == ("completed", "failure")
    titles = [each["title"] for each in github.checks[0]["annotations"]]
    assert len(titles) == len(set(titles)) == 120


def test_one_comment_is_made_and_then_updated_in_place(github: LocalGitHub, tmp_path: Path) -> None:
    """Found among all pages of comments; another one's comment with our marker is left alone."""
    github.open_pull_request(5)
    github.say(5, f"{MARKER}\nall is well, merge it", STRANGER)
    for number in range(250):
        github.say(5, f"remark {number}", STRANGER)
    comment(github, run_of(tmp_path / "1", slow()))
    for number in range(250):
        github.say(5, f"further remark {number}", STRANGER)
    ours = github.comments[5][251]
    assert ours["body"].startswith(f"{MARKER}\n# ▼ orin: regressed")
    comment(github, run_of(tmp_path / "2", make_case(), days=1))
    assert len(github.comments[5]) == 502
    assert ours["body"].startswith(f"{MARKER}\n# ✔ pass")
    assert github.comments[5][0]["body"] == f"{MARKER}\nall is well, merge it"
    before = len(github.writes)
    comment(github, run_of(tmp_path / "3", make_case(), days=1))
    assert len(github.writes) == before


def test_a_token_of_a_person_updates_its_own_comment(github: LocalGitHub, tmp_path: Path) -> None:
    """Where GitHub tells who we are, only our own comment is ours."""
    github.open_pull_request(5)
    github.say(5, f"{MARKER}\nof a bot", BOT)
    github.login = "octocat"
    for days in (0, 1):
        comment(github, run_of(tmp_path / str(days), slow(), days=days))
    assert [each["user"]["login"] for each in github.comments[5]] == ["github-actions[bot]", "octocat"]


def test_a_name_that_cannot_be_asked_for_now_is_not_taken_for_none(github: LocalGitHub, tmp_path: Path) -> None:
    """Who takes itself for a bot does not find its own comment, and makes a second one."""
    github.open_pull_request(5)
    github.login = "octocat"
    comment(github, run_of(tmp_path / "1", slow()))
    github.faults = [Fault(status=500, message="Server Error")] * 10
    comment(github, run_of(tmp_path / "2", slow(), days=1))
    assert len(github.comments[5]) == 1


def test_a_regression_has_an_issue_from_the_first_bad_run_to_the_good_one(github: LocalGitHub, tmp_path: Path) -> None:
    """Opened, kept up to date, commented where something changed, and closed with the reason."""
    issues(github, run_of(tmp_path / "1", slow()))
    (issue,) = github.open_issues
    assert issue["title"] == f"orin: {CASE}: decode rate lost 20.0%"
    assert [label["name"] for label in issue["labels"]] == ["regress"]
    assert f"regress check --toolchain tvm-0.27.0 --baseline baselines/orin.toml --case {CASE}" in issue["body"]
    assert "first seen with <code>tvm-0.27.0</code>, last with <code>tvm-0.27.0</code>" in issue["body"]

    issues(github, run_of(tmp_path / "2", slow(decode=30.0), days=1))
    assert issue["title"] == f"orin: {CASE}: decode rate lost 40.0%"
    assert github.comments == {}  # the same toolchain, the same outcome

    issues(github, run_of(tmp_path / "3", slow(), days=2, toolchain="tvm-0.28.0"))
    assert "first seen with <code>tvm-0.27.0</code>, last with <code>tvm-0.28.0</code>" in issue["body"]
    assert "**regressed** with <code>tvm-0.28.0</code>" in github.comments[issue["number"]][0]["body"]

    issues(github, run_of(tmp_path / "4", make_case(), days=3, toolchain="tvm-0.29.0"))
    assert (issue["state"], issue["state_reason"]) == ("closed", "completed")
    assert "<code>tvm-0.29.0</code> put it right" in github.comments[issue["number"]][1]["body"]

    issues(github, run_of(tmp_path / "5", slow(), days=4, toolchain="tvm-0.30.0"))
    assert len(github.issues) == 2


def test_a_new_reference_that_accepts_a_loss_closes_the_issue_and_says_so(github: LocalGitHub, tmp_path: Path) -> None:
    """Nobody put it right: it is what is expected now."""
    issues(github, run_of(tmp_path / "1", slow()))
    record = make_record(slow(), toolchain="tvm-0.27.0", runner="orin", at=NOON + timedelta(days=1))
    judged(tmp_path / "2", record, make_record(slow(), toolchain="tvm-0.26.5", runner="orin"))
    issues(github, gathered(tmp_path / "2", ["orin"]))
    assert github.open_issues == []
    assert "A new reference, <code>tvm-0.26.5</code>, accepted it" in github.comments[1][0]["body"]


def test_what_cannot_be_told_leaves_an_issue_as_it_is(github: LocalGitHub, tmp_path: Path) -> None:
    """Nothing delivered, not comparable, or a case that broke: the loss is neither there nor gone."""
    issues(github, run_of(tmp_path / "1", slow()))
    before = dict(github.issues[1])
    issues(github, gathered(tmp_path / "none", ["orin"]))
    record = make_record(runner="orin", at=NOON + timedelta(days=1))
    verdicts = [missing(CASE, "metric_vanished", "no rate", "decode_tokens_per_s")]
    deliver(tmp_path / "2", record, make_report(record, record, verdicts=verdicts))
    issues(github, gathered(tmp_path / "2", ["orin"]))
    issues(github, gathered(tmp_path / "2", ["other"]))
    assert github.issues[1] == before
    issues(github, run_of(tmp_path / "3", make_broken(), days=2))
    assert github.issues[1] == before
    assert [each["title"] for each in github.open_issues[1:]] == [f"orin: {CASE}: build broken"]


def test_an_issue_about_a_broken_build_is_closed_once_it_is_measured(github: LocalGitHub, tmp_path: Path) -> None:
    """Though it is slower than it was: that has an issue of its own."""
    issues(github, run_of(tmp_path / "1", make_broken()))
    assert "Segmentation fault" in github.issues[1]["body"]
    issues(github, run_of(tmp_path / "2", slow(), days=1))
    assert github.issues[1]["state"] == "closed"
    assert [each["title"] for each in github.open_issues] == [f"orin: {CASE}: decode rate lost 20.0%"]


def test_an_old_workflow_that_runs_again_does_not_turn_back_the_clock(github: LocalGitHub, tmp_path: Path) -> None:
    """It neither updates nor closes what a later run said."""
    issues(github, run_of(tmp_path / "new", slow(), days=5, toolchain="tvm-0.28.0"))
    before = dict(github.issues[1])
    issues(github, run_of(tmp_path / "old", make_case(), days=1))
    issues(github, run_of(tmp_path / "older", slow(decode=20.0)))
    assert github.issues[1] == before


def test_of_two_issues_about_one_loss_the_older_is_kept_and_both_are_closed(
    github: LocalGitHub, tmp_path: Path
) -> None:
    """As two that published at once may have left them."""
    issues(github, run_of(tmp_path / "1", slow()))
    github.new_issue("the same", github.issues[1]["body"], ["regress"])
    issues(github, run_of(tmp_path / "2", slow(decode=30.0), days=1))
    assert [each["title"] for each in github.open_issues] == [f"orin: {CASE}: decode rate lost 40.0%", "the same"]
    issues(github, run_of(tmp_path / "3", make_case(), days=2))
    assert github.open_issues == []


def test_an_issue_of_a_stranger_is_none_of_ours(github: LocalGitHub, tmp_path: Path) -> None:
    """It has our marker, but not the label, which strangers cannot set; pull requests are no issues."""
    issues(github, run_of(tmp_path / "1", slow()))
    stolen = github.issues[1]["body"]
    github.issues.clear()
    github.new_issue("mine", stolen, [], STRANGER)
    github.open_pull_request(7)
    issues(github, run_of(tmp_path / "2", make_case(), days=1))
    assert (len(github.issues), github.issues[1]["state"]) == (2, "open")


@pytest.mark.parametrize("dies_after", range(12))
def test_a_publish_that_died_is_completed_by_the_next(github: LocalGitHub, tmp_path: Path, dies_after: int) -> None:
    """Wherever it died: the end is that of one that did not, nothing twice."""
    github.open_pull_request(5)
    both = (slow(), slow(OTHER))
    first, second = (
        run_of(tmp_path / "1", *both),
        run_of(tmp_path / "2", slow(), make_case(OTHER), days=1, toolchain="tvm-0.28.0"),
    )
    for deliveries in (first, second):
        github.dies_after = len(github.writes) + dies_after
        for publish in (checks, comment, issues):
            with suppress(PublishError):
                publish(github, deliveries)
        github.dies_after = None
        for publish in (checks, comment, issues):
            publish(github, deliveries)
        done = len(github.writes)
        for publish in (checks, comment, issues):
            publish(github, deliveries)
        assert len(github.writes) == done
    assert [each["status"] for each in github.checks] == ["completed", "completed"]
    assert len(github.comments[5]) == 1
    by_state = {each["title"].split(": ")[1]: each["state"] for number, each in github.issues.items() if number != 5}
    assert by_state == {CASE: "open", OTHER: "closed"}
    assert [len(github.comments[number]) for number in sorted(github.issues) if number != 5] == [1, 1]


LIMITS: dict[str, Callable[[], Fault]] = {
    "429 with Retry-After": lambda: Fault(status=429, message="Too many requests", headers={"Retry-After": "7"}),
    "429 with a reset": lambda: Fault(
        status=429, message="Too many requests", headers={"x-ratelimit-reset": str(int(time.time()) + 6)}
    ),
    "403 with Retry-After": lambda: secondary_limit(retry_after="7"),
    "403 of the hour": lambda: Fault(
        status=403,
        message="API rate limit exceeded for installation ID 1.",
        headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 6)},
    ),
}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_limit_is_waited_for_as_github_asks(github: LocalGitHub, tmp_path: Path, name: str, method: str) -> None:
    """Reading or writing: what was refused was not done, and is asked for again after that time."""
    fault = LIMITS[name]()
    github.faults = [Fault(status=fault.status, message=fault.message, headers=fault.headers, method=method)] * 2
    waits = Waits()
    issues(github, run_of(tmp_path, slow()), of=session(github, waits))
    assert len(github.open_issues) == 1
    assert len(waits.seconds) == 2
    assert all(5 <= each <= 8 for each in waits.seconds)


def test_a_secondary_limit_without_a_time_waits_a_minute(github: LocalGitHub, tmp_path: Path) -> None:
    """As GitHub's documentation asks."""
    github.faults, waits = [secondary_limit()], Waits()
    issues(github, run_of(tmp_path, slow()), of=session(github, waits))
    assert waits.seconds == [60]


def test_no_limit_is_waited_for_longer_than_may_be(github: LocalGitHub, tmp_path: Path) -> None:
    """The wait that would be too long is not begun, and all together count."""
    deliveries, waits = run_of(tmp_path, slow()), Waits()
    github.faults = [secondary_limit(retry_after="200")] * 9
    with pytest.raises(PublishError, match=r"GitHub: asks to wait 200 s, and 0 s of 600 s are left") as caught:
        issues(github, deliveries, of=session(github, waits))
    assert sum(waits.seconds) == 600
    assert caught.value.exit_code == 7
    github.faults = [Fault(status=429, headers={"Retry-After": "7200"})]
    with pytest.raises(PublishError, match="asks to wait 7,200 s"):
        comment(github, deliveries)


def test_a_server_that_fails_is_asked_again(github: LocalGitHub, tmp_path: Path) -> None:
    """A few times; a write only after a look whether it was done."""
    github.open_pull_request(5)
    deliveries = run_of(tmp_path, slow())
    github.faults = [Fault(status=502, message="Server Error"), Fault(status=503, message="Unavailable")]
    comment(github, deliveries)
    assert len(github.comments[5]) == 1
    github.faults = [Fault(status=500, message="Server Error")] * 99
    with pytest.raises(PublishError, match="issues: GitHub failed with 500"):
        issues(github, deliveries)


@pytest.mark.parametrize("publish", [checks, comment, issues])
def test_a_write_that_was_done_and_then_failed_is_not_done_again(
    github: LocalGitHub, tmp_path: Path, publish: Callable[..., None]
) -> None:
    """A server may fail once it has done what was asked: a look at what is there comes before the next attempt."""
    github.open_pull_request(5)
    github.labels.add("regress")
    github.faults = [Fault(status=502, message="Server Error", method="POST", done=True)]
    publish(github, run_of(tmp_path, slow()))
    made = [len(github.checks), len(github.comments.get(5, [])), len(github.open_issues)]
    assert sorted(made) == [0, 0, 1]


@pytest.mark.parametrize("kept", [0, 1, 40])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(
    github: LocalGitHub, tmp_path: Path, method: str, kept: int
) -> None:
    """What was done is not done twice, and an empty list is not read out of half of one."""
    github.open_pull_request(5)
    first = run_of(tmp_path / "1", slow())
    for publish in (checks, comment, issues):
        publish(github, first)
    second = run_of(tmp_path / "2", slow(), slow(OTHER), days=1, toolchain="tvm-0.28.0")
    for publish in (checks, comment, issues):
        github.faults = [Fault(kept=kept, method=method)]
        publish(github, second)
        github.faults = []
    assert len(github.checks) == 2
    assert len(github.comments[5]) == 1
    assert len(github.open_issues) == 2
    assert len(github.comments[6]) == 1


@pytest.mark.parametrize(
    ("publish", "right"),
    [(checks, "checks: write"), (comment, "pull-requests: write"), (issues, "issues: write")],
)
def test_a_right_that_lacks_is_named(
    github: LocalGitHub, tmp_path: Path, publish: Callable[..., None], right: str
) -> None:
    """With the words that the workflow needs."""
    github.open_pull_request(5)
    github.rights = set()
    with pytest.raises(PublishError, match="the token may not") as caught:
        publish(github, run_of(tmp_path, slow()))
    assert caught.value.hint == f"in the workflow's job: permissions: {right}"
    assert github.writes == []


def test_a_wrong_token_or_repository_is_said_in_one_line(github: LocalGitHub, tmp_path: Path) -> None:
    """Without the token, and without asking again."""
    deliveries = run_of(tmp_path, slow())
    with pytest.raises(PublishError, match="issues: GitHub does not accept the token") as caught:
        issues(github, deliveries, of=session(github, token=TOKEN[::-1]))
    assert TOKEN[::-1] not in "".join(caught.value.lines())
    elsewhere = Place(api=github.endpoint, repository="octo/other", token=TOKEN, sha=SHA)
    with pytest.raises(PublishError, match="octo/other has nothing of that kind, or the token may not see it"):
        issues(github, deliveries, of=Session(elsewhere, Patience(lambda _: None, sleep=Waits())))
    with pytest.raises(PublishError, match="comment on #5: octo/kernels has nothing of that kind"):
        comment(github, deliveries)
    assert len(github.requests) <= 5


def test_a_network_that_is_down_is_said_in_one_line(github: LocalGitHub, tmp_path: Path) -> None:
    """After a few attempts."""
    place = Place(api="http://127.0.0.1:9", repository=REPOSITORY, token=TOKEN, sha=SHA)
    waits = Waits()
    with pytest.raises(PublishError, match="checks: GitHub cannot be reached"):
        checks(github, run_of(tmp_path, slow()), of=Session(place, Patience(lambda _: None, sleep=waits)))
    assert sum(waits.seconds) < 30


def test_texts_are_never_longer_than_github_takes(github: LocalGitHub, tmp_path: Path) -> None:
    """Eight runners of many cases: all is published, and what had no room is counted."""
    github.open_pull_request(5)
    keys = [f"{'m' * 60}/q4f16_1/llvm/p{number}+16" for number in range(1, 200)]
    names = [f"runner{number}" for number in range(8)]
    for name in names:
        judged(tmp_path, make_record(*(slow(key) for key in keys), runner=name))
    deliveries = gathered(tmp_path, names)
    checks(github, deliveries)
    comment(github, deliveries)
    texts = [github.comments[5][0]["body"], *(each["summary"] for each in github.checks)]
    for text in texts:
        assert 50_000 < len(text.encode()) <= 65_535
        assert "had no room here; the least grave are left out" in text
        cells = [line.count(" | ") for line in text.splitlines() if line.startswith("| ")]
        assert set(cells) == {5}


def cli(github: LocalGitHub, folder: Path, *arguments: str, **env: str) -> process.Output:
    given = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    given.update(GITHUB_TOKEN=TOKEN, GITHUB_API_URL=github.endpoint, GITHUB_REPOSITORY=REPOSITORY, GITHUB_SHA=SHA)
    given.update(GITHUB_ACTIONS="true", GITHUB_RUN_ID="7", GITHUB_SERVER_URL="https://github.example")
    argv = [sys.executable, "-m", "regress", *arguments]
    return process.run(argv, cwd=folder, env={**given, **env}, timeout_s=120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    judged(tmp_path / "incoming", make_record(slow(), runner="orin", toolchain="tvm-0.27.0"))
    (tmp_path / "plan.json").write_text(plan_text("orin"))
    return tmp_path


ALL = ("publish", "--plan", "plan.json", "--incoming", "incoming", "--checks", "--comment", "5", "--issues")


def test_the_command_publishes_all_three(github: LocalGitHub, folder: Path) -> None:
    """Through the environment that a workflow has, and with nothing of the token in what it says."""
    github.open_pull_request(5)
    output = cli(github, folder, *ALL)
    assert (output.exit.code, output.stdout) == (0, ""), output.stderr
    assert output.stderr == "published: checks\npublished: comment on #5\npublished: issues\n"
    assert (len(github.checks), len(github.comments[5]), len(github.open_issues)) == (1, 1, 1)
    assert "https://github.example/octo/kernels/actions/runs/7" in github.comments[5][0]["body"]
    assert set(github.tokens) == {f"token {TOKEN}"}


def test_what_cannot_be_published_does_not_keep_the_rest_from_it(github: LocalGitHub, folder: Path) -> None:
    """All three are tried; the exit code and a line say which failed."""
    github.rights = {"issues"}
    output = cli(github, folder, *ALL)
    assert output.exit.code == 7
    errors = [line for line in output.stderr.splitlines() if line.startswith("regress: error: ")]
    assert errors == [
        "regress: error: checks: the token may not",
        f"regress: error: comment on #5: {REPOSITORY} has nothing of that kind, or the token may not see it",
    ]
    assert "permissions: checks: write" in output.stderr
    assert len(github.open_issues) == 1
    assert TOKEN not in output.stderr


@pytest.mark.parametrize(
    ("env", "code", "said"),
    [
        ({"GITHUB_TOKEN": ""}, 2, "publish: GITHUB_TOKEN: not set"),
        ({"GITHUB_TOKEN": "ghs_abcdefghijkl\nX: y"}, 2, "publish: GITHUB_TOKEN: no token"),
        ({"GITHUB_REPOSITORY": "octo"}, 2, "publish: --repository: 'octo' is not of the form OWNER/NAME"),
        ({"GITHUB_SHA": "main"}, 2, "publish: --sha: 'main' is no commit's whole name"),
        ({"GITHUB_SHA": ""}, 2, "publish: --checks: on which commit?"),
        (
            {"GITHUB_API_URL": "http://github.example"},
            2,
            "publish: GITHUB_API_URL: 'http://github.example' is no https",
        ),
    ],
)
def test_an_environment_that_says_too_little(
    github: LocalGitHub, folder: Path, env: dict[str, str], code: int, said: str
) -> None:
    """Is a mistake of the caller's, found before anything is asked."""
    output = cli(github, folder, *ALL, **env)
    assert output.exit.code == code
    assert said in output.stderr.splitlines()[0]
    assert "abcdefghijkl" not in output.stderr
    assert github.requests == []


def test_eight_runners_of_twenty_cases_are_reported_and_published_in_seconds(
    github: LocalGitHub, tmp_path: Path
) -> None:
    """Both commands together; the bar for plan, report and publish is 10 s."""
    github.open_pull_request(5)
    names = [f"runner{number}" for number in range(8)]
    keys = [f"tiny/q4f16_1/llvm/p{number}+16" for number in range(1, 21)]
    for name in names:
        cases = [slow(keys[0]), *(make_case(key) for key in keys[1:])]
        judged(tmp_path / "incoming", make_record(*cases, runner=name, toolchain=make_toolchain("tvm-0.27.0")))
    (tmp_path / "plan.json").write_text(plan_text(*names))
    began = time.monotonic()
    report = cli(
        github, tmp_path, "report", *ALL[1:5], "--summary", "summary.md", "--junit", "junit.xml", "--annotations"
    )
    published = cli(github, tmp_path, *ALL)
    took_s = time.monotonic() - began
    assert (report.exit.code, published.exit.code) == (1, 0), report.stderr + published.stderr
    assert (len(github.checks), len(github.open_issues)) == (8, 8)
    assert took_s < 10
    assert re.search(r"^# ▼ runner0: regressed", (tmp_path / "summary.md").read_text(), re.MULTILINE)
