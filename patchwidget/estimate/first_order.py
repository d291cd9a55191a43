"""One backward on the base run, met by the steps of every layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from patchwidget.estimate.gradients import base_gradients
from patchwidget.estimate.steps import MakeSteps, Step
from patchwidget.grids import Cost, Grid
from patchwidget.nodes import cut_of, kind_name
from patchwidget.runs import Activations, Runs
from patchwidget.slices import Slices

ONE_BACKWARD = Cost(forwards=2, backwards=1)


def first_order(
    runs: Runs, kind: str, by: str | None, make: MakeSteps, *, method: str
) -> Slices[Grid]:
    """Steps times the gradient on the base run, for every node of a kind.

    A slice is one layer: of a run, of the way back through it, or of the steps.

    Raises:
        ValueError: if the kind is unknown, cannot be cut that way, or cannot be patched
            in this model; or the metric's gradient vanishes on the base run.
    """
    kind, by = kind_name(kind), cut_of(kind, by)
    runs.require(kind)
    gradients = yield from base_gradients(runs)
    steps = (make(runs, kind, by, layer) for layer in range(runs.extent.n_layers))
    return (
        yield from met(
            runs, kind, by, steps, gradients, method=method, cost=ONE_BACKWARD
        )
    )


def met(
    runs: Runs,
    kind: str,
    by: str | None,
    steps: Iterable[Iterator[Step]],
    gradients: Activations,
    *,
    method: str,
    cost: Cost,
) -> Slices[Grid]:
    """A grid of the steps of each layer times gradients, however those were made."""
    layers = []
    for layer, own in enumerate(steps):
        layers.append((yield from one_layer(runs, own, gradients, layer)))
    return grid_of(runs, kind, by, layers, method=method, cost=cost)


def one_layer(
    runs: Runs, steps: Iterable[Step], gradients: Activations, layer: int
) -> Slices[Tensor]:
    """Estimates of one layer's nodes `[B, *axes without the layer]`, a step a slice."""
    parts = []
    for step in steps:
        parts.append(step.estimate(gradients[step.site, layer]))
        yield
    # Steps of some heads each: these are the last axis.
    return estimate_of(runs, parts[0] if len(parts) == 1 else torch.cat(parts, -1))


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
