"""Runs in float64, and the metric when values are moved: what gradients are held to.

The oracle runs the whole decoder from its tokens with one edit: it shares with the
estimates neither resumed runs, nor batches of copies, nor autograd.
"""

from __future__ import annotations

import torch

CUTS = [
    *((kind, None) for kind in ("resid_pre", "resid_mid", "resid_post")),
    *((kind, None) for kind in ("attn_out", "mlp_out", "z", "q", "k", "v")),
    *((kind, "pos") for kind in ("z", "q", "k", "v")),
    *(("pattern", by) for by in (None, "dest", "dest_src")),
    ("neuron", None),
]


def counted(engine):
    """The same decoder, and a list to which it adds the rows of each layer it runs."""
    rows = []

    class Counting(type(engine)):
        def _block(self, weights, layer, stream, tap, scope):
            rows.append(len(stream))
            return super()._block(weights, layer, stream, tap, scope)

    return Counting(engine.weights, engine.rules), rows


def metric_with(runs, edits, engine=None):
    """The metric `[B]` when values are edited: {(site, layer): old value -> new}."""

    def tap(site, layer, value):
        return edits.get((site, layer), lambda same: same)(value)

    readout = (engine or runs.engine).run(runs.base_tokens, tap)
    return runs.metric.values(readout)[0]


def change_at(runs, node):
    """Source minus base at one node, zero elsewhere in its layer's tensor."""
    place = node.kind, node.layer
    step = runs.source.values[place] - runs.base.values[place]
    change = torch.zeros_like(step)
    change[node.index] = step[node.index]
    return change


def some(nodes, at_most=4):
    """A few of many nodes, the first and the last among them."""
    nodes = list(nodes)
    return [*nodes[: -1 : max(1, -(-len(nodes) // at_most))], nodes[-1]]


def at(grid, node):
    """A node's raw values `[B]`."""
    return grid.raw[(slice(None), *node.cell)]
