"""The weights of a decoder, borrowed from the user's model.

Everything here is a view of the model's own parameters, detached so that no gradient is
ever recorded for them. Only the matrices of all heads side by side are copies, and only
where the model keeps its heads apart in memory (`HookedTransformer`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import pi, sqrt

import torch
from torch import Tensor
from torch.nn import functional

from patchwidget.nodes import Extent

Activation = Callable[[Tensor], Tensor]

_GELU_IN_PLACE: Callable[..., Tensor] = torch.ops.aten.gelu_  # torch has no other name
_IN_CACHE = 2**18  # numbers that stay near a processor's core from step to step


def _gelu_tanh_in_place(values: Tensor) -> Tensor:
    """GELU's tanh form (Hendrycks & Gimpel 2016) of values that are one block of memory.

    (1 + tanh(u)) / 2 is sigmoid(2u), which torch computes on a processor in a quarter of
    the time of its own tanh form; half precision would round at every step.
    """
    if values.device.type != "cpu" or values.element_size() < 4:
        return _GELU_IN_PLACE(values, approximate="tanh")
    slope = 2 * sqrt(2 / pi)
    start = values.new_tensor(slope)
    for part in torch.split(values.view(-1), _IN_CACHE):
        inner = torch.addcmul(start, part, part, value=0.044715 * slope)
        part.mul_(inner.mul_(part).sigmoid_())
    return values


# Without keeping what they are given: a large part of an MLP's time is moving memory.
IN_PLACE: dict[str, Activation] = {
    "gelu": _GELU_IN_PLACE,
    "gelu_new": _gelu_tanh_in_place,
    "gelu_pytorch_tanh": _gelu_tanh_in_place,
    "relu": torch.relu_,
    "silu": partial(functional.silu, inplace=True),
}
ACTIVATIONS: dict[str, Activation] = {
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
}


class UncoveredError(Exception):
    """The model has a part that the decoder does not know; the message names it."""


Table = Callable[[int], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Norm:
    """A LayerNorm or RMSNorm; without parameters one that is folded into what follows.

    Attributes:
        weight, bias: `[d]` or None.
        eps: added to the variance.
        centred: LayerNorm subtracts the mean first, RMSNorm does not.
        offset: added to the weight (1 in Gemma).
    """

    weight: Tensor | None
    bias: Tensor | None
    eps: float
    centred: bool = True
    offset: float = 0.0


@dataclass(frozen=True)
class Rotary:
    """Rotation of queries and keys by position, of the first features or all.

    Attributes:
        table: cosines and sines `[n_pos, dim]` for a number of positions.
        adjacent: pairs are neighbours (GPT-J) rather than halves (GPT-NeoX, Llama).
    """

    table: Table
    adjacent: bool


@dataclass(frozen=True)
class Attention:
    """`W_Q [H, d, d_head]`, `W_K`, `W_V [H_kv, d, d_head]`, `W_O [H, d_head, d]`.

    Attributes:
        scale: factor of the scores.
        rotary: rotation by position, or None.
        q_norm, k_norm: norms of each head's query and key, before the rotation.
        soft_cap: scores are pressed into (-soft_cap, soft_cap), or None.
        window: number of latest positions that are seen, or None for all.
    """

    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    W_O: Tensor
    b_Q: Tensor
    b_K: Tensor
    b_V: Tensor
    b_O: Tensor
    scale: float
    rotary: Rotary | None = field(default=None, kw_only=True)
    q_norm: Norm | None = field(default=None, kw_only=True)
    k_norm: Norm | None = field(default=None, kw_only=True)
    soft_cap: float | None = field(default=None, kw_only=True)
    window: int | None = field(default=None, kw_only=True)
    # Not for `dataclasses.replace` to hand on: what has other weights joins its own.
    _copies: dict[str, tuple[int, Tensor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def group(self) -> int:
        """Query heads that share one key and value head."""
        return self.W_Q.shape[0] // self.W_K.shape[0]

    # One product for all heads is twice as fast as one a head.
    @property
    def all_q(self) -> Tensor:
        """`W_Q` of all heads side by side, `[d, H * d_head]`."""
        return self._joined("q", self.W_Q, _side_by_side)

    @property
    def all_k(self) -> Tensor:
        """`W_K` of all KV heads side by side, `[d, H_kv * d_head]`."""
        return self._joined("k", self.W_K, _side_by_side)

    @property
    def all_v(self) -> Tensor:
        """`W_V` of all KV heads side by side, `[d, H_kv * d_head]`."""
        return self._joined("v", self.W_V, _side_by_side)

    @property
    def all_o(self) -> Tensor:
        """`W_O` of all heads one below the other, `[H * d_head, d]`."""
        return self._joined("o", self.W_O, _one_below_the_other)

    @property
    def adjacent_qkv(self) -> Tensor | None:
        """`all_q`, `all_k` and `all_v` side by side, if the model keeps them so."""
        parts = self.all_q, self.all_k, self.all_v
        row, one = parts[0].stride()
        start = parts[0].storage_offset()
        for part in parts:
            same = (
                part.untyped_storage().data_ptr()
                == parts[0].untyped_storage().data_ptr()
            )
            if not same or part.stride() != (row, 1) or part.storage_offset() != start:
                return None
            start += part.shape[1]
        width = start - parts[0].storage_offset()
        return parts[0].as_strided((len(parts[0]), width), (row, one))

    def _joined(
        self, name: str, weight: Tensor, join: Callable[[Tensor], Tensor]
    ) -> Tensor:
        # A copy where the model keeps heads apart: made again when the weight changed.
        version = weight._version  # noqa: SLF001 - torch's only way to see an in-place change
        if name not in self._copies or self._copies[name][0] != version:
            self._copies[name] = version, join(weight)
        return self._copies[name][1]


def _side_by_side(heads: Tensor) -> Tensor:
    return heads.transpose(0, 1).flatten(1)


def _one_below_the_other(heads: Tensor) -> Tensor:
    return heads.flatten(0, 1)


@dataclass(frozen=True)
class Mlp:
    """`W_in [d, d_mlp]`, `W_out [d_mlp, d]`, and `W_gate [d, d_mlp]` if it is gated."""

    W_in: Tensor
    b_in: Tensor
    W_out: Tensor
    b_out: Tensor
    act: Activation
    act_in_place: Activation
    W_gate: Tensor | None = None


@dataclass(frozen=True)
class Layer:
    """One block: attention and MLP, each reading the stream through its norm.

    Attributes:
        ln1, ln2: norms of what is read; None where there are none.
        mlp: None in attention-only models.
        ln1_post, ln2_post: norms of what is written (Gemma), or None.
        parallel: the MLP reads the same stream as attention.
    """

    ln1: Norm | None
    attn: Attention
    ln2: Norm | None
    mlp: Mlp | None
    ln1_post: Norm | None = None
    ln2_post: Norm | None = None
    parallel: bool = False


@dataclass(frozen=True)
class Weights:
    """A whole decoder.

    Attributes:
        W_E: `[V, d]`, multiplied by `embed_scale`.
        W_pos: `[n_ctx, d]`, or None.
        W_U, b_U: `[d, V]`, `[V]`.
        soft_cap: logits are pressed into (-soft_cap, soft_cap), or None.
    """

    W_E: Tensor
    W_pos: Tensor | None
    layers: Sequence[Layer]
    ln_final: Norm | None
    W_U: Tensor
    b_U: Tensor
    embed_scale: float = 1.0
    soft_cap: float | None = None

    def extent(self, n_pos: int) -> Extent:
        """How many nodes of each kind there are on prompts of `n_pos` tokens."""
        first = self.layers[0]
        return Extent(
            n_layers=len(self.layers),
            n_heads=first.attn.W_Q.shape[0],
            n_kv_heads=first.attn.W_K.shape[0],
            n_pos=n_pos,
            d_mlp=0 if first.mlp is None else first.mlp.W_in.shape[1],
        )
