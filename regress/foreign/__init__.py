"""Figures that other benchmarks wrote: read from their files, row by row, and refused as a whole where one is wrong.

printed.py       the lines that jetson-containers' benchmark.py prints
table.py         the CSV file that its --save appends to, and that of `regress bench --save`
llama_bench.py   what llama.cpp's `llama-bench -o json` prints
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from regress.errors import ConfigError
from regress.foreign import llama_bench, printed, table
from regress.foreign.figures import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from regress.foreign.figures import Figures
    from regress.imported import Format
    from regress.record import Workload

LARGEST_FILE_BYTES = 32 * 2**20
"""A larger file is no list of results."""


def read(data: bytes, name: str, workload: Workload | None = None) -> tuple[Format, Sequence[Figures]]:
    """What a file is, and all figures in it, of which there is at least one.

    Args:
        data: Its content.
        name: Its name, for errors.
        workload: What was asked of the model, where the file does not say; `None` where nobody did.

    Raises:
        ConfigError: It is none of the files that can be read, or a row of it is wrong; the row and the key are named.
    """
    if len(data) > LARGEST_FILE_BYTES:
        raise ConfigError(f"{name}: {len(data) / 2**20:,.0f} MiB are no list of results")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8 text") from error
    kind, reader = _reader(text, name, workload)
    found = reader(text, name)
    if not found:
        raise ConfigError(f"{name}: it has no rows", hint="nothing was imported")
    if workload is not None:
        _require_workload(found, workload)
    return kind, found


def _require_workload(found: Sequence[Figures], workload: Workload) -> None:
    """Refuses to call by one number of tokens what the file calls by another."""
    for each in found:
        prompt, new = each.prompt_tokens, each.new_tokens
        if (prompt, new) != (workload.prompt_tokens, workload.new_tokens):
            raise ConfigError(
                f"{each.where}: {prompt} tokens in and {new} out, where {workload.key} was said",
                hint="leave out --prompt-tokens and --new-tokens: the file says it",
            )


def _reader(text: str, name: str, workload: Workload | None) -> tuple[Format, Callable[[str, str], Sequence[Figures]]]:
    # First, because a log may well begin with a bracket.
    if printed.is_so(text):
        return "benchmark.py text", partial(printed.read, workload=workload)
    if text.lstrip()[:1] in ("[", "{"):
        return "llama-bench json", llama_bench.read
    if table.is_so(text):
        return "benchmark.py csv", table.read
    line = quoted(text.strip().partition("\n")[0])
    raise ConfigError(
        f"{name}: line 1: {line} is neither the table nor the output of benchmark.py, nor JSON",
        hint="what can be imported: benchmark.py's --save file, the text that it prints, llama-bench -o json",
    )
