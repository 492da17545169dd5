"""The static site: pages derived from stored records, their check reports and the baselines alone.

    files ─► shelf ─► series ─► overview, regressions ─► render (HTML, SVG) and payload (what scripts draw) ─► chapter
       └───► extract ───────────────────────► run ──────────┘

The chapter of each runner is made on its own, and again where something that it is made of has changed; `build` makes
the pages over all runners of them.

The site opens from `file://`, asks no network for anything, and the same entries give the same bytes.
"""

from __future__ import annotations

from regress.site.build import build

__all__ = ["build"]
