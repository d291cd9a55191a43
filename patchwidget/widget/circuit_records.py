"""Answers about picks and paths in the form in which they travel: JSON, and NaN is None."""

from __future__ import annotations

from math import isfinite
from typing import Any

from torch import Tensor

from patchwidget.circuits import (
    FLOOR,
    THRESHOLD,
    Interactions,
    Repair,
    WholeStory,
)
from patchwidget.widget.wire import Record

THRESHOLD_WORDS = (
    f"An interaction counts from {THRESHOLD:.0%} of the largest of the three effects on, "
    f"and an effect from {FLOOR:.0%} of the whole."
)


def of_interactions(found: Interactions) -> Record:
    """Interactions in each direction `[n, n]`, and what they say in words."""
    names = [part.name for part in found.parts]
    return {
        "nodes": names,
        "threshold": THRESHOLD_WORDS,
        "sides": {
            way: {
                "effects": _numbers(side.effects),
                "matrix": _numbers(side.values),
            }
            for way, side in found.sides.items()
        },
        "words": [
            ["" if a == b else found.reading(a, b) for b in names] for a in names
        ],
    }


def of_repair(found: Repair) -> Record:
    """Changes of direct effects `[layer, head]`, and the heads that undo the damage."""
    change = found.heads.shown.mean(0)
    return {
        "nodes": list(map(str, found.patch)),
        "shape": list(change.shape),
        "change": _numbers(change),
        "before": _numbers(found.before.raw.mean(0)),
        "against": [
            {
                "head": str(one.head),
                "before": _number(one.before),
                "change": _number(one.change),
                "role": one.role,
            }
            for one in found.against()
        ],
        "undone": _number(found.undone),
        "words": repr(found),
    }


def of_story(found: WholeStory) -> Record:
    """How faithful, minimal and complete a circuit of nodes is."""
    return {"nodes": list(found.minimality), **_judged(found)}


def of_path_story(found: WholeStory) -> Record:
    """How faithful, minimal and complete a circuit of paths is."""
    return {"paths": list(found.minimality), **_judged(found)}


def _judged(found: WholeStory) -> Record:
    return {
        "faithfulness": _number(found.faithfulness),
        "minimality": {name: _number(one) for name, one in found.minimality.items()},
        "complement": _number(found.complement),
        "incompleteness": _number(found.incompleteness),
        "words": repr(found),
    }


def _numbers(values: Tensor) -> Any:
    """Nested lists of a tensor's numbers."""
    if values.dim() == 0:
        return _number(float(values))
    return [_numbers(one) for one in values.detach().cpu()]


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
