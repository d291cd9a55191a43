"""Attribution patching: every node's effect, to first order, from one backward.

The estimate of a node is the difference of its values in source and base run times the
gradient of the metric on the base run, summed over the node's parts (Nanda 2023; AtP*,
arXiv 2403.00745, eq. 4). The mean over pairs is signed; values per pair are kept.
"""

from __future__ import annotations

import torch
from torch import Tensor

from patchwidget.grids import Grid
from patchwidget.nodes import STREAM_KINDS, VECTOR_KINDS, cut_of, kind_name
from patchwidget.runs import Runs


def atp(runs: Runs, kind: str, by: str | None = None) -> Grid:
    """First-order estimates of every node of a kind.

    Raises:
        ValueError: if the kind is unknown, cannot be cut that way, or cannot be patched
            in this model.
    """
    kind, by = kind_name(kind), cut_of(kind, by)
    runs.require(kind)
    layers = [
        _reduced(_contributions(runs, kind, layer), kind, by)
        for layer in range(runs.extent.n_layers)
    ]
    raw = torch.stack(layers, dim=1)
    if len(runs.scale.base) == 1:
        # The metric gives one number for all pairs: so is the estimate.
        raw = raw.sum(0, keepdim=True)
    return Grid(
        kind,
        raw,
        by=by,
        scale=runs.scale,
        method="atp",
        direction=runs.direction,
        metric=runs.metric.name,
    )


def _contributions(runs: Runs, kind: str, layer: int) -> Tensor:
    """(source - base) * gradient for every part of every node of one layer."""
    place = kind, layer
    step = runs.source.values[place] - runs.base.values[place]
    return step * runs.gradients[place]


def _reduced(product: Tensor, kind: str, by: str | None) -> Tensor:
    """Summed over what a node holds: features, and positions where it holds them all."""
    if kind in STREAM_KINDS:
        return product.sum(-1)
    if kind in VECTOR_KINDS:
        return product.sum(-1) if by == "pos" else product.sum((1, -1))
    if kind == "pattern":
        summed = {None: (-1, -2), "dest": (-1,), "dest_src": ()}[by]
        return product.sum(summed) if summed else product
    return product
