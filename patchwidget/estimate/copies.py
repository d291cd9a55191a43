"""How many copies of the base run are differentiated at once."""

from __future__ import annotations

from patchwidget.runs import Runs

# About a thousand token rows keep a processor's matrix unit busy; more only take memory.
ROWS = 1024


def at_once(runs: Runs) -> int:
    """Copies of all pairs that one batch holds: one at least."""
    return max(1, ROWS // runs.base_tokens.numel())
