"""Random order: one node a run, with no idea where to look. What others have to beat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from patchwidget.nodes import Node
from patchwidget.rank.patched import Patched
from patchwidget.rank.ranking import UNKNOWN, Ranking


def random_order(
    nodes: Sequence[Node], patched: Patched, *, runs: int | None = None, seed: int = 0
) -> Iterator[Ranking]:
    """Rank by exact effects, as they become known in a random order.

    Args:
        nodes: what is ranked.
        patched: runs patches.
        runs: how many nodes are patched; None is all of them.
        seed: of the order.

    Raises:
        ValueError: if there are no nodes, or `runs` is below 1.
    """
    if not nodes:
        raise ValueError("there is no node to rank")
    if runs is not None and runs < 1:
        raise ValueError(f"1 run or more is needed, got runs={runs}")
    order = np.random.default_rng(seed).permutation(len(nodes))
    shuffled = tuple(nodes[i] for i in order)
    places = {node: place for place, node in enumerate(shuffled)}
    scores, alone = np.full(len(nodes), UNKNOWN), dict[Node, int]()
    for found in patched([(node,) for node in shuffled[:runs]]):
        for (node,), effect in found.items():
            scores[places[node]] = abs(effect)
            alone[node] = places[node] + 1
        yield Ranking("random", shuffled, scores.tolist(), len(alone), dict(alone))
