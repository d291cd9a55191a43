"""Models whose circuit is known, since it was built by hand: no norms, one feature an axis.

One token a prompt: a head that looks only at itself hands on what it reads. `RIGHT` has
both features, `NEITHER` none; the logit of `RIGHT` is the `OUT` axis.
"""

from __future__ import annotations

import torch
from toy_models import TL_MAJOR

from patchwidget import Pairs

A, B, SUM, OUT = range(4)
RIGHT, NEITHER, WRONG = 1, 2, 3
SHAPE = {
    "n_layers": 2,
    "n_heads": 3,
    "d_head": 2,
    "d_model": 4,
    "d_mlp": 2,
    "n_ctx": 4,
    "d_vocab": 5,
    "act_fn": "relu",
    "normalization_type": None,
    "device": "cpu",
}


def axis(*weighted):
    """A direction in the stream: `axis((A, 1), (SUM, -1))`."""
    found = torch.zeros(SHAPE["d_model"])
    for place, weight in weighted:
        found[place] = weight
    return found


def built(heads, neurons=()):
    """A model of two layers.

    Args:
        heads: {(layer, head): (direction read, direction written)}.
        neurons: of layer 0, (direction read, bias, direction written).
    """
    model = _empty()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for (layer, head), (reads, writes) in heads.items():
            _set_head(model, layer, head, reads, writes)
        for number, (reads, bias, writes) in enumerate(neurons):
            _set_neuron(model, number, reads, bias, writes)
        _set_ends(model)
    return model


def both_needed():
    """A and B: the neuron is on when both heads have written."""
    return built(two_heads(), [(axis((SUM, 1)), -1.0, axis((OUT, 1)))])


def either_suffices():
    """A or B: min(a + b, 1), of two neurons."""
    neurons = [
        (axis((SUM, 1)), 0.0, axis((OUT, 1))),
        (axis((SUM, 1)), -1.0, axis((OUT, -1))),
    ]
    return built(two_heads(), neurons)


def added_up():
    """A plus B."""
    return built(two_heads(), [(axis((SUM, 1)), 0.0, axis((OUT, 0.5)))])


def backed_up():
    """L0H0 writes the answer; L1H1 writes what is missing of it, L1H2 against it."""
    return built(
        {
            (0, 0): (axis((A, 1)), axis((OUT, 1))),
            (1, 1): (axis((A, 1), (OUT, -1)), axis((OUT, 1))),
            (1, 2): (axis((OUT, 1)), axis((OUT, -0.5))),
        }
    )


def built_pairs(n_pairs=2):
    clean = torch.full((n_pairs, 1), RIGHT)
    answers = torch.tensor([[RIGHT, WRONG]] * n_pairs)
    return Pairs(clean, torch.full_like(clean, NEITHER), answers=answers)


def two_heads():
    """Two heads of layer 0, each of which hands on one feature."""
    return {
        (0, 0): (axis((A, 1)), axis((SUM, 1))),
        (0, 2): (axis((B, 1)), axis((SUM, 1))),
    }


def _empty():
    if TL_MAJOR >= 4:
        from transformer_lens.model_bridge import TransformerBridge

        return TransformerBridge.boot_native(dict(SHAPE)).eval()
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    return HookedTransformer(HookedTransformerConfig(**SHAPE))


def _set_head(model, layer, head, reads, writes):
    attn, width = model.blocks[layer].attn, SHAPE["d_head"]
    if TL_MAJOR < 4:
        attn.W_V[head, :, 0], attn.W_O[head, 0] = reads, writes
        return
    attn.v.weight[head * width], attn.o.weight[:, head * width] = reads, writes


def _set_neuron(model, number, reads, bias, writes):
    mlp = model.blocks[0].mlp
    if TL_MAJOR < 4:
        mlp.W_in[:, number], mlp.b_in[number] = reads, bias
        mlp.W_out[number] = writes
        return
    into, out = getattr(mlp, "in"), mlp.out
    into.weight[number], into.bias[number] = reads, bias
    out.weight[:, number] = writes


def _set_ends(model):
    features = axis((A, 1), (B, 1))
    if TL_MAJOR < 4:
        model.W_E[RIGHT], model.W_U[OUT, RIGHT] = features, 1.0
        return
    original = model.original_model
    original.tok_embed.weight[RIGHT], original.head.weight[RIGHT, OUT] = features, 1.0
