"""Circuits: what nodes do together, who takes over, and whether a set is the whole story."""

from patchwidget.circuits.asking import QUESTIONS, Circuits, circuit_steps
from patchwidget.circuits.interactions import FLOOR, THRESHOLD, Interactions, Side
from patchwidget.circuits.parts import Member, Part

__all__ = [
    "FLOOR",
    "QUESTIONS",
    "THRESHOLD",
    "Circuits",
    "Interactions",
    "Member",
    "Part",
    "Side",
    "circuit_steps",
]
