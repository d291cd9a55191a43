"""GradDrop: sizes of effects that do not vanish where two paths cancel.

A node acts on the metric directly and through later layers. Where the two nearly cancel,
a first-order estimate is a small difference of large numbers and misses effects. GradDrop
cuts the layers one at a time and takes the size of what is left, for each pair and each
cut (AtP*, arXiv 2403.00745, eq. 11):

    1 / (L - 1) * sum over layers l of |step * gradient with layer l's write cut|

The divisor is L - 1 since a node has no gradient at all while its own layer is cut: a
node that acts only directly is counted L - 1 times. The sizes carry no sign.

One that acts only through a single later layer is counted L - 2 times, through one chain
of n layers L - 1 - n times: in shallow models such nodes come out too small, and with
two layers as 0. Use it for a ranking beside `atp`, not for the size of an effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from patchwidget.estimate.coverage import require_decoder
from patchwidget.estimate.cuts import CUTS, Cut, base_graph, cut_gradients
from patchwidget.estimate.first_order import ONE_BACKWARD, estimate_of, grid_of
from patchwidget.estimate.gradients import base_gradients
from patchwidget.estimate.steps import MakeStep, Step, node_step
from patchwidget.grids import Cost, Grid
from patchwidget.nodes import cut_of, kind_name
from patchwidget.runs import Activations, Runs, computing

Cuts = Literal["layer", "sublayer"]


def graddrop(
    runs: Runs, kind: str, by: str | None = None, *, cuts: Cuts = "layer"
) -> Grid:
    """Sizes of the effects of every node of a kind; no value is negative.

    Args:
        runs: both runs.
        kind: a kind that lies in one layer's write: not the residual stream.
        by: how finely it is cut.
        cuts: `"layer"` is the paper's. `"sublayer"` cuts what attention and what the MLP
            writes separately, divides by the number of writes less one, and calls itself
            `graddrop_sublayer`.

    Raises:
        ValueError: as `atp`; if the decoder does not cover the model; for a kind of the
            residual stream; or if there is only one write to cut.
    """
    return dropped(runs, kind, by, node_step, cuts=cuts, method="graddrop")


def dropped(
    runs: Runs, kind: str, by: str | None, make: MakeStep, *, cuts: Cuts, method: str
) -> Grid:
    """GradDrop of the steps that `make` gives.

    Raises:
        ValueError: see `graddrop`.
    """
    kind, by = kind_name(kind), cut_of(kind, by)
    decoder = require_decoder(runs, method)
    runs.require(kind)
    _refuse_stream(kind, method)
    if cuts not in CUTS:
        raise ValueError(f"unknown cuts {cuts!r}: choose one of {', '.join(CUTS)}")
    planned = CUTS[cuts](decoder.weights)
    if len(planned) < 2:
        raise ValueError(
            f"{method} compares cuts of several layers, and this model writes to the "
            "stream once: use 'atp' or 'atp_qk'"
        )
    plain = base_gradients(runs)
    steps = [make(runs, kind, by, layer) for layer in range(runs.extent.n_layers)]
    with computing():
        graph = base_graph(runs, decoder)
        sizes, passed = _mean_sizes(runs, steps, planned, graph, plain)
    cost = Cost(ONE_BACKWARD.forwards, ONE_BACKWARD.backwards + passed)
    name = method if cuts == "layer" else f"{method}_{cuts}"
    return grid_of(runs, kind, by, sizes, method=name, cost=cost, signed=False)


def _refuse_stream(kind: str, method: str) -> None:
    if kind.startswith("resid_"):
        raise ValueError(
            f"{method} is not defined for {kind}: it lies in no single layer's write, so "
            "there is no cut of its own. Use 'atp', or exact patches, of which there are "
            "only layers times positions"
        )


def _mean_sizes(
    runs: Runs,
    steps: Sequence[Step],
    cuts: Sequence[Cut],
    graph: Activations,
    plain: Activations,
) -> tuple[list[Tensor], float]:
    """The mean size over cuts for each layer, and the backwards that it took."""
    places = [(step.site, layer) for layer, step in enumerate(steps)]

    def size(layer: int, gradient: Tensor) -> Tensor:
        return estimate_of(runs, steps[layer].estimate(gradient)).abs()

    uncut = [size(layer, plain[place]) for layer, place in enumerate(places)]
    sums, passed = [torch.zeros_like(each) for each in uncut], 0.0
    for cut in cuts:
        found = cut_gradients(cut, graph, plain, places)
        passed += cut.passed if found else 0.0
        for layer, place in enumerate(places):
            if place in found:
                sums[layer] += size(layer, found[place])
            elif cut.spares(*place):
                sums[layer] += uncut[layer]
    return [each / (len(cuts) - 1) for each in sums], passed
