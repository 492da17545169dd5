"""What an issue is about, says, and remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from delivered import deliver, gathered, judged, slow
from factories import CASE, NOON, make_broken, make_record, make_report
from markdown_it import MarkdownIt

from regress.report.issue import Memory, regressions, remembered
from regress.report.markdown import Links
from regress.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from regress.report.issue import Regression


def of(folder: Path) -> dict[str, Regression]:
    """Aspect to what is said of it, of one runner's one case."""
    return {each.aspect: each for each in regressions(gathered(folder, ["orin"]).runners[0])}


def test_each_metric_of_a_case_has_a_fate_of_its_own(tmp_path: Path) -> None:
    """And what was measured has built and run."""
    judged(tmp_path, make_record(slow(), runner="orin"))
    assert {aspect: each.fate for aspect, each in of(tmp_path).items()} == {
        "prefill_tokens_per_s": "good",
        "decode_tokens_per_s": "bad",
        "build": "good",
        "run": "good",
    }
    assert len({each.key for each in of(tmp_path).values()}) == 4


def test_a_case_that_broke_says_nothing_of_its_metrics(tmp_path: Path) -> None:
    """Nor, where it does not build, of whether it runs."""
    judged(tmp_path, make_record(make_broken(), runner="orin"), make_record(runner="orin"))
    assert {aspect: each.fate for aspect, each in of(tmp_path).items()} == {"build": "bad"}
    judged(tmp_path / "2", make_record(make_broken(stage="bench"), runner="orin"), make_record(runner="orin"))
    assert {aspect: each.fate for aspect, each in of(tmp_path / "2").items()} == {"run": "bad"}


def test_the_gates_of_a_build_share_an_issue(tmp_path: Path) -> None:
    """The gravest of them speaks."""
    grown = Verdict(case=CASE, outcome="regressed", reason="larger_library", text="bytes 1 -> 2: +100.0%", loss=1.0)
    other = Verdict(case=CASE, outcome="inconclusive", reason="kv_cache_changed", text="the KV cache is another")
    record = make_record(runner="orin")
    deliver(tmp_path, record, make_report(record, record, verdicts=[other, grown]))
    (build,) = of(tmp_path).values()
    assert (build.aspect, build.fate, build.title()) == ("build", "bad", f"orin: {CASE}: build lost 100.0%")


def test_an_issue_remembers_what_it_was_told(tmp_path: Path) -> None:
    """The first bad toolchain stays; what cannot be read is forgotten, but not whose issue it is."""
    judged(tmp_path, make_record(slow(), runner="orin", toolchain="tvm-0.28.0"))
    regression = of(tmp_path)["decode_tokens_per_s"]
    before = Memory(first="tvm-0.27.0", toolchain="x", outcome="regressed", reference="y", recorded_at=NOON)
    body = regression.body(before, Links())
    known = remembered(body)
    assert known == (regression.key, regression.memory(before))
    assert known[1] is not None
    assert (known[1].first, known[1].toolchain, known[1].reference) == ("tvm-0.27.0", "tvm-0.28.0", "tvm-0.26.0")
    state = body.split()[3]
    assert remembered(body.replace(state, "eyJ4")) == (regression.key, None)
    assert remembered(body.replace(state, "a")) == (regression.key, None)


@pytest.mark.parametrize("body", ["", "about a loss", "x <!-- regress-issue " + "a" * 64 + " e30= -->"])
def test_what_does_not_begin_with_our_marker_is_no_issue_of_ours(body: str) -> None:
    """A quotation of one is none."""
    assert remembered(body) is None


def test_a_hostile_text_does_not_end_the_marker(tmp_path: Path) -> None:
    """Nor does it leave its block, or mention anybody."""
    failure = "--> <!-- regress-issue --> ``` @octocat"
    broken = make_broken(log=f"```\n{failure}\n```", cause=failure)
    toolchain = "--> @octocat"
    judged(tmp_path, make_record(broken, runner="orin", toolchain=toolchain), make_record(runner="orin"))
    body = of(tmp_path)["build"].body(None, Links())
    assert body.index("-->") == body.index(" -->\n**broken**") + 1
    assert remembered(body) is not None
    tokens = MarkdownIt("gfm-like").parse(body)
    assert [token.info for token in tokens if token.type == "fence"] == ["sh", "text"]
    assert "octocat" in body
    assert not any("@octocat" in token.content for token in tokens if token.type != "fence")
