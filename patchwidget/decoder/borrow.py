"""Reading a decoder's weights off the user's model, whichever class it is.

Both classes name their matrices alike; where norms, rotations and windows are found is
what differs, and is said once for each class.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from patchwidget.decoder import native
from patchwidget.decoder.bridge import BridgeParts
from patchwidget.decoder.hooked import HookedParts
from patchwidget.decoder.weights import (
    ACTIVATIONS,
    IN_PLACE,
    Attention,
    Layer,
    Mlp,
    Norm,
    Rotary,
    Weights,
)


class Parts(Protocol):
    """Where one class of models keeps what the other keeps elsewhere."""

    def check(self) -> None:
        """Refuse an architecture that is not covered: raises UncoveredError."""
        ...

    def norm(self, module: Any) -> Norm | None:
        """A norm's parameters; None for a module that does nothing."""
        ...

    def key_value(self, attn: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`W_K, b_K, W_V, b_V` with KV heads first."""
        ...

    def scale(self, layer: int) -> float:
        """Factor of the attention scores."""
        ...

    def rotary(self, layer: int) -> Rotary | None:
        """Rotation of queries and keys."""
        ...

    def window(self, layer: int) -> int | None:
        """Positions that attention sees."""
        ...

    def embed_scale(self) -> float:
        """Factor of the token embedding."""
        ...


def parts_of(model: Any) -> Parts:
    """How to read a model of its class.

    Raises:
        TypeError: if the model is neither class.
    """
    if model_class(model) == "HookedTransformer":
        return HookedParts(model)
    if getattr(model.cfg, "architecture", None) == native.ARCHITECTURE:
        return native.NativeParts(model)
    return BridgeParts(model)


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


def borrow(model: Any) -> Weights:
    """The weights of a `HookedTransformer` or a `TransformerBridge`.

    Raises:
        UncoveredError: if the architecture is not one that the decoder computes.
    """
    parts = parts_of(model)
    parts.check()
    cfg = model.cfg
    with torch.no_grad():
        return Weights(
            W_E=model.W_E.detach(),
            W_pos=_positions(model),
            layers=tuple(
                _layer(parts, cfg, number, block)
                for number, block in enumerate(model.blocks)
            ),
            ln_final=parts.norm(getattr(model, "ln_final", None)),
            W_U=model.W_U.detach(),
            b_U=_bias(getattr(model, "b_U", None), model.W_U[0]),
            embed_scale=parts.embed_scale(),
            soft_cap=positive(getattr(cfg, "output_logits_soft_cap", None)),
        )


def _positions(model: Any) -> Tensor | None:
    if model.cfg.positional_embedding_type != "standard":
        return None
    W_pos: Tensor = model.W_pos
    return W_pos.detach()


def _layer(parts: Parts, cfg: Any, number: int, block: Any) -> Layer:
    mlp = getattr(block, "mlp", None)
    return Layer(
        ln1=parts.norm(block.ln1),
        attn=_attention(parts, cfg, number, block.attn),
        ln2=None if mlp is None else parts.norm(block.ln2),
        mlp=None if mlp is None else _mlp(mlp, cfg),
        ln1_post=parts.norm(getattr(block, "ln1_post", None)),
        ln2_post=parts.norm(getattr(block, "ln2_post", None)),
        parallel=bool(getattr(cfg, "parallel_attn_mlp", False)),
    )


def _attention(parts: Parts, cfg: Any, number: int, attn: Any) -> Attention:
    W_Q, W_O = attn.W_Q.detach(), attn.W_O.detach()
    W_K, b_K, W_V, b_V = parts.key_value(attn)
    return Attention(
        W_Q=W_Q,
        W_K=W_K.detach(),
        W_V=W_V.detach(),
        W_O=W_O,
        b_Q=_bias(attn.b_Q, W_Q[:, 0]),
        b_K=_bias(b_K, W_K[:, 0]),
        b_V=_bias(b_V, W_V[:, 0]),
        b_O=_bias(attn.b_O, W_O[0, 0]),
        scale=parts.scale(number),
        rotary=parts.rotary(number),
        q_norm=parts.norm(getattr(attn, "q_norm", None)),
        k_norm=parts.norm(getattr(attn, "k_norm", None)),
        soft_cap=positive(getattr(cfg, "attn_scores_soft_cap", None)),
        window=parts.window(number),
    )


def _mlp(mlp: Any, cfg: Any) -> Mlp:
    gate = getattr(mlp, "W_gate", None)
    return Mlp(
        W_in=mlp.W_in.detach(),
        b_in=_bias(mlp.b_in, mlp.W_in[0]),
        W_out=mlp.W_out.detach(),
        b_out=_bias(mlp.b_out, mlp.W_out[0]),
        act=ACTIVATIONS[cfg.act_fn],
        act_in_place=IN_PLACE[cfg.act_fn],
        W_gate=None if gate is None else gate.detach(),
    )


def _bias(bias: Tensor | None, like: Tensor) -> Tensor:
    """A bias; a missing one is zeros of the right shape."""
    return torch.zeros_like(like) if bias is None else bias.detach()


def positive(value: float | None) -> float | None:
    """A setting that TransformerLens writes as -1 where there is none."""
    return value if value is not None and value > 0 else None
