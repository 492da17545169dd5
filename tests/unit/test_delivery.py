"""What is made of a folder that runners delivered to."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from delivered import deliver, gathered, judged, plan_text, slow
from factories import CASE, NOON, make_broken, make_case, make_import, make_record, make_report, make_verdict

from regress.delivery import gather, parse_plan
from regress.errors import ConfigError
from regress.history import append_import
from regress.layout import LARGEST_FILE_BYTES
from regress.record import encode
from regress.verdict import Spread, Verdict, missing

if TYPE_CHECKING:
    from pathlib import Path


def test_a_plan_may_say_more_than_is_asked() -> None:
    """Runner and baseline are what counts here."""
    (planned,) = parse_plan(plan_text("orin", toolchain="tvm-0.27.0", timeout="240").encode(), "plan.json")
    assert (planned.runner, planned.baseline, planned.toolchain) == ("orin", "baselines/orin.toml", "tvm-0.27.0")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "plan.json: not a plan"),
        ("[]", "plan.json: not a plan"),
        ('{"include": [{"runner": "orin"}]}', "missing required field `baseline`"),
        ('{"include": [{"runner": "../x", "baseline": "b"}]}', "runner"),
        ('{"include": []}', "plan.json: include: no runner is planned"),
        (plan_text("orin", "orin"), "plan.json: include: runner 'orin' stands twice"),
        ("\udcff", "plan.json: not a plan"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, said: str) -> None:
    """An empty matrix would be green of nothing."""
    with pytest.raises(ConfigError, match=said):
        parse_plan(text.encode(errors="surrogateescape"), "plan.json")


def test_the_newest_report_of_a_runner_counts(tmp_path: Path) -> None:
    """By when it was measured; of other runners nothing."""
    judged(tmp_path, make_record(slow(), runner="orin", at=NOON - timedelta(days=1)))
    newest = judged(tmp_path, make_record(runner="orin"))
    judged(tmp_path, make_record(slow(), runner="rtx", at=NOON + timedelta(days=1)))
    found = gathered(tmp_path, ["orin"])
    assert [each.entry.path for each in found.runners if each.entry] == [newest]
    assert (found.state, found.exit_code) == ("pass", 0)
    assert [name.split("/")[0] for name in found.unplanned] == ["rtx"]


def test_a_runner_that_delivered_nothing_is_no_data(tmp_path: Path) -> None:
    """Red, and with the reason; also where the folder is not there at all."""
    for folder in (tmp_path, tmp_path / "none"):
        found = gathered(folder, ["orin"])
        assert (found.state, found.exit_code) == ("no data", 7)
        assert "nothing arrived" in (found.runners[0].note or "")
    assert gather(tmp_path, None).exit_code == 7


def test_an_import_is_nothing_that_a_runner_delivers(tmp_path: Path) -> None:
    """It is neither a run nor damaged: beside a run nothing changes, alone there is no data."""
    append_import(make_import(runner="orin"), tmp_path)
    assert gathered(tmp_path, ["orin"]).state == "no data"
    judged(tmp_path, make_record(runner="orin"))
    found = gathered(tmp_path, ["orin"])
    assert (found.state, found.strays) == ("pass", ())
    assert found.runners[0].damaged == ()


def test_a_record_without_verdicts_is_no_data(tmp_path: Path) -> None:
    """Its job ended before it was judged."""
    deliver(tmp_path, make_record(runner="orin"), None)
    found = gathered(tmp_path, ["orin"])
    assert (found.state, found.exit_code) == ("no data", 7)
    assert "without verdicts" in (found.runners[0].note or "")


def test_verdicts_about_another_toolchain_than_was_planned_are_no_data(tmp_path: Path) -> None:
    """A report of yesterday's toolchain says nothing of today's."""
    judged(tmp_path, make_record(runner="orin", toolchain="tvm-0.26.0"))
    planned = parse_plan(plan_text("orin", toolchain="tvm-0.27.0").encode(), "plan.json")
    found = gather(tmp_path, planned)
    assert found.state == "no data"
    assert "judged tvm-0.26.0, and not tvm-0.27.0" in (found.runners[0].note or "")


def test_a_loss_that_was_measured_is_graver_than_a_machine_that_is_away(tmp_path: Path) -> None:
    """And what broke is graver than that; each has its exit code."""
    judged(tmp_path, make_record(make_broken(), runner="torn"))
    assert (gathered(tmp_path, ["away", "torn"]).state, gathered(tmp_path, ["away", "torn"]).exit_code) == ("broken", 5)
    judged(tmp_path, make_record(slow(), runner="slow"))
    found = gathered(tmp_path, ["away", "torn", "slow"])
    assert (found.state, found.exit_code) == ("regressed", 1)
    unlike = make_record(runner="unlike")
    verdicts = [missing(CASE, "other_environment", "another machine")]
    deliver(tmp_path, unlike, make_report(unlike, unlike, verdicts=verdicts))
    assert gathered(tmp_path, ["unlike"]).exit_code == 8
    assert gathered(tmp_path, ["unlike", "away"]).exit_code == 7


def test_a_damaged_file_is_named_and_red(tmp_path: Path) -> None:
    """Also beside a report that is good: what was in it is not known."""
    path = judged(tmp_path, make_record(runner="orin"))
    other = judged(tmp_path, make_record(runner="orin", at=NOON + timedelta(hours=1)))
    other.write_bytes(other.read_bytes()[:400])
    found = gathered(tmp_path, ["orin"])
    assert (found.state, found.exit_code) == ("damaged", 7)
    (damage,) = found.runners[0].damaged
    assert damage.name == other.relative_to(tmp_path).as_posix()
    assert damage.problem.startswith("Input data was truncated")
    assert found.runners[0].entry is not None
    assert found.runners[0].entry.path == path


def test_a_damaged_report_is_named_and_not_its_record(tmp_path: Path) -> None:
    """It is the file that has to be looked at."""
    path = judged(tmp_path, make_record(runner="orin"))
    report = path.with_name(f"{path.stem}.check.json")
    report.write_text("{}")
    (damage,) = gathered(tmp_path, ["orin"]).runners[0].damaged
    assert damage.name == report.relative_to(tmp_path).as_posix()


def test_a_report_whose_record_did_not_arrive_is_damage(tmp_path: Path) -> None:
    """Verdicts about nothing."""
    judged(tmp_path, make_record(runner="orin")).unlink()
    found = gathered(tmp_path, ["orin"])
    assert found.state == "damaged"
    assert [each.problem for each in found.runners[0].damaged] == ["its record did not arrive"]


def test_a_file_that_lies_where_it_does_not_belong_is_damage(tmp_path: Path) -> None:
    """One runner must not speak for another."""
    path = judged(tmp_path, make_record(slow(), runner="rtx"))
    for part in sorted(path.parent.iterdir()):
        target = tmp_path / "orin" / "2026" / "10" / part.name
        target.parent.mkdir(parents=True, exist_ok=True)
        part.rename(target)
    found = gathered(tmp_path, ["orin", "rtx"])
    assert [each.state for each in found.runners] == ["damaged", "no data"]
    assert found.runners[0].damaged[0].problem.startswith("it is the record rtx/2026/10/")


def test_a_file_of_no_planned_runner_that_is_damaged_is_red(tmp_path: Path) -> None:
    """Nobody knows whose it is."""
    judged(tmp_path, make_record(runner="orin"))
    (tmp_path / "stray.json").write_text("{")
    found = gathered(tmp_path, ["orin"])
    assert (found.runners[0].state, found.state, found.exit_code) == ("pass", "damaged", 7)
    assert [each.name for each in found.strays] == ["stray.json"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """An artifact must not make a page of another file of this machine."""
    outside = judged(tmp_path / "outside", make_record(runner="orin"))
    inside = tmp_path / "incoming" / outside.relative_to(tmp_path / "outside")
    inside.parent.mkdir(parents=True)
    inside.symlink_to(outside)
    found = gathered(tmp_path / "incoming", ["orin"])
    assert [each.problem for each in found.runners[0].damaged] == [
        "a link or device: a history holds folders and plain files"
    ]


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """It is no record, whatever it is."""
    path = judged(tmp_path, make_record(runner="orin"))
    with path.open("r+b") as file:
        file.truncate(LARGEST_FILE_BYTES + 1)
    (damage,) = gathered(tmp_path, ["orin"]).runners[0].damaged
    assert damage.problem.endswith("are no record: more than 32 MiB")


VERDICT = make_verdict(CASE, "decode_tokens_per_s", [50.0], [50.0], 0.05)
ZERO, EMPTY = Spread(values=(0.0,), median=0.0), Spread(values=(), median=50.0)


@pytest.mark.parametrize(
    ("verdict", "problem"),
    [
        (msgspec.structs.replace(VERDICT, metric="speed"), "verdicts[0].metric: unknown metric 'speed'"),
        (
            msgspec.structs.replace(VERDICT, baseline=ZERO),
            "verdicts[0]: a median that is not positive",
        ),
        (
            msgspec.structs.replace(VERDICT, candidate=EMPTY),
            "verdicts[0]: a median that is not positive",
        ),
    ],
)
def test_verdicts_that_cannot_be_are_damage(tmp_path: Path, verdict: Verdict, problem: str) -> None:
    """What shows them relies on it."""
    record = make_record(runner="orin")
    deliver(tmp_path, record, make_report(record, record, verdicts=[verdict]))
    assert [each.problem for each in gathered(tmp_path, ["orin"]).runners[0].damaged] == [problem]


def test_verdicts_about_another_record_are_damage(tmp_path: Path) -> None:
    """A report lies beside the record that it is about."""
    record, other = make_record(runner="orin"), make_record(make_case(), runner="orin", at=NOON + timedelta(hours=1))
    path = deliver(tmp_path, record, None)
    path.with_name(f"{path.stem}.check.json").write_bytes(encode(make_report(other, other)))
    (damage,) = gathered(tmp_path, ["orin"]).runners[0].damaged
    assert damage.problem == f"record: '{other.id}' is not '{record.id}', which its path says"


def test_verdicts_about_another_toolchain_than_their_record_are_damage(tmp_path: Path) -> None:
    """Which of both is meant nobody knows."""
    record = make_record(runner="orin")
    deliver(tmp_path, record, msgspec.structs.replace(make_report(record, record), toolchain="tvm-9"))
    (damage,) = gathered(tmp_path, ["orin"]).runners[0].damaged
    assert damage.problem == "toolchain: 'tvm-9' is not 'tvm-0.26.0', which the record is of"


def test_a_folder_full_of_traps_is_named_and_hides_no_other_runner(tmp_path: Path) -> None:
    """Loops of links, pipes, folders and texts that end in `.json`: nothing is followed, waited for, or fatal."""
    judged(tmp_path, make_record(slow(), runner="rtx"))
    month = tmp_path / "orin" / "2026" / "10"
    month.mkdir(parents=True)
    (tmp_path / "orin" / "loop").symlink_to("loop")
    (tmp_path / "orin" / "up").symlink_to(tmp_path)
    os.mkfifo(month / "pipe.json")
    (month / "folder.json").mkdir()
    (month / "binary.json").write_bytes(b"\xff\xfe")
    (month / "empty.json").write_bytes(b"")
    (month / "newer.json").write_text('{"schema": 99}')
    orin, rtx = gathered(tmp_path, ["orin", "rtx"]).runners
    assert (orin.state, rtx.state) == ("damaged", "regressed")
    assert orin.note == "nothing arrived that could be used"
    assert {each.name.rpartition("/")[2] for each in orin.damaged} == {
        "loop",
        "up",
        "pipe.json",
        "binary.json",
        "empty.json",
        "newer.json",
    }


def test_without_a_plan_whoever_delivered_was_expected(tmp_path: Path) -> None:
    """For a person at a shell; the baseline is the one that the report names, without any folder of its choice."""
    record = make_record(runner="orin")
    report = msgspec.structs.replace(make_report(record, record), baseline="../../etc/orin.toml")
    deliver(tmp_path, record, report)
    (delivery,) = gather(tmp_path, None).runners
    assert (delivery.planned.runner, delivery.planned.baseline) == ("orin", "baselines/orin.toml")
