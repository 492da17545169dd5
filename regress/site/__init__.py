"""The static site: pages derived from stored records and their check reports alone.

    entries ─► pages (what is shown) ─► charts (Plotly figures as plain dicts) ─► render (HTML, assets, data)

The site opens from `file://`, asks no network for anything, and the same entries give the same bytes.
"""

from __future__ import annotations

from regress.site.pages import Entry
from regress.site.render import build

__all__ = ["Entry", "build"]
