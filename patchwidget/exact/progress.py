"""How far a long computation has come: what its steps give."""

from __future__ import annotations

from dataclasses import dataclass

from patchwidget.grids import Effect


@dataclass(frozen=True)
class Progress:
    """One step of a computation.

    Attributes:
        done, total: nodes finished, and nodes asked for.
        found: effects that this step finished.
    """

    done: int
    total: int
    found: tuple[Effect, ...] = ()
