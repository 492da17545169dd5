"""An evaluation of decision rules, as a person and as a program read it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from regress.evaluation.fixed import RUNS
from regress.evaluation.scores import LOSSES, totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from regress.evaluation.bars import Bar
    from regress.evaluation.campaign import Evaluation, FileResult
    from regress.evaluation.fixed import Cost
    from regress.evaluation.scores import Score
    from regress.evaluation.series import Source
    from regress.evaluation.shares import Share

_RULE_WIDTH = 30
_HEAD = (
    f"{'rule':<{_RULE_WIDTH}} {'checks':>8} {'false/1000':>10} {'95 % <=':>8} {'indep.':>10} "
    + " ".join(f"{f'at {loss * 100:g} %':>8}" for loss in LOSSES)
    + f" {'wrong':>7} {'incon.':>7} {'runs':>5}"
)
_LEGEND = """\
checks: unchanged checks, and as many slowed ones for each loss; random splits of the same runs are not independent
false/1000: false alarms per 1000 unchanged checks; 95 % <=: their Clopper-Pearson bound, as if checks were independent
indep.: false alarms / checks that share no run of their key (keys measured by the same job still share its host)
at L %: share caught when every candidate rate is multiplied by 1 - L; wrong: passes at a loss of the rule's tolerance
incon.: unchanged checks left undecided; runs: candidate runs per unchanged check, the confirming ones among them"""


def evaluation_text(evaluation: Evaluation) -> str:
    """The tables, the bars and what holds; ends with a newline."""
    blocks = [_file_block(file) for file in evaluation.files]
    if len(evaluation.files) > 1:
        pooled = totals(score for file in evaluation.files for score in file.scores)
        blocks.append(["all files", _HEAD, *_score_lines(pooled)])
    if evaluation.skipped:
        blocks.append([_skipped_line(source) for source in evaluation.skipped])
    if evaluation.files:
        blocks.append(_LEGEND.splitlines())
    if evaluation.noises:
        blocks += [_noise_block(evaluation), _cost_block(evaluation)]
    blocks.append(_bars_block(evaluation.bars))
    blocks.append([_summary(evaluation.bars)])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _file_block(file: FileResult) -> list[str]:
    sampling = file.sampling
    lines = [f"{file.source.file}: {sampling.keys:,} keys of {len(file.source.series):,}, {file.source.runs:,} runs"]
    if file.source.remark:
        lines.append(f"  {file.source.remark}")
    if sampling.unused:
        lines.append(f"  {sampling.unused:,} keys left out: too few runs")
    if sampling.changed:
        lines.append(f"  {sampling.changed:,} windows left out: the level before and after them differs")
    for checks in sampling.checks:
        shape = f"{checks.baseline.shape[1]} baseline and {checks.fresh} candidate runs"
        lines.append(
            f"  {len(checks):,} checks, {int(checks.independent.sum()):,} independent: {checks.protocol}, {shape}"
        )
    return [*lines, _HEAD, *_score_lines(file.scores)]


def _skipped_line(source: Source) -> str:
    reason = "too few runs in every key" if source.series else "no series in it"
    return f"{source.file}: not used: {source.remark or reason}"


def _score_lines(scores: Iterable[Score]) -> list[str]:
    return [_score_line(score) for score in scores]


def _score_line(score: Score) -> str:
    false = score.false_alarms
    caught = " ".join(f"{_percent(share):>8}" for share in score.caught)
    return (
        f"{score.rule:<{_RULE_WIDTH}} {false.of:>8,} {false.fraction * 1000:>10.2f} {false.upper * 1000:>8.2f} "
        f"{f'{score.independent.count}/{score.independent.of:,}':>10} {caught} "
        f"{_percent(score.wrong_passes):>7} {_percent(score.inconclusive):>7} {score.mean_replicates:>5.2f}"
    )


def _percent(share: Share) -> str:
    return f"{share.fraction * 100:.1f} %" if share.of else "-"


def _noise_block(evaluation: Evaluation) -> list[str]:
    rows = [f"{each.noise:<24} {f'{each.spread * 100:g} %':>6} {_score_line(each.score)}" for each in evaluation.noises]
    title = "simulated noise: ten baseline runs in three sessions, budget 8; sd of what is undisturbed"
    return [title, f"{'noise':<24} {'sd':>6} {_HEAD}", *rows]


def _cost_block(evaluation: Evaluation) -> list[str]:
    title = f"cost: our rule beside one look at {RUNS} runs with the same chances of a false alarm and of a wrong pass"
    head = (
        f"{'noise':<20} {'tolerance':>9} {'our runs':>9} {f'of {RUNS}':>6} {'false':>8} {'fixed':>8} {'loss':>5} "
        f"{'caught':>8} {'fixed':>8}"
    )
    return [title, head, *map(_cost_line, evaluation.costs)]


def _cost_line(cost: Cost) -> str:
    return (
        f"{cost.noise:<20} {f'{cost.tolerance * 100:g} %':>9} {cost.replicates:>9.2f} {cost.part:>6.0%} "
        f"{f'{cost.ours_false.fraction * 1000:.2f} ‰':>8} {f'{cost.fixed_false.fraction * 1000:.2f} ‰':>8} "
        f"{f'{cost.loss * 100:g} %':>5} {_percent(cost.ours_caught):>8} {_percent(cost.fixed_caught):>8}"
    )


def _bars_block(bars: Sequence[Bar]) -> list[str]:
    lines = [f"{'bar':<78} {'limit':>9} {'measured':>9} {'count':>16}"]
    for bar in bars:
        sign = "<=" if bar.side == "at most" else ">="
        counts = f"{bar.measured.count:,}/{bar.measured.of:,}" if bar.measured is not None else f"{bar.over:,}"
        lines.append(
            f"{bar.name:<78} {f'{sign} {_bar_number(bar, bar.limit)}':>9} {_bar_number(bar, bar.value):>9} "
            f"{counts:>16}  {bar.state}"
        )
    return lines


def _bar_number(bar: Bar, value: float) -> str:
    """Per thousand where a bound is meant, a percentage for a share, the number of runs for a mean."""
    if math.isnan(value):
        return "-"
    if bar.measured is None:
        return f"{value:.2f}"
    return f"{value * 1000:.2f} ‰" if bar.bounded else f"{value * 100:.2f} %"


def _summary(bars: Sequence[Bar]) -> str:
    missed = [bar.name for bar in bars if bar.state == "missed"]
    unknown = sum(bar.state == "not measured" for bar in bars)
    met = len(bars) - len(missed) - unknown
    tail = f"; missed: {'; '.join(missed)}" if missed else ""
    return f"bars: {met} met, {len(missed)} missed, {unknown} not measured{tail}"


def evaluation_json(evaluation: Evaluation) -> str:
    """The same numbers as JSON; shares are fractions with their counts; ends with a newline."""
    fields = {
        "holds": evaluation.holds,
        "losses": LOSSES,
        "files": [_file_fields(file) for file in evaluation.files],
        "skipped": [{"file": source.file, "remark": source.remark} for source in evaluation.skipped],
        "simulated": [
            {"noise": each.noise, "sd": each.spread, "tolerance": each.tolerance, **_score_fields(each.score)}
            for each in evaluation.noises
        ],
        "costs": [{**msgspec.to_builtins(each), "part": each.part} for each in evaluation.costs],
        "bars": [_bar_fields(bar) for bar in evaluation.bars],
        "verdicts": evaluation.verdicts,
    }
    return msgspec.json.format(msgspec.json.encode(fields), indent=1).decode() + "\n"


def _file_fields(file: FileResult) -> dict[str, Any]:
    return {
        "file": file.source.file,
        "remark": file.source.remark,
        "keys": file.sampling.keys,
        "keys_left_out": file.sampling.unused,
        "windows_left_out": file.sampling.changed,
        "checks": [
            {
                "protocol": checks.protocol,
                "baseline_runs": checks.baseline.shape[1],
                "candidate_runs": checks.fresh,
                "count": len(checks),
                "independent": int(checks.independent.sum()),
            }
            for checks in file.sampling.checks
        ],
        "rules": [_score_fields(score) for score in file.scores],
    }


def _score_fields(score: Score) -> dict[str, Any]:
    fields = msgspec.to_builtins(score)
    for name in ("false_alarms", "independent"):
        share: Share = getattr(score, name)
        fields[name] = {**fields[name], "fraction": share.fraction, "upper_95": share.upper}
    return {**fields, "mean_replicates": score.mean_replicates}


def _bar_fields(bar: Bar) -> dict[str, Any]:
    return {**msgspec.to_builtins(bar), "state": bar.state}
