"""Direct effects by brute force: a run in which every later write is frozen."""

from __future__ import annotations

import pytest
import torch

from patchwidget.verify import self_repair


def frozen_run(runs, edits):
    """The effect when some values are edited and every later write is the base run's."""
    ((place, first),) = edits
    own = "mlp_out" if place != "resid_pre" else "attn_out", "mlp_out"

    def tap(site, layer, value):
        if (site, layer) in edits:
            return edits[site, layer](value)
        comes_later = layer > first or (layer == first and site in own)
        if site in ("attn_out", "mlp_out") and comes_later:
            return runs.base.values[site, layer]
        return value

    with torch.no_grad():
        readout = runs.engine.run(runs.base_tokens, tap)
        values = runs.metric.values(readout)[0]
    return float(runs.scale.shown(values - runs.scale.base).mean())


def patched_values(runs, node):
    """Every site of the run with one node patched."""
    values = {}

    def tap(site, layer, value):
        if (site, layer) == (node.kind, node.layer):
            value = value.clone()
            value[node.index] = runs.source.values[site, layer][node.index]
        values[site, layer] = value
        return value

    with torch.no_grad():
        runs.engine.run(runs.base_tokens, tap)
    return values


def put(runs, node):
    source = runs.source.values[node.kind, node.layer]

    def edit(value):
        value = value.clone()
        value[node.index] = source[node.index]
        return value

    return edit


def assert_direct_effects(runs, node):
    """Of the node itself, and of every head of the layers after it."""
    found = self_repair(runs, node)
    expected = frozen_run(runs, {(node.kind, node.layer): put(runs, node)})
    assert found.own == pytest.approx(expected, rel=1e-9, abs=1e-11)
    patched = patched_values(runs, node)
    extent = runs.extent
    assert set(found.heads) == {
        (layer, head)
        for layer in range(node.layer + 1, extent.n_layers)
        for head in range(extent.n_heads)
    }
    for (layer, head), effect in found.heads.items():

        def own_z(value, layer=layer, head=head):
            value = value.clone()
            value[:, :, head] = patched["z", layer][:, :, head]
            return value

        expected = frozen_run(runs, {("z", layer): own_z})
        assert effect == pytest.approx(expected, rel=1e-9, abs=1e-11), (layer, head)
