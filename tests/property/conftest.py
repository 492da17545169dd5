"""How laws are tried."""

from __future__ import annotations

from hypothesis import settings

# A law says nothing of time: the first verdict of a process loads scipy, and another process may take the processor.
settings.register_profile("laws", deadline=None)
settings.register_profile("thorough", parent=settings.get_profile("laws"), max_examples=5000)
settings.load_profile("laws")
