"""What a right answer can be, besides the largest of a kind: named nodes, or a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from patchwidget.effects import Effects
from patchwidget.nodes import Node
from patchwidget.questions.reply import Reply, is_or_are, listed, to_be_found, told
from patchwidget.questions.top import Top
from patchwidget.study import PatchStudy

Nodes = Sequence[Node]


class Rule(Protocol):
    """Tells right picks from wrong ones, by exact effects."""

    def nodes(self, study: PatchStudy) -> list[Node]:
        """Whose exact effects it reads besides those of the picks.

        Raises:
            ValueError, IndexError: if it asks for what the study does not have.
        """

    def judge(self, effects: Effects, picks: Nodes, wanted: Nodes) -> Reply:
        """Judge picks; `wanted` is what `nodes` gave, `effects` has those and the picks'."""

    def solution(self, effects: Effects, wanted: Nodes) -> str:
        """The right answer in words."""


@dataclass(frozen=True)
class Named:
    """Exactly these nodes."""

    names: tuple[Node | str, ...]

    def nodes(self, study: PatchStudy) -> list[Node]:
        """The nodes that are right."""
        return list(dict.fromkeys(study.nodes(self.names)))

    def judge(self, effects: Effects, picks: Nodes, wanted: Nodes) -> Reply:
        """Right are all of them and no other."""
        good = [node for node in picks if node in wanted]
        bad = [node for node in picks if node not in wanted]
        lost = len(wanted) - len(good)
        if not picks:
            return Reply(
                False, f"Nothing is picked, and {lost} {is_or_are(lost)} asked for."
            )
        parts = [
            f"{listed(told(some, effects))} {is_or_are(len(some))} {words}."
            for some, words in ((good, "asked for"), (bad, "not"))
            if some
        ]
        if lost:
            parts.append(to_be_found(lost, good))
        return Reply(not bad and not lost, " ".join(parts))

    def solution(self, effects: Effects, wanted: Nodes) -> str:
        """Each with its exact effect."""
        return f"{', '.join(told(wanted, effects))}."


@dataclass(frozen=True)
class Own:
    """Whatever a function of the picks' exact effects calls right."""

    function: Callable[[Effects], object]

    def nodes(self, study: PatchStudy) -> list[Node]:  # noqa: ARG002 - a rule's form
        """None: it looks at the picks."""
        return []

    def judge(self, effects: Effects, picks: Nodes, wanted: Nodes) -> Reply:  # noqa: ARG002 - a rule's form
        """True is right; False is not, nor is a sentence, which says why."""
        found = self.function(effects)
        if isinstance(found, str) and found:
            return Reply(False, found)
        if found is not True and found is not False:
            raise TypeError(
                "the function of an answer returns True, False, or a sentence that says "
                f"what is wrong; it returned {found!r}"
            )
        words = listed(told(picks, effects)) if picks else "nothing is picked"
        return Reply(found, f"{words}.")

    def solution(self, effects: Effects, wanted: Nodes) -> str:  # noqa: ARG002 - a rule's form
        """There may be many."""
        return ""


def rule_of(answer: object) -> Rule:
    """A rule from what an author gave.

    Raises:
        TypeError: if it is none of the forms.
        ValueError: if it names no node.
    """
    if isinstance(answer, Top):
        return answer
    if callable(answer):
        return Own(answer)
    if isinstance(answer, (Node, str)):
        return Named((answer,))
    if not isinstance(answer, Iterable):
        raise TypeError(
            "an answer is Top(k, kind), nodes or their names, or a function of exact "
            f"effects, got {answer!r}"
        )
    names = tuple(answer)
    if not names:
        raise ValueError("an answer without nodes: name at least one")
    for one in names:
        if not isinstance(one, (Node, str)):
            raise TypeError(f"{one!r} is not a node, nor a node's name")
    return Named(names)
