"""Circuits: what nodes do together, who takes over, and whether a set is the whole story."""

from patchwidget.circuits.asking import QUESTIONS, Circuits, circuit_steps
from patchwidget.circuits.curve import MIB_SHARES, CircuitCurve
from patchwidget.circuits.interactions import FLOOR, THRESHOLD, Interactions, Side
from patchwidget.circuits.parts import Member, Part
from patchwidget.circuits.repair import BACKUP, NEGATIVE, Repair, Response
from patchwidget.circuits.self_repair import SelfRepair
from patchwidget.circuits.whole_story import Incompleteness, WholeStory

__all__ = [
    "BACKUP",
    "FLOOR",
    "MIB_SHARES",
    "NEGATIVE",
    "QUESTIONS",
    "THRESHOLD",
    "CircuitCurve",
    "Circuits",
    "Incompleteness",
    "Interactions",
    "Member",
    "Part",
    "Repair",
    "Response",
    "SelfRepair",
    "Side",
    "WholeStory",
    "circuit_steps",
]
