"""What the page is shown of a study: maps, verified nodes, figures.

Results become known in a stream of small pieces, by this widget's jobs and by cells; the
page is told of them a few times a second. An exact effect is shown beside its estimate: it
waits until that is made, which nothing here does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import nan
from time import monotonic
from typing import Any

from patchwidget.effects import Effect
from patchwidget.nodes import Node
from patchwidget.widget import wire
from patchwidget.widget.estimates import SHOWN_KINDS, Cut
from patchwidget.widget.side import Side

# The whole of `verified` travels at each change: the larger it is, the rarer.
VERIFIED_EVERY_S = 0.1
_NODES_A_SECOND = 2000
REPORT_EVERY_S = 0.5


class Board:
    """The results on show, of one direction and one method.

    Args:
        side: the study in the direction on show.
        method: the method on show.
        tell: sets kernel-owned traits, several in one message.
        picked: names of the picked nodes.
    """

    def __init__(
        self,
        side: Side,
        method: str,
        tell: Callable[[dict[str, Any]], None],
        picked: Callable[[], Iterable[str]],
    ) -> None:
        self.side, self.method = side, method
        self._tell, self._picked = tell, picked
        self._rows: set[Node] = set()
        self._shown: dict[Node, wire.Record] = {}
        self._news: dict[Node, Effect] = {}
        self._is_old = self._is_circuit_old = False  # whether report and circuit are
        self._verified_at = self._report_at = self._circuit_at = monotonic()

    def show(self, side: Side, method: str) -> None:
        """Show a study from its beginning, by one method."""
        picked = set(self._shown) | self._picked_nodes(side)
        self.side, self.method = side, method
        known = side.study.verified
        grids = self._maps()
        self._shown, self._news = (
            {},
            {
                node: known[node]
                for node in known
                if node in picked or self._is_drawn(node)
            },
        )
        self._take_ready()
        self._tell(
            {
                "study": wire.study_record(side.study, side.estimates),
                "grids": grids,
                "mine": wire.mine_records(side.mine),
                "verified": self._named(),
                "report": side.reports.of(method),
                "circuit": side.circuit.record(),
            }
        )
        self._is_old = self._is_circuit_old = False

    def wanted(self, side: Side) -> list[Cut]:
        """What has to be estimated before `show`."""
        nodes = [*self._shown, *(side.study.nodes(self._picked()))]
        known = side.study.verified
        return side.estimates.wanted(node for node in nodes if node in known)

    def lacking(self) -> list[Cut]:
        """What has to be estimated before all that is known of the picks is shown.

        Neurons last: passes of the other kinds are there, from their maps.
        """
        waiting = self._picked_nodes(self.side) & self._news.keys()
        lacks = self.side.estimates.lacks
        found = {(one.kind, one.by) for one in waiting if lacks(one, self.method)}
        return sorted(found, key=lambda cut: (cut[0] == "neuron", str(cut)))

    def learn(self, found: Iterable[Effect], *, at_once: bool) -> None:
        """Show what became known: soon, or with all that waits at once."""
        singles = [effect for effect in found if len(effect.patch) == 1]
        picked = self._picked_nodes(self.side) if singles else set()
        for effect in singles:
            self._is_old = True
            if self._is_drawn(effect.node) or effect.node in picked:
                self._news[effect.node] = effect
        self.flush(at_once=at_once)

    def reveal(self, nodes: Iterable[Node]) -> None:
        """Show what is known of nodes that have no cell on a map, beside estimates."""
        known = self.side.study.verified
        self._news |= {node: known[node] for node in nodes if node in known}
        self._send_verified()

    def give_up(self) -> None:
        """Show what is known of picks without the estimates that were not made.

        `reveal` shows them again when they are.
        """
        waiting = self._picked_nodes(self.side) & self._news.keys()
        effects = [self._news.pop(node) for node in waiting]
        if effects:
            records = wire.effect_records(effects, [nan] * len(effects))
            names = (effect.node for effect in effects)
            self._shown |= dict(zip(names, records, strict=True))
            self._tell({"verified": self._named()})

    def reveal_row(self, head: Node) -> None:
        """Show what is known of a head's positions, from now on."""
        self._rows.add(head)
        self.reveal(node for node in self.side.study.verified if _row_of(node) == head)

    def note_report(self) -> None:
        """There is news for the report besides effects."""
        self._is_old = True

    def note_circuit(self, side: Side, *, at_once: bool = True) -> None:
        """There is news of a direction's paths, or of what was asked of them or picks."""
        if side is self.side:  # another one is shown with all that it has
            self._is_circuit_old = True
            self.flush(at_once=at_once)

    def flush(self, *, at_once: bool) -> None:
        """Tell the page what it does not know yet, if its time has come."""
        now = monotonic()
        pause = max(VERIFIED_EVERY_S, len(self._shown) / _NODES_A_SECOND)
        if at_once or now - self._verified_at > pause:
            self._send_verified()
        if self._is_old and (at_once or now - self._report_at > REPORT_EVERY_S):
            self._is_old, self._report_at = False, now
            self._tell({"report": self.side.reports.of(self.method)})
        if self._is_circuit_old and (
            at_once or now - self._circuit_at > REPORT_EVERY_S
        ):
            self._is_circuit_old, self._circuit_at = False, now
            self._tell({"circuit": self.side.circuit.record()})

    def _send_verified(self) -> None:
        if self._take_ready():
            self._verified_at = monotonic()
            self._tell({"verified": self._named()})

    def _take_ready(self) -> bool:
        """Take from the news what has an estimate by now; whether there is any."""
        lacks = self.side.estimates.lacks
        ready = [e for node, e in self._news.items() if not lacks(node, self.method)]
        for effect in ready:
            del self._news[effect.node]
        self._shown |= self._records(ready)
        return bool(ready)

    def _maps(self) -> dict[str, wire.Record]:
        estimates = self.side.estimates
        found = [estimates.get(kind, self.method) for kind in estimates.kinds]
        return {f"{one.method}/{one.kind}": wire.grid_record(one) for one in found}

    def _is_drawn(self, node: Node) -> bool:
        """Whether it has a cell on a map, or in a row that is shown."""
        is_cell = node.by is None and node.kind in SHOWN_KINDS
        return is_cell or _row_of(node) in self._rows

    def _picked_nodes(self, side: Side) -> set[Node]:
        return set(side.study.nodes(self._picked()))

    def _records(self, effects: Iterable[Effect]) -> dict[Node, wire.Record]:
        effects = list(effects)
        value = self.side.estimates.value
        estimates = [value(effect.node, self.method) for effect in effects]
        records = wire.effect_records(effects, estimates)
        return {effect.node: one for effect, one in zip(effects, records, strict=True)}

    def _named(self) -> dict[str, wire.Record]:
        return {str(node): record for node, record in self._shown.items()}


def _row_of(node: Node) -> Node | None:
    """The head that a head's position belongs to; None for other nodes."""
    if node.by not in ("pos", "dest"):
        return None
    return replace(node, pos=None)
