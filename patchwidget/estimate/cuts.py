"""Gradients on the base run with the writes of one layer cut.

A *cut* keeps what a layer, or its attention or MLP alone, writes to the stream at its
base value: no gradient comes back through it, while the stream goes by. What follows
the cut has the gradient it had; what is cut has none; only what comes before it needs a
backward, from where the stream went by down to the embedding. So the cuts of all L
layers take (L - 1) / 2 full backwards, from one graph of the base run, and give what L
runs with a layer cut would give.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import torch

from patchwidget.decoder import Weights
from patchwidget.decoder.weights import Layer
from patchwidget.runs import Activations

Place = tuple[str, int]
ATTENTION = ("q", "k", "v", "pattern", "z", "attn_out")
MLP = ("neuron", "mlp_out")


@dataclass(frozen=True)
class Cut:
    """One cut.

    Attributes:
        layer: where it is.
        silenced: the layer's sites that are left without a gradient.
        reentry: sites at which the gradient that goes by comes back in, each with the
            site whose plain gradient that is.
        before: sites of the same layer that come before the cut, if there are any.
        passed: how much of a full backward it takes.
    """

    layer: int
    silenced: Collection[str]
    reentry: Mapping[str, str]
    before: Collection[str]
    passed: float

    def spares(self, site: str, layer: int) -> bool:
        """Whether a site keeps its plain gradient."""
        own = layer == self.layer
        here = own and site not in self.silenced and site not in self.before
        return here or layer > self.layer

    def reaches(self, site: str, layer: int) -> bool:
        """Whether a site comes before the cut, so that its gradient is another."""
        own = layer == self.layer and site in self.before
        return own or layer < self.layer


def layer_cuts(weights: Weights) -> list[Cut]:
    """Cuts of all that a layer writes (AtP*, arXiv 2403.00745, eq. 11)."""
    n_layers = len(weights.layers)
    return [
        Cut(
            layer, (*ATTENTION, *MLP), {"resid_pre": "resid_post"}, (), layer / n_layers
        )
        for layer in range(n_layers)
    ]


def sublayer_cuts(weights: Weights) -> list[Cut]:
    """Cuts of what attention and what the MLP writes, one at a time: not eq. 11."""
    halves = [list(_halves(layer)) for layer in weights.layers]
    n_writes, before = sum(map(len, halves)), 0
    cuts = []
    for number, half_of_layer in enumerate(halves):
        for silenced, reentry, upstream in half_of_layer:
            # The other write of the layer is passed where the gradient comes through it.
            passed = before + (1 if upstream or len(reentry) > 1 else 0)
            cuts.append(Cut(number, silenced, reentry, upstream, passed / n_writes))
        before += len(half_of_layer)
    return cuts


_Half = tuple[tuple[str, ...], dict[str, str], tuple[str, ...]]


def _halves(layer: Layer) -> Iterator[_Half]:
    """`silenced`, `reentry` and `before` of the cuts of one layer."""
    if layer.mlp is None:
        yield ATTENTION, {"resid_pre": "resid_post"}, ()
    elif layer.parallel:
        # The stream goes by, and so does what the other half writes.
        stream = {"resid_pre": "resid_post"}
        yield ATTENTION, {**stream, "mlp_out": "resid_post"}, ()
        yield MLP, {**stream, "attn_out": "resid_post"}, ()
    else:
        yield ATTENTION, {"resid_pre": "resid_mid"}, ()
        yield MLP, {"resid_mid": "resid_post"}, ATTENTION


CUTS: dict[str, Callable[[Weights], list[Cut]]] = {
    "layer": layer_cuts,
    "sublayer": sublayer_cuts,
}


def cut_gradients(
    cut: Cut, graph: Activations, plain: Activations, wanted: Collection[Place]
) -> Iterator[tuple[int, Activations]]:
    """Gradients under a cut at the places `wanted` that it reaches, layer by layer.

    From the cut's own layer, of which some sites may come before it, down to layer 0.

    Args:
        cut: what is cut.
        graph: sites of a run with the graph between them, which is kept.
        plain: gradients without a cut.
        wanted: sites and layers.
    """
    ends = [graph[site, cut.layer] for site in cut.reentry]
    behind = [plain[site, cut.layer] for site in cut.reentry.values()]
    for layer in range(cut.layer, -1, -1):
        own = [place for place in wanted if place[1] == layer and cut.reaches(*place)]
        start = "resid_pre", layer
        # Nobody asks for the stream before layer 0.
        asked = [*own, start] if layer else own
        if asked:
            values = [graph[place] for place in asked]
            grads = torch.autograd.grad(ends, values, behind, retain_graph=True)
            found = dict(zip(asked, grads, strict=True))
            if layer:
                ends, behind = [graph[start]], [found[start]]
            yield layer, {place: found[place] for place in own}
