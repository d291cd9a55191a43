"""How far a long computation has come: what its steps give."""

from __future__ import annotations

from dataclasses import dataclass

from patchwidget.effects import Effect


@dataclass(frozen=True)
class Progress:
    """One step of a computation.

    Attributes:
        done, total: patches (or tokens) finished, and how many are asked for.
        found: effects that this step finished.
        work: share of the multiplications done, 0 to 1: what the remaining time is told
            from, since a patch of the first layer costs many times one of the last.
    """

    done: int
    total: int
    found: tuple[Effect, ...] = ()
    work: float = 0.0
