"""What is answered to somebody's picks, and the words for effects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from patchwidget.effects import Effect, Effects
from patchwidget.nodes import Node

_MOST_NAMED = 4


@dataclass(frozen=True)
class Reply:
    """Whether picks are right, in a sentence that teaches. It is true when they are.

    Attributes:
        right: whether they are.
        words: what is right about them, and what is not.

    Example:
        >>> reply = Reply(False, "L0H1.v has an exact effect of +0.02: too small.")
        >>> bool(reply)
        False
        >>> reply
        Not yet: L0H1.v has an exact effect of +0.02: too small.
    """

    right: bool
    words: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return f"{'Right' if self.right else 'Not yet'}: {self.words}"


def size_of(effect: Effect) -> float:
    """An exact effect's size, the mean over pairs, as the maps show it."""
    return abs(_mean(effect))


def amount(effect: Effect) -> str:
    """An exact effect in words."""
    return f"{_mean(effect):+.3f}"


def _mean(effect: Effect) -> float:
    return float(effect.shown(effect.raw).mean())


def listed(parts: Sequence[str]) -> str:
    """Some things in words; of many, the first and how many more."""
    if len(parts) > _MOST_NAMED:
        parts = [*parts[: _MOST_NAMED - 1], f"{len(parts) - _MOST_NAMED + 1} more"]
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def told(nodes: Iterable[Node], effects: Effects) -> list[str]:
    """Nodes in words, each with its exact effect."""
    return [f"{node} ({amount(effects[node])})" for node in nodes]


def is_or_are(count: int) -> str:
    """The verb for some things."""
    return "is" if count == 1 else "are"


def to_be_found(count: int, good: Sequence[Node]) -> str:
    """How many right ones are not picked."""
    return f"{count} {'more ' if good else ''}{is_or_are(count)} to be found."
