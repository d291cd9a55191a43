"""How a `TransformerBridge` (TransformerLens 3.x, 4.x) keeps its parts.

It wraps a Hugging Face model, whose configuration is the authority: the Bridge's own
leaves rotation, windows and query scales at their defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from patchwidget.decoder.weights import ACTIVATIONS, Norm, Rotary, UncoveredError

COVERED = (
    "GPT2LMHeadModel",
    "OPTForCausalLM",
    "GPTNeoXForCausalLM",
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "Gemma2ForCausalLM",
    "Gemma3ForCausalLM",
)


@dataclass(frozen=True)
class BridgeParts:
    """See `borrow.Parts`."""

    model: Any

    @property
    def _config(self) -> Any:
        return self.model.original_model.config

    def check(self) -> None:
        """Refuse architectures that the decoder does not know."""
        architecture = getattr(self.model.cfg, "architecture", None)
        if architecture not in COVERED:
            raise UncoveredError(f"architecture {architecture}")
        if self.model.cfg.act_fn not in ACTIVATIONS:
            raise UncoveredError(f"activation {self.model.cfg.act_fn}")
        if not getattr(self._config, "do_layer_norm_before", True):
            raise UncoveredError("a norm after each half of a block")
        if getattr(self._config, "word_embed_proj_dim", None) not in (
            None,
            self.model.cfg.d_model,
        ):
            raise UncoveredError("a projection between embedding and stream")

    def norm(self, module: Any) -> Norm | None:
        """The wrapped module's own parameters."""
        inner = getattr(module, "original_component", module)
        if inner is None:
            return None
        weight, bias = getattr(inner, "weight", None), getattr(inner, "bias", None)
        centred = isinstance(inner, torch.nn.LayerNorm)
        return Norm(
            weight=None if weight is None else weight.detach(),
            bias=None if bias is None else bias.detach(),
            eps=_epsilon(inner),
            centred=centred,
            offset=1.0 if "Gemma" in type(inner).__name__ else 0.0,
        )

    def key_value(self, attn: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The properties have KV heads."""
        return attn.W_K, attn.b_K, attn.W_V, attn.b_V

    def scale(self, layer: int) -> float:
        """Gemma scales by its own number, GPT-2 may divide by the layer."""
        inner = self.model.blocks[layer].attn.original_component
        scaling = getattr(inner, "scaling", None)
        if isinstance(scaling, float):
            return scaling
        scale: float = self.model.cfg.d_head**-0.5
        if not getattr(self._config, "scale_attn_weights", True):
            scale = 1.0
        if getattr(self._config, "scale_attn_by_inverse_layer_idx", False):
            scale /= layer + 1
        return scale

    def rotary(self, layer: int) -> Rotary | None:
        """The Hugging Face model's own module makes the tables, whatever its scaling."""
        module = self._rotary_module()
        if module is None:
            return None
        like = self.model.W_E.detach()[:1, None]
        kind = self._layer_type(layer)
        per_kind = hasattr(module, "full_attention_inv_freq") or hasattr(
            module, "sliding_attention_inv_freq"
        )

        def table(n_pos: int) -> tuple[Tensor, Tensor]:
            positions = torch.arange(n_pos, device=like.device)[None]
            given = (like, positions, kind) if per_kind else (like, positions)
            cos, sin = module(*given)
            return cos[0], sin[0]

        return Rotary(table, adjacent=False)

    def _rotary_module(self) -> Any:
        inner = self.model.original_model
        body = getattr(inner, "gpt_neox", getattr(inner, "model", None))
        module = getattr(body, "rotary_emb", None)
        return getattr(module, "original_component", module)

    def _layer_type(self, layer: int) -> str | None:
        types = getattr(self._config, "layer_types", None)
        return None if types is None else types[layer]

    def window(self, layer: int) -> int | None:
        """Sliding layers see a window; Mistral's are all of that kind."""
        window = getattr(self._config, "sliding_window", None)
        if self._layer_type(layer) == "full_attention":
            return None
        return None if window is None else int(window)

    def embed_scale(self) -> float:
        """Gemma multiplies its embedding."""
        inner = self.model.embed.original_component
        return float(getattr(inner, "embed_scale", 1.0))


def _epsilon(norm: Any) -> float:
    """Llama and its kin call it otherwise than torch and Gemma do."""
    name = "variance_epsilon" if hasattr(norm, "variance_epsilon") else "eps"
    return float(getattr(norm, name))
