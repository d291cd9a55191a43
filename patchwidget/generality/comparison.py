"""The same picks on two sets of pairs, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from patchwidget.effects import Effects
from patchwidget.generality.pick import Pick, legend
from patchwidget.nodes import Node


@dataclass(frozen=True, eq=False)
class Generality:
    """Exact effects of the same nodes on two sets of pairs.

    Attributes:
        picks: each node with both its effects, in the order in which they were asked for.
        here, there: the effects alone, on the study's pairs and on the others; their
            values per pair are kept.
        metric: its name.

    Example:
        >>> from patchwidget import PatchStudy, demo
        >>> study = PatchStudy(demo.load_model(), demo.ioi_pairs())
        >>> found = study.generality(["L1H0.q@S2", "L3H0.q"], demo.ioi_pairs(seed=1))
        >>> [pick.verdict for pick in found.picks]
        ['holds', 'nothing here']
    """

    picks: tuple[Pick, ...]
    here: Effects
    there: Effects
    metric: str

    @property
    def holding(self) -> list[Node]:
        """The nodes whose effect holds on the other pairs, at least half as large."""
        return [pick.node for pick in self.picks if pick.verdict == "holds"]

    @property
    def failing(self) -> list[Node]:
        """Those whose effect is weaker, gone or reversed there."""
        lost = ("weaker", "gone", "reversed")
        return [pick.node for pick in self.picks if pick.verdict in lost]

    def __getitem__(self, node: Node | str) -> Pick:
        """A pick by its node or the node's name, as on the study's pairs.

        Raises:
            KeyError: if it was not picked.
        """
        wanted = self.here[node].node
        return next(pick for pick in self.picks if pick.node == wanted)

    def __repr__(self) -> str:
        first = self.picks[0]
        here, there = (len(one.raw) for one in (first.here, first.there))
        head = f"{self.metric}, {here} pairs here, {there} there"
        rules = legend(pick.verdict for pick in self.picks)
        return "\n".join([head, *map(repr, self.picks), rules])
