"""The second-order term of chosen nodes, and what it says of the first.

With g and H the gradient and the Hessian of the metric in one node's own value, on the
base run with all that follows recomputed, and D the change of that value, the metric
changes by D.g + 1/2 D.H.D to second order (Zhang and Wang, arXiv 2606.09899). D.H.D is
the second derivative along D: one product of H with one vector, another for every node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from patchwidget.estimate.copies import at_once
from patchwidget.estimate.coverage import require_decoder
from patchwidget.estimate.second_derivative import second_derivatives
from patchwidget.grids import Cost, Grid, Scale
from patchwidget.nodes import Node
from patchwidget.runs import Runs, computed
from patchwidget.slices import Slices, whole


@dataclass(frozen=True, eq=False)
class Curvature:
    """A node's estimate to second order.

    Attributes:
        node: which.
        first: D.g of each pair `[B]`, in the metric's units: the estimate as it was.
        second: 1/2 D.H.D of each pair `[B]`: what it lacks to second order.
        scale: what an effect is a fraction of, as in the grid.
        cost: of this node's product.

    Example:
        >>> scale = Scale(base=torch.tensor([-2.0]), source=torch.tensor([2.0]))
        >>> first, second = torch.tensor([1.0]), torch.tensor([0.5])
        >>> found = Curvature(Node("z", 9, head=9), first, second, scale, Cost(1, 4))
        >>> found.value, found.ratio.item()
        (0.375, 0.5)
    """

    node: Node
    first: Tensor
    second: Tensor
    scale: Scale | None
    cost: Cost

    @property
    def raw(self) -> Tensor:
        """The corrected change of the metric for each pair `[B]`."""
        return self.first + self.second

    @property
    def value(self) -> float:
        """The corrected mean effect over the pairs."""
        effects = self.raw if self.scale is None else self.scale.normalise(self.raw)
        return float(effects.mean())

    @property
    def ratio(self) -> Tensor:
        """Reliability |D.H.D| / (2 |D.g|) of each pair `[B]`: small is good.

        0 where the second order is 0, infinite where the first alone is.
        """
        ratio = self.second.abs() / self.first.abs()
        return ratio.masked_fill(self.second == 0, 0.0)


def hvp(runs: Runs, grid: Grid, nodes: Sequence[Node]) -> dict[Node, Curvature]:
    """First-order estimates of some nodes with their second-order term.

    A metric that gives one number for all pairs has one of each for all of them.

    Args:
        runs: the captured runs that the grid is from.
        grid: estimates of `atp`.
        nodes: nodes of the grid.

    Raises:
        ValueError: if the grid is not `atp`'s or not of these runs, a node is not in it,
            or the decoder does not cover the model.
        IndexError: if the model has no such node.
    """
    return whole(hvp_slices(runs, grid, nodes))


def hvp_slices(
    runs: Runs, grid: Grid, nodes: Sequence[Node]
) -> Slices[dict[Node, Curvature]]:
    """`hvp`, of which a slice is one layer of the run of some nodes, one way."""
    decoder = require_decoder(runs, "hvp")
    _check(runs, grid, nodes)
    # Where nothing is changed there is no second order either.
    still = torch.zeros_like(runs.scale.base)
    found = {node: (still, Cost(0, 0)) for node in nodes}
    for batch in _batches(runs, [node for node in found if _changes(runs, node)]):
        cost = _cost(runs, batch[0].layer)
        derivatives = yield from computed(
            second_derivatives(runs, decoder, batch), grad=True
        )
        for node, twice in zip(batch, derivatives, strict=True):
            found[node] = twice / 2, cost
    return {
        node: Curvature(node, _first(grid, node), second, grid.scale, cost)
        for node, (second, cost) in found.items()
    }


def _changes(runs: Runs, node: Node) -> bool:
    place = node.kind, node.layer
    base, source = runs.base.values[place], runs.source.values[place]
    return not torch.equal(base[node.index], source[node.index])


def _first(grid: Grid, node: Node) -> Tensor:
    cell: tuple[Any, ...] = (slice(None), *node.cell)
    return grid.raw[cell]


def _check(runs: Runs, grid: Grid, nodes: Sequence[Node]) -> None:
    if grid.method != "atp":
        raise ValueError(
            f"this grid is of {grid.method!r}: the second-order term belongs to the first, "
            "which is atp's"
        )
    theirs = grid.direction, grid.metric, tuple(grid.raw.shape)
    shape = (len(runs.scale.base), *runs.extent.shape(grid.kind, grid.by))
    ours = runs.direction, runs.metric.name, shape
    if theirs != ours:
        raise ValueError(
            f"the grid is of other runs: it has {theirs}, these have {ours}"
        )
    for node in nodes:
        if (node.kind, node.by) != (grid.kind, grid.by):
            raise ValueError(f"{node} is not in a grid of {grid.kind} by {grid.axes}")
        runs.extent.check(node)


def _cost(runs: Runs, layer: int) -> Cost:
    """One run from the layer on, its backward, and a backward of both: as much as three."""
    part = (runs.extent.n_layers - layer) / runs.extent.n_layers
    return Cost(part, 4 * part)


def _batches(runs: Runs, nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Nodes of one layer, as many as a batch holds."""
    size = at_once(runs)
    ordered = sorted(nodes, key=lambda node: node.layer)
    for _, group in groupby(ordered, key=lambda node: node.layer):
        members = list(group)
        for start in range(0, len(members), size):
            yield members[start : start + size]
