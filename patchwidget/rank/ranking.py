"""Nodes in the order in which they should be looked at, whatever made the order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from patchwidget.grids import Grid
from patchwidget.nodes import Node

# The score of a node of which nothing is known yet: below every size.
UNKNOWN = -1.0


@dataclass(frozen=True, eq=False)
class Ranking:
    """How much each of some nodes is thought to matter, and what it cost to think so.

    Attributes:
        name: what made it.
        nodes: what is ranked, each once.
        scores: the larger the earlier; `UNKNOWN` (-1) where nothing is known yet. Nodes of
            the same score keep their order in `nodes`.
        spent: patched runs that it took; of an estimate, forward passes.
        alone: nodes that were patched alone on the way, with the number of runs after
            which their exact effect was known.

    Example:
        >>> nodes = tuple(Node("z", 0, head=head) for head in range(3))
        >>> ranking = Ranking("mine", nodes, (0.1, 0.7, 0.2), spent=5)
        >>> ranking.ordered[0], ranking.price(nodes[0])
        (L0H1.z, 8.0)
    """

    name: str
    nodes: tuple[Node, ...]
    scores: Sequence[float]
    spent: float = 0.0
    alone: Mapping[Node, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.nodes):
            raise ValueError(
                f"{len(self.nodes)} nodes and {len(self.scores)} scores: one each is needed"
            )

    @cached_property
    def ordered(self) -> tuple[Node, ...]:
        """The nodes, largest score first."""
        order = np.argsort(-np.asarray(self.scores, dtype=float), kind="stable")
        return tuple(self.nodes[i] for i in order)

    @cached_property
    def _waiting(self) -> dict[Node, int]:
        """The places, from 1, of the nodes that were not patched alone."""
        rest = [node for node in self.ordered if node not in self.alone]
        return {node: place for place, node in enumerate(rest, 1)}

    def price(self, node: Node) -> float:
        """Runs until the node's exact effect is known.

        That is when it was patched alone; else all that was spent, and one run for every
        node that was not patched alone, in this order, up to this one.

        Raises:
            KeyError: if the node is not ranked.
        """
        if node in self.alone:
            return float(self.alone[node])
        if node not in self._waiting:
            raise KeyError(f"{node} is not in this ranking by {self.name}")
        return float(self.spent + self._waiting[node])

    def __repr__(self) -> str:
        first = ", ".join(map(str, self.ordered[:5]))
        more = ", ..." if len(self.nodes) > 5 else ""
        return f"{self.name}: {len(self.nodes)} nodes for {self.spent:g} runs: {first}{more}"


def ranking_of(*grids: Grid) -> Ranking:
    """The ranking that an estimate gives, over one kind or several together.

    Scores are means over the pairs of the size of each pair's estimate (AtP*, arXiv
    2403.00745, eq. 5), in effects: a node is not overlooked because pairs cancel. Several
    kinds cost what the dearest of them does, since one backward serves them all.

    Raises:
        ValueError: if there is no grid, the grids are of several methods, one is given
            twice, or a value is not known.
    """
    names = {grid.method for grid in grids}
    if len(names) != 1:
        raise ValueError(
            f"a ranking is of one method, got {', '.join(sorted(names)) or 'no grid'}"
        )
    nodes = tuple(node for grid in grids for node in grid.nodes())
    if len(set(nodes)) != len(nodes):
        raise ValueError("a kind is given twice: its nodes can have one place only")
    scores = np.concatenate([sizes_of(grid) for grid in grids])
    if np.isnan(scores).any():
        raise ValueError(f"not every node's {names.pop()} value is known: it is NaN")
    costs = [grid.cost.passes for grid in grids if grid.cost is not None]
    return Ranking(names.pop(), nodes, scores.tolist(), max(costs, default=0.0))


def sizes_of(grid: Grid) -> NDArray[np.float64]:
    """Mean over pairs of each node's absolute effect, in the order of `grid.nodes()`."""
    return _numbers(grid.shown.abs().mean(0).flatten().tolist())


def means_of(grid: Grid) -> NDArray[np.float64]:
    """Each node's mean effect over pairs, in the order of `grid.nodes()`."""
    return _numbers(grid.shown.mean(0).flatten().tolist())


def _numbers(values: list[float]) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)
