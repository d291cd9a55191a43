"""Relevance patching: attribution patching with other rules in the backward.

Rezaei Jafari, Eberle, Khakzar and Nanda (arXiv 2508.21258) replace the gradient by
coefficients of layer-wise relevance propagation. Three rules, each with the model's own
values and another gradient:

- a norm is `x - mean` over a scale that is held constant (LN-rule);
- an activation is `x` times `act(x) / x`, held constant (identity rule);
- of a gated product each factor gets half (half rule).

Their rule that holds attention patterns constant is left out, as in their own figures:
the softmax, the product of pattern and values, and soft caps keep their gradient.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from patchwidget.decoder import Decoder, Rules, blocks
from patchwidget.decoder.weights import Activation, Attention, Mlp, Norm
from patchwidget.estimate.coverage import require_decoder
from patchwidget.estimate.first_order import ONE_BACKWARD, met
from patchwidget.estimate.gradients import base_gradients
from patchwidget.estimate.steps import node_steps
from patchwidget.grids import Grid
from patchwidget.nodes import STREAM_KINDS, cut_of, kind_name
from patchwidget.runs import Activations, Runs
from patchwidget.slices import Slices, whole

KINDS = (*STREAM_KINDS, "z", "v", "neuron")


def relp(runs: Runs, kind: str, by: str | None = None) -> Grid:
    """Estimates from the backward under RelP's rules: one for all kinds together.

    Published are the stream, `attn_out` and `mlp_out`. `z`, `v` and `neuron` are derived
    from them: only linear steps (and a post-norm, with the norm's rule) lie between a
    node and what its layer writes. Norms of queries and keys get the norm's rule too.

    Raises:
        ValueError: for `q`, `k` and `pattern`; if the kind is unknown, cannot be cut that
            way, or is not in this model; if the metric's gradient vanishes on the base
            run; if the decoder does not cover the model.
    """
    return whole(relp_slices(runs, kind, by))


def relp_slices(runs: Runs, kind: str, by: str | None = None) -> Slices[Grid]:
    """`relp` slice by slice: see `first_order`."""
    kind, by = kind_name(kind), cut_of(kind, by)
    decoder = require_decoder(runs, "relp")
    if kind not in KINDS:
        raise ValueError(
            f"relp is not defined for {kind}: its rules leave the softmax as it is or hold "
            f"the pattern constant. Choose one of {', '.join(KINDS)}, or 'atp'"
        )
    runs.require(kind)
    relevance = yield from runs.once_in_slices(
        "relp", lambda: _relevance(runs, decoder)
    )
    steps = (node_steps(runs, kind, by, layer) for layer in range(runs.extent.n_layers))
    return (
        yield from met(
            runs, kind, by, steps, relevance, method="relp", cost=ONE_BACKWARD
        )
    )


def _relevance(runs: Runs, decoder: Decoder) -> Slices[Activations]:
    """What takes the gradient's place, at every site."""
    return base_gradients(replace(runs, engine=replace(decoder, rules=Relevance())))


class Relevance(Rules):
    """RelP's rules; every value is the model's own to rounding.

    Example:
        >>> from patchwidget import demo
        >>> from patchwidget.decoder import Decoder
        >>> model = demo.load_model()
        >>> decoder = Decoder(Decoder.of(model).weights, Relevance())
        >>> tokens = model.to_tokens("Then Mary gave the ring to")
        >>> bool((decoder.run(tokens).logits() - model(tokens)).abs().max() < 1e-3)
        True
    """

    def normalise(self, norm: Norm | None, stream: Tensor) -> Tensor:
        """Linear in the stream: the scale is held."""
        if norm is None:
            return stream
        # Of the same norm without parameters: centred / scale. Half precision is
        # widened as in the norm itself.
        wide = stream.float() if stream.dtype.itemsize < 4 else stream
        centred = wide - wide.mean(-1, keepdim=True) if norm.centred else wide
        scale = (centred.pow(2).mean(-1, keepdim=True) + norm.eps).rsqrt()
        normal = centred * scale.detach()
        if norm.weight is not None:
            normal = normal * (norm.weight.to(wide.dtype) + norm.offset)
        if norm.bias is not None:
            normal = normal + norm.bias.to(wide.dtype)
        return normal.to(stream.dtype)

    def attend(self, attn: Attention, q: Tensor, k: Tensor, first: int) -> Tensor:
        """The softmax's own gradient; queries and keys through the norm's rule."""
        q, k = self.normalise(attn.q_norm, q), self.normalise(attn.k_norm, k)
        return blocks.attend(replace(attn, q_norm=None, k_norm=None), q, k, first)

    def neurons(self, mlp: Mlp, stream: Tensor) -> Tensor:
        """Activations in proportion to their input; half the gradient of a product."""
        linear = replace(mlp, act=partial(proportional, mlp.act))
        active = blocks.neurons(linear, stream)
        return active if mlp.W_gate is None else (active + active.detach()) / 2


def proportional(act: Activation, value: Tensor) -> Tensor:
    """`act(value)` as `value` times a constant; at 0 the constant is the limit there."""
    near = value.detach().masked_fill(value == 0, torch.finfo(value.dtype).eps)
    return value * (act(near) / near)
