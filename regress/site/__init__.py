"""The static site: pages derived from stored records, their check reports and the baselines alone.

    entries ─► facts ─► series ─► overview, regressions ─► render (HTML, SVG) and payload (what scripts draw) ─► build
       └─────────────────────────────────────► run ──────────┘

The site opens from `file://`, asks no network for anything, and the same entries give the same bytes.
"""

from __future__ import annotations

from regress.site.build import build
from regress.site.entry import Entry

__all__ = ["Entry", "build"]
