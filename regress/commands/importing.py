"""`import`: figures that others measured, as history with its provenance and without verdicts."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from regress import errors, foreign, history
from regress.errors import ConfigError, UsageError
from regress.foreign.attribution import Attribution, imports
from regress.imported import Source
from regress.progress import say
from regress.record import Workload
from regress.redact import printable, publishable
from regress.workspace import open_workspace

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from regress.imported import Imported


def import_command(args: argparse.Namespace) -> int:
    """`regress import`: all files are read before anything is written, so that a bad row leaves nothing behind."""
    workspace = open_workspace(args)
    given = Attribution(
        runner=args.runner,
        model=args.model,
        quantization=args.quantization,
        target=args.target,
        harness=args.harness,
        device=args.device,
        toolchain=args.toolchain,
        day=args.date,
    ).checked()
    found = [each for path in args.files for each in _imports(Path(path), given, _workload(args))]
    done = [(each, *history.append_import(each, workspace.history)) for each in found]
    if args.json:
        _print_json(done)
    else:
        sys.stdout.write("".join(f"{path}\n" for _, path, new in done if new))
    new = sum(written for _, _, written in done)
    there = f", {len(done) - new:,} there already" if new < len(done) else ""
    say(f"{workspace.history}: imported {new:,}{there}")
    return errors.EXIT_PASS


def _imports(path: Path, given: Attribution, workload: Workload | None) -> Sequence[Imported]:
    """All of a file.

    Raises:
        ConfigError, UsageError, HistoryError: It cannot be read, or a row of it says what cannot be, or not enough.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    kind, rows = foreign.read(data, str(path), workload)
    name = publishable(printable(path.name))
    source = Source(file=name, sha256=hashlib.sha256(data).hexdigest(), format=kind, row=1)
    return imports(rows, given, source)


def _workload(args: argparse.Namespace) -> Workload | None:
    """What was asked of the model, where the command line says it."""
    if (args.prompt_tokens is None) != (args.new_tokens is None):
        raise UsageError("import: --prompt-tokens and --new-tokens go together")
    if args.prompt_tokens is None:
        return None
    return Workload(prompt_tokens=args.prompt_tokens, new_tokens=args.new_tokens)


def _print_json(done: Sequence[tuple[Imported, Path, bool]]) -> None:
    rows = [{"path": str(path), "new": new, "import": imported} for imported, path, new in done]
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(rows), indent=1).decode() + "\n")
