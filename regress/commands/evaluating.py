"""`evaluate`: how often decision rules are wrong, on benchmark series and on simulated noise."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from regress import errors
from regress.errors import UsageError
from regress.evaluation.campaign import Campaign, evaluate_files, evaluation, simulate
from regress.evaluation.columns import Choice
from regress.evaluation.reading import read_sources
from regress.progress import say
from regress.report.evaluation import evaluation_json, evaluation_text

if TYPE_CHECKING:
    import argparse

EXIT_MISSED = 1
"""A bar of ours is missed. The number that a regression has elsewhere: here the rule itself is what fell behind."""


def evaluate(args: argparse.Namespace) -> int:
    """`regress evaluate`: tables of all rules; exits 0 where every bar of ours holds, and 1 where one is missed."""
    started = time.monotonic()
    paths = [Path(path) for path in args.data]
    sources = read_sources(paths, _choice(args), _where(args.where))
    files, skipped = evaluate_files(sources, args.seed)
    if paths and not files:
        raise UsageError(
            "evaluate: no key has runs enough for a check",
            hint="; ".join(f"{source.file}: {source.remark or 'too few runs'}" for source in skipped) or None,
        )
    campaign = simulate(args.checks, args.seed, say) if args.simulate or not paths else Campaign()
    found = evaluation(files, skipped, campaign)
    sys.stdout.write(evaluation_json(found) if args.json else evaluation_text(found))
    say(f"{found.verdicts:,} verdicts of our rule, all rules in {time.monotonic() - started:.1f} s")
    return errors.EXIT_PASS if found.holds else EXIT_MISSED


def _choice(args: argparse.Namespace) -> Choice:
    return Choice(
        time=args.time,
        value=args.value,
        key=tuple(args.key) or None,
        higher_is_better=args.higher_is_better,
    )


def _where(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    column, equals, wanted = text.partition("=")
    if not (column and equals and wanted):
        raise UsageError(f"evaluate: --where {text}: not of the form COLUMN=TEXT")
    return column, wanted
