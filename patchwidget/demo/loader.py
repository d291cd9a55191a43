"""Load the bundled model as the model class of the TransformerLens at hand.

A ``TransformerBridge`` where there is one (3.x, 4.x), else a ``HookedTransformer``
(2.x). Both hold the weights as they were trained: nothing folded, nothing centred, so
activations, and what a patch of one node does, agree between the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from patchwidget.demo.tokenizer import MODEL_DIR, load_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

MODEL_NAME = "patchwidget-demo"


def load_model(device: str | torch.device = "cpu", *, folder: Path = MODEL_DIR) -> Any:
    """The bundled model, ready for hooks; needs no network.

    Args:
        device: Where to put it.
        folder: Another model of ``patchwidget.demo.train``; by default the bundled one.

    Returns:
        A ``TransformerBridge`` (TransformerLens 3 and 4) or a ``HookedTransformer`` (2),
        in eval mode, with unprocessed weights.

    Example:
        >>> model = load_model()
        >>> model.to_str_tokens("When Mary")
        ['<|endoftext|>', 'When', ' Mary']
    """
    # Both classes draw initial weights; a caller's seed shall mean the same before
    # and after loading.
    with torch.random.fork_rng(devices=[]), _without_progress_bars():
        try:
            from transformer_lens.model_bridge import TransformerBridge
        except ImportError:
            return _hooked_transformer(device, folder)
        model = TransformerBridge.boot_transformers(str(folder), device=str(device))
        model.cfg.model_name = MODEL_NAME
        return model.eval()


def _hooked_transformer(device: str | torch.device, folder: Path) -> Any:
    from safetensors.torch import load_file
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformers import AutoConfig

    shape = AutoConfig.from_pretrained(str(folder))
    config = HookedTransformerConfig(
        n_layers=shape.n_layer,
        n_heads=shape.n_head,
        d_model=shape.n_embd,
        d_head=shape.n_embd // shape.n_head,
        d_mlp=4 * shape.n_embd,
        d_vocab=shape.vocab_size,
        n_ctx=shape.n_positions,
        eps=shape.layer_norm_epsilon,
        act_fn=shape.activation_function,
        normalization_type="LN",
        original_architecture="GPT2LMHeadModel",
        model_name=MODEL_NAME,
        device=str(device),
    )
    model = HookedTransformer(config, tokenizer=load_tokenizer(folder))
    weights = load_file(folder / "model.safetensors")
    names = hooked_weights(weights, config.n_layers, config.n_heads)
    # Not strict: causal masks and the absent unembedding bias are the class's own.
    model.load_state_dict(names, strict=False)
    return model.to(str(device), print_details=False).eval()


def hooked_weights(
    weights: dict[str, Tensor], layers: int, heads: int
) -> dict[str, Tensor]:
    """Hugging Face's GPT-2 weights under ``HookedTransformer``'s names and shapes."""
    embedding = weights["transformer.wte.weight"]
    unembedding = weights.get("lm_head.weight", embedding).T
    renamed = {
        "embed.W_E": embedding,
        "pos_embed.W_pos": weights["transformer.wpe.weight"],
        "ln_final.w": weights["transformer.ln_f.weight"],
        "ln_final.b": weights["transformer.ln_f.bias"],
        "unembed.W_U": unembedding,
        "unembed.b_U": unembedding.new_zeros(unembedding.shape[1]),
    }
    for layer in range(layers):
        start = f"transformer.h.{layer}."
        block = {n[len(start) :]: w for n, w in weights.items() if n.startswith(start)}
        for name, weight in _hooked_block(block, heads).items():
            renamed[f"blocks.{layer}.{name}"] = weight
    return {name: weight.contiguous() for name, weight in renamed.items()}


def _hooked_block(block: dict[str, Tensor], heads: int) -> dict[str, Tensor]:
    width = block["attn.c_proj.bias"].shape[0]
    renamed = {
        "attn.W_O": block["attn.c_proj.weight"].reshape(heads, -1, width),
        "attn.b_O": block["attn.c_proj.bias"],
        "mlp.W_in": block["mlp.c_fc.weight"],
        "mlp.b_in": block["mlp.c_fc.bias"],
        "mlp.W_out": block["mlp.c_proj.weight"],
        "mlp.b_out": block["mlp.c_proj.bias"],
    }
    for number in "12":
        renamed[f"ln{number}.w"] = block[f"ln_{number}.weight"]
        renamed[f"ln{number}.b"] = block[f"ln_{number}.bias"]
    fused = zip(
        "QKV",
        block["attn.c_attn.weight"].chunk(3, -1),
        block["attn.c_attn.bias"].chunk(3, -1),
        strict=True,
    )
    for part, weight, bias in fused:
        # [d_model, heads * d_head] -> [heads, d_model, d_head]
        renamed[f"attn.W_{part}"] = weight.reshape(width, heads, -1).transpose(0, 1)
        renamed[f"attn.b_{part}"] = bias.reshape(heads, -1)
    return renamed


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Half a second of loading needs no bar in a notebook."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
