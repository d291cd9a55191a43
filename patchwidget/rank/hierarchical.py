"""Hierarchical search: the group of largest effect is split, and split again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np

from patchwidget.exact import together
from patchwidget.nodes import Node
from patchwidget.rank.patched import Patched
from patchwidget.rank.ranking import UNKNOWN, Ranking


@dataclass(frozen=True, order=True)
class _Group:
    """Nodes `start` to `stop` of the list; the largest effect sorts first."""

    minus_size: float
    start: int
    stop: int


def hierarchical(
    nodes: Sequence[Node],
    patched: Patched,
    *,
    branching: int = 2,
    runs: int | None = None,
) -> Iterator[Ranking]:
    """Rank by the size of the effect of the smallest group that a node was patched in.

    A queue holds groups of neighbours; the one with the largest |effect| is split into
    `branching` parts, each of which is patched. A group of one node is that node's exact
    effect. Effects of one group may cancel: then its nodes come late. The order of `nodes`
    decides who is in a group.

    Args:
        nodes: what is ranked.
        patched: runs patches.
        branching: parts that a group is split into.
        runs: when to stop, checked before a group is split; None when every node is known.

    Raises:
        ValueError: if there are no nodes, `branching` is below 2 or `runs` below 1.
    """
    if not nodes:
        raise ValueError("there is no node to rank")
    if branching < 2 or (runs is not None and runs < 1):
        raise ValueError(
            "a group is split into 2 parts or more, in 1 run or more: got "
            f"branching={branching}, runs={runs}"
        )
    scores, alone, spent = np.full(len(nodes), UNKNOWN), dict[Node, int](), 0
    queue = [_Group(-np.inf, 0, len(nodes))]

    def ranking() -> Ranking:
        return Ranking(
            "hierarchical", tuple(nodes), scores.tolist(), spent, dict(alone)
        )

    while queue and (runs is None or spent < runs):
        group = heappop(queue)
        if group.stop - group.start == 1 and spent:
            continue  # known exactly
        parts = _parts(group.start, group.stop, branching)
        patches = [together(nodes[start:stop]) for start, stop in parts]
        effects: dict[tuple[Node, ...], float] = {}
        for found in patched(patches):
            effects.update(found)
            yield ranking()
        for (start, stop), patch in zip(parts, patches, strict=True):
            spent += 1
            size = abs(effects[patch])
            scores[start:stop] = size
            heappush(queue, _Group(-size, start, stop))
            if len(patch) == 1:
                alone[patch[0]] = spent
        yield ranking()


def _parts(start: int, stop: int, branching: int) -> list[tuple[int, int]]:
    """Neighbours in as many parts of about one size, none of them empty."""
    cuts = [start + (stop - start) * i // branching for i in range(branching + 1)]
    return [(a, b) for a, b in pairwise(cuts) if b > a]
