"""Text of others in GitHub's Markdown: it is shown as it is, and cannot be markup, a link, a mention or a second cell.

Punctuation is written as character references, which Markdown never takes for markup. GitHub looks for mentions, issue
numbers and addresses in what comes out of that, too: there a space of no width keeps them apart.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST = 400
"""Characters of a text in a line or a cell."""

_GAP = "\u200b"
_LINKED = re.compile(r"@|#(?=\d)|\bGH-(?=\d)|:(?=//)|\bwww(?=\.)|(?<=mailto):|(?<=xmpp):", re.IGNORECASE)
_MARKUP = re.compile(r"[^\w\s.,:;='?()%/+-]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", re.ASCII)
_FENCES = re.compile(r"`+")


def plain(text: str, longest: int = LONGEST) -> str:
    """The text in one line without what cannot be seen, cut where it is longer: for titles, which have no markup."""
    shown = "".join(each if each.isprintable() else "\ufffd" for each in " ".join(text.split()))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def prose(text: str, longest: int = LONGEST) -> str:
    """The text as Markdown that shows it, for a sentence or a cell."""
    apart = _LINKED.sub(lambda match: match.group() + _GAP, plain(text, longest))
    return _MARKUP.sub(lambda match: f"&#{ord(match.group())};" if match.group().isascii() else match.group(), apart)


def code(text: str, longest: int = LONGEST) -> str:
    """The text as Markdown that shows it as code: GitHub links nothing in there."""
    return f"<code>{prose(text, longest)}</code>"


def link(label: str, address: str) -> str:
    """A link of ours; the label alone where the address is none."""
    return f"[{label}](<{address}>)" if re.fullmatch(r"https?://[^\s<>\\]+", address) else label


def block(text: str, language: str = "") -> str:
    """A block of code that no line of the text can end; ends with a newline."""
    safe = "".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text.replace("\r\n", "\n"))
    longest = max((len(run) for run in _FENCES.findall(safe)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{safe}\n{fence}\n"


def shell(argv: Sequence[str]) -> str | None:
    """A command as a shell reads it; `None` where nobody should run it: it has what cannot be seen, or is no name."""
    fit = all(each.isprintable() and len(each) <= LONGEST for each in argv)
    return shlex.join(argv) if fit else None


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; ends with a newline."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
