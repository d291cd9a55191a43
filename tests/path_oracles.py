"""What path estimates are held against: the decoder run from its tokens with one edit."""

from __future__ import annotations

import torch


def write_of(runs, writer):
    """Source minus base of what one writer adds to the stream."""

    def step(site, layer):
        return runs.source.values[site, layer] - runs.base.values[site, layer]

    if writer.part == "embed":
        return step("resid_pre", 0)
    if writer.part == "mlp":
        return step("mlp_out", writer.layer)
    attn = runs.engine.weights.layers[writer.layer].attn
    z = torch.zeros_like(runs.base.values["z", writer.layer])
    z[:, :, writer.head] = step("z", writer.layer)[:, :, writer.head]
    return torch.einsum("bthe,hed->btd", z, attn.W_O)


def edited_run(runs, change, reader, tokens_run=None):
    """The metric `[B]` when a change of the stream reaches one reader.

    Args:
        runs: the study's, in the precision that is wanted.
        change: `[B, T, d]`.
        reader: where it arrives.
        tokens_run: what runs the engine with a tap; the base run by default.
    """
    engine = runs.engine
    run = tokens_run or (lambda tap: engine.run(runs.base_tokens, tap))
    layer = reader.layer
    if reader.part == "final":
        last = runs.extent.n_layers - 1

        def at_end(site, number, value):
            return value + change if (site, number) == ("resid_post", last) else value

        return runs.metric.values(run(at_end))[0]
    site = "mlp_out" if reader.part == "mlp" else reader.part
    is_late = reader.part == "mlp" and not engine.weights.layers[layer].parallel
    before = "resid_mid" if is_late else "resid_pre"
    seen = []

    def disturb(where, number, value):
        if (where, number) == (site, layer):
            seen.append(value)
        return value + change if (where, number) == (before, layer) else value

    run(disturb)

    def put(where, number, value):
        if (where, number) != (site, layer):
            return value
        value = value.clone()
        index = ... if reader.part == "mlp" else (..., reader.head, slice(None))
        value[index] = seen[0][index]
        return value

    return runs.metric.values(run(put))[0]
