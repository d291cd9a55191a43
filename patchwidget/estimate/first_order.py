"""One backward on the base run, met by the steps of every layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from patchwidget.estimate.gradients import base_gradients
from patchwidget.estimate.steps import MakeStep, Step
from patchwidget.grids import Cost, Grid
from patchwidget.nodes import cut_of, kind_name
from patchwidget.runs import Activations, Runs

ONE_BACKWARD = Cost(forwards=2, backwards=1)


def first_order(
    runs: Runs, kind: str, by: str | None, make: MakeStep, *, method: str
) -> Grid:
    """Steps times the gradient on the base run, for every node of a kind.

    Raises:
        ValueError: if the kind is unknown, cannot be cut that way, or cannot be patched
            in this model; or the metric's gradient vanishes on the base run.
    """
    kind, by = kind_name(kind), cut_of(kind, by)
    runs.require(kind)
    gradients = base_gradients(runs)
    steps = (make(runs, kind, by, layer) for layer in range(runs.extent.n_layers))
    return met(runs, kind, by, steps, gradients, method=method, cost=ONE_BACKWARD)


def met(
    runs: Runs,
    kind: str,
    by: str | None,
    steps: Iterable[Step],
    gradients: Activations,
    *,
    method: str,
    cost: Cost,
) -> Grid:
    """A grid of the steps of each layer times gradients, however those were made."""
    layers = [
        estimate_of(runs, step.estimate(gradients[step.site, layer]))
        for layer, step in enumerate(steps)
    ]
    return grid_of(runs, kind, by, layers, method=method, cost=cost)


def estimate_of(runs: Runs, per_pair: Tensor) -> Tensor:
    """Estimates of each pair; their sum, if the metric gives one number for all pairs."""
    return per_pair.sum(0, keepdim=True) if len(runs.scale.base) == 1 else per_pair


def grid_of(
    runs: Runs,
    kind: str,
    by: str | None,
    layers: Sequence[Tensor],
    *,
    method: str,
    cost: Cost,
    signed: bool = True,
) -> Grid:
    """A grid from the estimates of each layer, `[B, *axes without the layer]`."""
    return Grid(
        kind,
        torch.stack(list(layers), dim=1),
        by=by,
        scale=runs.unit,
        method=method,
        direction=runs.direction,
        metric=runs.metric.name,
        signed=signed,
        cost=cost,
    )
