"""The weights of a decoder, borrowed from the user's model.

Everything here is a view of the model's own parameters, detached so that no gradient is
ever recorded for them: a change of the model's weights shows here at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from patchwidget.nodes import Extent

Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: dict[str, Activation] = {
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
}


class UncoveredError(Exception):
    """The model has a part that the decoder does not know; the message names it."""


@dataclass(frozen=True)
class Norm:
    """A LayerNorm; without `weight` and `bias` one that is folded into what follows."""

    weight: Tensor | None
    bias: Tensor | None
    eps: float


@dataclass(frozen=True)
class Attention:
    """`W_Q [H, d, d_head]`, `W_K`, `W_V [H_kv, d, d_head]`, `W_O [H, d_head, d]`."""

    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    W_O: Tensor
    b_Q: Tensor
    b_K: Tensor
    b_V: Tensor
    b_O: Tensor
    scale: float

    @property
    def group(self) -> int:
        """Query heads that share one key and value head."""
        return self.W_Q.shape[0] // self.W_K.shape[0]


@dataclass(frozen=True)
class Mlp:
    """`W_in [d, d_mlp]`, `W_out [d_mlp, d]` and what lies between."""

    W_in: Tensor
    b_in: Tensor
    W_out: Tensor
    b_out: Tensor
    act: Activation


@dataclass(frozen=True)
class Layer:
    """One block: attention, then MLP, each reading the stream through its norm."""

    ln1: Norm
    attn: Attention
    ln2: Norm
    mlp: Mlp


@dataclass(frozen=True)
class Weights:
    """A whole decoder: `W_E [V, d]`, `W_pos [n_ctx, d]`, `W_U [d, V]`, `b_U [V]`."""

    W_E: Tensor
    W_pos: Tensor
    layers: tuple[Layer, ...]
    ln_final: Norm
    W_U: Tensor
    b_U: Tensor

    def extent(self, n_pos: int) -> Extent:
        """How many nodes of each kind there are on prompts of `n_pos` tokens."""
        first = self.layers[0]
        return Extent(
            n_layers=len(self.layers),
            n_heads=first.attn.W_Q.shape[0],
            n_kv_heads=first.attn.W_K.shape[0],
            n_pos=n_pos,
            d_mlp=first.mlp.W_in.shape[1],
        )


def borrow(model: Any) -> Weights:
    """The weights of a `HookedTransformer` or a `TransformerBridge`.

    Raises:
        UncoveredError: if the architecture is not one that the decoder computes.
    """
    _check_covered(model)
    with torch.no_grad():
        return Weights(
            W_E=model.W_E.detach(),
            W_pos=model.W_pos.detach(),
            layers=tuple(
                _layer(model.cfg, number, block)
                for number, block in enumerate(model.blocks)
            ),
            ln_final=_norm(model.ln_final, model.cfg.eps),
            W_U=model.W_U.detach(),
            b_U=_bias(model.b_U, model.W_U[0]),
        )


def _layer(cfg: Any, number: int, block: Any) -> Layer:
    return Layer(
        ln1=_norm(block.ln1, cfg.eps),
        attn=_attention(block.attn, _attention_scale(cfg, number)),
        ln2=_norm(block.ln2, cfg.eps),
        mlp=_mlp(block.mlp, cfg),
    )


def _norm(norm: Any, eps: float) -> Norm:
    # TransformerLens calls them w and b; its Bridge, as torch does, weight and bias.
    parameters = dict(norm.named_parameters())
    by_name = {name.rsplit(".", 1)[-1]: value for name, value in parameters.items()}
    weight = by_name.get("weight", by_name.get("w"))
    bias = by_name.get("bias", by_name.get("b"))
    return Norm(
        weight=None if weight is None else weight.detach(),
        bias=None if bias is None else bias.detach(),
        eps=float(eps),
    )


def _attention(attn: Any, scale: float) -> Attention:
    W_Q, W_K, W_V, W_O = (
        getattr(attn, name).detach() for name in ("W_Q", "W_K", "W_V", "W_O")
    )
    return Attention(
        W_Q=W_Q,
        W_K=W_K,
        W_V=W_V,
        W_O=W_O,
        b_Q=_bias(attn.b_Q, W_Q[:, 0]),
        b_K=_bias(attn.b_K, W_K[:, 0]),
        b_V=_bias(attn.b_V, W_V[:, 0]),
        b_O=_bias(attn.b_O, W_O[0, 0]),
        scale=scale,
    )


def _mlp(mlp: Any, cfg: Any) -> Mlp:
    return Mlp(
        W_in=mlp.W_in.detach(),
        b_in=_bias(mlp.b_in, mlp.W_in[0]),
        W_out=mlp.W_out.detach(),
        b_out=_bias(mlp.b_out, mlp.W_out[0]),
        act=ACTIVATIONS[cfg.act_fn],
    )


def _bias(bias: Tensor | None, like: Tensor) -> Tensor:
    """A bias; a missing one is zeros of the right shape."""
    return torch.zeros_like(like) if bias is None else bias.detach()


def _attention_scale(cfg: Any, layer: int) -> float:
    given = getattr(cfg, "attn_scale", -1.0)
    scale = 1.0
    if getattr(cfg, "use_attn_scale", True):
        scale = 1.0 / (given if given and given > 0 else cfg.d_head**0.5)
    if getattr(cfg, "scale_attn_by_inverse_layer_idx", False):
        scale /= layer + 1
    return scale


def model_class(model: Any) -> str:
    """`"HookedTransformer"` or `"TransformerBridge"`, also of a subclass.

    Raises:
        TypeError: if the model is neither.
    """
    # By name: importing both to compare would load TransformerLens, and 4.x raises.
    names = {cls.__name__ for cls in type(model).__mro__}
    for name in ("HookedTransformer", "TransformerBridge"):
        if name in names:
            return name
    raise TypeError(
        f"the model is a {type(model).__name__}; supported are TransformerLens' "
        "HookedTransformer (2.x, 3.x) and TransformerBridge (3.x, 4.x)"
    )


def _check_covered(model: Any) -> None:
    cfg = model.cfg
    if model_class(model) == "TransformerBridge":
        architecture = getattr(cfg, "architecture", None)
        if architecture != "GPT2LMHeadModel":
            raise UncoveredError(f"architecture {architecture}")
    wanted = {
        "normalization_type": ("LN", "LNPre"),
        "positional_embedding_type": ("standard",),
        "attention_dir": ("causal",),
        "act_fn": tuple(ACTIVATIONS),
        "attn_only": (False,),
        "gated_mlp": (False, None),
        "parallel_attn_mlp": (False,),
        "use_local_attn": (False,),
        "final_rms": (False,),
        "post_embedding_ln": (False,),
        "use_normalization_before_and_after": (False,),
        "attn_scores_soft_cap": (-1.0, None),
        "output_logits_soft_cap": (-1.0, None),
        "num_experts": (None,),
        "n_devices": (1, None),
    }
    for name, values in wanted.items():
        if hasattr(cfg, name) and getattr(cfg, name) not in values:
            raise UncoveredError(f"{name} = {getattr(cfg, name)!r}")
