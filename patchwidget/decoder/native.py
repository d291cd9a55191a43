"""How a `TransformerBridge` made by `boot_native` (TransformerLens 4.x) keeps its parts.

It wraps TransformerLens' own small model instead of a Hugging Face one, and its own
configuration is the authority.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from patchwidget.decoder.bridge import BridgeParts
from patchwidget.decoder.weights import ACTIVATIONS, Norm, Rotary, UncoveredError

ARCHITECTURE = "TransformerLensNative"


@dataclass(frozen=True)
class NativeParts(BridgeParts):
    """See `borrow.Parts`."""

    def check(self) -> None:
        """Refuse settings that the decoder does not know."""
        cfg = self.model.cfg
        if cfg.attention_dir != "causal":
            raise UncoveredError(f"attention_dir = {cfg.attention_dir!r}")
        if not cfg.attn_only and cfg.act_fn not in ACTIVATIONS:
            raise UncoveredError(f"activation {cfg.act_fn}")

    def norm(self, module: Any) -> Norm | None:
        """The class name tells the kind; two kinds have no parameters."""
        inner = getattr(module, "original_component", module)
        if inner is None or isinstance(inner, nn.Identity):
            return None
        weight, bias = getattr(inner, "weight", None), getattr(inner, "bias", None)
        return Norm(
            weight=None if weight is None else weight.detach(),
            bias=None if bias is None else bias.detach(),
            eps=float(inner.eps),
            centred="RMS" not in type(inner).__name__,
        )

    def scale(self, layer: int) -> float:
        """The model divides by a number of its own."""
        return 1.0 / float(self.model.blocks[layer].attn.original_component.scale)

    def rotary(self, layer: int) -> Rotary | None:
        """The model keeps the tables for its whole context."""
        module = self.model.blocks[layer].attn.original_component.rotary
        if module is None:
            return None

        def table(n_pos: int) -> tuple[Tensor, Tensor]:
            return module.cos_cached[:n_pos], module.sin_cached[:n_pos]

        return Rotary(table, adjacent=True)

    def window(self, layer: int) -> int | None:  # noqa: ARG002 - the protocol's form
        """Every layer sees all."""
        return None

    def embed_scale(self) -> float:
        """Already in the embedding."""
        return 1.0
