"""What stands on a page hundreds of times, as HTML: a template would take ten times as long for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from regress.artifact import Kernel
    from regress.site.run import Column, Row

_DIGEST = 10
"""Characters of a SHA-256 that a page shows."""


def digest(sha256: str) -> Markup:
    """The start of a digest, with all of it in its title."""
    return Markup(_digest(sha256))  # noqa: S704  # escaped there


def digests(found: Iterable[str]) -> Markup:
    """Several digests, each with a blank after it."""
    return Markup("".join([f"{_digest(each)} " for each in found]))  # noqa: S704  # escaped there


def kernels(found: Iterable[Kernel]) -> Markup:
    """Items of a list: the name of each kernel, and the digest of its code."""
    items = [f"        <li><code>{escape(kernel.name)}</code> {_digest(kernel.sha256)}</li>" for kernel in found]
    return Markup("\n".join(items))  # noqa: S704  # escaped above


def heads(columns: Iterable[Column]) -> Markup:
    """Cells of a table's head: the columns, with the units that do not stand in the cells."""
    cells = [
        f'          <th scope="col" class="number">{escape(column.label)}'
        + (f' <span class="unit">{escape(column.unit)}</span></th>' if column.unit else "</th>")
        for column in columns
    ]
    return Markup("\n".join(cells))  # noqa: S704  # escaped above


def medians(columns: Iterable[Column]) -> Markup:
    """Cells of a table's row: the median of each column that has one. The site itself has written it."""
    texts = [f"<strong>{column.median}</strong>" if column.median else "" for column in columns]
    return Markup("\n".join([f'          <td class="number">{text}</td>' for text in texts]))  # noqa: S704  # as said


def replicates(rows: Iterable[Row], hole: str) -> Markup:
    """Rows of a table: a fresh process each, with what it measured and the digest of its logits.

    Args:
        rows: Their texts. Numbers and times are written by the site itself, and need no escaping.
        hole: HTML that stands where nothing was measured.
    """
    return Markup("\n".join([_replicate(row, hole) for row in rows]))  # noqa: S704  # escaped there


def _replicate(row: Row, hole: str) -> str:
    cells = "".join([f'<td class="number">{text or hole}</td>' for text in row.cells])
    note = f'<span class="note">{escape(row.reasons)}</span>' if row.reasons else ""
    return (
        f'        <tr><th scope="row">{row.number} <time class="quiet" datetime="{row.started_at}">{row.clock}</time>'
        f"</th>\n          {cells}\n          <td>{_digest(row.logits_sha256)}{note}</td>\n        </tr>"
    )


def _digest(sha256: str) -> str:
    whole = sha256 if sha256.isalnum() else str(escape(sha256))
    start = whole[:_DIGEST] if whole is sha256 else str(escape(sha256[:_DIGEST]))
    return f'<code class="digest" title="{whole}">{start}</code>'
