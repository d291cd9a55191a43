"""What a picked position is in prompts other than those it was picked in."""

from __future__ import annotations

from patchwidget.nodes import Node
from patchwidget.pairs import TokenPairs


def on_other_pairs(pick: Node | str, here: TokenPairs, there: TokenPairs) -> Node:
    """A pick as a node of other prompts.

    A position that the pick names, as in `"L1H0.q@S2"`, is where that name stands in the
    other prompts. One that it numbers has to be the same place in both.

    Raises:
        ValueError: if a numbered position has no meaning there: the prompts have another
            length, or a name of that position stands elsewhere.
    """
    for position in _numbered(pick, here):
        _require_same_place(pick, position, here, there)
    return Node.parse(pick, there.labels) if isinstance(pick, str) else pick


def _numbered(pick: Node | str, here: TokenPairs) -> list[int]:
    """The positions that a pick gives as numbers."""
    # Below every number, so that what comes from a name shows.
    named = dict.fromkeys(here.labels, -1)
    node = Node.parse(pick, named) if isinstance(pick, str) else pick
    return [at for at in (node.pos, node.src) if at is not None and at >= 0]


def _require_same_place(
    pick: Node | str, position: int, here: TokenPairs, there: TokenPairs
) -> None:
    lengths = here.clean.shape[1], there.clean.shape[1]
    if lengths[0] != lengths[1]:
        raise ValueError(
            f"{pick} is at position {position}, which means nothing in the other pairs: "
            f"they have {lengths[1]} tokens, these {lengths[0]}. Pick the node at all "
            "positions, or by a name that both sets have: Pairs(..., labels={'S2': 10}) "
            "and '@S2'"
        )
    for name, place in here.labels.items():
        other = there.labels.get(name, position)
        if place == position != other:
            raise ValueError(
                f"{pick} is at position {position}, {name} in these pairs, and in the "
                f"others {name} stands at {other}: pick it by name, '@{name}'"
            )
