"""Integrated gradients: the gradient averaged along a path from base to source.

The estimate of a node is its change times the gradient's mean at `steps` points of a
straight path (Sundararajan et al., arXiv 1703.01365). The points lie in the middle of
equal steps, at (k - 1/2) / steps for k = 1 to `steps`. Others take an end of each step, so
that one run counts for more than the other: EAP-IG (Hanna et al., arXiv 2403.17806) k /
steps of the way from corrupted to clean, sparse feature circuits (Marks et al., arXiv
2403.19647) (k - 1) / steps of the way back. The error of the mean falls with the square of
`steps` for middles, with `steps` itself for ends (and for middles too where ReLU puts kinks
in the path).

With one step theirs is the gradient on the clean run, and so first order (EAP, `atp` by
noising). Here it is the gradient half-way, which is not `atp` in either direction. And
unlike for `atp`, a metric that turns at the base run is no obstacle.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Literal

import torch
from torch import Tensor

from patchwidget.decoder import Decoder
from patchwidget.differentiate import differentiated
from patchwidget.estimate.copies import at_once
from patchwidget.estimate.coverage import require_decoder
from patchwidget.estimate.first_order import met
from patchwidget.estimate.steps import node_steps
from patchwidget.grids import Cost, Grid
from patchwidget.nodes import cut_of, kind_name
from patchwidget.runs import Activations, Runs, computed
from patchwidget.slices import Slices, whole

Path = Literal["activation", "input"]
_EMBEDDING = "resid_pre", 0


def ig(
    runs: Runs,
    kind: str,
    by: str | None = None,
    *,
    path: Path = "activation",
    steps: int = 5,
) -> Grid:
    """Integrated gradients of every node of a kind.

    Args:
        runs: the captured runs.
        kind: see `nodes.KINDS`.
        by: see `nodes.cut_of`.
        path: `"activation"` moves all nodes of the kind in one layer together, and what
            follows with them: `steps` runs from each layer on. Where these nodes cut the
            model, as a layer's stream does, their estimates add up to the whole change of
            the metric. `"input"` moves the embedding: `steps` runs in all, kept for all
            kinds; a node's own change is still that between the two runs.
        steps: number of points.

    Raises:
        ValueError: if `steps` is no number from 1 on or the path is unknown; if the kind
            is unknown, cannot be cut that way, or is not in this model; if the metric
            cannot be differentiated; if the decoder does not cover the model; for an
            ablation along the input.
    """
    return whole(ig_slices(runs, kind, by, path=path, steps=steps))


def ig_slices(
    runs: Runs,
    kind: str,
    by: str | None = None,
    *,
    path: Path = "activation",
    steps: int = 5,
) -> Slices[Grid]:
    """`ig`, of which a slice is one layer of the runs of some of the points, or less."""
    kind, by = kind_name(kind), cut_of(kind, by)
    if path not in ("activation", "input"):
        raise ValueError(f"unknown path {path!r}: choose 'activation' or 'input'")
    check_steps(steps)
    decoder = require_decoder(runs, "ig")
    runs.require(kind)
    if path == "input":
        if runs.ablation is not None:
            raise ValueError(
                "path='input' goes to another prompt, and an ablation has none: "
                "choose path='activation'"
            )
        gradients = yield from runs.once_in_slices(
            ("ig", path, steps),
            lambda: _mean_gradients(runs, decoder, _EMBEDDING, steps),
        )
        passes = float(steps)
    else:
        gradients = yield from runs.once_in_slices(
            ("ig", kind, steps), lambda: _layer_by_layer(runs, decoder, kind, steps)
        )
        # The runs of layer l have n_layers - l of the layers.
        passes = steps * (runs.extent.n_layers + 1) / 2
    changes = (
        node_steps(runs, kind, by, layer) for layer in range(runs.extent.n_layers)
    )
    name, cost = "ig" if path == "activation" else "ig_input", Cost(2 + passes, passes)
    return (yield from met(runs, kind, by, changes, gradients, method=name, cost=cost))


def check_steps(steps: int) -> None:
    """Refuse what is no number of points.

    Raises:
        ValueError: if it is not a whole number of at least 1.
    """
    if isinstance(steps, bool) or not hasattr(steps, "__index__") or steps < 1:
        raise ValueError(
            f"steps must be a whole number of at least 1, got steps={steps!r}"
        )


def _layer_by_layer(
    runs: Runs, decoder: Decoder, kind: str, steps: int
) -> Slices[Activations]:
    """At one kind in every layer, each while that layer's own values are moved."""
    found: Activations = {}
    for layer in range(runs.extent.n_layers):
        found |= yield from _mean_gradients(
            runs, decoder, (kind, layer), steps, only=True
        )
    return found


def _mean_gradients(
    runs: Runs,
    decoder: Decoder,
    place: tuple[str, int],
    steps: int,
    *,
    only: bool = False,
) -> Slices[Activations]:
    """Gradients while the value at one place goes from base to source, their mean.

    Args:
        runs: the captured runs.
        decoder: theirs.
        place: what is moved; all that follows is computed anew.
        steps: number of points on the way.
        only: whether the gradient is wanted there only, or at every site after it too.
    """
    base, source = runs.base.values[place], runs.source.values[place]
    mean: Activations = {}
    for way in _ways(steps, at_once(runs), base):
        points = base + way.reshape(-1, *[1] * base.dim()) * (source - base)
        found = yield from computed(
            _gradients(runs, decoder, place, points, only=only), grad=True
        )
        for _, sites in groupby(list(found), key=itemgetter(1)):
            for where in sites:
                gradients = torch.unflatten(found.pop(where), 0, points.shape[:2])
                share = gradients.sum(0) / steps
                mean[where] = mean[where] + share if where in mean else share
            yield
    return mean


def _ways(steps: int, size: int, like: Tensor) -> Iterator[Tensor]:
    """How far along the path the points lie, as many at once as a batch holds."""
    yield from torch.split(middles(steps, like), size)


def middles(steps: int, like: Tensor) -> Tensor:
    """The middles of equal steps from 0 to 1, `[steps]`."""
    # Apple's devices have no double precision.
    ways = torch.arange(steps, device="cpu", dtype=torch.float64) + 0.5
    return (ways / steps).to(like.dtype).to(like.device)


def _gradients(
    runs: Runs,
    decoder: Decoder,
    place: tuple[str, int],
    points: Tensor,
    *,
    only: bool,
) -> Slices[Activations]:
    """Gradients at a place `[n * B, ...]`, or from it on, with given values `[n, B, ...]`."""
    copies, layer = len(points), place[1]
    probes: Activations = {}

    def tap(site: str, number: int, value: Tensor) -> Tensor:
        if (site, number) == place:
            value = points.flatten(0, 1).detach().requires_grad_(True)
            probes[place] = value
        elif probes and (not only or site == "resid_post"):
            probes[site, number] = value
        return value

    stream = runs.base.values["resid_pre", layer]
    stream = stream.repeat(copies, *[1] * (stream.dim() - 1))
    readout = yield from decoder.resuming(stream, layer, "resid_pre", tap)
    found = yield from differentiated(probes, readout, runs.metric, copies)
    return {place: found[place]} if only else found
