"""What readers make of the stream: their values, and the gradient at their inputs.

A reader's input is the stream before its own norm. The gradient there is pulled back from
the reader's value through its weights and the norm as a whole: mean, scale and all. (Where
a norm's scale is held constant instead, paths are not what a small change of the stream
really does.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from patchwidget.decoder import Decoder, blocks
from patchwidget.decoder.weights import Layer, Mlp, Norm
from patchwidget.paths.ends import HEAD_PARTS
from patchwidget.runs import computing

Values = Mapping[tuple[str, int], Tensor]


def stream_read(part: str, block: Layer) -> str:
    """The site of the stream that a part of a layer reads."""
    return "resid_mid" if part == "mlp" and not block.parallel else "resid_pre"


def read(block: Layer, part: str, stream: Tensor) -> Tensor:
    """The value of a part, for all its heads: `[N, t, H, d_head]`; of an MLP its output.

    Args:
        block: the layer.
        part: `"q"`, `"k"`, `"v"` or `"mlp"`.
        stream: `[N, t, d]`.
    """
    if part == "mlp":
        mlp = cast("Mlp", block.mlp)
        active = blocks.neurons(mlp, blocks.normalise(block.ln2, stream))
        return blocks.normalise(block.ln2_post, blocks.excite(mlp, active))
    attn = block.attn
    weight, bias = {
        "q": (attn.all_q, attn.b_Q),
        "k": (attn.all_k, attn.b_K),
        "v": (attn.all_v, attn.b_V),
    }[part]
    return blocks.project(blocks.normalise(block.ln1, stream), weight, bias)


def head_gradients(
    decoder: Decoder, values: Values, gradients: Values, layer: int, span: slice
) -> Tensor:
    """Gradients at the inputs of a layer's q, then k, then v, `[B, heads, t, d]`.

    Args:
        decoder: the model's.
        values: every site of the run that was differentiated.
        gradients: of the metric, at its sites.
        layer: the layer.
        span: the positions that are wanted.
    """
    block = decoder.weights.layers[layer]
    attn = block.attn
    weights = {"q": attn.W_Q, "k": attn.W_K, "v": attn.W_V}
    behind = [
        torch.einsum("bthe,hde->bhtd", gradients[part, layer][:, span], weights[part])
        for part in HEAD_PARTS
    ]
    stream = values["resid_pre", layer][:, span]
    return _through_norm(block.ln1, stream, torch.cat(behind, 1))


def mlp_gradient(
    decoder: Decoder, values: Values, gradients: Values, layer: int, span: slice
) -> Tensor:
    """Gradient at the input of a layer's MLP, `[B, 1, t, d]`; see `head_gradients`."""
    block = decoder.weights.layers[layer]
    stream = values[stream_read("mlp", block), layer][:, span]
    with computing(grad=True):
        stream = stream.detach().requires_grad_(True)
        normal = blocks.normalise(block.ln2, stream)
        active = blocks.neurons(cast("Mlp", block.mlp), normal)
        behind = gradients["neuron", layer][:, span]
        (found,) = torch.autograd.grad(active, stream, behind)
    return found[:, None]


def _through_norm(norm: Norm | None, stream: Tensor, behind: Tensor) -> Tensor:
    """Gradients before a norm `[B, n, t, d]` from those behind it."""
    if norm is None:
        return behind
    with computing(grad=True):
        each = stream[:, None].expand_as(behind).detach().requires_grad_(True)
        (found,) = torch.autograd.grad(blocks.normalise(norm, each), each, behind)
    return found
