"""How a `HookedTransformer` (TransformerLens 2.x, 3.x) keeps its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from patchwidget.decoder.weights import ACTIVATIONS, Norm, Rotary, UncoveredError

# Settings that change what is computed, and the values that the decoder knows.
_KNOWN: dict[str, tuple[object, ...]] = {
    "normalization_type": ("LN", "LNPre", "RMS", "RMSPre", None),
    "positional_embedding_type": ("standard", "rotary"),
    "attention_dir": ("causal",),
    "act_fn": (*ACTIVATIONS, None),
    "post_embedding_ln": (False,),
    "num_experts": (None,),
    "n_devices": (1,),
    "use_hook_tokens": (False,),
}


@dataclass(frozen=True)
class HookedParts:
    """See `borrow.Parts`."""

    model: Any

    def check(self) -> None:
        """Refuse settings that the decoder does not know."""
        for name, values in _KNOWN.items():
            value = getattr(self.model.cfg, name, values[0])
            if value not in values:
                raise UncoveredError(f"{name} = {value!r}")

    def norm(self, module: Any) -> Norm | None:
        """`w`, `b` and the class name tell what kind of norm it is."""
        name = type(module).__name__
        if module is None or name == "Identity":
            return None
        weight, bias = getattr(module, "w", None), getattr(module, "b", None)
        return Norm(
            weight=None if weight is None else weight.detach(),
            bias=None if bias is None else bias.detach(),
            eps=float(module.eps),
            centred=name.startswith("LayerNorm"),
        )

    def key_value(self, attn: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """With grouped queries the properties repeat the heads; the parameters do not."""
        if hasattr(attn, "_W_K"):
            names = ("_W_K", "_b_K", "_W_V", "_b_V")
            W_K, b_K, W_V, b_V = (getattr(attn, name) for name in names)
            return W_K, b_K, W_V, b_V
        return attn.W_K, attn.b_K, attn.W_V, attn.b_V

    def scale(self, layer: int) -> float:
        """The model has worked it out, layer by layer."""
        attn = self.model.blocks[layer].attn
        return 1.0 / float(attn.attn_scale)

    def rotary(self, layer: int) -> Rotary | None:
        """The model keeps the tables for its whole context."""
        cfg = self.model.cfg
        if cfg.positional_embedding_type != "rotary":
            return None
        attn = self.model.blocks[layer].attn

        def table(n_pos: int) -> tuple[Tensor, Tensor]:
            return attn.rotary_cos[:n_pos], attn.rotary_sin[:n_pos]

        return Rotary(table, adjacent=bool(cfg.rotary_adjacent_pairs))

    def window(self, layer: int) -> int | None:
        """Local layers see a window."""
        cfg = self.model.cfg
        local = cfg.use_local_attn and cfg.attn_types[layer] == "local"
        return int(cfg.window_size) if local else None

    def embed_scale(self) -> float:
        """Already in the embedding."""
        return 1.0
