"""Subsampling: nodes are patched in random sets, and each run tells of all of them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from patchwidget.exact import Patch, together
from patchwidget.nodes import Node
from patchwidget.rank.patched import Patched
from patchwidget.rank.ranking import UNKNOWN, Ranking
from patchwidget.rank.tally import Tally

# More nodes a set make each run tell more, and take it further from any real prompt.
SHARE = 0.1
RUNS = 200


def subsampling(
    nodes: Sequence[Node],
    patched: Patched,
    *,
    runs: int = RUNS,
    share: float = SHARE,
    seed: int = 0,
) -> Iterator[Ranking]:
    """Rank by |mean effect of sets with a node - mean effect of sets without it|.

    Algorithm 1 of AtP* (arXiv 2403.00745). A node counts as unknown until two sets had it
    and two had not.

    Args:
        nodes: what is ranked.
        patched: runs patches.
        runs: how many sets are drawn.
        share: probability with which each node is in a set.
        seed: of the drawing.

    Raises:
        ValueError: if there are no nodes, or `runs` or `share` is out of range.
    """
    for tally in sampled(nodes, patched, runs=runs, share=share, seed=seed):
        sizes = np.where(tally.enough, np.abs(tally.differences), UNKNOWN)
        yield Ranking("subsampling", tuple(nodes), sizes.tolist(), tally.runs)


def sampled(
    nodes: Sequence[Node], patched: Patched, *, runs: int, share: float, seed: int
) -> Generator[Tally, None, None]:
    """Patch random sets; the same tally, growing, after every step.

    Runs are counted in the order in which they were drawn, so that the result does not
    depend on which of them were known before.

    Raises:
        ValueError: see `subsampling`.
    """
    members = drawn(len(nodes), runs, share, seed)
    patches = patches_of(nodes, runs, share, seed)
    effects: dict[Patch, float] = {(): 0.0}
    tally = Tally(len(nodes))
    for found in patched(list(dict.fromkeys(filter(None, patches)))):
        effects.update(found)
        while tally.runs < runs and patches[tally.runs] in effects:
            tally.add(members[tally.runs], effects[patches[tally.runs]])
        yield tally


def drawn(n_nodes: int, runs: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Which nodes are in which set, `[runs, n]`; more runs begin with the same sets.

    Raises:
        ValueError: see `subsampling`.
    """
    if n_nodes < 1:
        raise ValueError("there is no node to draw sets of")
    if runs < 1:
        raise ValueError(f"sets are drawn for 1 run or more, got runs={runs}")
    if not 0 < share < 1:
        raise ValueError(f"share is a probability between 0 and 1, got {share}")
    found: NDArray[np.bool_] = (
        np.random.default_rng(seed).random((runs, n_nodes)) < share
    )
    return found


def patches_of(
    nodes: Sequence[Node], runs: int, share: float, seed: int
) -> list[Patch]:
    """The sets as patches; one that nobody is in is `()`.

    Raises:
        ValueError: see `subsampling`.
    """
    rows = (
        np.flatnonzero(row).tolist() for row in drawn(len(nodes), runs, share, seed)
    )
    return [together(nodes[i] for i in row) if row else () for row in rows]
