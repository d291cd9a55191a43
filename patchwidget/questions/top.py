"""The nodes of largest exact effect, as an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from patchwidget.effects import Effects
from patchwidget.nodes import HEAD_KINDS, Node, cut_of, kind_name
from patchwidget.questions.reply import (
    Reply,
    amount,
    is_or_are,
    listed,
    size_of,
    to_be_found,
    told,
)
from patchwidget.study import PatchStudy

# Effects that differ by less, as a share of the largest, are tied: they come from runs in
# other batches, which round otherwise.
_TIED = 1e-5

Nodes = Sequence[Node]


@dataclass(frozen=True)
class Top:
    """The `k` nodes of a kind whose exact effects are largest, whatever their signs.

    All nodes of the kind are patched to judge it. Where several are tied for the last
    place, each of them is right.

    Args:
        k: how many.
        kind: their kind; TransformerLens' hook names are accepted.
        by: how finely the kind is cut, see `Grid`.

    Raises:
        ValueError: if there is no such kind or cut, or `k` is no whole number from 1.

    Example:
        >>> from patchwidget import Question, Top
        >>> question = Question("Which three heads matter for their values?", Top(3, "v"))
    """

    k: int
    kind: str
    by: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise ValueError(
                f"k is how many nodes are asked for, from 1, got {self.k!r}"
            )
        object.__setattr__(self, "kind", kind_name(self.kind))
        object.__setattr__(self, "by", cut_of(self.kind, self.by))

    def nodes(self, study: PatchStudy) -> list[Node]:
        """All nodes of the kind.

        Raises:
            ValueError: if the model has no such kind, or fewer nodes of it than `k`.
        """
        obstacle = study.obstacle(self.kind)
        if obstacle:
            raise ValueError(obstacle)
        nodes = list(study.extent.nodes(self.kind, self.by))
        if len(nodes) < self.k:
            raise ValueError(
                f"the top {self.k} of {self.kind} are asked for, and there are {len(nodes)}"
            )
        return nodes

    def judge(self, effects: Effects, picks: Nodes, wanted: Nodes) -> Reply:
        """Right are `k` of the largest, with all that are larger than the last of them."""
        if not picks:
            words = f"Nothing is picked: pick {self.k} of {self._about}, then check."
            return Reply(False, words)
        ranked = _ranked(effects, wanted)
        among, must = self._among(effects, ranked)
        good = [node for node in picks if node in among]
        if len(good) == len(picks) == self.k and must <= set(good):
            return Reply(True, self._right(effects, good, ranked))
        foreign = [node for node in picks if node not in wanted]
        small = [node for node in picks if node in wanted and node not in among]
        parts = [
            _good(effects, good),
            _small(effects, small, ranked),
            self._foreign(foreign),
            self._lost(good, must),
        ]
        return Reply(False, " ".join(part for part in parts if part))

    def solution(self, effects: Effects, wanted: Nodes) -> str:
        """The largest, each with its exact effect; and what is tied with the last."""
        ranked = _ranked(effects, wanted)
        words = self._right(effects, ranked[: self.k], ranked)
        among, _ = self._among(effects, ranked)
        tied = [str(node) for node in ranked[self.k :] if node in among]
        return (
            f"{words} {listed(tied)} would do as well as the last." if tied else words
        )

    @property
    def _about(self) -> str:
        if self.by is not None:
            return f"{self.kind} by {self.by}"
        return f"whole heads' {self.kind}" if self.kind in HEAD_KINDS else self.kind

    def _among(self, effects: Effects, ranked: Nodes) -> tuple[set[Node], set[Node]]:
        """What can be among the largest, and what must be: not the same where some tie."""
        last = size_of(effects[ranked[self.k - 1]])
        tie = _TIED * size_of(effects[ranked[0]])
        sizes = {node: size_of(effects[node]) for node in ranked}
        among = {node for node, size in sizes.items() if size >= last - tie}
        return among, {node for node, size in sizes.items() if size > last + tie}

    def _right(self, effects: Effects, nodes: Nodes, ranked: Nodes) -> str:
        largest = "the largest" if self.k == 1 else f"the {self.k} largest"
        return (
            f"{', '.join(told(nodes, effects))} {is_or_are(self.k)} {largest} of "
            f"{len(ranked)} exact effects of {self._about}."
        )

    def _foreign(self, nodes: Nodes) -> str:
        if not nodes:
            return ""
        these = listed(list(map(str, nodes)))
        return f"{these} {is_or_are(len(nodes))} not what is asked for: {self._about}."

    def _lost(self, good: Nodes, must: set[Node]) -> str:
        if len(good) > self.k:
            return f"These are {len(good)}, and {self.k} {is_or_are(self.k)} asked for."
        lost = max(self.k - len(good), len(must - set(good)))
        return to_be_found(lost, good) if lost else ""


def _ranked(effects: Effects, nodes: Nodes) -> list[Node]:
    return sorted(nodes, key=lambda node: -size_of(effects[node]))


def _good(effects: Effects, nodes: Nodes) -> str:
    if not nodes:
        return ""
    verb = "is one" if len(nodes) == 1 else "are"
    return f"{listed(told(nodes, effects))} {verb} of them."


def _small(effects: Effects, nodes: Nodes, ranked: Nodes) -> str:
    if not nodes:
        return ""
    these = [
        f"{node} has an exact effect of {amount(effects[node])}, "
        f"number {ranked.index(node) + 1} of {len(ranked)}"
        for node in nodes
    ]
    return f"{listed(these)}: too small."
