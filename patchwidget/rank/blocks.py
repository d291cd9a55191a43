"""Blocks: nodes are patched in groups of neighbours, and rank as their group does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, sqrt

import numpy as np

from patchwidget.exact import Patch, together
from patchwidget.nodes import Node
from patchwidget.rank.patched import Patched
from patchwidget.rank.ranking import UNKNOWN, Ranking


def blocks(
    nodes: Sequence[Node],
    patched: Patched,
    *,
    size: int | None = None,
    runs: int | None = None,
) -> Iterator[Ranking]:
    """Rank by the size of the effect of a node's group.

    Effects of one group may cancel. The order of `nodes` decides who is in it.

    Args:
        nodes: what is ranked.
        patched: runs patches.
        size: nodes of a group; by default the root of their number, which makes the groups
            about as many as the nodes of one.
        runs: how many groups are run, from the first; None is all of them.

    Raises:
        ValueError: if there are no nodes, or `size` or `runs` is below 1.
    """
    if not nodes:
        raise ValueError("there is no node to rank")
    size = ceil(sqrt(len(nodes))) if size is None else size
    if size < 1 or (runs is not None and runs < 1):
        raise ValueError(f"1 or more is needed, got size={size}, runs={runs}")
    starts = range(0, len(nodes), size)[:runs]
    spans = {together(nodes[s : s + size]): slice(s, s + size) for s in starts}
    numbers = {patch: number for number, patch in enumerate(spans, 1)}
    scores = np.full(len(nodes), UNKNOWN)
    done, alone = set[Patch](), dict[Node, int]()
    for found in patched(list(spans)):
        for patch, effect in found.items():
            scores[spans[patch]] = abs(effect)
            if len(patch) == 1:
                alone[patch[0]] = numbers[patch]
        done |= found.keys()
        yield Ranking("blocks", tuple(nodes), scores.tolist(), len(done), dict(alone))
